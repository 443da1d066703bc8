-- Triggers that keep every hand but the writer's off the tables. See schema.sql.

CREATE TRIGGER events_insert BEFORE INSERT ON events
BEGIN
    SELECT RAISE(ABORT, 'events: only the ledger writes here') WHERE NOT indelible_next_row(NEW.row, NEW.project, NEW.sequence);
END;

CREATE TRIGGER events_update BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events: rows are never changed');
END;

CREATE TRIGGER events_delete BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events: rows are never deleted');
END;

CREATE TRIGGER contents_insert BEFORE INSERT ON contents
BEGIN
    SELECT RAISE(ABORT, 'contents: only the ledger writes here') WHERE NOT indelible_next_content(NEW.row);
END;

CREATE TRIGGER contents_update BEFORE UPDATE ON contents
BEGIN
    SELECT RAISE(ABORT, 'contents: rows are never changed');
END;

CREATE TRIGGER contents_delete BEFORE DELETE ON contents
BEGIN
    SELECT RAISE(ABORT, 'contents: rows are never deleted');
END;

CREATE TRIGGER wraps_insert BEFORE INSERT ON wraps
BEGIN
    SELECT RAISE(ABORT, 'wraps: only the ledger writes here') WHERE NOT indelible_next_content(NEW.row);
END;

