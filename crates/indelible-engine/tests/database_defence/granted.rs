//! Grants: what a server, a host application, a reader and everybody else may do, and that they may do nothing besides.

use indelible_engine::database::bind::{BindError, Purpose, bind, bindings, unbind};

use crate::server::{Database, role, wait};
use crate::{ADDED_ONLY, EMPTIED, KEPT, event, fill};

const A: &str = "00000000-0000-0000-0000-00000000000a";

/// A login that is a member of a group.
fn member(database: &Database, what: &str, group: &str) -> String {
    let role = role(what, "");
    database.does("tests", &format!("GRANT {group} TO {role}"));
    role
}

#[test]
fn a_server_adds_and_does_what_keeping_needs() {
    let database = Database::installed();
    fill(&database);
    let server = member(&database, "server", "audit_server");
    database.does(&server, &event(2, A, "bob", "{}"));
    assert_eq!(database.does(&server, "SELECT count(*) FROM audit.events"), ["2"]);
    for (table, row) in ADDED_ONLY.iter().chain(KEPT).chain(EMPTIED).filter(|(table, _)| *table != "migrations") {
        database.does(&server, &format!("SELECT * FROM audit.{table}"));
        database.does(&server, &format!("INSERT INTO audit.{table} VALUES ({row}) ON CONFLICT DO NOTHING"));
    }
    for statement in [
        "BEGIN; SELECT * FROM audit.turn FOR UPDATE; UPDATE audit.turn SET last_row = last_row + 1, control_epoch = 2; COMMIT",
        "UPDATE audit.heads SET size = 2",
        "INSERT INTO audit.heads VALUES (1, 3, '', '', 1, '', '', 0, 1) ON CONFLICT (project) DO UPDATE SET size = excluded.size",
        "UPDATE audit.partial_tiles SET hashes = ''; UPDATE audit.instance_edge SET hashes = ''",
        "UPDATE audit.resources SET version = 2; UPDATE audit.api_key_uses SET used_at = 1; UPDATE audit.leases SET epoch = 2",
        "UPDATE audit.wraps SET wrap = ''",
        "DELETE FROM audit.contents; DELETE FROM audit.wraps; DELETE FROM audit.answers",
        "UPDATE audit.stream_cursors SET next_sequence = 1; UPDATE audit.webhook_deliveries SET state = 'replayed'",
        "DELETE FROM audit.stream_cursors; DELETE FROM audit.webhook_deliveries",
        "INSERT INTO audit.readers VALUES ('x', gen_random_uuid()); DELETE FROM audit.readers WHERE role = 'x'",
        "SELECT * FROM audit.migrations",
        "SELECT count(*) FROM audit.audit_events",
    ] {
        database.does(&server, statement);
    }
}

/// Rows are copied into the partition of the month: PostgreSQL copies into no table with row-level security.
#[test]
fn a_server_copies_into_a_partition() {
    let database = Database::installed();
    let server = member(&database, "server", "audit_server");
    database.does("tests", &event(1, A, "alice", "{}"));
    let part = database.does("tests", "SELECT tableoid::regclass FROM audit.events").remove(0);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rows").display().to_string();
    let columns = "row, project, sequence, id, prev_hash, row_hash, entry, recorded_at, occurred_at, project_id, organization_id, hmac_key_id, \
                   schema_version, action, action_category, actor_type, assurance";
    let more = columns.replacen("row, project, sequence", "row + 1, project, sequence + 1", 1);
    assert!(database.psql("tests", &format!("\\copy (SELECT {more} FROM audit.events) TO '{file}' (FORMAT binary)")));
    assert!(!database.psql(&server, &format!("\\copy audit.events ({columns}) FROM '{file}' (FORMAT binary)")));
    assert!(database.psql(&server, &format!("\\copy {part} ({columns}) FROM '{file}' (FORMAT binary)")));
    assert_eq!(database.does(&server, "SELECT row FROM audit.events ORDER BY row"), ["1", "2"]);
    database.refuses(&server, &format!("SELECT * FROM {part}"), "permission denied");
}

