-- Events of other people's transactions. `audit.append` checks an event, takes out of it what is redacted by name, seals the rest to a key
-- of the organization and puts it into `audit.inbox`, from where a server takes it into the chain. The row commits or rolls back with the
-- caller's transaction.
-- Host roles may execute `append` and `set_actor` and nothing else. Host transactions wait for nobody: no foreign key, no row that two of
-- them lock, no NOTIFY (its queue has one lock for all that commit), and a sequence for the number, which is not part of a transaction.
-- Refuses what event_check.sql says, a role that is bound to no project, and an inbox that cannot be sealed.
-- Invariant: no value that is redacted by default, and without `plaintext_inbox_accepted` nothing of an event in plain, is ever in a row.

CREATE TABLE audit.bindings (
    role            name PRIMARY KEY,
    project_id      uuid NOT NULL,
    organization_id uuid NOT NULL
);

-- The public half of an organization's key for its inbox, as OpenPGP packets. It goes with the organization's other keys.
CREATE TABLE audit.inbox_keys (
    organization_id uuid PRIMARY KEY,
    public_key      bytea NOT NULL
);

-- `event` is the JSON of an event, encrypted where `sealed`. n says in which order the rows were begun, not in which they committed: who
-- takes rows out takes all that are visible and remembers no position.
CREATE TABLE audit.inbox (
    n               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id              uuid NOT NULL,
    project_id      uuid NOT NULL,
    organization_id uuid NOT NULL,
    role            name NOT NULL,
    source          text NOT NULL CHECK (source IN ('append', 'watch', 'binding')),
    event           bytea NOT NULL,
    sealed          boolean NOT NULL,
    received_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Encrypted bytes do not get smaller; and rows come and go, so that what was theirs must be found again soon.
ALTER TABLE audit.inbox ALTER COLUMN event SET STORAGE EXTERNAL;
ALTER TABLE audit.inbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- Makes `audit.inbox_seal` anew, with pgcrypto from whatever schema it is in; without it, `inbox_seal` gives NULL. To be called again when
-- pgcrypto was added or moved. Not compressed: an event is small and seldom stays here for a second, the content is compressed when it is
-- sealed for good, and the length of what is compressed would tell of what is in it.
CREATE FUNCTION audit.inbox_use_pgcrypto() RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place text := (SELECT quote_ident(n.nspname) FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
        WHERE e.extname = 'pgcrypto');
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION audit.inbox_seal(plain bytea, key bytea) RETURNS bytea LANGUAGE sql VOLATILE AS %L',
        CASE WHEN place IS NULL THEN 'SELECT NULL::bytea'
            ELSE format('SELECT %s.pgp_pub_encrypt_bytea(plain, key, ''cipher-algo=aes256, compress-algo=0'')', place) END);
    REVOKE ALL ON FUNCTION audit.inbox_seal(bytea, bytea) FROM PUBLIC;
    RETURN place IS NOT NULL;
END $$;
DO $$ BEGIN PERFORM audit.inbox_use_pgcrypto(); END $$;

-- What binds a session to its project is the role that it logged in as. `current_user` is the owner of these functions while they run, and
-- the role of SET ROLE is whichever the session chose last: a pooler hands a connection on with it, and a role may be a member of several.
-- `session_user` changes by SET SESSION AUTHORIZATION alone, which takes a superuser. Behind a pooler it is the user of the pooler's
-- connection: applications that must be told apart log in as roles of their own.
CREATE FUNCTION audit.binding(OUT project_id uuid, OUT organization_id uuid) LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT b.project_id, b.organization_id INTO project_id, organization_id FROM audit.bindings AS b WHERE b.role = session_user;
    IF project_id IS NULL THEN
        PERFORM audit.refuse('IN005', '', format('the role %I is bound to no project', session_user),
            format('Bind it: indelible database bind %I --project PROJECT', session_user));
    END IF;
END $$;

-- The way in for all that is recorded here. An id that was used before is not refused: it may be an honest retry. The server tells when it
-- takes the row in: the same event again is done already, another one becomes `audit.append_rejected`.
CREATE FUNCTION audit.inbox_put(event jsonb, source text, by_engine boolean) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    bound record;
    key bytea;
    plain bytea;
    stored bytea;
    id uuid;
