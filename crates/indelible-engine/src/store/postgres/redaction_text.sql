-- Looking into strings: JSON, JSON lines, forms, and whatever secrets plain text shows (URLs, header lines, members of JSON that is cut off
-- or quoted, assignments). It follows crates/indelible-core/src/redact/{text,scan,span}.rs; redaction.sql has the names and the walk.
-- Plain text is scanned as bytes: positions count from 0 as in the core, and a piece is read as if it were LATIN1, a character a byte, so
-- that a piece costs what it is long and not where it stands. It stops only at `:` and `=`, and a value that was found is skipped.
-- Refuses nothing; what is JSON in a string but more than PostgreSQL or the core reads is scanned as plain text.

CREATE FUNCTION audit.redact_may_show(value text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT value ~ '^["\[{Bb \t\r\n]|[:=]'
$$;

-- Form decoding; what is no UTF-8 afterwards is read as LATIN1, in which ASCII stays what it is.
CREATE FUNCTION audit.redact_decoded(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    bytes bytea;
BEGIN
    IF value !~ '[%+]' THEN
        RETURN value;
    END IF;
    SELECT string_agg(CASE WHEN run[1] ~ '^%.' THEN decode(replace(run[1], '%', ''), 'hex') ELSE convert_to(run[1], 'UTF8') END, '' ORDER BY n)
        INTO bytes
        FROM regexp_matches(regexp_replace(replace(value, '+', ' '), '%00', '%EF%BF%BD', 'g'), '((?:%[0-9a-fA-F]{2})+|[^%]+|%)', 'g')
            WITH ORDINALITY AS runs (run, n);
    BEGIN
        RETURN convert_from(bytes, 'UTF8');
    EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
        RETURN convert_from(bytes, 'LATIN1');
    END;
END $$;

CREATE FUNCTION audit.redact_encoded(value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(CASE WHEN run[1] ~ '^[A-Za-z0-9_.~-]' THEN run[1]
        ELSE regexp_replace(upper(encode(convert_to(run[1], 'UTF8'), 'hex')), '(..)', '%\1', 'g') END, '' ORDER BY n)
    FROM regexp_matches(value, '([A-Za-z0-9_.~-]+|[^A-Za-z0-9_.~-]+)', 'g') WITH ORDINALITY AS runs (run, n)
$$;

-- A name out of a piece that was read as LATIN1, as the text it is.
CREATE FUNCTION audit.redact_name(piece text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF octet_length(piece) = length(piece) THEN
        RETURN piece;
    END IF;
    BEGIN
        RETURN convert_from(convert_to(piece, 'LATIN1'), 'UTF8');
    EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
        RETURN piece;
    END;
END $$;

-- Whether a parameter of a form or a URL is secret, by its name as it is written there: `user[password]`, `user.password`.
CREATE FUNCTION audit.redact_is_parameter(written text, rules jsonb, in_url boolean) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    name text := audit.redact_decoded(written);
    folded text := audit.redact_fold(name);
    last text;
BEGIN
    IF rules ->> folded IS NOT NULL OR folded IN ('apikey', 'assertion', 'awsaccesskeyid', 'clientassertion', 'clientsecret', 'codeverifier',
        'idtoken', 'passwd', 'pwd', 'samlresponse', 'xamzcredential', 'xamzsecuritytoken', 'xamzsignature', 'xgoogcredential', 'xgoogsignature')
        OR in_url AND folded IN ('auth', 'authtoken', 'key', 'sig', 'signature') THEN
        RETURN true;
    ELSIF strpos(name, '[') = 0 AND strpos(name, '.') = 0 AND strpos(name, ']') = 0 THEN
        RETURN false;
    END IF;
    last := regexp_replace(rtrim(name, ']'), '^.*\[', '');
    LOOP
        IF rules ->> audit.redact_fold(last) IS NOT NULL THEN
            RETURN true;
        ELSIF strpos(last, '.') = 0 THEN
            RETURN false;
        END IF;
        last := substr(last, strpos(last, '.') + 1);
    END LOOP;
END $$;

-- What stands for a parameter's value; NULL where it is empty or redacted already.
CREATE FUNCTION audit.redact_parameter(value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN value <> '' AND NOT audit.redact_is_done(audit.redact_decoded(value)) THEN '[REDACTED]' END
$$;

-- Looks into a percent-encoded value.
CREATE FUNCTION audit.redact_nested(value text, rules jsonb, depth integer) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF depth < 8 AND strpos(value, '%') > 0 THEN
        RETURN audit.redact_encoded(audit.redact_text(audit.redact_decoded(value), rules, 0, false, depth));
    END IF;
    RETURN NULL;
END $$;

-- The JSON that a string is, without its secrets: `whole` is false where it is none. `\u0000`, which PostgreSQL does not read, is read as
-- the character for what cannot be read.
CREATE FUNCTION audit.redact_parsed(value text, rules jsonb, place integer, in_headers boolean, depth integer, OUT whole boolean, OUT clean text)
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    clean := audit.redact_json(regexp_replace(value, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g')::json, rules, place, in_headers, depth, 1);
    whole := true;
EXCEPTION WHEN data_exception OR statement_too_complex OR SQLSTATE 'IN100' THEN
    whole := false;
    clean := NULL;
END $$;

-- JSON lines and server-sent events.
CREATE FUNCTION audit.redact_lines(value text, rules jsonb, depth integer) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    lines text[];
    body text;
    clean text;
    changed boolean := false;
BEGIN
    IF depth > 8 OR strpos(value, E'\n') = 0 AND value NOT LIKE 'data:%' THEN
        RETURN NULL;
    END IF;
    lines := string_to_array(value, E'\n');
    FOR at IN 1 .. cardinality(lines) LOOP
        body := btrim(regexp_replace(btrim(lines[at], E' \t\r\n\f'), '^data:', ''), E' \t\r\n\f');
        CONTINUE WHEN NOT (left(body, 1) = '{' AND right(body, 1) = '}' OR left(body, 1) = '[' AND right(body, 1) = ']');
        SELECT p.clean INTO clean FROM audit.redact_parsed(body, rules, 0, false, depth) AS p;
        IF clean IS NOT NULL THEN
            lines[at] := overlay(lines[at] PLACING clean FROM strpos(lines[at], body) FOR length(body));
            changed := true;
        END IF;
    END LOOP;
    RETURN CASE WHEN changed THEN array_to_string(lines, E'\n') END;
END $$;

-- No white space, and a name before the first `=` that is neither quoted nor part of a URL.
CREATE FUNCTION audit.redact_is_form(value text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT value ~ '^[^=?"/]+=' AND value !~ '[ \t\r\n\f]'
$$;

-- A whole string of form data. A `;` with no parameter behind it is part of a value.
CREATE FUNCTION audit.redact_form(value text, rules jsonb, depth integer) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    pairs text[];
    pair text;
    ending text;
    eq integer;
    clean text;
    changed boolean := false;
BEGIN
    IF NOT audit.redact_is_form(value) THEN
        RETURN NULL;
    END IF;
    pairs := regexp_split_to_array(value, '(?<=&)|(?<=;)(?=$|[A-Za-z0-9_.%\[\]-]{1,96}=)');
    FOR at IN 1 .. cardinality(pairs) LOOP
        ending := CASE WHEN right(pairs[at], 1) IN ('&', ';') THEN right(pairs[at], 1) ELSE '' END;
        pair := left(pairs[at], length(pairs[at]) - length(ending));
        eq := strpos(pair, '=');
        CONTINUE WHEN eq = 0;
        clean := CASE WHEN audit.redact_is_parameter(left(pair, eq - 1), rules, false) THEN audit.redact_parameter(substr(pair, eq + 1))
            ELSE audit.redact_nested(substr(pair, eq + 1), rules, depth) END;
        IF clean IS NOT NULL THEN
            pairs[at] := left(pair, eq) || clean || ending;
            changed := true;
        END IF;
    END LOOP;
    RETURN CASE WHEN changed THEN array_to_string(pairs, '') END;
END $$;

-- `Bearer` and, where it is the whole string, `Basic`, with a credential after it.
CREATE FUNCTION audit.redact_tokens(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    trimmed text := btrim(value, E' \t\r\n\f');
    clean text := value;
BEGIN
    IF trimmed ~* '^basic [A-Za-z0-9._~+/=-]{4,}$' AND substr(trimmed, 8) ~ '[0-9A-Z=]' THEN
        clean := replace(value, substr(trimmed, 7), '[REDACTED]');
    END IF;
    clean := regexp_replace(clean, '(?<=[Bb]earer )(?=[A-Za-z0-9._~+/=-]{32}|[A-Za-z._~+/=-]*[0-9])(?=[A-Za-z0-9._~+/=-]{8})[A-Za-z0-9._~+/=-]+',
        '[REDACTED]', 'g');
    RETURN nullif(clean, value);
END $$;

-- A text without its secrets, or NULL where it has none. `depth` counts the strings looked into on the way here; deeper than 8, JSON is
-- scanned as it is escaped.
CREATE FUNCTION audit.redact_text(value text, rules jsonb, place integer, in_headers boolean, depth integer)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    trimmed text;
    text text := value;
    whole boolean;
    clean text;
    joins_urls boolean;
BEGIN
    IF NOT audit.redact_may_show(value) THEN
        RETURN NULL;
    END IF;
    trimmed := btrim(value, E' \t\r\n\f');
    IF depth < 8 AND octet_length(value) > 4 AND left(trimmed, 1) || right(trimmed, 1) IN ('{}', '[]', '""') THEN
        SELECT p.whole, p.clean INTO whole, clean FROM audit.redact_parsed(value, rules, place, in_headers, depth + 1) AS p;
        IF whole THEN
            RETURN clean;
        END IF;
    END IF;
    text := coalesce(audit.redact_lines(text, rules, depth + 1), text);
    text := coalesce(audit.redact_form(text, rules, depth + 1), text);
    joins_urls := strpos(text, '&') = 0 OR strpos(text, '?') > 0 OR NOT audit.redact_is_form(text);
    text := coalesce(audit.redact_scan(text, rules, depth + 1, joins_urls), text);
    text := coalesce(audit.redact_tokens(text), text);
    RETURN nullif(text, value);
END $$;
