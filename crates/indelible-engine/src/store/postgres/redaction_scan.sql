-- The scan over text that is no whole JSON. See redaction_text.sql; it follows crates/indelible-core/src/redact/{scan,span}.rs.
-- Pieces are LATIN1: a character a byte. A find is the bytes from..to of a secret and what stands there then.
-- Refuses nothing. Invariant: whatever the core finds is found, and the end of a find is never before the core's.

CREATE FUNCTION audit.scan_piece(bytes bytea, at integer, size integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN at < 0 THEN convert_from(substring(bytes FROM 1 FOR greatest(size + at, 0)), 'LATIN1')
        ELSE convert_from(substring(bytes FROM at + 1 FOR greatest(size, 0)), 'LATIN1') END
$$;

-- Where a pattern first fits at or after `at`; at the end of the bytes where it does not. What it fits may depend on what comes later, so a
-- fit close to the end of a piece counts only in a longer piece.
CREATE FUNCTION audit.scan_until(bytes bytea, at integer, pattern text) RETURNS integer LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    size integer := 512;
    found integer;
BEGIN
    LOOP
        found := regexp_instr(audit.scan_piece(bytes, at, size), pattern);
        IF found > 0 AND (found <= size - 200 OR at + size >= length(bytes)) THEN
            RETURN at + found - 1;
        ELSIF at + size >= length(bytes) THEN
            RETURN greatest(length(bytes), at);
        END IF;
        size := size * 8;
    END LOOP;
END $$;

-- The closing quote of a string whose opening quote had `escapes` backslashes before it, or the position where its backslashes begin.
CREATE FUNCTION audit.scan_string_end(bytes bytea, at integer, quote text, escapes integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    size integer := 512;
    pieces text[];
    pos integer;
    run integer;
BEGIN
    LOOP
        pieces := string_to_array(audit.scan_piece(bytes, at, size), quote);
        pos := at - 1;
        FOR i IN 1 .. coalesce(cardinality(pieces), 0) - 1 LOOP
            pos := pos + length(pieces[i]) + 1;
            run := length(pieces[i]) - length(rtrim(pieces[i], '\'));
            IF run < escapes THEN
                RETURN pos - run;
            ELSIF (run - escapes) % (2 * (escapes + 1)) = 0 THEN
                RETURN pos - escapes;
            END IF;
        END LOOP;
        IF at + size >= length(bytes) THEN
            RETURN greatest(length(bytes), at);
        END IF;
        size := size * 8;
    END LOOP;
END $$;

-- The end of an object or array, and how often its quotes are escaped.
CREATE FUNCTION audit.scan_group_end(bytes bytea, at integer, OUT upto integer, OUT escapes integer) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    size integer := 512;
    pieces text[];
    pos integer;
    open integer;
    run integer;
    next_at integer;
    mark text;
BEGIN
    LOOP
        pieces := regexp_split_to_array(audit.scan_piece(bytes, at, size), '(?<=[][{}"''])');
        pos := at - 1;
        open := 0;
        escapes := NULL;
        next_at := at;
        FOR i IN 1 .. cardinality(pieces) LOOP
            pos := pos + length(pieces[i]);
            mark := right(pieces[i], 1);
            CONTINUE WHEN pos < next_at OR strpos('{}[]"''', mark) = 0 OR mark = '';
            IF mark IN ('{', '[') THEN
                open := open + 1;
            ELSIF mark IN ('}', ']') THEN
                open := open - 1;
                IF open = 0 THEN
                    upto := pos + 1;
                    escapes := coalesce(escapes, 0);
                    RETURN;
                END IF;
            ELSE
                run := length(pieces[i]) - 1 - length(rtrim(left(pieces[i], -1), '\'));
                escapes := coalesce(escapes, run);
                next_at := audit.scan_string_end(bytes, pos + 1, mark, escapes) + escapes + 1;
            END IF;
        END LOOP;
        IF at + size >= length(bytes) THEN
            upto := length(bytes);
            escapes := coalesce(escapes, 0);
            RETURN;
        END IF;
        size := size * 8;
    END LOOP;
END $$;

-- The string (`only_string`), or also number, object or array, that begins at `at` or after white space there; NULLs where none does. Of a
-- string, from and to are within its quotes. `escapes` are the backslashes before each of its quotes.
CREATE FUNCTION audit.scan_literal(bytes bytea, at integer, only_string boolean, OUT starts integer, OUT ends integer, OUT quoted boolean,
    OUT escapes integer) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    start integer := audit.scan_until(bytes, at, '[^ \t\r\n\f]');
    piece text := audit.scan_piece(bytes, start, 512);
    first text;
BEGIN
    IF NOT only_string AND piece ~ '^[burf]["'']' THEN
        start := start + 1;
        piece := substr(piece, 2);
    END IF;
    first := left(piece, 1);
    IF first IN ('"', '''', '\') THEN
        escapes := length(substring(piece FROM '^\\*'));
        IF substr(piece, escapes + 1, 1) IN ('"', '''') THEN
            starts := start + escapes + 1;
            ends := audit.scan_string_end(bytes, starts, substr(piece, escapes + 1, 1), escapes);
            quoted := true;
        END IF;
    ELSIF only_string THEN
        RETURN;
    ELSIF first IN ('{', '[') THEN
        starts := start;
        quoted := false;
        SELECT g.upto, g.escapes INTO ends, escapes FROM audit.scan_group_end(bytes, start) AS g;
    ELSIF first ~ '[-0-9]' THEN
        starts := start;
        ends := audit.scan_until(bytes, start, '[^A-Za-z0-9+.-]');
        quoted := false;
        -- `at` is behind the colon, before which the name's quote stands.
        escapes := length(substring(audit.scan_piece(bytes, at - 66, 64) FROM '\\*$'));
    END IF;
END $$;

-- `user:password@` after `://`. The user stays unless it looks like a token itself.
CREATE FUNCTION audit.scan_authority(bytes bytea, at integer, OUT starts integer, OUT ends integer, OUT clean text)
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    rest text := substring(audit.scan_piece(bytes, at, 4096) FROM '^[^ \t\r\n\f"<>`\\'']*');
    host text := substring(rest FROM '^[^/?#]*');
    userinfo text := substring(host FROM '^(.*)@');
    user_name text;
    is_token boolean;
BEGIN
    IF userinfo IS NULL AND host ~ ':[^:]*[^:0-9][^:]*$' AND host !~ '\]$' THEN
        -- A password with a raw `/`, `?` or `#` in it: what stands after the colon is no port then.
        userinfo := substring(left(rest, length(host) + 256) FROM '^(.*)@');
    END IF;
    IF userinfo IS NULL THEN
        RETURN;
    END IF;
    user_name := split_part(userinfo, ':', 1);
    is_token := length(user_name) >= 20 AND user_name ~ '[0-9]' AND user_name !~ '[.@%]' OR strpos(user_name, 'sk_') > 0;
    IF is_token OR user_name = '' AND strpos(userinfo, ':') > 0 THEN
        starts := at;
        ends := at + length(userinfo) + 1;
    ELSIF strpos(userinfo, ':') > 0 THEN
        starts := at + length(user_name);
        ends := at + length(userinfo);
    END IF;
    clean := '';
END $$;

-- What `:` may show when no `//` follows it: a reference without a scheme, `curl -u user:password`, a header line.
CREATE FUNCTION audit.scan_colon(bytes bytea, at integer, OUT starts integer, OUT ends integer, OUT clean text)
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    before text := audit.scan_piece(bytes, at - 400, 400);
    name text;
    head text;
    quote text;
    own_quote text;
    line text;
    secret boolean;
BEGIN
    name := substring(before FROM '[A-Za-z0-9._~%+-]*$');
    IF length(name) BETWEEN 1 AND 96 THEN
        head := left(before, -length(name));
        IF head ~ '(^|[ \t\r\n\f"''`(<=,[])//$'
            AND substring(audit.scan_piece(bytes, at + 1, 4096) FROM '^[^ \t\r\n\f"<>`\\''/?#]*') ~ '^[^@]*@[A-Za-z0-9]' THEN
            SELECT a.starts, a.ends, a.clean INTO starts, ends, clean FROM audit.scan_authority(bytes, at - length(name)) AS a;
            RETURN;
        END IF;
    END IF;
    name := substring(before FROM '[A-Za-z0-9._~%+@-]*$');
    IF length(name) BETWEEN 1 AND 96 THEN
        head := right(left(before, -length(name)), 256);
        quote := substring(head FROM '["'']$');
        IF head ~ 'curl' AND rtrim(left(head, length(head) - coalesce(length(quote), 0)), E' \t\r\n\f') ~ ' (-u|--user)$' THEN
            starts := at + 1;
            ends := audit.scan_until(bytes, starts, CASE WHEN quote IS NULL THEN '["'' \t\r\n\f\\]' ELSE '["''\r\n]' END);
            clean := '[REDACTED]';
            IF starts < ends THEN
                RETURN;
            END IF;
            starts := NULL;
        END IF;
    END IF;
    name := substring(before FROM '[A-Za-z0-9-]*$');
    IF length(name) NOT BETWEEN 1 AND 96 OR right(before, 1) !~ '[A-Za-z]' THEN
        RETURN;
    END IF;
    head := right(left(before, -length(name)), 1);
    IF head ~ '^[_.$@/]' THEN
        RETURN;
    END IF;
    quote := substring(head FROM '["''`]');
    starts := audit.scan_until(bytes, at + 1, '[^ \t]');
    own_quote := substring(audit.scan_piece(bytes, starts, 1) FROM '["''`]');
    line := audit.scan_piece(bytes, at + 1, 1);
    IF own_quote IS NOT NULL THEN
        starts := starts + 1;
    END IF;
    IF quote IS NOT NULL THEN
        secret := audit.redact_is_header(name) AND (line ~ '[ \t]' OR NOT audit.redact_is_ambiguous(name));
    ELSIF audit.redact_is_ambiguous(name) THEN
        secret := audit.redact_is_credential(name, regexp_replace(audit.scan_piece(bytes, starts, 256), '([\r\n]|\\[rn"\\]).*$', ''));
    ELSE
        secret := audit.redact_is_plain_header(name);
    END IF;
    ends := CASE WHEN secret THEN audit.scan_until(bytes, starts, '[\r\n]|\\[rn"\\]' || coalesce('|' || coalesce(own_quote, quote), '')) END;
    clean := '[REDACTED]';
    IF ends IS NULL OR starts >= ends THEN
        starts := NULL;
    END IF;
END $$;

-- `"name": value` whose name ends at the quote `close`. `paired` is where the value of a `"name":"password"` ended, for a `"value"` that
-- comes right after, and is told anew.
CREATE FUNCTION audit.scan_member(bytes bytea, close integer, after integer, rules jsonb, INOUT paired integer, OUT starts integer,
    OUT ends integer, OUT clean text) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    was integer := paired;
    before text := audit.scan_piece(bytes, close - 200, 201);
    quote text := right(before, 1);
    name text;
    open integer;
    is_name boolean;
    literal record;
    value text;
BEGIN
    before := rtrim(left(before, -1), '\');
    name := substring(right(before, 96) FROM '[^' || quote || ']*$');
    IF length(name) = length(right(before, 96)) THEN
        RETURN;
    END IF;
    paired := NULL;
    open := close - (length(left(audit.scan_piece(bytes, close - 200, 201), -1)) - length(before)) - length(name) - 1;
    name := audit.redact_name(name);
    IF strpos(name, '\') > 0 THEN
        BEGIN
            name := ('"' || name || '"')::json #>> '{}';
        EXCEPTION WHEN data_exception THEN
            NULL;
        END;
    END IF;
    IF NOT (rules ->> audit.redact_fold(name) IS NOT NULL OR audit.redact_is_plain_header(name) OR lower(name COLLATE "C") = 'value'
        AND was IS NOT NULL AND audit.scan_piece(bytes, was, open - was) ~ '^[ \t\r\n\f"'',\\]*$') THEN
        is_name := lower(name COLLATE "C") IN ('name', 'key');
        IF is_name OR audit.redact_is_ambiguous(name) THEN
            SELECT * INTO literal FROM audit.scan_literal(bytes, after, true);
            value := audit.scan_piece(bytes, literal.starts, literal.ends - literal.starts);
            IF is_name AND (rules ->> audit.redact_fold(audit.redact_name(value)) IS NOT NULL OR audit.redact_is_header(value)) THEN
                paired := literal.ends;
            ELSIF NOT is_name AND audit.redact_is_credential(name, value) THEN
                starts := literal.starts;
                ends := literal.ends;
                clean := '[REDACTED]';
            END IF;
        END IF;
        RETURN;
    END IF;
    SELECT * INTO literal FROM audit.scan_literal(bytes, after, false);
    starts := literal.starts;
    ends := literal.ends;
    value := audit.scan_piece(bytes, starts, ends - starts);
    clean := CASE WHEN NOT literal.quoted THEN repeat('\', literal.escapes) || '"[REDACTED]' || repeat('\', literal.escapes) || '"'
        WHEN audit.redact_is_done(value) THEN value ELSE '[REDACTED]' END;
END $$;

-- `--password=x`, `API_KEY=x` as a shell or an `.env` file has them, and the body of a multipart form's part.
CREATE FUNCTION audit.scan_assignment(bytes bytea, name text, at integer, before text, rules jsonb, OUT starts integer, OUT ends integer,
    OUT clean text) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    quote text;
    literal record;
    part text;
    head text;
BEGIN
    IF lower(name COLLATE "C") = 'name' AND before = ' ' THEN
        SELECT * INTO literal FROM audit.scan_literal(bytes, at, true);
        part := audit.scan_piece(bytes, literal.starts, literal.ends - literal.starts);
        IF audit.scan_piece(bytes, at - 16, 16) ~* '^form-data; name=$' AND (rules ->> audit.redact_fold(audit.redact_name(part)) IS NOT NULL
            OR audit.redact_is_parameter(replace(part, '.', ''), '{}', false)) THEN
            head := substring(audit.scan_piece(bytes, literal.ends, 1024) FROM '^.*?(?:\r\n\r\n|\n\n)');
            starts := literal.ends + length(head);
            ends := audit.scan_until(bytes, starts, '\r?\n--');
        END IF;
    ELSIF (name LIKE '--%' OR name ~ '^[A-Z0-9_]*$') AND rules ->> audit.redact_fold(name) IS NOT NULL THEN
        quote := substring(audit.scan_piece(bytes, at, 1) FROM '["'']');
        starts := at + coalesce(length(quote), 0);
        ends := audit.scan_until(bytes, starts, coalesce('[\r\n]|\\[rn"\\]|' || quote, '[ \t\r\n\f"''\\`]'));
    END IF;
    clean := '[REDACTED]';
    IF starts >= ends OR audit.redact_is_done(audit.scan_piece(bytes, starts, ends - starts)) THEN
        starts := NULL;
    END IF;
END $$;

-- `;token=x`: a parameter in the path or query of a URL, or part of a string by which something is connected to.
CREATE FUNCTION audit.scan_joined(bytes bytea, name text, at integer, semicolon integer, rules jsonb, OUT starts integer, OUT ends integer,
    OUT clean text) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    in_url boolean := substring(audit.scan_piece(bytes, semicolon - 256, 256) FROM '[^ \t\r\n\f"<>`\\'']*$') ~ '[/?]';
    value text;
BEGIN
    IF NOT audit.redact_is_parameter(name, rules, in_url) THEN
        RETURN;
    END IF;
    ends := audit.scan_until(bytes, at, '[&#"<>\\` \t\r\n\f]|''(?![A-Za-z0-9])|;[ \t\r\n\f]*($|[A-Za-z0-9_.%\[\] -]{1,96}=)');
    value := audit.scan_piece(bytes, at, ends - at);
    clean := audit.redact_parameter(CASE WHEN right(value, 1) = ';' THEN left(value, -1) ELSE value END);
    starts := CASE WHEN clean IS NOT NULL AND (in_url OR value !~ '[($\{]') THEN at END;
END $$;

-- What `=` may show.
CREATE FUNCTION audit.scan_equals(bytes bytea, at integer, depth integer, joins_urls boolean, rules jsonb, OUT starts integer,
    OUT ends integer, OUT clean text) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    next text := audit.scan_piece(bytes, at + 1, 1);
    piece text := audit.scan_piece(bytes, at - 200, 200);
    name text := substring(piece FROM '[A-Za-z0-9_.%\[\]~-]*$');
    start integer := at - length(name);
    before text;
    in_url boolean;
    head text;
    ending text;
BEGIN
    IF next ~ '^($|[ \t\r\n\f=])' OR length(name) NOT BETWEEN 1 AND 96 THEN
        RETURN;
    END IF;
    head := left(piece, -length(name));
    before := right(head, 1);
    IF before IN ('?', '#') OR before = '&' OR before = ';' AND head LIKE '%&amp;' THEN
        in_url := before <> '&' OR joins_urls;
    ELSIF before = '\' AND name ~ '^(u0026|u003f|u003F|u0023)' THEN
        in_url := true;
        name := substr(name, 6);
    ELSIF before IN ('"', '''', '`') AND next NOT IN ('"', '''') THEN
        in_url := false;
    ELSIF before = ';' THEN
        SELECT j.starts, j.ends, j.clean INTO starts, ends, clean FROM audit.scan_joined(bytes, name, at + 1, start - 1, rules) AS j;
        RETURN;
    ELSIF before IN ('', ' ', E'\t', E'\n', E'\r') THEN
        SELECT a.starts, a.ends, a.clean INTO starts, ends, clean FROM audit.scan_assignment(bytes, name, at + 1, before, rules) AS a;
        IF starts IS NULL AND head ~ '; {0,8}$' THEN
            SELECT j.starts, j.ends, j.clean INTO starts, ends, clean
                FROM audit.scan_joined(bytes, name, at + 1, start - 1 - length(substring(head FROM ' {0,8}$')), rules) AS j;
        END IF;
        RETURN;
    ELSE
        RETURN;
    END IF;
    ending := '[&#"<>\\` \t\r\n\f]|''' || CASE WHEN before = '''' THEN '' ELSE '(?![A-Za-z0-9])' END;
    IF audit.redact_is_parameter(name, rules, in_url) THEN
        ends := audit.scan_until(bytes, at + 1, ending);
        clean := audit.redact_parameter(audit.scan_piece(bytes, at + 1, ends - at - 1));
    ELSE
        ends := audit.scan_until(bytes, at + 1, ending || '|[?]');
        clean := audit.redact_nested(audit.redact_name(audit.scan_piece(bytes, at + 1, ends - at - 1)), rules, depth);
    END IF;
    starts := CASE WHEN clean IS NOT NULL THEN at + 1 END;
END $$;

-- The text without the secrets that it shows, or NULL where it shows none. `joins_urls`: whether what `&` joins is part of a URL.
CREATE FUNCTION audit.redact_scan(value text, rules jsonb, depth integer, joins_urls boolean) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    bytes bytea := convert_to(value, 'UTF8');
    pieces text[];
    out bytea[] := '{}';
    copied integer := 0;
    resume integer := 0;
    at integer := -1;
    paired integer;
    mark text;
    before text;
    tail text;
    find record;
    with_curl boolean := strpos(value, 'curl') > 0;
BEGIN
    IF value !~ '[:=]' THEN
        RETURN NULL;
    END IF;
    pieces := regexp_split_to_array(convert_from(bytes, 'LATIN1'), '(?<=[:=])');
    FOR i IN 1 .. cardinality(pieces) LOOP
        at := at + length(pieces[i]);
        CONTINUE WHEN at < resume;
        mark := right(pieces[i], 1);
        CONTINUE WHEN mark NOT IN (':', '=');
        -- Most marks can be told at once to show nothing: their name, which ends at the mark and holds none, is none that is looked for.
        tail := right(pieces[i], 110);
        IF mark = '=' THEN
            CONTINUE WHEN tail !~ ('([?#&;"''`\\]' || CASE i WHEN 1 THEN '|^' ELSE '' END || ')[A-Za-z0-9_.%\[\]~-]+=$'
                || '|(; {0,8}|[ \t\n\r]--)[A-Za-z0-9_.%\[\]~-]+=$|[ \t\n\r]([A-Z0-9_]+|[nN][aA][mM][eE])=$');
            SELECT * INTO find FROM audit.scan_equals(bytes, at, depth, joins_urls, rules);
        ELSIF substr(pieces[i + 1], 1, 2) = '//' THEN
            SELECT * INTO find FROM audit.scan_authority(bytes, at + 3);
        ELSIF substr(pieces[i + 1], 1, 4) = '\/\/' THEN
            SELECT * INTO find FROM audit.scan_authority(bytes, at + 5);
        ELSE
            before := substring(left(tail, -1) FROM '[^ \t]?[ \t]{0,8}$');
            IF before ~ '^["'']' THEN
                SELECT * INTO find FROM audit.scan_member(bytes, at - length(before), at + 1, rules, paired);
                paired := find.paired;
            ELSE
                CONTINUE WHEN NOT with_curl AND tail !~ '//[A-Za-z0-9._~%+-]+:$'
                    AND translate(tail, '-', '') !~* '(token|key|secret|password|authorization|cookie|credential|signature):$';
                SELECT * INTO find FROM audit.scan_colon(bytes, at);
            END IF;
        END IF;
        IF find.starts IS NOT NULL THEN
            out := out || substring(bytes FROM copied + 1 FOR find.starts - copied) || convert_to(find.clean, 'UTF8');
            copied := find.ends;
            resume := find.ends;
        END IF;
    END LOOP;
    IF copied = 0 THEN
        RETURN NULL;
    END IF;
    out := out || substring(bytes FROM copied + 1);
    RETURN nullif(convert_from((SELECT string_agg(o, '' ORDER BY n) FROM unnest(out) WITH ORDINALITY AS p (o, n)), 'UTF8'), value);
END $$;
