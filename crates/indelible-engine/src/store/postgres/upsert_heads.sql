INSERT INTO heads (project, size, row_hash, tree_root, hmac_key_id, mac, compact_range, recorded_at, last_row)
SELECT project, size, row_hash, tree_root, hmac_key_id, mac, compact_range, recorded_at, last_row
FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bigint[], $9::bigint[])
    AS new (project, size, row_hash, tree_root, hmac_key_id, mac, compact_range, recorded_at, last_row)
ON CONFLICT (project) DO UPDATE SET
    size = excluded.size,
    row_hash = excluded.row_hash,
    tree_root = excluded.tree_root,
    hmac_key_id = excluded.hmac_key_id,
    mac = excluded.mac,
    compact_range = excluded.compact_range,
    recorded_at = excluded.recorded_at,
    last_row = excluded.last_row
