INSERT INTO heads (project, size, row_hash, tree_root, hmac_key_id, mac, compact_range, recorded_at, last_row)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (project) DO UPDATE SET
    size = excluded.size,
    row_hash = excluded.row_hash,
    tree_root = excluded.tree_root,
    hmac_key_id = excluded.hmac_key_id,
    mac = excluded.mac,
    compact_range = excluded.compact_range,
    recorded_at = excluded.recorded_at,
    last_row = excluded.last_row
