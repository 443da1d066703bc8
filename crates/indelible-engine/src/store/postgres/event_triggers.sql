-- Event triggers that refuse to take the defence down: dropping a table, a trigger or a function of the schema, detaching a partition,
-- disabling a trigger, rewriting a table, switching off row-level security, replacing a function or a view. They hold for the owner of the
-- tables and for superusers, and look at what a statement left rather than at its words, so that what only maintains (an index, a
-- partition, a setting) goes through.
--
-- Only a superuser may create event triggers (on managed services, the role that stands in for one). Where the installer is none, this file
-- is left out as a whole, since its functions run as whoever changes the database and must not belong to less than a superuser; installing
-- again as one adds it. They do not fire for statements about event triggers: whoever owns them can disable them, which is how a
-- later version is installed, and how a superuser takes everything down. The proofs then show what was changed.

-- What stands in the way of the defence, or NULL. Whoever runs a statement in this database comes by here, also with no right to the schema:
-- so it reads the system's tables alone, and names nothing of the schema.
CREATE OR REPLACE FUNCTION audit.weakness() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH schema AS (
        SELECT oid FROM pg_namespace WHERE nspname = 'audit'
    ), tables AS (
        SELECT pg_class.* FROM pg_class JOIN schema ON schema.oid = relnamespace WHERE relkind IN ('r', 'p')
    ), events AS (
        SELECT oid, relrowsecurity FROM tables WHERE relname = 'events' AND relkind = 'p'
    ), parts AS (
        SELECT pg_class.oid, relname, relnamespace, inhdetachpending FROM pg_inherits
        JOIN events ON events.oid = inhparent JOIN pg_class ON pg_class.oid = inhrelid
    )
    SELECT 'audit.' || name || ' must stay where it is' FROM unnest(ARRAY[
        'events', 'ids', 'tiles', 'anchors', 'instance', 'instance_leaves', 'instance_tiles', 'instance_checkpoints', 'cosignatures',
        'ledgers', 'data_keys', 'ring_keys', 'signing_keys', 'retired_signing_keys', 'turn', 'heads', 'partial_tiles',
        'instance_edge', 'resources', 'api_key_uses', 'leases', 'contents', 'answers', 'wraps', 'readers',
        'stream_cursors', 'webhook_deliveries'
    ]) AS name WHERE name NOT IN (SELECT relname FROM tables)
    UNION ALL
    SELECT format('audit.%s must stay a partition of audit.events', relname) FROM tables
    WHERE relname ~ '^events_\d{4}_\d\d$' AND NOT EXISTS (SELECT FROM parts WHERE parts.oid = tables.oid AND NOT inhdetachpending)
    UNION ALL
    SELECT format('%s is a partition of audit.events and must keep its name', relname) FROM parts
    WHERE relname !~ '^events_\d{4}_\d\d$' OR relnamespace <> (SELECT oid FROM schema)
    UNION ALL
    SELECT format('audit.%s must stay a table of its own', relname) FROM pg_inherits
    JOIN tables ON tables.oid IN (inhrelid, inhparent) WHERE inhparent NOT IN (SELECT oid FROM events)
    UNION ALL
    SELECT format('audit.%s must stay logged', relname) FROM tables WHERE relpersistence <> 'p'
    UNION ALL
    SELECT format('the trigger %s of audit.%s must stay ENABLE ALWAYS', tgname, relname)
    FROM pg_trigger JOIN tables ON tables.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid
    WHERE tgenabled <> 'A' AND proname = 'refuse_change' AND pronamespace = relnamespace
    UNION ALL
    SELECT 'audit.events must keep its row-level security' FROM events WHERE NOT relrowsecurity
    LIMIT 1
$$;

