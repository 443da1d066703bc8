-- The truth. Rows are only ever added, by the writer alone: each BEFORE INSERT trigger calls a function that our
-- process registers and no shell has, so even INSERT OR REPLACE from a shell fails; UPDATE and DELETE raise.

CREATE TABLE instance (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- A small integer for each project, so that rows and keys stay short.
CREATE TABLE ledgers (
    project         INTEGER PRIMARY KEY,
    project_id      TEXT NOT NULL UNIQUE,
    organization_id TEXT NOT NULL
) STRICT;

-- row is dense from 1 over all projects, sequence dense from 0 in each. entry is TEXT so that anyone can look. retry_mac covers what a
-- retry is compared with, which no other hash does.
CREATE TABLE events (
    row               INTEGER PRIMARY KEY,
    project           INTEGER NOT NULL,
    sequence          INTEGER NOT NULL,
    id                BLOB NOT NULL,
    submission_key_id INTEGER NOT NULL,
    submission_mac    BLOB NOT NULL,
    retry_mac         BLOB NOT NULL,
    prev_hash         BLOB NOT NULL,
    row_hash          BLOB NOT NULL,
    entry             TEXT NOT NULL
) STRICT;

CREATE TABLE contents (
    row    INTEGER PRIMARY KEY,
    stored BLOB NOT NULL
) STRICT;

-- Outside every hash, so that they can be renewed or destroyed.
CREATE TABLE wraps (
    row         INTEGER PRIMARY KEY,
    data_key_id INTEGER NOT NULL,
    wrap        BLOB NOT NULL
) STRICT;

-- Full tiles of 256 hashes.
CREATE TABLE tiles (
    project  INTEGER NOT NULL,
    level    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    hashes   BLOB NOT NULL,
    PRIMARY KEY (project, level, position)
) STRICT;

-- The right edge of each tree: the tile of each level that is not full yet.
CREATE TABLE partial_tiles (
    project INTEGER NOT NULL,
    level   INTEGER NOT NULL,
    hashes  BLOB NOT NULL,
    PRIMARY KEY (project, level)
) STRICT;

CREATE TABLE heads (
    project       INTEGER PRIMARY KEY,
    size          INTEGER NOT NULL,
    row_hash      BLOB NOT NULL,
    tree_root     BLOB NOT NULL,
    hmac_key_id   INTEGER NOT NULL,
    mac           BLOB NOT NULL,
    compact_range BLOB NOT NULL,
    recorded_at   INTEGER NOT NULL, -- microseconds since 1970
    last_row      INTEGER NOT NULL
) STRICT;

CREATE TABLE data_keys (
    id              INTEGER PRIMARY KEY,
    organization_id TEXT NOT NULL,
    wrapped         BLOB NOT NULL,
    created_at      INTEGER NOT NULL -- microseconds since 1970
) STRICT;

CREATE TABLE resources (
    project_id TEXT NOT NULL,
    type       TEXT NOT NULL,
    id         TEXT NOT NULL,
    version    INTEGER NOT NULL,
    body       TEXT NOT NULL,
    PRIMARY KEY (project_id, type, id)
) STRICT;

-- Requests with an Idempotency-Key and what they made, for a day. key and request are MACs.
CREATE TABLE answers (
    caller      BLOB NOT NULL, -- the API key
    key         BLOB NOT NULL,
    request     BLOB NOT NULL,
    type        TEXT NOT NULL,
    id          BLOB NOT NULL,
    answered_at INTEGER NOT NULL, -- microseconds since 1970
    PRIMARY KEY (caller, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX answers_by_time ON answers (answered_at);

-- When a key of the API was last used, to the minute. Nothing depends on it.
CREATE TABLE api_key_uses (
    id      BLOB PRIMARY KEY,
    used_at INTEGER NOT NULL -- microseconds since 1970
) STRICT;

-- How far each stream has come in each project: what lies before next_sequence was delivered, is a dead letter, or was none of its events.
-- lane is the stream's own id, or that of a replay, which ends at last_sequence. pending_last is the last event of the delivery under way,
-- so that a retry sends the same events under the same id, after a restart too.
CREATE TABLE stream_cursors (
    stream        BLOB NOT NULL, -- id of an audit_stream
    lane          BLOB NOT NULL,
    project       INTEGER NOT NULL,
    next_sequence INTEGER NOT NULL,
    last_sequence INTEGER,
    pending_last  INTEGER,
    PRIMARY KEY (stream, lane, project)
) STRICT, WITHOUT ROWID;

-- What was sent, or is to be sent again. Nothing that must hold depends on it but dead letters.
CREATE TABLE webhook_deliveries (
    stream         BLOB NOT NULL,
    id             BLOB NOT NULL,
    lane           BLOB NOT NULL,
    project        INTEGER NOT NULL,
    message_id     TEXT NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL,
    events         INTEGER NOT NULL,
    state          TEXT NOT NULL,
    attempts       INTEGER NOT NULL,
    created_at     INTEGER NOT NULL, -- microseconds since 1970, as all times here
    attempted_at   INTEGER NOT NULL,
    due_at         INTEGER,
    status         INTEGER,
    latency        INTEGER NOT NULL, -- microseconds
    error          TEXT,
    answer         TEXT,
    PRIMARY KEY (stream, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX webhook_deliveries_by_state ON webhook_deliveries (stream, state, id);

-- What was signed of a chain and its tree, one an interval. anchor and the notes are TEXT so that anyone can look.
CREATE TABLE anchors (
    project    INTEGER NOT NULL,
    number     INTEGER NOT NULL, -- dense from 0 in each project
    tree_size  INTEGER NOT NULL,
    last_row   INTEGER NOT NULL, -- the row of the interval's last event
    anchor     TEXT NOT NULL,    -- RFC 8785, the bytes that are hashed and signed
    note       TEXT NOT NULL,
    checkpoint TEXT NOT NULL,
    PRIMARY KEY (project, number)
) STRICT;

-- The leaves of the instance tree, dense from 0, its full tiles, and its right edge.
CREATE TABLE instance_leaves (
    position INTEGER PRIMARY KEY,
    project  INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    leaf     TEXT NOT NULL,
    UNIQUE (project, number)
) STRICT;

CREATE TABLE instance_tiles (
    level    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    hashes   BLOB NOT NULL,
    PRIMARY KEY (level, position)
) STRICT;

CREATE TABLE instance_edge (
    level  INTEGER PRIMARY KEY,
    hashes BLOB NOT NULL
) STRICT;

CREATE TABLE instance_checkpoints (
    size       INTEGER PRIMARY KEY,
    checkpoint TEXT NOT NULL
) STRICT;

-- What witnesses said of checkpoints of the instance tree, as they came and after they were verified.
CREATE TABLE cosignatures (
    size        INTEGER NOT NULL, -- of a row of instance_checkpoints
    witness     TEXT NOT NULL,    -- its verifier key
    line        TEXT NOT NULL,    -- the signature line, with its newline
    received_at INTEGER NOT NULL, -- microseconds since 1970
    PRIMARY KEY (size, witness)
) STRICT, WITHOUT ROWID;

-- Which ring keys have served; the newest does.
CREATE TABLE ring_keys (
    id    INTEGER PRIMARY KEY,
    since INTEGER NOT NULL -- microseconds since 1970
) STRICT;

-- Public halves of the keys that sign, by the number of their file in the key store.
CREATE TABLE signing_keys (
    id         INTEGER PRIMARY KEY,
    public_key BLOB NOT NULL,
    since      INTEGER NOT NULL -- microseconds since 1970
) STRICT;

-- Signing keys that stopped signing beside the one after them before their time.
CREATE TABLE retired_signing_keys (
    id    INTEGER PRIMARY KEY, -- of signing_keys
    since INTEGER NOT NULL     -- microseconds since 1970
) STRICT;
