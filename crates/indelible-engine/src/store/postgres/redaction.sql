-- Redaction by name, before anything is stored: what crates/indelible-core/src/redact takes out of an event by default is out of the row of
-- the inbox already, so that it is in no table, no WAL and no dump. Names compare without `_`, `-`, `.`, white space and case. What the core
-- would hash is taken away, for the key is not here. The server redacts once more when it drains, with all rules.
-- Here are names and the walk over values; redaction_text.sql looks into strings. Both follow the core function by function.
-- Refuses nothing. Invariant: whatever the core takes away of an event, by its standard rules and by the rules for a name of the tenant,
-- is gone here too. It may take more (a path rule is left to the server; a strategy is never weaker).

DO $$ BEGIN
    IF getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION 'the database is not in UTF8, which JSON is';
    END IF;
END $$;

-- Rules for a name, of projects and of their organizations: the servers keep them in step with the resources `redaction_rule`. A rule that
-- counts for some actions alone is written here as if it counted for all.
CREATE TABLE audit.redaction_names (
    project_id uuid NOT NULL,
    name       text NOT NULL,
    strategy   text NOT NULL CHECK (strategy IN ('exclude', 'redact', 'hmac')),
    PRIMARY KEY (project_id, name)
);

-- A name as it is compared; NULL where it is too long to match anything. The collation keeps `lower` to ASCII.
CREATE FUNCTION audit.redact_fold(name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN octet_length(folded) <= 64 THEN folded END
    FROM (SELECT lower(translate(name, E'_-. \t\r\n', '') COLLATE "C") AS folded) AS f
$$;

-- The names that are secret by default, and those of a project beside them: folded name to `exclude` or `redact`.
CREATE FUNCTION audit.redact_names(project uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_object_agg(name, strategy) FROM (
        SELECT name, min(strategy) AS strategy FROM (
            SELECT unnest(ARRAY['apikey', 'secret', 'token', 'signingkey', 'signingsecret', 'sessiontoken', 'refreshtoken', 'accesstoken',
                'privatekey', 'credential', 'stripecustomerid', 'externaluserid']) AS name, 'exclude' AS strategy
            UNION ALL SELECT unnest(ARRAY['password', 'passwordhash']), 'redact'
            UNION ALL SELECT audit.redact_fold(n.name), CASE n.strategy WHEN 'redact' THEN 'redact' ELSE 'exclude' END
                FROM audit.redaction_names AS n WHERE n.project_id = project
        ) AS every WHERE name <> '' GROUP BY name
    ) AS strongest
$$;

-- Whether this is the name of a header that carries a credential, among headers.
CREATE FUNCTION audit.redact_is_header(name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(audit.redact_fold(name) ~ ('^(apikey|authorization|cookie2?|ocpapimsubscriptionkey|privatetoken|proxyauthorization|'
        || 'setcookie2?|xamzcredential|xamzsecuritytoken|xamzsignature|xamzserversideencryptioncustomerkey|xapikey|xauthkey|xauthtoken|'
        || 'xcsrftoken|xforwardedaccesstoken|xgitlabtoken|xgoogapikey|xgoogcredential|xgoogsignature|xgoogiamauthorizationtoken|xvaulttoken|'
        || 'xxsrftoken)$|(token|apikey|secret|password|authorization|cookie)$'), false)
$$;

-- The same outside of headers, where only what no one uses for anything else counts.
CREATE FUNCTION audit.redact_is_plain_header(name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT strpos(name, '-') > 0 AND audit.redact_is_header(name) AND (name ~* '^x-' OR audit.redact_fold(name) ~ ('^(apikey|authorization|'
        || 'cookie2?|ocpapimsubscriptionkey|privatetoken|proxyauthorization|setcookie2?|xamzcredential|xamzsecuritytoken|xamzsignature|'
        || 'xamzserversideencryptioncustomerkey|xapikey|xauthkey|xauthtoken|xcsrftoken|xforwardedaccesstoken|xgitlabtoken|xgoogapikey|'
        || 'xgoogcredential|xgoogsignature|xgoogiamauthorizationtoken|xvaulttoken|xxsrftoken)$'))
$$;

-- Names of headers that are everyday words as well: their value decides.
CREATE FUNCTION audit.redact_is_ambiguous(name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT lower(name COLLATE "C") IN ('cookie', 'authorization')
$$;

-- Whether the value of something called `authorization` or `cookie` is that of the header.
CREATE FUNCTION audit.redact_is_credential(name text, value text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN length(name) = 6 THEN v ~ '^[^= \t][^= \t]*=' AND v !~ '^[^=]*=[ =]'
        ELSE lower(split_part(w, ' ', 1) COLLATE "C") IN ('bearer', 'basic', 'digest', 'negotiate', 'ntlm', 'token', 'apikey', 'hawk', 'oauth',
                'signature', 'aws4-hmac-sha256', 'splunk') AND strpos(w, ' ') > 0
            OR octet_length(split_part(w, ' ', 1)) >= 16 AND split_part(w, ' ', 1) ~ '[0-9]' END
    FROM (SELECT ltrim(value, E' \t"''`') AS v, btrim(regexp_replace(ltrim(value, E' \t"''`'), '[ \t\n\r\f]+', ' ', 'g')) AS w) AS t
$$;

-- Whether a text is what redaction leaves.
CREATE FUNCTION audit.redact_is_done(value text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT value = '[REDACTED]' OR value ~ '^hmac-sha256:[0-9a-f]{64}$'
$$;

CREATE FUNCTION audit.redact_is_value_name(name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT lower(name COLLATE "C") IN ('value', 'val', 'v')
$$;

-- What is done to a header, by its name and, where that is an everyday word, its value; NULL where nothing is.
CREATE FUNCTION audit.redact_header(name text, in_headers boolean, value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN CASE
        WHEN in_headers THEN audit.redact_is_header(name)
        WHEN name ~ '^http[.](request|response)[.]header[.]' THEN audit.redact_is_header(regexp_replace(name, '^http[.][a-z]+[.]header[.]', ''))
        WHEN audit.redact_is_ambiguous(name) THEN value IS NOT NULL AND audit.redact_is_credential(name, value)
        ELSE audit.redact_is_plain_header(name)
    END THEN 'exclude' END
$$;

-- Both columns of what follows: `exclude` is stronger than `redact`, and NULL is nothing.
CREATE FUNCTION audit.redact_stronger(a text, b text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT least(a, b) $$;

-- The strategy for the `value` of an object whose `name`, `key` or `path` is secret.
CREATE FUNCTION audit.redact_paired(names text[], items json[], rules jsonb, in_headers boolean) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    found text;
    value text;
BEGIN
    IF cardinality(names) NOT BETWEEN 2 AND 8 OR NOT EXISTS (SELECT FROM unnest(names) AS n WHERE audit.redact_is_value_name(n)) THEN
        RETURN NULL;
    END IF;
    FOR at IN 1 .. cardinality(names) LOOP
        CONTINUE WHEN json_typeof(items[at]) <> 'string';
        value := items[at] #>> '{}';
        IF lower(names[at] COLLATE "C") IN ('name', 'key', 'header', 'field', 'k') THEN
            found := audit.redact_stronger(found, audit.redact_stronger(rules ->> audit.redact_fold(value),
                audit.redact_header(value, in_headers OR audit.redact_is_ambiguous(value), NULL)));
        ELSIF lower(names[at] COLLATE "C") = 'path' AND 'op' = ANY (names) THEN
            found := audit.redact_stronger(found, (
                SELECT min(rules ->> audit.redact_fold(part)) FROM string_to_table(value, '/') AS segment,
                    LATERAL (SELECT segment UNION ALL SELECT string_to_table(segment, '.')) AS parts (part)));
        END IF;
    END LOOP;
    RETURN found;
END $$;

-- What stands in the place of a value that stays; NULL where it is that already.
CREATE FUNCTION audit.redact_replaced(value json) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN json_typeof(value) = 'string' AND audit.redact_is_done(value #>> '{}') THEN NULL ELSE '"[REDACTED]"' END
$$;

-- The names of an object, cleaned as if they were values. What becomes of two names the same is told apart by a number.
CREATE FUNCTION audit.redact_member_names(names text[], rules jsonb, depth integer) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    clean text;
    free text;
    number integer;
BEGIN
    FOR at IN 1 .. cardinality(names) LOOP
        CONTINUE WHEN NOT audit.redact_may_show(names[at]);
        clean := audit.redact_text(names[at], rules, 0, false, depth);
        CONTINUE WHEN clean IS NULL;
        free := clean;
        number := 1;
        WHILE free = ANY (names) LOOP
            number := number + 1;
            free := format('%s (%s)', clean, number);
        END LOOP;
        names[at] := free;
    END LOOP;
    RETURN names;
END $$;

-- An object without its secrets, as text, or NULL where it has none. `place` is 1 at the top of `content` and 2 at that of a state, where
-- `key` and `value` are secret; `depth` counts the strings looked into on the way here.
CREATE FUNCTION audit.redact_object(value json, rules jsonb, place integer, in_headers boolean, depth integer, level integer)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    names text[];
    clean text[];
    items json[];
    out text[] := '{}';
    changed boolean;
    paired text;
    strategy text;
    folded text;
    item text;
    inner_place integer;
BEGIN
    SELECT array_agg(key ORDER BY n), array_agg(m.value ORDER BY n) INTO names, items
        FROM json_each(value) WITH ORDINALITY AS m (key, value, n);
    IF names IS NULL THEN
        RETURN NULL;
    END IF;
    IF (SELECT count(DISTINCT name) FROM unnest(names) AS name) < cardinality(names) THEN
        RAISE EXCEPTION 'a name twice in an object' USING ERRCODE = 'IN100';
    END IF;
    clean := audit.redact_member_names(names, rules, depth);
    changed := clean <> names;
    names := clean;
    paired := audit.redact_paired(names, items, rules, in_headers);
    FOR at IN 1 .. cardinality(names) LOOP
        folded := audit.redact_fold(names[at]);
        inner_place := CASE WHEN place = 1 AND folded IN ('beforestate', 'afterstate') THEN 2 ELSE 0 END;
        strategy := audit.redact_stronger(rules ->> folded, audit.redact_header(names[at], in_headers,
            CASE WHEN json_typeof(items[at]) = 'string' THEN items[at] #>> '{}' END));
        IF place = 2 AND folded IN ('key', 'value') OR paired = 'exclude' AND audit.redact_is_value_name(names[at]) THEN
            strategy := 'exclude';
        ELSIF paired = 'redact' AND audit.redact_is_value_name(names[at]) THEN
            strategy := audit.redact_stronger(strategy, 'redact');
        END IF;
        IF strategy = 'exclude' THEN
            changed := true;
            CONTINUE;
        ELSIF strategy = 'redact' THEN
            item := audit.redact_replaced(items[at]);
        ELSE
            item := audit.redact_json(items[at], rules, inner_place, in_headers OR names[at] ~* 'headers?$', depth, level + 1);
        END IF;
        changed := changed OR item IS NOT NULL;
        out := out || (to_json(names[at])::text || ':' || coalesce(item, items[at]::text));
    END LOOP;
    RETURN CASE WHEN changed THEN '{' || array_to_string(out, ',') || '}' END;
END $$;

-- An array without its secrets, as text, or NULL where it has none: a list of pairs, names and values in turn among headers, and the
-- arguments of a command.
CREATE FUNCTION audit.redact_array(value json, rules jsonb, in_headers boolean, depth integer, level integer)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    items json[] := ARRAY(SELECT json_array_elements(value));
    out text[] := '{}';
    changed boolean := false;
    are_pairs boolean;
    before text;
    item text;
BEGIN
    are_pairs := NOT EXISTS (SELECT FROM unnest(items) AS i
        WHERE CASE WHEN json_typeof(i) = 'array' THEN json_array_length(i) <> 2 OR json_typeof(i -> 0) <> 'string' ELSE true END);
    FOR at IN 1 .. cardinality(items) LOOP
        IF are_pairs AND rules ->> audit.redact_fold(items[at] ->> 0) IS NOT NULL THEN
            item := audit.redact_replaced(items[at] -> 1);
            IF item IS NOT NULL THEN
                items[at] := format('[%s,%s]', items[at] -> 0, item);
                changed := true;
            END IF;
        END IF;
        item := NULL;
        IF before IS NOT NULL AND (in_headers AND audit.redact_is_header(before)
            OR before LIKE '--%' AND rules ->> audit.redact_fold(before) IS NOT NULL AND json_typeof(items[at]) = 'string'
                AND items[at] #>> '{}' NOT LIKE '--%') THEN
            item := audit.redact_replaced(items[at]);
        ELSE
            item := audit.redact_json(items[at], rules, 0, in_headers, depth, level + 1);
        END IF;
        before := CASE WHEN json_typeof(items[at]) = 'string' THEN coalesce(item::json, items[at]) #>> '{}' END;
        changed := changed OR item IS NOT NULL;
        out := out || coalesce(item, items[at]::text);
    END LOOP;
    RETURN CASE WHEN changed THEN '[' || array_to_string(out, ',') || ']' END;
END $$;

-- A value without its secrets, as text, or NULL where it has none. JSON that is deeper than the core reads is none, for the core.
CREATE FUNCTION audit.redact_json(value json, rules jsonb, place integer, in_headers boolean, depth integer, level integer)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    clean text;
BEGIN
    CASE json_typeof(value)
        WHEN 'string' THEN
            clean := audit.redact_text(value #>> '{}', rules, place, in_headers, depth);
            RETURN to_json(clean)::text;
        WHEN 'array', 'object' THEN
            IF level > 128 THEN
                -- Within a string it is no JSON then; the event itself is too large.
                RAISE EXCEPTION 'JSON of more than 128 levels' USING ERRCODE = CASE depth WHEN 0 THEN 'IN004' ELSE 'IN100' END;
            ELSIF json_typeof(value) = 'array' THEN
                RETURN audit.redact_array(value, rules, in_headers, depth, level);
            END IF;
            RETURN audit.redact_object(value, rules, place, in_headers, depth, level);
        ELSE
            RETURN NULL;
    END CASE;
END $$;

-- The texts of a member of the envelope; names there are Indelible's own.
CREATE FUNCTION audit.redact_texts(value json, rules jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE json_typeof(value)
        WHEN 'object' THEN (SELECT '{' || coalesce(string_agg(to_json(key)::text || ':' || audit.redact_texts(m.value, rules), ','), '') || '}'
            FROM json_each(value) AS m)
        WHEN 'array' THEN (SELECT '[' || coalesce(string_agg(audit.redact_texts(m.value, rules), ',' ORDER BY n), '') || ']'
            FROM json_array_elements(value) WITH ORDINALITY AS m (value, n))
        ELSE coalesce(audit.redact_json(value, rules, 0, false, 0, 1), value::text) END;
END $$;

-- A value in which the names of all objects are cleaned, and nothing else.
CREATE FUNCTION audit.redact_all_names(value json, rules jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    names text[];
    items json[];
BEGIN
    IF json_typeof(value) = 'array' THEN
        RETURN (SELECT '[' || coalesce(string_agg(audit.redact_all_names(i, rules), ',' ORDER BY n), '') || ']'
            FROM json_array_elements(value) WITH ORDINALITY AS t (i, n));
    ELSIF json_typeof(value) <> 'object' THEN
        RETURN value::text;
    END IF;
    SELECT coalesce(array_agg(key ORDER BY n), '{}'), array_agg(m.value ORDER BY n) INTO names, items
        FROM json_each(value) WITH ORDINALITY AS m (key, value, n);
    names := audit.redact_member_names(names, rules, 0);
    RETURN (SELECT '{' || coalesce(string_agg(to_json(name)::text || ':' || audit.redact_all_names(items[n], rules), ',' ORDER BY n), '') || '}'
        FROM unnest(names) WITH ORDINALITY AS t (name, n));
END $$;

-- A content whose states have clean names. The core cleans these before it tells what changed and then once more with the rest, and so the
-- second time sees what the first has left; almost no state has a name to clean.
CREATE FUNCTION audit.redact_states(content jsonb, rules jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['before_state', 'after_state'] LOOP
        IF EXISTS (SELECT FROM jsonb_path_query(content -> name, 'lax $.**') AS o, jsonb_object_keys(CASE jsonb_typeof(o) WHEN 'object' THEN o
            ELSE '{}' END) AS key WHERE audit.redact_may_show(key)) THEN
            content := jsonb_set(content, ARRAY[name], audit.redact_all_names((content -> name)::json, rules)::jsonb);
        END IF;
    END LOOP;
    RETURN content;
END $$;

-- An event without its secrets. Its envelope is well formed. What is emptied by that goes.
CREATE FUNCTION audit.redact(event jsonb, rules jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    out jsonb := '{}';
    name text;
    value jsonb;
    clean jsonb;
BEGIN
    FOR name, value IN SELECT * FROM jsonb_each(event) LOOP
        IF name = 'content' THEN
            value := audit.redact_states(value, rules);
        END IF;
        clean := CASE
            WHEN name IN ('action', 'action_category', 'id', 'occurred_at', 'outcome', 'outcome_detail', 'phase', 'duration_ms',
                'usage') THEN value
            WHEN name IN ('context', 'content') THEN
                coalesce(audit.redact_json(value::json, rules, CASE name WHEN 'content' THEN 1 ELSE 0 END, false, 0, 2)::jsonb, value)
            ELSE audit.redact_texts(value::json, rules)::jsonb
        END;
        IF name NOT IN ('context', 'content') OR clean <> '{}' THEN
            out := out || jsonb_build_object(name, clean);
        END IF;
    END LOOP;
    RETURN out;
END $$;