-- After a statement that may have weakened something. Whoever runs it need have no right to what is called here, so it runs with the owner's.
CREATE OR REPLACE FUNCTION audit.refuse_weakening() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    why text;
BEGIN
    SELECT format('%s comes between statements and a table of the audit log', object_identity) INTO why
    FROM pg_event_trigger_ddl_commands() AS commands
    LEFT JOIN pg_trigger ON classid = 'pg_trigger'::regclass AND pg_trigger.oid = objid
    LEFT JOIN pg_policy ON classid = 'pg_policy'::regclass AND pg_policy.oid = objid
    LEFT JOIN pg_rewrite ON classid = 'pg_rewrite'::regclass AND pg_rewrite.oid = objid
    JOIN pg_class ON pg_class.oid IN (tgrelid, polrelid, ev_class)
    JOIN pg_namespace ON pg_namespace.oid = relnamespace AND nspname = 'audit'
    -- What a new partition gets, and what puts a lost trigger back: before UPDATE, DELETE and TRUNCATE, or before UPDATE and DELETE of a row,
    -- whatever is changed and whenever.
    WHERE NOT (pg_trigger.oid IS NOT NULL AND tgqual IS NULL AND tgattr = ''
               AND (tgname = 'refuse_statement' AND tgtype = 58 OR tgname = 'refuse_row' AND tgtype = 27)
               AND tgfoid = (SELECT pg_proc.oid FROM pg_proc WHERE proname = 'refuse_change' AND pronamespace = relnamespace))
    LIMIT 1;
    IF why IS NULL THEN
        SELECT format('%s is only made and replaced by installing', object_identity) INTO why
        FROM pg_event_trigger_ddl_commands() AS commands
        LEFT JOIN pg_proc ON classid = 'pg_proc'::regclass AND pg_proc.oid = objid
        LEFT JOIN pg_class ON classid = 'pg_class'::regclass AND pg_class.oid = objid AND relkind IN ('v', 'm')
        JOIN pg_namespace ON pg_namespace.oid IN (pronamespace, relnamespace) AND nspname = 'audit'
        -- What seals the inbox is made anew where pgcrypto comes later or is moved: as one of two texts.
        WHERE NOT coalesce(proname = 'inbox_seal' AND NOT prosecdef AND prosrc IN ('SELECT NULL::bytea', (
            SELECT format('SELECT %I.pgp_pub_encrypt_bytea(plain, key, ''cipher-algo=aes256, compress-algo=0'')', place.nspname)
            FROM pg_extension JOIN pg_namespace AS place ON place.oid = extnamespace WHERE extname = 'pgcrypto')), false)
        LIMIT 1;
    END IF;
    -- A new trigger is not yet ENABLE ALWAYS, and a new table not yet attached: the whole is looked at when a table is altered, and when one
    -- is made that inherits.
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'audit') THEN
        why := 'the schema audit must keep its name';
    ELSIF why IS NULL AND (TG_TAG IN ('ALTER TABLE', 'ALTER SCHEMA')
                        OR EXISTS (SELECT FROM pg_event_trigger_ddl_commands() JOIN pg_inherits ON inhrelid = objid)) THEN
        why := audit.weakness();
    END IF;
    IF why IS NOT NULL THEN
        RAISE EXCEPTION '% is refused: %', TG_TAG, why USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;

-- After something was dropped. What is not ours, such as the trigger of a host's own table, is dropped freely, and so are indexes, of which a
-- database's keeper may have added some; those that keep rows apart are constraints.
CREATE OR REPLACE FUNCTION audit.refuse_drop() RETURNS event_trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone text := (SELECT format('%s %s', object_type, object_identity) FROM pg_event_trigger_dropped_objects()
                  WHERE address_names[1] = 'audit' AND object_type NOT IN ('index', 'statistics object') LIMIT 1);
BEGIN
    IF gone IS NOT NULL THEN
        RAISE EXCEPTION '% is refused: % is of the audit log', TG_TAG, gone USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;

-- Before a table is written anew, as ALTER COLUMN … TYPE … USING does, for which no trigger of the table fires.
CREATE OR REPLACE FUNCTION audit.refuse_rewrite() RETURNS event_trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
               WHERE pg_class.oid = pg_event_trigger_table_rewrite_oid() AND nspname = 'audit') THEN
        RAISE EXCEPTION '% is refused: rows of the audit log are never changed', TG_TAG USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;

