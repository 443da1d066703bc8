-- The tables of a ledger in PostgreSQL, in the schema `audit`. They hold what those of SQLite hold (../sqlite/schema.sql), under the same
-- names, so that most statements are the same text; what is only here is said below. Byte strings are `bytea`, ids are `uuid`, and times
-- are microseconds since 1970 where the engine alone reads them, `timestamptz` where people do.

-- One row. Whoever holds its lock writes, and nobody else does: so rows are dense and come to be seen in their order, whichever server
-- writes them, and a cursor over them never skips. control_epoch counts the changes of what is known in memory (resources, projects, keys).
CREATE TABLE audit.turn (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    last_row      bigint NOT NULL,
    recorded_at   bigint NOT NULL, -- of the newest row
    control_epoch bigint NOT NULL
);
-- One row that every commit replaces: what it was is cleared away soon.
ALTER TABLE audit.turn SET (fillfactor = 10, autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);
INSERT INTO audit.turn (last_row, recorded_at, control_epoch) VALUES (0, 0, 0);

CREATE TABLE audit.instance (
    key   text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE audit.ledgers (
    project         bigint PRIMARY KEY,
    project_id      text NOT NULL UNIQUE,
    organization_id text NOT NULL,
    epoch           bigint NOT NULL -- as in resources
);
CREATE INDEX ledgers_by_epoch ON audit.ledgers (epoch);

-- The truth is entry, prev_hash and row_hash. What follows recorded_at is read from the entry when the row is written, for whoever asks in
-- SQL; verification compares it with the entry. Partitioned by month of recorded_at (UTC), which only ever grows with row.
CREATE TABLE audit.events (
    row             bigint NOT NULL,
    project         bigint NOT NULL,
    sequence        bigint NOT NULL,
    id              uuid NOT NULL,
    prev_hash       bytea NOT NULL,
    row_hash        bytea NOT NULL,
    entry           text NOT NULL,
    recorded_at     timestamptz NOT NULL,
    occurred_at     timestamptz NOT NULL,
    project_id      uuid NOT NULL,
    organization_id uuid NOT NULL,
    hmac_key_id     bigint NOT NULL,
    schema_version  bigint NOT NULL,
    action          text NOT NULL,
    action_category text NOT NULL,
    outcome         text,
    outcome_detail  text,
    reason          text,
    actor_type      text NOT NULL,
    actor_id        text,
    actor_display   text,
    actor_on_behalf_of text,
    principal_type  text,
    principal_id    text,
    resource_type   text,
    resource_id     text,
    resource_parent text,
    cascade_root_id text,
    operation_id    text,
    phase           text,
    request_id      text,
    source_ip       text,
    user_agent      text,
    api_key_id      text,
    auth_method     text,
    run_id          text,
    thread_id       text,
    tool            text,
    assurance       text NOT NULL,
    pii_classes     text[],
    PRIMARY KEY (row, recorded_at)
) PARTITION BY RANGE (recorded_at);

-- What a retry is told by, whatever became of the row since. retry_mac covers it, which no other hash does.
CREATE TABLE audit.ids (
    project           bigint NOT NULL,
    id                uuid NOT NULL,
    row               bigint NOT NULL,
    submission_key_id bigint NOT NULL,
    submission_mac    bytea NOT NULL,
    retry_mac         bytea NOT NULL,
    PRIMARY KEY (project, id)
);

-- Events with what a retry of each is told by. Where that is gone it is nothing, which no MAC covers.
CREATE VIEW audit.submissions WITH (security_invoker = true) AS
    SELECT events.*, coalesce(ids.submission_key_id, 0) AS submission_key_id, coalesce(ids.submission_mac, ''::bytea) AS submission_mac,
        coalesce(ids.retry_mac, ''::bytea) AS retry_mac
    FROM audit.events LEFT JOIN audit.ids USING (project, id);

CREATE TABLE audit.contents (
    row    bigint PRIMARY KEY,
    stored bytea NOT NULL
);
-- Sealed bytes do not get smaller.
ALTER TABLE audit.contents ALTER COLUMN stored SET STORAGE EXTERNAL;

CREATE TABLE audit.wraps (
    row         bigint PRIMARY KEY,
    data_key_id bigint NOT NULL,
    wrap        bytea NOT NULL
);

CREATE TABLE audit.tiles (
    project  bigint NOT NULL,
    level    bigint NOT NULL,
    position bigint NOT NULL,
    hashes   bytea NOT NULL,
    PRIMARY KEY (project, level, position)
);
ALTER TABLE audit.tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE audit.partial_tiles (
    project bigint NOT NULL,
    level   bigint NOT NULL,
    hashes  bytea NOT NULL,
    PRIMARY KEY (project, level)
);
ALTER TABLE audit.partial_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE audit.heads (
    project       bigint PRIMARY KEY,
    size          bigint NOT NULL,
    row_hash      bytea NOT NULL,
    tree_root     bytea NOT NULL,
    hmac_key_id   bigint NOT NULL,
    mac           bytea NOT NULL,
    compact_range bytea NOT NULL,
    recorded_at   bigint NOT NULL, -- microseconds since 1970
    last_row      bigint NOT NULL
);

CREATE TABLE audit.data_keys (
    id              bigint PRIMARY KEY,
    organization_id text NOT NULL,
    wrapped         bytea NOT NULL,
    created_at      bigint NOT NULL, -- microseconds since 1970
    epoch           bigint NOT NULL -- as in resources
);
CREATE INDEX data_keys_by_epoch ON audit.data_keys (epoch);

CREATE TABLE audit.resources (
    project_id text NOT NULL,
    type       text NOT NULL,
    id         text NOT NULL,
    version    bigint NOT NULL,
    body       text NOT NULL,
    epoch      bigint NOT NULL, -- turn.control_epoch once the change is committed; what a server has not seen yet is above its own
    PRIMARY KEY (project_id, type, id)
);
CREATE INDEX resources_by_epoch ON audit.resources (epoch);

-- Whoever changes a resource, or makes a project or a data key, has the turn.
CREATE FUNCTION audit.mark_epoch() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.epoch := (SELECT control_epoch + 1 FROM audit.turn);
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION audit.mark_epoch() FROM PUBLIC;
CREATE TRIGGER mark_epoch BEFORE INSERT OR UPDATE ON audit.resources FOR EACH ROW EXECUTE FUNCTION audit.mark_epoch();
ALTER TABLE audit.resources ENABLE ALWAYS TRIGGER mark_epoch;
CREATE TRIGGER mark_epoch BEFORE INSERT ON audit.ledgers FOR EACH ROW EXECUTE FUNCTION audit.mark_epoch();
ALTER TABLE audit.ledgers ENABLE ALWAYS TRIGGER mark_epoch;
CREATE TRIGGER mark_epoch BEFORE INSERT ON audit.data_keys FOR EACH ROW EXECUTE FUNCTION audit.mark_epoch();
ALTER TABLE audit.data_keys ENABLE ALWAYS TRIGGER mark_epoch;

CREATE TABLE audit.answers (
    caller      uuid NOT NULL,
    key         bytea NOT NULL,
    request     bytea NOT NULL,
    type        text NOT NULL,
    id          uuid NOT NULL,
    answered_at bigint NOT NULL, -- microseconds since 1970
    PRIMARY KEY (caller, key)
);
CREATE INDEX answers_by_time ON audit.answers (answered_at);

CREATE TABLE audit.api_key_uses (
    id      uuid PRIMARY KEY,
    used_at bigint NOT NULL -- microseconds since 1970
);

CREATE TABLE audit.stream_cursors (
    stream        uuid NOT NULL,
    lane          uuid NOT NULL,
    project       bigint NOT NULL,
    next_sequence bigint NOT NULL,
    last_sequence bigint,
    pending_last  bigint,
    PRIMARY KEY (stream, lane, project)
);

CREATE TABLE audit.webhook_deliveries (
    stream         uuid NOT NULL,
    id             uuid NOT NULL,
    lane           uuid NOT NULL,
    project        bigint NOT NULL,
    message_id     text NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence  bigint NOT NULL,
    events         bigint NOT NULL,
    state          text NOT NULL,
    attempts       bigint NOT NULL,
    created_at     bigint NOT NULL, -- microseconds since 1970, as all times here
    attempted_at   bigint NOT NULL,
    due_at         bigint,
    status         bigint,
    latency        bigint NOT NULL, -- microseconds
    error          text,
    answer         text,
    PRIMARY KEY (stream, id)
);
CREATE INDEX webhook_deliveries_by_state ON audit.webhook_deliveries (stream, state, id);

CREATE TABLE audit.anchors (
    project    bigint NOT NULL,
    number     bigint NOT NULL,
    tree_size  bigint NOT NULL,
    last_row   bigint NOT NULL,
    anchor     text NOT NULL,
    note       text NOT NULL,
    checkpoint text NOT NULL,
    PRIMARY KEY (project, number)
);

CREATE TABLE audit.instance_leaves (
    position bigint PRIMARY KEY,
    project  bigint NOT NULL,
    number   bigint NOT NULL,
    leaf     text NOT NULL,
    UNIQUE (project, number)
);

CREATE TABLE audit.instance_tiles (
    level    bigint NOT NULL,
    position bigint NOT NULL,
    hashes   bytea NOT NULL,
    PRIMARY KEY (level, position)
);

CREATE TABLE audit.instance_edge (
    level  bigint PRIMARY KEY,
    hashes bytea NOT NULL
);

CREATE TABLE audit.instance_checkpoints (
    size       bigint PRIMARY KEY,
    checkpoint text NOT NULL
);

CREATE TABLE audit.cosignatures (
    size        bigint NOT NULL,
    witness     text NOT NULL,
    line        text NOT NULL,
    received_at bigint NOT NULL, -- microseconds since 1970
    PRIMARY KEY (size, witness)
);

CREATE TABLE audit.ring_keys (
    id    bigint PRIMARY KEY,
    since bigint NOT NULL -- microseconds since 1970
);

CREATE TABLE audit.signing_keys (
    id         bigint PRIMARY KEY,
    public_key bytea NOT NULL,
    since      bigint NOT NULL -- microseconds since 1970
);

CREATE TABLE audit.retired_signing_keys (
    id    bigint PRIMARY KEY,
    since bigint NOT NULL -- microseconds since 1970
);

-- Work that one server does for all. Whoever takes it over counts epoch up, and what is written under an older one is refused.
CREATE TABLE audit.leases (
    work       text PRIMARY KEY,
    holder     uuid NOT NULL,
    epoch      bigint NOT NULL,
    expires_at timestamptz NOT NULL
);