#[test]
fn a_server_may_nothing_besides() {
    let database = Database::installed();
    fill(&database);
    let server = member(&database, "server", "audit_server");
    let part = database.does("tests", "SELECT tableoid::regclass FROM audit.events").remove(0);
    let tables = ADDED_ONLY.iter().chain(KEPT).map(|(table, _)| *table).chain(["events", "turn"]);
    let mut statements: Vec<String> =
        tables.flat_map(|table| [format!("DELETE FROM audit.{table}"), format!("TRUNCATE audit.{table}")]).collect();
    for table in ADDED_ONLY.iter().map(|(table, _)| *table).chain(["events", "contents", "answers"]) {
        let sql = format!("SELECT attname FROM pg_attribute WHERE attrelid = 'audit.{table}'::regclass AND attnum = 1");
        let column = database.does("tests", &sql).remove(0);
        statements.push(format!("UPDATE audit.{table} SET {column} = {column}"));
        statements.push(format!("SELECT * FROM audit.{table} FOR UPDATE"));
    }
    statements.extend([
        format!("DELETE FROM {part}"),
        format!("UPDATE {part} SET entry = ''"),
        format!("TRUNCATE {part}"),
        "INSERT INTO audit.migrations (version, name) VALUES (9, 'x')".to_owned(),
        "INSERT INTO audit.turn VALUES (true, 0, 0, 0)".to_owned(),
        "UPDATE audit.readers SET role = 'x'".to_owned(),
        "TRUNCATE audit.readers".to_owned(),
        "SELECT audit.make_partitions()".to_owned(),
        "SELECT audit.make_partition('x', now(), now())".to_owned(),
        "SELECT audit.defend('ids', '')".to_owned(),
        "CREATE TABLE audit.mine (a int)".to_owned(),
    ]);
    for statement in statements {
        database.refuses(&server, &statement, "permission denied");
    }
    for statement in [
        "ALTER TABLE audit.events DISABLE TRIGGER ALL".to_owned(),
        format!("ALTER TABLE audit.events DETACH PARTITION {part}"),
        "DROP TABLE audit.events".to_owned(),
        "DROP TRIGGER refuse_row ON audit.events".to_owned(),
        "CREATE RULE r AS ON INSERT TO audit.events DO INSTEAD NOTHING".to_owned(),
    ] {
        database.refuses(&server, &statement, "must be owner");
    }
    database.refuses(&server, "SET session_replication_role = replica", "permission denied");
    database.refuses(&server, "ALTER EVENT TRIGGER indelible_refuse_drop DISABLE", "must be owner");
}

#[test]
fn everybody_else_may_nothing() {
    let database = Database::installed();
    fill(&database);
    let nobody = role("nobody", "");
    let host = member(&database, "host", "audit_host");
    let reader = member(&database, "reader", "audit_reader");
    let part = database.does("tests", "SELECT tableoid::regclass FROM audit.events").remove(0);
    let tables: Vec<String> = ADDED_ONLY
        .iter()
        .chain(KEPT)
        .chain(EMPTIED)
        .map(|(table, _)| format!("audit.{table}"))
        .chain([part, "audit.turn".to_owned()])
        .collect();
    for user in [&nobody, &host, &reader] {
        for table in &tables {
            for statement in [format!("SELECT * FROM {table}"), format!("DELETE FROM {table}"), format!("TRUNCATE {table}")] {
                database.refuses(user, &statement, "permission denied");
            }
        }
        database.refuses(user, "SELECT row FROM audit.events", "permission denied");
        database.refuses(user, &event(3, A, "x", "{}"), "permission denied");
        database.refuses(user, "SELECT audit.make_partitions()", "permission denied");
        database.refuses(user, "INSERT INTO audit.readers VALUES (current_user, gen_random_uuid())", "permission denied");
        database.refuses(user, "UPDATE audit.readers SET project_id = gen_random_uuid()", "permission denied");
    }
    for user in [&nobody, &host] {
        database.refuses(user, "SELECT entry FROM audit.events", "permission denied");
        database.refuses(user, "SELECT count(*) FROM audit.audit_events", "permission denied");
    }
}

