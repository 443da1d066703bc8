-- Triggers that refuse to change, delete or truncate what the ledger only ever adds: see ../sqlite/triggers.sql, which says the same of SQLite.
-- They hold for everybody, the owner of the tables and superusers too, and are ENABLE ALWAYS, so that they also fire while
-- session_replication_role is `replica`.
--
-- There are two on each table, since neither is enough. The one that fires once a statement stops TRUNCATE, and a change that finds no row;
-- the one that fires once a row stops what comes by way of another table that this one was made to inherit from, and what a subscription
-- of logical replication applies.
--
-- Whoever owns the tables can disable or drop the triggers, and where there are event triggers (event_triggers.sql) a superuser still can.
-- Nothing in a database holds against its superuser. What was then changed is found by the proofs, and the trigger by `indelible database check`.

CREATE FUNCTION audit.refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'audit.%: rows are never %', TG_TABLE_NAME,
        CASE TG_OP WHEN 'UPDATE' THEN 'changed' WHEN 'DELETE' THEN 'deleted' ELSE 'truncated' END
        USING ERRCODE = 'insufficient_privilege', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME;
END
$$;

-- Has a table of the schema refuse these operations (UPDATE, DELETE, both joined by OR, or neither), and TRUNCATE in any case.
-- `indelible database check` reads which tables these are from the lines below, so they are written out one by one.
CREATE FUNCTION audit.defend(name text, operations text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part text;
BEGIN
    IF operations <> ALL (ARRAY['UPDATE', 'DELETE', 'UPDATE OR DELETE', '']) THEN
        RAISE EXCEPTION 'defend: % is none of the operations that it knows', operations USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('CREATE TRIGGER refuse_statement BEFORE %s ON audit.%I FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()',
        concat_ws(' OR ', nullif(operations, ''), 'TRUNCATE'), name);
    EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER refuse_statement', name);
    IF operations <> '' THEN
        EXECUTE format('CREATE TRIGGER refuse_row BEFORE %s ON audit.%I FOR EACH ROW EXECUTE FUNCTION audit.refuse_change()',
            operations, name);
        EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER refuse_row', name);
    END IF;
    -- Partitions have the one for rows, as a copy, and need one for statements of their own.
    FOR part IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid AND relispartition
        WHERE inhparent = format('audit.%I', name)::regclass
    LOOP
        EXECUTE format('CREATE TRIGGER refuse_statement BEFORE %s ON audit.%I FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()',
            concat_ws(' OR ', nullif(operations, ''), 'TRUNCATE'), part);
        EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER refuse_statement', part);
        EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER refuse_row', part);
    END LOOP;
END
$$;

-- Only ever added to.
SELECT audit.defend('events', 'UPDATE OR DELETE');
SELECT audit.defend('ids', 'UPDATE OR DELETE');
SELECT audit.defend('tiles', 'UPDATE OR DELETE');
SELECT audit.defend('anchors', 'UPDATE OR DELETE');
SELECT audit.defend('instance', 'UPDATE OR DELETE');
SELECT audit.defend('instance_leaves', 'UPDATE OR DELETE');
SELECT audit.defend('instance_tiles', 'UPDATE OR DELETE');
SELECT audit.defend('instance_checkpoints', 'UPDATE OR DELETE');
SELECT audit.defend('cosignatures', 'UPDATE OR DELETE');
SELECT audit.defend('ledgers', 'UPDATE OR DELETE');
SELECT audit.defend('data_keys', 'UPDATE OR DELETE');
SELECT audit.defend('ring_keys', 'UPDATE OR DELETE');
SELECT audit.defend('signing_keys', 'UPDATE OR DELETE');
SELECT audit.defend('retired_signing_keys', 'UPDATE OR DELETE');
SELECT audit.defend('migrations', 'UPDATE OR DELETE');

-- Kept, and replaced by what is newer.
SELECT audit.defend('turn', 'DELETE');
SELECT audit.defend('heads', 'DELETE');
SELECT audit.defend('partial_tiles', 'DELETE');
SELECT audit.defend('instance_edge', 'DELETE');
SELECT audit.defend('resources', 'DELETE');
SELECT audit.defend('api_key_uses', 'DELETE');
SELECT audit.defend('leases', 'DELETE');

-- Not kept for ever: contents and their wraps are destroyed, answers are for a day. A wrap is renewed, the others are never changed.
SELECT audit.defend('contents', 'UPDATE');
SELECT audit.defend('answers', 'UPDATE');
SELECT audit.defend('wraps', '');

-- How far streams have come, and what was sent: none of it is evidence.
SELECT audit.defend('stream_cursors', '');
SELECT audit.defend('webhook_deliveries', '');

-- From here on every partition is made with the triggers.
SELECT audit.make_partitions();
