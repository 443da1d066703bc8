-- Row capture without code: `select audit.watch('public.policies')` records each INSERT, UPDATE, DELETE and TRUNCATE of a table, in the
-- transaction that does it, through the same door as `audit.append` (inbox.sql): an event that cannot be recorded fails the statement.
-- The triggers are ENABLE ALWAYS: `session_replication_role = replica` switches off all others. They run as the owner of this schema, so that
-- whoever may write the table needs no right here; the project is that of the role that logged in.
-- Only who owns the table may watch or unwatch it: that is what PostgreSQL asks for the triggers. Whoever owns it could drop them by hand,
-- so that keeping `unwatch` from host roles would protect nothing; by `unwatch` it is recorded, and `audit.watched` shows what is not intact.
-- Refuses (IN007) what is no plain or partitioned table, columns that are not there, and a state that cannot be taken safely.

-- What was asked to be watched. What is watched the triggers say; where both differ, `audit.watched` says so.
CREATE TABLE audit.watches (
    relation      regclass PRIMARY KEY,
    noun          text NOT NULL,
    resource_type text NOT NULL,
    leave_out     text[] NOT NULL,
    project_id    uuid NOT NULL,
    role          name NOT NULL,
    since         timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A table's name with its schema, whatever the search path is.
CREATE FUNCTION audit.table_name(relation oid) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = relation
$$;

-- to_json calls the function of a cast to json that somebody made for a type of their own, and it would run as the owner of this schema.
-- Where there is such a cast that no superuser made, tables whose rows reach its type are refused.
CREATE FUNCTION audit.has_foreign_cast(relation oid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    sources oid[] := ARRAY(SELECT c.castsource FROM pg_cast AS c JOIN pg_proc AS p ON p.oid = c.castfunc JOIN pg_roles AS r ON r.oid = p.proowner
        WHERE c.casttarget = 'json'::regtype AND c.oid >= 16384 AND NOT r.rolsuper);
BEGIN
    RETURN cardinality(sources) > 0 AND EXISTS (
        WITH RECURSIVE reached (type) AS (
            SELECT reltype FROM pg_class WHERE oid = relation
            UNION SELECT next.type FROM reached JOIN pg_type AS t ON t.oid = reached.type,
                LATERAL (SELECT t.typelem UNION SELECT t.typbasetype
                    UNION SELECT r.rngsubtype FROM pg_range AS r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
                    UNION SELECT a.atttypid FROM pg_attribute AS a WHERE a.attrelid = t.typrelid AND a.attnum > 0) AS next (type)
        ) SELECT FROM reached WHERE type = ANY (sources));
END $$;

-- The id of a row: its primary key. Several columns are joined by commas, with `\` before commas and backslashes of theirs; what is longer
-- than an id may be is told by its SHA-256. A column whose values are secret is not told. NULL without a primary key.
CREATE FUNCTION audit.row_id(relation oid, state jsonb, leave_out text[], rules jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    columns text[] := ARRAY(SELECT a.attname FROM pg_index AS i, unnest(i.indkey) WITH ORDINALITY AS k (number, n), pg_attribute AS a
        WHERE i.indrelid = relation AND i.indisprimary AND a.attrelid = relation AND a.attnum = k.number ORDER BY n);
    id text;
BEGIN
    SELECT string_agg(CASE WHEN c = ANY (leave_out) OR rules ? audit.redact_fold(c) OR audit.redact_fold(c) IN ('key', 'value') THEN '[REDACTED]'
            WHEN cardinality(columns) = 1 THEN state ->> c ELSE regexp_replace(state ->> c, '([\\,])', '\\\1', 'g') END, ',' ORDER BY n)
        INTO id FROM unnest(columns) WITH ORDINALITY AS k (c, n);
    RETURN CASE WHEN octet_length(id) > 1024 THEN 'sha256:' || encode(sha256(convert_to(id, 'UTF8')), 'hex') ELSE nullif(id, '') END;
END $$;

-- A row as JSON. A column of type json may hold what jsonb may not: `\u0000` and halves of surrogate pairs become the character for what
-- cannot be read. What is not jsonb even then is refused, without the error of PostgreSQL, which shows a part of the row.
CREATE FUNCTION audit.row_state(state json) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    high text := '\\u[dD][89abAB][0-9a-fA-F]{2}';
    low text := '\\u[dD][c-fC-F][0-9a-fA-F]{2}';
BEGIN
    IF strpos(state::text, '\u') > 0 THEN
        state := regexp_replace(state::text, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g');
        state := regexp_replace(state::text, format('%1$s(?!%2$s)|(?<!%1$s)%2$s', high, low), '\\ufffd', 'g');
    END IF;
    RETURN state::jsonb;
EXCEPTION WHEN data_exception OR statement_too_complex THEN
    PERFORM audit.refuse('IN007', '', 'a value of type json in the row cannot be recorded', 'Leave the column out, or make it jsonb.');
END $$;

-- The event of a row. States are without the columns that are left out. A change that the states will not show, of a column that is left out
-- or whose values are secret, is named in `context.also_changed`.
CREATE FUNCTION audit.row_event(op text, relation oid, noun text, resource_type text, leave_out text[], before jsonb, after jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    project uuid := (SELECT project_id FROM audit.binding());
    rules jsonb := audit.redact_names(project);
    whole text := audit.table_name(coalesce(pg_partition_root(relation), relation));
    id text := audit.row_id(relation, coalesce(after, before), leave_out, rules);
    unseen text;
BEGIN
    SELECT string_agg(key, ', ' ORDER BY key) INTO unseen FROM jsonb_each(after) WHERE value IS DISTINCT FROM before -> key AND before IS NOT NULL
        AND (key = ANY (leave_out) OR rules ? audit.redact_fold(key) OR audit.redact_fold(key) IN ('key', 'value'));
    RETURN jsonb_build_object(
        'action', noun || '.' || op,
        'actor', audit.actor(),
        'outcome', 'allow',
        'resource', CASE WHEN id IS NULL THEN jsonb_strip_nulls(jsonb_build_object('type', 'table', 'id', audit.table_name(relation),
                'parent', nullif(whole, audit.table_name(relation))))
            ELSE jsonb_build_object('type', resource_type, 'id', id, 'parent', whole) END,
        'context', jsonb_strip_nulls(jsonb_build_object('transaction', pg_current_xact_id()::text, 'also_changed', left(unseen, 120))),
        'content', jsonb_strip_nulls(jsonb_build_object('before_state', NULL))
            || CASE WHEN before IS NULL THEN '{}' ELSE jsonb_build_object('before_state', before - leave_out) END
            || CASE WHEN after IS NULL THEN '{}' ELSE jsonb_build_object('after_state', after - leave_out) END);
END $$;

-- The trigger of both kinds. Its arguments: noun, type of resource, columns to leave out. A column that is to be left out and is not there
-- was renamed or dropped, and what it is called now might be recorded: the statement fails until the table is watched anew.
CREATE FUNCTION audit.capture() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    leave_out text[] := TG_ARGV[2];
    before jsonb;
    after jsonb;
BEGIN
    IF TG_LEVEL = 'ROW' AND audit.has_foreign_cast(TG_RELID) THEN
        PERFORM audit.refuse('IN007', '', format('the table %s has a type with a cast to json that no superuser made', audit.table_name(TG_RELID)),
            'Drop the cast, or have a superuser own its function.');
    END IF;
    IF TG_LEVEL = 'ROW' AND TG_OP <> 'INSERT' THEN
        before := audit.row_state(to_json(OLD));
    END IF;
    IF TG_LEVEL = 'ROW' AND TG_OP <> 'DELETE' THEN
        after := audit.row_state(to_json(NEW));
    END IF;
    IF TG_LEVEL = 'ROW' AND NOT coalesce(after, before) ?& leave_out THEN
        PERFORM audit.refuse('IN007', '', format('a column that is left out of what is captured is not in the table %s', audit.table_name(TG_RELID)),
            format('Watch it anew: SELECT audit.watch(%L, leave_out => ...)', audit.table_name(coalesce(pg_partition_root(TG_RELID), TG_RELID))));
    END IF;
    -- An UPDATE that changes nothing is no event.
    IF TG_OP <> 'UPDATE' OR before <> after THEN
        PERFORM audit.inbox_put(audit.row_event(CASE TG_OP WHEN 'INSERT' THEN 'create' ELSE lower(TG_OP) END, TG_RELID, TG_ARGV[0],
            TG_ARGV[1], leave_out, before, after), 'watch', false);
    END IF;
    RETURN NULL;
END $$;

-- The arguments of a trigger, each of which ends in a zero byte.
CREATE FUNCTION audit.trigger_arguments(arguments bytea) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    out text[] := '{}';
    ends integer;
BEGIN
    LOOP
        ends := position('\x00'::bytea IN arguments);
        EXIT WHEN ends = 0;
        out := out || convert_from(substring(arguments FROM 1 FOR ends - 1), getdatabaseencoding());
        arguments := substring(arguments FROM ends + 1);
    END LOOP;
    RETURN out;
END $$;

-- The arguments by which a table is watched now, NULL where it is not: both triggers are there, and fire always.
CREATE FUNCTION audit.watched_by(relation oid) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT audit.trigger_arguments((array_agg(t.tgargs))[1]) FROM pg_trigger AS t
    WHERE t.tgrelid = relation AND t.tgfoid = 'audit.capture()'::regprocedure AND t.tgenabled = 'A'
        AND (t.tgname, t.tgtype) IN (('indelible_row', 29), ('indelible_truncate', 32))
    HAVING count(*) = 2 AND count(DISTINCT t.tgargs) = 1
$$;

-- Records what became of the watch of a table, if anything did; it believes the triggers and nobody's word.
CREATE FUNCTION audit.settle_watch(relation regclass) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_by text[] := audit.watched_by(relation);
    was audit.watches := (SELECT w FROM audit.watches AS w WHERE w.relation = settle_watch.relation);
    project uuid := (SELECT project_id FROM audit.binding());
BEGIN
    IF now_by IS NOT DISTINCT FROM (SELECT ARRAY[was.noun, was.resource_type, was.leave_out::text] WHERE was.relation IS NOT NULL) THEN
        RETURN;
    END IF;
    DELETE FROM audit.watches AS w WHERE w.relation = settle_watch.relation;
    IF now_by IS NOT NULL THEN
        INSERT INTO audit.watches (relation, noun, resource_type, leave_out, project_id, role)
            VALUES (relation, now_by[1], now_by[2], now_by[3]::text[], project, session_user);
    END IF;
    PERFORM audit.inbox_put(jsonb_build_object(
        'action', CASE WHEN now_by IS NULL THEN 'row_capture.stop' ELSE 'row_capture.start' END,
        'actor', audit.actor(), 'outcome', 'allow',
        'resource', jsonb_build_object('type', 'table', 'id', audit.table_name(relation)),
        'content', jsonb_build_object('before_state', CASE WHEN was.relation IS NOT NULL THEN jsonb_build_object('noun', was.noun,
                'resource_type', was.resource_type, 'leave_out', was.leave_out) END,
            'after_state', CASE WHEN now_by IS NOT NULL THEN jsonb_build_object('noun', now_by[1],
                'resource_type', now_by[2], 'leave_out', now_by[3]::text[]) END)), 'watch', true);
END $$;

-- A noun out of a table's name: lower-case letters, digits and `_`.
CREATE FUNCTION audit.noun_of(name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN noun ~ '^[a-z]' THEN noun ELSE 't_' || noun END
    FROM (SELECT regexp_replace(lower(name COLLATE "C"), '[^a-z0-9_]', '_', 'g') AS noun) AS n
$$;

-- Takes the triggers off a table and its partitions. Those of a partition that are copies of the table's go with them.
CREATE FUNCTION audit.drop_watch(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT t.tgname, t.tgrelid FROM pg_trigger AS t WHERE t.tgfoid = 'audit.capture()'::regprocedure AND t.tgparentid = 0
        AND (t.tgrelid = relation OR t.tgrelid IN (SELECT p.relid FROM pg_partition_tree(relation) AS p))
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', one.tgname, audit.table_name(one.tgrelid));
    END LOOP;
END $$;

-- Watches a table, or watches it anew. `leave_out`: columns that are not recorded. `noun`: that of the actions `noun.create`, `.update`,
-- `.delete` and `.truncate`; by default the table's name. `resource_type`: by default the noun. A trigger for TRUNCATE is no partition's copy:
-- those that are there get one each; a table that gets new partitions is watched anew to give them theirs.
CREATE FUNCTION audit.watch(relation regclass, leave_out text[] DEFAULT '{}', noun text DEFAULT NULL, resource_type text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    class pg_class := (SELECT c FROM pg_class AS c WHERE c.oid = relation);
    arguments text;
    one text;
BEGIN
    noun := coalesce(noun, audit.noun_of(class.relname));
    resource_type := coalesce(resource_type, noun);
    IF class.relkind NOT IN ('r', 'p') OR class.relpersistence = 't' OR class.relnamespace IN ('audit'::regnamespace, 'pg_catalog'::regnamespace)
        OR class.relispartition THEN
        RAISE EXCEPTION USING ERRCODE = 'IN007', MESSAGE = format('%s is no table that can be watched', relation),
            HINT = 'Tables that last can be watched, and partitioned ones as a whole.';
    ELSIF leave_out IS NULL OR array_ndims(leave_out) > 1 OR EXISTS (SELECT FROM unnest(leave_out) AS c WHERE c IS NULL OR NOT EXISTS (
        SELECT FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attname = c AND a.attnum > 0 AND NOT a.attisdropped)) THEN
        RAISE EXCEPTION USING ERRCODE = 'IN007', MESSAGE = format('a column to leave out is not in the table %s', relation),
            HINT = 'Name columns as they are written in the catalogue, in lower case unless they were quoted.';
    END IF;
    IF noun !~ '^[a-z][a-z0-9_]*$' OR octet_length(noun) > 100 OR octet_length(resource_type) NOT BETWEEN 1 AND 1024
        OR noun IN (SELECT n FROM unnest(audit.engine_nouns()) AS n) THEN
        RAISE EXCEPTION USING ERRCODE = 'IN003', MESSAGE = format('%I cannot be the noun of what is captured', noun),
            HINT = 'Nouns are lower-case letters, digits and `_`, and some are the engine''s own. Give another: audit.watch(table, noun => ...)';
    END IF;
    PERFORM audit.drop_watch(relation);
    arguments := format('%L, %L, %L', noun, resource_type, leave_out);
    EXECUTE format('CREATE TRIGGER indelible_row AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION audit.capture(%s)',
        audit.table_name(relation), arguments);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER indelible_row', audit.table_name(relation));
    FOR one IN SELECT audit.table_name(relation) UNION SELECT audit.table_name(p.relid) FROM pg_partition_tree(relation) AS p LOOP
        EXECUTE format('CREATE TRIGGER indelible_truncate AFTER TRUNCATE ON %s EXECUTE FUNCTION audit.capture(%s)', one, arguments);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER indelible_truncate', one);
    END LOOP;
    PERFORM audit.settle_watch(relation);
END $$;

-- Ends it.
CREATE FUNCTION audit.unwatch(relation regclass) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM audit.drop_watch(relation);
    PERFORM audit.settle_watch(relation);
END $$;

-- What is watched. Not `intact`: its triggers were dropped, switched off or changed by hand, or the table is gone.
CREATE VIEW audit.watched AS
    SELECT w.relation, w.noun, w.resource_type, w.leave_out, w.project_id, w.role, w.since,
        coalesce(audit.watched_by(w.relation) = ARRAY[w.noun, w.resource_type, w.leave_out::text], false) AS intact
    FROM audit.watches AS w;

REVOKE ALL ON FUNCTION audit.table_name(oid), audit.has_foreign_cast(oid), audit.row_id(oid, jsonb, text[], jsonb), audit.row_state(json),
    audit.row_event(text, oid, text, text, text[], jsonb, jsonb), audit.capture(), audit.trigger_arguments(bytea), audit.watched_by(oid),
    audit.settle_watch(regclass), audit.noun_of(text), audit.drop_watch(regclass), audit.watch(regclass, text[], text, text),
    audit.unwatch(regclass) FROM PUBLIC;
REVOKE ALL ON audit.watches, audit.watched FROM PUBLIC;
-- `watch` runs as its caller: what it calls, the caller executes. None of it reads or writes anything but by the rights of the caller, except
-- `settle_watch`, which records what is so.
GRANT EXECUTE ON FUNCTION audit.watch(regclass, text[], text, text), audit.unwatch(regclass), audit.drop_watch(regclass),
    audit.settle_watch(regclass), audit.noun_of(text), audit.table_name(oid), audit.engine_nouns(), audit.capture() TO audit_host;
-- The functions of a view are executed by who reads it.
GRANT EXECUTE ON FUNCTION audit.watched_by(oid), audit.trigger_arguments(bytea) TO audit_server, audit_reader;
GRANT SELECT ON audit.watched TO audit_server, audit_reader;