CREATE TRIGGER wraps_update BEFORE UPDATE ON wraps
BEGIN
    SELECT RAISE(ABORT, 'wraps: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER wraps_delete BEFORE DELETE ON wraps
BEGIN
    SELECT RAISE(ABORT, 'wraps: rows are never deleted');
END;

CREATE TRIGGER tiles_insert BEFORE INSERT ON tiles
BEGIN
    SELECT RAISE(ABORT, 'tiles: only the ledger writes here') WHERE NOT indelible_next_tile(NEW.project, NEW.level, NEW.position);
END;

CREATE TRIGGER tiles_update BEFORE UPDATE ON tiles
BEGIN
    SELECT RAISE(ABORT, 'tiles: rows are never changed');
END;

CREATE TRIGGER tiles_delete BEFORE DELETE ON tiles
BEGIN
    SELECT RAISE(ABORT, 'tiles: rows are never deleted');
END;

CREATE TRIGGER heads_insert BEFORE INSERT ON heads
BEGIN
    SELECT RAISE(ABORT, 'heads: only the ledger writes here') WHERE NOT indelible_next_head(NEW.project);
END;

CREATE TRIGGER heads_update BEFORE UPDATE ON heads
BEGIN
    SELECT RAISE(ABORT, 'heads: only the ledger writes here') WHERE NOT indelible_next_head(NEW.project);
END;

CREATE TRIGGER heads_delete BEFORE DELETE ON heads
BEGIN
    SELECT RAISE(ABORT, 'heads: rows are never deleted');
END;

CREATE TRIGGER partial_tiles_insert BEFORE INSERT ON partial_tiles
BEGIN
    SELECT RAISE(ABORT, 'partial_tiles: only the ledger writes here') WHERE NOT indelible_next_head(NEW.project);
END;

CREATE TRIGGER partial_tiles_update BEFORE UPDATE ON partial_tiles
BEGIN
    SELECT RAISE(ABORT, 'partial_tiles: only the ledger writes here') WHERE NOT indelible_next_head(NEW.project);
END;

CREATE TRIGGER partial_tiles_delete BEFORE DELETE ON partial_tiles
BEGIN
    SELECT RAISE(ABORT, 'partial_tiles: rows are never deleted');
END;

CREATE TRIGGER instance_insert BEFORE INSERT ON instance
BEGIN
    SELECT RAISE(ABORT, 'instance: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER instance_update BEFORE UPDATE ON instance
BEGIN
    SELECT RAISE(ABORT, 'instance: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER instance_delete BEFORE DELETE ON instance
BEGIN
    SELECT RAISE(ABORT, 'instance: rows are never deleted');
END;

CREATE TRIGGER ledgers_insert BEFORE INSERT ON ledgers
BEGIN
    SELECT RAISE(ABORT, 'ledgers: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER ledgers_update BEFORE UPDATE ON ledgers
BEGIN
    SELECT RAISE(ABORT, 'ledgers: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER ledgers_delete BEFORE DELETE ON ledgers
BEGIN
    SELECT RAISE(ABORT, 'ledgers: rows are never deleted');
END;

CREATE TRIGGER data_keys_insert BEFORE INSERT ON data_keys
BEGIN
    SELECT RAISE(ABORT, 'data_keys: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER data_keys_update BEFORE UPDATE ON data_keys
BEGIN
    SELECT RAISE(ABORT, 'data_keys: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER data_keys_delete BEFORE DELETE ON data_keys
BEGIN
    SELECT RAISE(ABORT, 'data_keys: rows are never deleted');
END;

CREATE TRIGGER resources_insert BEFORE INSERT ON resources
BEGIN
    SELECT RAISE(ABORT, 'resources: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER resources_update BEFORE UPDATE ON resources
BEGIN
    SELECT RAISE(ABORT, 'resources: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER resources_delete BEFORE DELETE ON resources
BEGIN
    SELECT RAISE(ABORT, 'resources: rows are never deleted');
END;

CREATE TRIGGER anchors_insert BEFORE INSERT ON anchors
BEGIN
    SELECT RAISE(ABORT, 'anchors: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER anchors_update BEFORE UPDATE ON anchors
BEGIN
    SELECT RAISE(ABORT, 'anchors: rows are never changed');
END;

CREATE TRIGGER anchors_delete BEFORE DELETE ON anchors
BEGIN
    SELECT RAISE(ABORT, 'anchors: rows are never deleted');
END;

CREATE TRIGGER instance_leaves_insert BEFORE INSERT ON instance_leaves
BEGIN
    SELECT RAISE(ABORT, 'instance_leaves: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER instance_leaves_update BEFORE UPDATE ON instance_leaves
BEGIN
    SELECT RAISE(ABORT, 'instance_leaves: rows are never changed');
END;

CREATE TRIGGER instance_leaves_delete BEFORE DELETE ON instance_leaves
BEGIN
    SELECT RAISE(ABORT, 'instance_leaves: rows are never deleted');
END;

CREATE TRIGGER instance_checkpoints_insert BEFORE INSERT ON instance_checkpoints
BEGIN
    SELECT RAISE(ABORT, 'instance_checkpoints: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER instance_checkpoints_update BEFORE UPDATE ON instance_checkpoints
BEGIN
    SELECT RAISE(ABORT, 'instance_checkpoints: rows are never changed');
END;

CREATE TRIGGER instance_checkpoints_delete BEFORE DELETE ON instance_checkpoints
BEGIN
    SELECT RAISE(ABORT, 'instance_checkpoints: rows are never deleted');
END;

CREATE TRIGGER cosignatures_insert BEFORE INSERT ON cosignatures
BEGIN
    SELECT RAISE(ABORT, 'cosignatures: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER cosignatures_update BEFORE UPDATE ON cosignatures
BEGIN
    SELECT RAISE(ABORT, 'cosignatures: rows are never changed');
END;

CREATE TRIGGER cosignatures_delete BEFORE DELETE ON cosignatures
BEGIN
    SELECT RAISE(ABORT, 'cosignatures: rows are never deleted');
END;

CREATE TRIGGER answers_insert BEFORE INSERT ON answers
BEGIN
    SELECT RAISE(ABORT, 'answers: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER answers_update BEFORE UPDATE ON answers
BEGIN
    SELECT RAISE(ABORT, 'answers: rows are never changed');
END;

CREATE TRIGGER answers_delete BEFORE DELETE ON answers
BEGIN
    SELECT RAISE(ABORT, 'answers: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER api_key_uses_insert BEFORE INSERT ON api_key_uses
BEGIN
    SELECT RAISE(ABORT, 'api_key_uses: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER api_key_uses_update BEFORE UPDATE ON api_key_uses
BEGIN
    SELECT RAISE(ABORT, 'api_key_uses: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER api_key_uses_delete BEFORE DELETE ON api_key_uses
BEGIN
    SELECT RAISE(ABORT, 'api_key_uses: rows are never deleted');
END;

CREATE TRIGGER stream_cursors_insert BEFORE INSERT ON stream_cursors
BEGIN
    SELECT RAISE(ABORT, 'stream_cursors: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER stream_cursors_update BEFORE UPDATE ON stream_cursors
BEGIN
    SELECT RAISE(ABORT, 'stream_cursors: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER stream_cursors_delete BEFORE DELETE ON stream_cursors
BEGIN
    SELECT RAISE(ABORT, 'stream_cursors: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER webhook_deliveries_insert BEFORE INSERT ON webhook_deliveries
BEGIN
    SELECT RAISE(ABORT, 'webhook_deliveries: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER webhook_deliveries_update BEFORE UPDATE ON webhook_deliveries
BEGIN
    SELECT RAISE(ABORT, 'webhook_deliveries: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER webhook_deliveries_delete BEFORE DELETE ON webhook_deliveries
BEGIN
    SELECT RAISE(ABORT, 'webhook_deliveries: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER signing_keys_insert BEFORE INSERT ON signing_keys
BEGIN
    SELECT RAISE(ABORT, 'signing_keys: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER signing_keys_update BEFORE UPDATE ON signing_keys
BEGIN
    SELECT RAISE(ABORT, 'signing_keys: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER signing_keys_delete BEFORE DELETE ON signing_keys
BEGIN
    SELECT RAISE(ABORT, 'signing_keys: rows are never deleted');
END;

CREATE TRIGGER instance_tiles_insert BEFORE INSERT ON instance_tiles
BEGIN
    SELECT RAISE(ABORT, 'instance_tiles: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER instance_tiles_update BEFORE UPDATE ON instance_tiles
BEGIN
    SELECT RAISE(ABORT, 'instance_tiles: rows are never changed');
END;

CREATE TRIGGER instance_tiles_delete BEFORE DELETE ON instance_tiles
BEGIN
    SELECT RAISE(ABORT, 'instance_tiles: rows are never deleted');
END;

CREATE TRIGGER instance_edge_insert BEFORE INSERT ON instance_edge
BEGIN
    SELECT RAISE(ABORT, 'instance_edge: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER instance_edge_update BEFORE UPDATE ON instance_edge
BEGIN
    SELECT RAISE(ABORT, 'instance_edge: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER instance_edge_delete BEFORE DELETE ON instance_edge
BEGIN
    SELECT RAISE(ABORT, 'instance_edge: rows are never deleted');
END;

CREATE TRIGGER ring_keys_insert BEFORE INSERT ON ring_keys
BEGIN
    SELECT RAISE(ABORT, 'ring_keys: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER ring_keys_update BEFORE UPDATE ON ring_keys
BEGIN
    SELECT RAISE(ABORT, 'ring_keys: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER ring_keys_delete BEFORE DELETE ON ring_keys
BEGIN
    SELECT RAISE(ABORT, 'ring_keys: rows are never deleted');
END;

CREATE TRIGGER retired_signing_keys_insert BEFORE INSERT ON retired_signing_keys
BEGIN
    SELECT RAISE(ABORT, 'retired_signing_keys: only the ledger writes here') WHERE NOT indelible_writes();
END;

CREATE TRIGGER retired_signing_keys_update BEFORE UPDATE ON retired_signing_keys
BEGIN
    SELECT RAISE(ABORT, 'retired_signing_keys: rows are never changed');
END;

CREATE TRIGGER retired_signing_keys_delete BEFORE DELETE ON retired_signing_keys
BEGIN
    SELECT RAISE(ABORT, 'retired_signing_keys: rows are never deleted');
END;