BEGIN
    SELECT * INTO bound FROM audit.binding();
    PERFORM audit.check_event(event, by_engine);
    -- Before the work of redaction, and again after it, for what stands in the place of a short value is longer.
    PERFORM audit.check_size(event);
    id := coalesce((event ->> 'id')::uuid, gen_random_uuid());
    event := audit.redact(event, audit.redact_names(bound.project_id)) || jsonb_build_object('id', id);
    PERFORM audit.check_size(event);
    plain := convert_to(event::text, 'UTF8');
    SELECT k.public_key INTO key FROM audit.inbox_keys AS k WHERE k.organization_id = bound.organization_id;
    stored := CASE WHEN key IS NOT NULL THEN audit.inbox_seal(plain, key) END;
    IF stored IS NULL AND NOT EXISTS (SELECT FROM audit.instance AS i WHERE i.key = 'plaintext_inbox_accepted' AND i.value = 'true') THEN
        IF key IS NULL THEN
            PERFORM audit.refuse('IN006', '', 'the organization of the project has no key for its inbox',
                'It is made when a role is bound; it is gone for good once the organization is deleted.');
        END IF;
        PERFORM audit.refuse('IN006', '', 'the extension pgcrypto is not there, and events in plain were not accepted',
            'CREATE EXTENSION pgcrypto; SELECT audit.inbox_use_pgcrypto(); or install with --accept-plaintext-inbox.');
    END IF;
    INSERT INTO audit.inbox (id, project_id, organization_id, role, source, event, sealed)
        VALUES (id, bound.project_id, bound.organization_id, session_user, source, coalesce(stored, plain), stored IS NOT NULL);
    RETURN id;
END $$;

-- Records an event of the application, in the transaction that calls it. Gives its id.
CREATE FUNCTION audit.append(event jsonb) RETURNS uuid LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT audit.inbox_put(event, 'append', false)
$$;

-- Says who is at work, until the end of the transaction: for rows that are captured (watch.sql), and for whoever asks `audit.actor`.
-- It is local to the transaction, so it is right behind a pooler that hands the connection on after each; and it is the application's
-- word, as the actor of `audit.append` is.
CREATE FUNCTION audit.set_actor(type text, id text, display text DEFAULT NULL, on_behalf_of text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    actor jsonb := jsonb_strip_nulls(jsonb_build_object('type', type, 'id', id, 'display', display, 'on_behalf_of', on_behalf_of));
BEGIN
    PERFORM audit.check_value(actor, audit.event_members() -> 'actor', '/actor', false);
    IF NOT actor ? 'id' AND type <> 'anonymous' THEN
        PERFORM audit.refuse('IN001', '/actor/id', 'an actor that is not anonymous needs an id');
    END IF;
    PERFORM set_config('audit.actor', actor::text, true);
END $$;

-- The actor that was set, or else the role as a system. The setting can be written without `set_actor` too: then it is checked with the event.
CREATE FUNCTION audit.actor() RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce(nullif(current_setting('audit.actor', true), '')::jsonb, jsonb_build_object('type', 'system', 'id', session_user));
EXCEPTION WHEN data_exception THEN
    PERFORM audit.refuse('IN001', '/actor', 'the setting audit.actor is no JSON', 'Use audit.set_actor.');
END $$;

-- Nobody executes what is here but by name.
DO $$
DECLARE
    routine text;
BEGIN
    FOR routine IN SELECT p.oid::regprocedure::text FROM pg_proc AS p WHERE p.pronamespace = 'audit'::regnamespace
        AND p.proname ~ ('^(redact|redact_.*|scan_.*|check_(kind|text|labels|items|value|members|headers|content|event|size)|event_members|event_limits|'
            || 'content_members|engine_nouns|is_engine_action|is_time|refuse|pointer|binding|inbox_.*|append|set_actor|actor)$')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', routine);
    END LOOP;
END $$;
REVOKE ALL ON audit.inbox, audit.inbox_keys, audit.bindings, audit.redaction_names FROM PUBLIC;
GRANT USAGE ON SCHEMA audit TO audit_host, audit_server;
GRANT EXECUTE ON FUNCTION audit.append(jsonb), audit.set_actor(text, text, text, text) TO audit_host;
GRANT SELECT, DELETE ON audit.inbox TO audit_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON audit.inbox_keys, audit.bindings, audit.redaction_names TO audit_server;