#[test]
fn a_role_is_bound_to_a_project_that_is_there() {
    let database = Database::installed();
    fill(&database);
    let (reader, above) = (role("reader", ""), role("above", "BYPASSRLS"));
    let project = A.parse().expect("a uuid");
    let elsewhere = "00000000-0000-0000-0000-00000000000f".parse().expect("a uuid");
    wait(async {
        let mut client = database.connect("tests").await;
        let bound = bind(&mut client, Purpose::Reader, "nobody at all", project).await;
        assert!(matches!(bound, Err(BindError::NoRole(_))), "{bound:?}");
        let bound = bind(&mut client, Purpose::Reader, &reader, elsewhere).await;
        assert!(matches!(bound, Err(BindError::NoProject(_))), "{bound:?}");
        for unbounded in ["tests", above.as_str()] {
            let bound = bind(&mut client, Purpose::Reader, unbounded, project).await;
            assert!(matches!(bound, Err(BindError::Unbounded(..))), "{bound:?}");
        }
        bind(&mut client, Purpose::Reader, &reader, project).await.expect("binds");
        bind(&mut client, Purpose::Reader, &reader, project).await.expect("is bound");
        let all = bindings(&client, Purpose::Reader).await.expect("reads");
        assert_eq!(all.iter().map(|one| (one.role.as_str(), one.project_id.as_str())).collect::<Vec<_>>(), [(reader.as_str(), A)]);
    });
    assert_eq!(database.does(&reader, "SELECT principal_id FROM audit.audit_events"), ["alice"]);
    wait(async {
        let mut client = database.connect("tests").await;
        assert!(unbind(&mut client, Purpose::Reader, &reader, project).await.expect("unbinds"));
        assert!(!unbind(&mut client, Purpose::Reader, &reader, project).await.expect("was unbound"));
    });
    assert_eq!(database.does(&reader, "SELECT principal_id FROM audit.audit_events"), [""; 0]);
}

/// A host's role has one project, whose organization seals what it appends.
#[test]
fn a_host_is_bound_to_one_project() {
    let database = Database::installed();
    let organization = "00000000-0000-0000-0000-0000000000ff";
    for (number, project) in [(1, A), (2, "00000000-0000-0000-0000-00000000000b")] {
        database.does("tests", &format!("INSERT INTO audit.ledgers VALUES ({number}, '{project}', '{organization}')"));
    }
    let table =
        "CREATE TABLE IF NOT EXISTS audit.bindings (role name PRIMARY KEY, project_id uuid NOT NULL, organization_id uuid NOT NULL)";
    database.does("tests", table);
    let host = role("Host \"of\" many", "");
    wait(async {
        let mut client = database.connect("tests").await;
        bind(&mut client, Purpose::Host, &host, A.parse().expect("a uuid")).await.expect("binds");
        bind(&mut client, Purpose::Host, &host, A.parse().expect("a uuid")).await.expect("is bound");
        let other = "00000000-0000-0000-0000-00000000000b".parse().expect("a uuid");
        let refused = bind(&mut client, Purpose::Host, &host, other).await;
        assert!(matches!(&refused, Err(BindError::Bound(_, project)) if project == A), "{refused:?}");
    });
    assert_eq!(database.does("tests", "SELECT project_id, organization_id FROM audit.bindings"), [format!("{A}|{organization}")]);
    let member = "SELECT pg_has_role(role, 'audit_host', 'MEMBER'), pg_has_role(role, 'audit_reader', 'MEMBER') FROM audit.bindings";
    assert_eq!(database.does("tests", member), ["t|f"]);
}
