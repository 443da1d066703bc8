-- What is refused of an event in the caller's own transaction: what the ledger would refuse later, so that the transaction fails and not
-- the record. It follows crates/indelible-core/src/event; event_members.sql has the table of members, made from the one there.
-- A refusal has a SQLSTATE of class IN, the place as a JSON Pointer in DETAIL (names in it without the secrets that they show), and says
-- what to do in HINT. It never repeats a value. jsonb has dropped names that came twice, the order of names and how numbers were written.
-- IN001 a rule of the event is broken, IN002 a member of the server, IN003 an action of the engine, IN004 too large,
-- IN005 the role is bound to no project, IN006 the inbox cannot be sealed, IN007 a table cannot be watched so.

CREATE FUNCTION audit.refuse(code text, pointer text, message text, hint text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, DETAIL = pointer, HINT = coalesce(hint, CASE code
        WHEN 'IN002' THEN 'Leave the member out: the server sets it.'
        WHEN 'IN003' THEN 'Name the action by a noun of your own.'
        WHEN 'IN004' THEN 'Make it smaller, or keep it elsewhere and record where.'
        ELSE 'Mend the event at the place that DETAIL names. Nothing is recorded, and the transaction fails.' END);
END $$;

-- A pointer one name further in.
CREATE FUNCTION audit.pointer(pointer text, name text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT pointer || '/' || replace(replace(
        coalesce(audit.redact_text(name, audit.redact_names('00000000-0000-0000-0000-000000000000'), 0, false, 0), name), '~', '~0'), '/', '~1')
$$;

-- Refuses what is not of a kind of JSON.
CREATE FUNCTION audit.check_kind(value jsonb, kind text, pointer text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF value IS NULL OR jsonb_typeof(value) <> kind THEN
        PERFORM audit.refuse('IN001', pointer, format('%s where %s was expected', coalesce(jsonb_typeof(value), 'NULL'), kind));
    END IF;
END $$;

CREATE FUNCTION audit.check_text(value jsonb, bytes_max integer, pointer text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM audit.check_kind(value, 'string', pointer);
    IF value = '""' THEN
        PERFORM audit.refuse('IN001', pointer, 'an empty string');
    ELSIF octet_length(value #>> '{}') > bytes_max THEN
        PERFORM audit.refuse('IN004', pointer, format('%s bytes, more than %s', octet_length(value #>> '{}'), bytes_max));
    END IF;
END $$;

-- RFC 3339 with an offset, in the years 0001 to 9999 of UTC.
CREATE FUNCTION audit.is_time(value text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF value !~ '^\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d([.]\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$' OR value ~ '^0000' THEN
        RETURN false;
    END IF;
    -- PostgreSQL reads offsets below 16 hours alone: so the day is read by itself, and the offset added.
    RETURN make_timestamp(left(value, 4)::integer, substr(value, 6, 2)::integer, substr(value, 9, 2)::integer, substr(value, 12, 2)::integer,
            substr(value, 15, 2)::integer, substr(value, 18, 2)::integer)
        - CASE WHEN value ~ '[Zz]$' THEN interval '0' ELSE right(value, 6)::text::interval END
        BETWEEN timestamp '0001-01-01 00:00:00' AND timestamp '9999-12-31 23:59:59.999999';
EXCEPTION WHEN data_exception THEN
    RETURN false;
END $$;

-- The application's own string keys.
CREATE FUNCTION audit.check_labels(labels jsonb, pointer text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    limits jsonb := audit.event_limits();
    total integer := 0;
    keys integer := 0;
    key text;
    value jsonb;
    at text;
BEGIN
    PERFORM audit.check_kind(labels, 'object', pointer);
    FOR key, value IN SELECT * FROM jsonb_each(labels) LOOP
        at := audit.pointer(pointer, key);
        keys := keys + 1;
        IF key = '' THEN
            PERFORM audit.refuse('IN001', at, 'an empty key');
        ELSIF octet_length(key) > (limits ->> 'context_key_bytes')::integer THEN
            PERFORM audit.refuse('IN004', at, format('a key of more than %s bytes', limits ->> 'context_key_bytes'));
        ELSIF lower(translate(key, '_-. ', '') COLLATE "C") IN ('runid', 'threadid', 'runthreadid') THEN
            PERFORM audit.refuse('IN001', at, 'run and thread live in `run`, never in `context`', 'Use `run.id` and `run.thread_id`.');
        END IF;
        PERFORM audit.check_kind(value, 'string', at);
        IF octet_length(value #>> '{}') > (limits ->> 'context_value_bytes')::integer THEN
            PERFORM audit.refuse('IN004', at, format('a value of more than %s bytes', limits ->> 'context_value_bytes'));
        END IF;
        total := total + octet_length(key) + octet_length(value #>> '{}');
    END LOOP;
    IF keys > (limits ->> 'context_keys')::integer OR total > (limits ->> 'context_bytes')::integer THEN
        PERFORM audit.refuse('IN004', pointer, format('more than %s keys, or more than %s bytes of keys and values',
            limits ->> 'context_keys', limits ->> 'context_bytes'));
    END IF;
END $$;

CREATE FUNCTION audit.check_items(items jsonb, items_max integer, pointer text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM audit.check_kind(items, 'array', pointer);
    IF jsonb_array_length(items) > items_max THEN
        PERFORM audit.refuse('IN004', pointer, format('%s items, more than %s', jsonb_array_length(items), items_max));
    END IF;
END $$;

-- A value and its shape (event_members.sql).
CREATE FUNCTION audit.check_value(value jsonb, member jsonb, pointer text, by_engine boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    shape text := member ->> 'shape';
    words text := '[a-z][a-z0-9_]*';
    at integer;
BEGIN
    IF shape IN ('choice', 'uuid', 'time', 'hex') THEN
        PERFORM audit.check_kind(value, 'string', pointer);
    END IF;
    CASE
        WHEN shape IN ('text', 'action', 'category') THEN
            PERFORM audit.check_text(value, (member ->> 'max')::integer, pointer);
            IF shape = 'action' AND value #>> '{}' !~ format('^%1$s([.]%1$s)+$', words)
                OR shape = 'category' AND value #>> '{}' !~ format('^%s$', words) THEN
                PERFORM audit.refuse('IN001', pointer, CASE shape WHEN 'action' THEN 'not noun.verb: ' ELSE 'not ' END
                    || 'lower-case letters, digits and `_`, each part beginning with a letter');
            ELSIF shape = 'action' AND NOT by_engine AND audit.is_engine_action(value #>> '{}') THEN
                PERFORM audit.refuse('IN003', pointer, 'an action that the engine alone writes');
            END IF;
        WHEN shape = 'choice' AND NOT member -> 'of' @> value THEN
            PERFORM audit.refuse('IN001', pointer, 'not one of ' || (SELECT string_agg(c, ', ') FROM jsonb_array_elements_text(member -> 'of') AS c));
        WHEN shape = 'uuid' AND value #>> '{}' !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
            PERFORM audit.refuse('IN001', pointer, 'not a UUID in its hyphenated form');
        WHEN shape = 'time' AND NOT audit.is_time(value #>> '{}') THEN
            PERFORM audit.refuse('IN001', pointer, 'not an RFC 3339 time with an offset, in the years 0001 to 9999');
        WHEN shape = 'hex' AND value #>> '{}' !~ format('^[0-9a-f]{%s}$', (member ->> 'bytes')::integer * 2) THEN
            PERFORM audit.refuse('IN001', pointer, format('not %s lower-case hex digits', (member ->> 'bytes')::integer * 2));
        WHEN shape = 'integer' THEN
            PERFORM audit.check_kind(value, 'number', pointer);
            IF value #>> '{}' !~ '^-?[0-9]{1,16}$' OR (value #>> '{}')::bigint NOT BETWEEN (member ->> 'min')::bigint AND (member ->> 'max')::bigint THEN
                PERFORM audit.refuse('IN001', pointer, format('not a plain integer within %s to %s', member ->> 'min', member ->> 'max'));
            END IF;
        WHEN shape = 'bool' THEN
            PERFORM audit.check_kind(value, 'boolean', pointer);
        WHEN shape IN ('texts', 'objects') THEN
            PERFORM audit.check_items(value, (member ->> 'items')::integer, pointer);
            FOR at IN 0 .. jsonb_array_length(value) - 1 LOOP
                IF shape = 'texts' THEN
                    PERFORM audit.check_text(value -> at, (member ->> 'max')::integer, pointer || '/' || at);
                ELSE
                    PERFORM audit.check_members(value -> at, member -> 'members', pointer || '/' || at, by_engine);
                END IF;
            END LOOP;
        WHEN shape = 'object' THEN
            PERFORM audit.check_members(value, member -> 'members', pointer, by_engine);
        WHEN shape = 'labels' THEN
            PERFORM audit.check_labels(value, pointer);
        ELSE
            NULL;
    END CASE;
END $$;

-- Every member known, of its shape, and the caller's to set; what must be there is.
CREATE FUNCTION audit.check_members(object jsonb, members jsonb, pointer text, by_engine boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
    value jsonb;
    owner text;
BEGIN
    PERFORM audit.check_kind(object, 'object', pointer);
    FOR name, value IN SELECT * FROM jsonb_each(object) LOOP
        IF NOT members ? name THEN
            PERFORM audit.refuse('IN001', audit.pointer(pointer, name), 'an unknown member');
        END IF;
        owner := members -> name ->> 'owner';
        IF owner = 'server' OR owner = 'engine' AND NOT by_engine THEN
            PERFORM audit.refuse('IN002', audit.pointer(pointer, name), 'a member that the server alone sets');
        END IF;
        PERFORM audit.check_value(value, members -> name, pointer || '/' || name, by_engine);
    END LOOP;
    FOR name IN SELECT m.key FROM jsonb_each(members) AS m WHERE m.value -> 'required' = 'true' ORDER BY m.key LOOP
        IF NOT object ? name THEN
            PERFORM audit.refuse('IN001', pointer || '/' || name, 'a required member is missing');
        END IF;
    END LOOP;
END $$;

-- Headers: each a string, or an array of strings.
CREATE FUNCTION audit.check_headers(headers jsonb, pointer text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
    value jsonb;
BEGIN
    PERFORM audit.check_kind(headers, 'object', pointer);
    FOR name, value IN SELECT * FROM jsonb_each(headers) LOOP
        IF jsonb_typeof(value) = 'array' THEN
            FOR at IN 0 .. jsonb_array_length(value) - 1 LOOP
                PERFORM audit.check_kind(value -> at, 'string', audit.pointer(pointer, name) || '/' || at);
            END LOOP;
        ELSE
            PERFORM audit.check_kind(value, 'string', audit.pointer(pointer, name));
        END IF;
    END LOOP;
END $$;

-- `content`: its members are known; what they hold is kept as it came, null included.
CREATE FUNCTION audit.check_content(content jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
    value jsonb;
    inner_name text;
    inner_value jsonb;
BEGIN
    PERFORM audit.check_kind(content, 'object', '/content');
    FOR name, value IN SELECT * FROM jsonb_each(content) LOOP
        IF name = 'diff' THEN
            PERFORM audit.refuse('IN002', '/content/diff', 'a member that the server alone sets');
        ELSIF NOT name = ANY (audit.content_members()) THEN
            PERFORM audit.refuse('IN001', audit.pointer('/content', name), 'an unknown member of content; known are '
                || array_to_string(audit.content_members(), ', '));
        ELSIF name = 'messages' AND value <> 'null' THEN
            PERFORM audit.check_kind(value, 'array', '/content/messages');
        ELSIF name IN ('request', 'response') AND value <> 'null' THEN
            PERFORM audit.check_kind(value, 'object', '/content/' || name);
            FOR inner_name, inner_value IN SELECT * FROM jsonb_each(value) LOOP
                IF inner_name = 'headers' THEN
                    PERFORM audit.check_headers(inner_value, format('/content/%s/headers', name));
                ELSIF inner_name <> 'body' THEN
                    PERFORM audit.refuse('IN001', audit.pointer('/content/' || name, inner_name), 'an unknown member; known are headers, body');
                END IF;
            END LOOP;
        END IF;
    END LOOP;
END $$;

-- An event as somebody hands it in. `by_engine` is what this schema says of itself: it may then use the engine's own actions.
CREATE FUNCTION audit.check_event(event jsonb, by_engine boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM audit.check_kind(event, 'object', '');
    IF event ? 'personal' THEN
        PERFORM audit.refuse('IN001', '/personal', '`personal` is reserved for a later version');
    END IF;
    IF event ? 'content' THEN
        PERFORM audit.check_content(event -> 'content');
    END IF;
    PERFORM audit.check_members(event - 'content', audit.event_members(), '', by_engine);
    IF event #>> '{actor,type}' <> 'anonymous' AND NOT event -> 'actor' ? 'id' THEN
        PERFORM audit.refuse('IN001', '/actor/id', 'an actor that is not anonymous needs an id');
    ELSIF event ->> 'phase' IS DISTINCT FROM 'intent' AND NOT event ? 'outcome' THEN
        PERFORM audit.refuse('IN001', '/outcome', 'an event that is not an intent needs an outcome');
    ELSIF event ? 'phase' AND NOT event ? 'operation_id' THEN
        PERFORM audit.refuse('IN001', '/operation_id', 'intent and outcome are joined by an operation_id');
    ELSIF event ? 'run' AND NOT event -> 'run' ?| ARRAY['id', 'thread_id'] THEN
        PERFORM audit.refuse('IN001', '/run/id', 'a run needs an id or a thread_id');
    END IF;
END $$;

-- Refuses an event that would be too large once it is stamped, redacted and told of its changes. What the server adds is not known yet, so
-- room is left for it: 2 KiB, and for `changes` and `diff` what the states can make of them. A ledger may take a little more than this.
CREATE FUNCTION audit.check_size(event jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    limits jsonb := audit.event_limits();
    before integer := coalesce(octet_length((event #> '{content,before_state}')::text), 0);
    after integer := coalesce(octet_length((event #> '{content,after_state}')::text), 0);
    content integer := coalesce(octet_length((event -> 'content')::text), 0);
BEGIN
    IF octet_length((event - 'content')::text) + 2048 + least(before + after, (limits ->> 'changes_bytes')::integer + 1024)
        > (limits ->> 'entry_bytes')::integer THEN
        PERFORM audit.refuse('IN004', '', format('the entry would have more than %s bytes', limits ->> 'entry_bytes'),
            'Put what people said and did into `content`, which is not part of the entry.');
    ELSIF content + (CASE WHEN before > 0 AND after > 0 THEN before + after ELSE 0 END) > (limits ->> 'content_bytes')::integer THEN
        PERFORM audit.refuse('IN004', '/content', format('content would have more than %s bytes, its diff included', limits ->> 'content_bytes'));
    ELSIF content > (limits ->> 'json_values')::integer
        AND (SELECT count(*) FROM jsonb_path_query(event, 'strict $.**')) > (limits ->> 'json_values')::integer THEN
        PERFORM audit.refuse('IN004', '', format('more than %s values', limits ->> 'json_values'));
    END IF;
END $$;