-- What is over before anything could be looked at, told by the words of the statement. DETACH PARTITION … CONCURRENTLY commits in between, but
-- stands by itself, in no function and no transaction, so its words are all there is. Dropping the schema, these functions, or whatever
-- their owner has, takes the event triggers along before they fire; who hides the words could as well DROP EVENT TRIGGER.
CREATE OR REPLACE FUNCTION audit.refuse_words() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    words text := current_query();
    ours  boolean := words ~* '\maudit\M|U&';
    why   text;
BEGIN
    IF TG_TAG = 'ALTER TABLE' THEN
        IF words ~* '\mdetach\M' AND words ~* '\mconcurrently\M' AND words ~* '\mevents\M|\mevents_\d|U&' AND words ~* '\maudit\M|\mevents_\d{4}_\d\d\M|U&' THEN
            why := 'partitions of the audit log stay attached';
        END IF;
    ELSIF TG_TAG = 'DROP SCHEMA' THEN
        why := CASE WHEN ours THEN 'the schema audit is the audit log' END;
    ELSIF TG_TAG = 'DROP OWNED' THEN
        why := CASE WHEN words ~* '\m(current_user|current_role|session_user)\M|U&'
                      OR strpos(lower(words), (SELECT lower(pg_get_userbyid(nspowner)) FROM pg_namespace WHERE nspname = 'audit')) > 0
                    THEN 'the audit log is among what the role owns' END;
    ELSIF words ~* '\mrefuse_(words|drop|rewrite|weakening)\M' THEN
        why := 'it guards the audit log';
    END IF;
    IF why IS NOT NULL THEN
        RAISE EXCEPTION '% is refused: %', TG_TAG, why USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit FROM PUBLIC;

DROP EVENT TRIGGER IF EXISTS indelible_refuse_weakening;
DROP EVENT TRIGGER IF EXISTS indelible_refuse_drop;
DROP EVENT TRIGGER IF EXISTS indelible_refuse_rewrite;
DROP EVENT TRIGGER IF EXISTS indelible_refuse_words;
CREATE EVENT TRIGGER indelible_refuse_weakening ON ddl_command_end WHEN TAG IN (
    'ALTER TABLE', 'ALTER SCHEMA', 'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE FOREIGN TABLE', 'CREATE TRIGGER',
    'ALTER TRIGGER', 'CREATE RULE', 'ALTER RULE', 'CREATE POLICY', 'ALTER POLICY', 'CREATE VIEW', 'ALTER VIEW',
    'CREATE FUNCTION', 'ALTER FUNCTION', 'CREATE PROCEDURE', 'ALTER PROCEDURE', 'ALTER ROUTINE', 'CREATE AGGREGATE')
    EXECUTE FUNCTION audit.refuse_weakening();
CREATE EVENT TRIGGER indelible_refuse_drop ON sql_drop EXECUTE FUNCTION audit.refuse_drop();
CREATE EVENT TRIGGER indelible_refuse_rewrite ON table_rewrite EXECUTE FUNCTION audit.refuse_rewrite();
CREATE EVENT TRIGGER indelible_refuse_words ON ddl_command_start WHEN TAG IN (
    'ALTER TABLE', 'DROP SCHEMA', 'DROP OWNED', 'DROP FUNCTION', 'DROP ROUTINE')
    EXECUTE FUNCTION audit.refuse_words();

-- Also while a session is in replica mode.
ALTER EVENT TRIGGER indelible_refuse_weakening ENABLE ALWAYS;
ALTER EVENT TRIGGER indelible_refuse_drop ENABLE ALWAYS;
ALTER EVENT TRIGGER indelible_refuse_rewrite ENABLE ALWAYS;
ALTER EVENT TRIGGER indelible_refuse_words ENABLE ALWAYS;
