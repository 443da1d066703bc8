//! What a database of the audit log holds out against: everybody who may do something in it, up to its superuser, tries to change, hide and
//! remove what was written, and `check` names whatever was taken down. Each test has databases of its own on a server of its own.

mod checked;
mod event_triggers;
mod granted;
mod installed;
mod partitions;
mod readers;
mod refused;
mod server;

/// The tables that nothing ever changes, with a row each that may be written to them.
const ADDED_ONLY: &[(&str, &str)] = &[
    ("ids", "1, gen_random_uuid(), 1, 1, '', ''"),
    ("tiles", "1, 0, 0, ''"),
    ("anchors", "1, 0, 1, 1, '', '', ''"),
    ("instance", "'name', 'log'"),
    ("instance_leaves", "0, 1, 0, ''"),
    ("instance_tiles", "0, 0, ''"),
    ("instance_checkpoints", "1, ''"),
    ("cosignatures", "1, 'w', '', 0"),
    ("ledgers", "1, '00000000-0000-0000-0000-00000000000a', 'o'"),
    ("data_keys", "1, 'o', '', 0"),
    ("ring_keys", "1, 0"),
    ("signing_keys", "1, '', 0"),
    ("retired_signing_keys", "1, 0"),
    ("migrations", "-1, 'none'"),
];

/// Tables of which the newest is kept, with a row of each; `turn` has its own.
const KEPT: &[(&str, &str)] = &[
    ("heads", "1, 1, '', '', 1, '', '', 0, 1"),
    ("partial_tiles", "1, 0, ''"),
    ("instance_edge", "0, ''"),
    ("resources", "'p', 't', 'i', 1, '{}'"),
    ("api_key_uses", "gen_random_uuid(), 0"),
    ("leases", "'seal', gen_random_uuid(), 1, now()"),
];

/// Tables that are emptied in time, with a row each.
const EMPTIED: &[(&str, &str)] = &[
    ("contents", "1, ''"),
    ("answers", "gen_random_uuid(), '', '', 't', gen_random_uuid(), 0"),
    ("wraps", "1, 1, ''"),
    ("stream_cursors", "gen_random_uuid(), gen_random_uuid(), 1, 0, NULL, NULL"),
    (
        "webhook_deliveries",
        "gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, 'm', 0, 0, 1, 'dead', 1, 0, 0, NULL, NULL, 0, NULL, NULL",
    ),
];

/// An event of a project, as an INSERT; its entry is what its columns say.
fn event(row: i64, project_id: &str, principal: &str, entry: &str) -> String {
    format!(
        "INSERT INTO audit.events (row, project, sequence, id, prev_hash, row_hash, entry, recorded_at, occurred_at, project_id, organization_id,
            hmac_key_id, schema_version, action, action_category, actor_type, actor_id, principal_id, assurance)
         VALUES ({row}, 1, {row}, gen_random_uuid(), '\\x00', '\\xab', '{entry}', now(), now(), '{project_id}', '{project_id}', 1, 1, 'tool.call',
            'tool', 'agent', 'x', '{principal}', 'gateway')"
    )
}

/// A database that holds one row of everything.
fn fill(database: &server::Database) {
    let mut all = vec![event(1, "00000000-0000-0000-0000-00000000000a", "alice", "{}")];
    for (table, row) in ADDED_ONLY.iter().chain(KEPT).chain(EMPTIED) {
        let columns = if *table == "migrations" { " (version, name)" } else { "" };
        all.push(format!("INSERT INTO audit.{table}{columns} VALUES ({row})"));
    }
    for statement in all {
        database.does("tests", &statement);
    }
}
