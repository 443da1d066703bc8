INSERT INTO events (row, project, sequence, id, submission_key_id, submission_mac, retry_mac, prev_hash, row_hash, entry)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
