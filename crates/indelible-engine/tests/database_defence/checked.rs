//! `check` names whatever was taken down, and nothing where nothing was.

use indelible_core::time::Timestamp;
use indelible_engine::database::check::{Finding, Kind, Weight, check};

use crate::fill;
use crate::server::{Database, role, wait};

/// 15 November 2026: what `events_2026_11` is the partition of.
const AT: i64 = 1_794_700_800_000_000;

fn findings(database: &Database, user: &str) -> Vec<Finding> {
    let at = Timestamp::from_micros(AT).expect("a time");
    wait(async { check(&mut database.connect(user).await, at).await.expect("checks") })
}

/// Faults, as `kind object`. The server of these tests runs without fsync, which is a finding in each.
fn faults(database: &Database, user: &str) -> Vec<String> {
    let is_ours = |finding: &&Finding| finding.weight == Weight::Fault && finding.kind != Kind::Setting;
    findings(database, user).iter().filter(is_ours).map(|finding| format!("{} {}", finding.kind, finding.object)).collect()
}

/// One that has its partitions whatever day it is.
fn made(database: &Database, owner: &str) {
    database.does(owner, "SELECT audit.make_partitions('2026-11-15+00', 3)");
}

/// A way of weakening, by a superuser, and every fault that is then found.
const SABOTAGES: &[(&str, &[&str])] = &[
    ("ALTER TABLE audit.tiles DISABLE TRIGGER refuse_row", &["trigger tiles.refuse_row"]),
    ("ALTER TABLE audit.tiles ENABLE TRIGGER refuse_row", &["trigger tiles.refuse_row"]),
    ("ALTER TABLE audit.wraps ENABLE REPLICA TRIGGER refuse_statement", &["trigger wraps.refuse_statement"]),
    ("DROP TRIGGER refuse_statement ON audit.ids", &["trigger ids.refuse_statement"]),
    ("ALTER TABLE audit.events_2026_12 DISABLE TRIGGER refuse_row", &["trigger events_2026_12.refuse_row"]),
    ("DROP TRIGGER refuse_statement ON audit.events_2026_12", &["trigger events_2026_12.refuse_statement"]),
    (
        "CREATE OR REPLACE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON audit.ids FOR EACH ROW WHEN (OLD.row > 9) EXECUTE FUNCTION audit.refuse_change();
         ALTER TABLE audit.ids ENABLE ALWAYS TRIGGER refuse_row",
        &["trigger ids.refuse_row"],
    ),
    (
        "CREATE OR REPLACE TRIGGER refuse_row BEFORE UPDATE OF row OR DELETE ON audit.ids FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
         ALTER TABLE audit.ids ENABLE ALWAYS TRIGGER refuse_row",
        &["trigger ids.refuse_row"],
    ),
    (
        "CREATE TRIGGER aaa BEFORE INSERT ON audit.ids FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        &["trigger ids.aaa"],
    ),
    ("CREATE RULE lost AS ON INSERT TO audit.ids DO INSTEAD NOTHING", &["rule ids.lost"]),
    (
        "CREATE OR REPLACE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END'",
        &["function refuse_change"],
    ),
    ("ALTER FUNCTION audit.make_partitions(timestamptz, int) SECURITY DEFINER", &["function make_partitions"]),
    ("ALTER FUNCTION audit.make_partitions(timestamptz, int) RESET search_path", &["function make_partitions"]),
    ("ALTER FUNCTION audit.refuse_change() SET search_path = public", &["function refuse_change"]),
    ("GRANT audit_reader TO OTHER; GRANT CREATE ON SCHEMA audit TO OTHER; ALTER FUNCTION audit.refuse_change() OWNER TO OTHER", &[
        "function refuse_change",
        "grant OTHER on schema audit",
    ]),
    ("DROP FUNCTION audit.make_partition(text, timestamptz, timestamptz)", &["function make_partition"]),
    (
        "CREATE FUNCTION audit.open_door() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM audit.contents'",
        &["function open_door", "grant PUBLIC on function open_door"],
    ),
    ("GRANT EXECUTE ON FUNCTION audit.make_partitions(timestamptz, int) TO audit_host", &["grant audit_host on function make_partitions"]),
    ("GRANT DELETE ON audit.events TO audit_server", &["grant audit_server on table events"]),
    ("GRANT UPDATE (entry) ON audit.events TO audit_server", &["grant audit_server on column events.entry"]),
    ("GRANT SELECT ON audit.events TO PUBLIC", &["grant PUBLIC on table events"]),
    ("GRANT SELECT (row) ON audit.events TO audit_reader", &["grant audit_reader on column events.row"]),
    ("GRANT SELECT ON audit.events_2026_11 TO audit_reader", &["grant audit_reader on table events_2026_11"]),
    ("GRANT TRUNCATE, TRIGGER ON audit.heads TO OTHER", &["grant OTHER on table heads"]),
    ("GRANT INSERT ON audit.events TO audit_server WITH GRANT OPTION", &["grant audit_server on table events"]),
    ("REVOKE INSERT ON audit.ids FROM audit_server", &["grant audit_server on table ids"]),
    ("REVOKE SELECT ON audit.audit_events FROM audit_reader", &["grant audit_reader on table audit_events"]),
    ("REVOKE INSERT ON audit.events_2027_01 FROM audit_server", &["grant audit_server on table events_2027_01"]),
    ("GRANT CREATE ON SCHEMA audit TO PUBLIC", &["grant PUBLIC on schema audit"]),
    ("ALTER TABLE audit.events DISABLE ROW LEVEL SECURITY", &["row_security events"]),
    ("CREATE POLICY all_of_it ON audit.events USING (true)", &["row_security events.all_of_it"]),
    ("ALTER POLICY reader ON audit.events USING (true)", &["row_security events.reader"]),
    ("ALTER POLICY reader ON audit.events TO PUBLIC", &["row_security events.reader"]),
    ("DROP POLICY reader ON audit.readers", &["row_security readers.reader"]),
    ("ALTER TABLE audit.events DETACH PARTITION audit.events_2026_12", &["partition events_2026_12", "trigger events_2026_12.refuse_row"]),
    ("DROP TABLE audit.events_2027_02", &["partition events_2027_02"]),
    ("CREATE TABLE audit.events_rest PARTITION OF audit.events DEFAULT", &["partition events_rest"]),
    ("CREATE TABLE audit.odd PARTITION OF audit.events FOR VALUES FROM ('1990-01-01+00') TO ('1991-01-01+00')", &["partition audit.odd"]),
    ("DROP INDEX audit.events_by_actor", &["index events_by_actor"]),
    ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'audit.ids_pkey'::regclass", &["index ids", "index ids_pkey"]),
    ("ALTER TABLE audit.tiles DROP CONSTRAINT tiles_pkey", &["index tiles"]),
    ("ALTER TABLE audit.tiles SET UNLOGGED", &["table tiles"]),
    ("ALTER TABLE audit.tiles OWNER TO OTHER", &["table tiles"]),
    ("CREATE TABLE public.below () INHERITS (audit.tiles)", &["table tiles"]),
    ("DROP TABLE audit.cosignatures", &["table cosignatures"]),
    ("CREATE OR REPLACE VIEW audit.audit_events WITH (security_invoker = true) AS DEFINITION WHERE principal_id <> 'alice'", &["view audit_events"]),
    ("ALTER VIEW audit.audit_events SET (security_invoker = false)", &["view audit_events"]),
    (
        "ALTER TABLE audit.events DROP COLUMN tool CASCADE",
        &["view audit_events", "view submissions", "grant audit_server on table submissions"],
    ),
    ("INSERT INTO audit.migrations (version, name) VALUES (99, 'later')", &["version audit"]),
];

#[test]
fn every_sabotage_is_named() {
    let (base, owner) = Database::installed_by_its_owner();
    made(&base, &owner);
    assert_eq!(faults(&base, "tests"), [""; 0]);
    let other = role("other", "");
    let definition = base.does("tests", "SELECT rtrim(pg_get_viewdef('audit.audit_events'::regclass), ';')").remove(0);
    for (sabotage, expected) in SABOTAGES {
        let database = base.copy();
        database.does("tests", &sabotage.replace("OTHER", &other).replace("DEFINITION", &definition));
        let found = faults(&database, "tests");
        for one in *expected {
            let one = one.replace("OTHER", &other);
            assert!(found.iter().any(|found| found.starts_with(&one)), "{sabotage}: {found:?}");
        }
        assert!(found.len() <= expected.len() + 4, "{sabotage}: {found:?}");
        database.drop();
    }
}

/// With the rights of a server, which looks at its start.
#[test]
fn a_server_sees_as_much() {
    let (base, owner) = Database::installed_by_its_owner();
    made(&base, &owner);
    let server = role("server", "");
    base.does("tests", &format!("GRANT audit_server TO {server}"));
    assert_eq!(faults(&base, &server), [""; 0]);
    base.does("tests", "ALTER TABLE audit.tiles DISABLE TRIGGER refuse_row; ALTER POLICY reader ON audit.events USING (true); GRANT DELETE ON audit.ids TO PUBLIC");
    assert_eq!(faults(&base, &server), ["trigger tiles.refuse_row", "row_security events.reader", "grant PUBLIC on table ids"]);
    let nobody = role("nobody", "");
    assert_eq!(faults(&base, &nobody), ["version audit"], "and says that it may not look");
}

#[test]
fn event_triggers_are_looked_for() {
    let database = Database::installed();
    made(&database, "tests");
    assert_eq!(faults(&database, "tests"), [""; 0]);
    for (sabotage, name) in [
        ("ALTER EVENT TRIGGER indelible_refuse_drop DISABLE", "indelible_refuse_drop"),
        ("ALTER EVENT TRIGGER indelible_refuse_rewrite ENABLE", "indelible_refuse_rewrite"),
        ("DROP EVENT TRIGGER indelible_refuse_words", "indelible_refuse_words"),
        (
            "DROP EVENT TRIGGER indelible_refuse_weakening; CREATE EVENT TRIGGER indelible_refuse_weakening ON ddl_command_end WHEN TAG IN ('COMMENT')
             EXECUTE FUNCTION audit.refuse_weakening(); ALTER EVENT TRIGGER indelible_refuse_weakening ENABLE ALWAYS",
            "indelible_refuse_weakening",
        ),
    ] {
        database.does("tests", sabotage);
        assert_eq!(faults(&database, "tests"), [format!("event_trigger {name}")], "{sabotage}");
        // Installing brings back what is gone or disabled; what is otherwise not as it was is dropped first.
        if sabotage.contains("COMMENT") {
            database.does("tests", &format!("DROP EVENT TRIGGER {name}"));
        }
        assert!(database.install_as("tests").event_triggers);
        assert_eq!(faults(&database, "tests"), [""; 0]);
    }
    let (without, owner) = Database::installed_by_its_owner();
    made(&without, &owner);
    let warned: Vec<Finding> = findings(&without, &owner).into_iter().filter(|finding| finding.kind == Kind::EventTrigger).collect();
    assert!(warned.len() == 4 && warned.iter().all(|finding| finding.weight == Weight::Warning), "{warned:?}");
}

#[test]
fn settings_and_roles_that_nothing_holds_back_are_named() {
    let database = Database::installed();
    made(&database, "tests");
    let (above, around, plain) = (role("above", "SUPERUSER"), role("around", "BYPASSRLS CREATEROLE"), role("plain", ""));
    let member = role("member", "");
    database.does(
        "tests",
        &format!("GRANT audit_server TO {above}, {plain}; GRANT audit_reader TO {around}; GRANT tests TO {member}; GRANT audit_host TO {member}; GRANT pg_write_all_data TO {plain}"),
    );
    let found = findings(&database, &plain);
    let has = |weight: Weight, kind: Kind, object: &str, words: &str| {
        let same = |finding: &&Finding| (finding.weight, finding.kind, finding.object.as_str()) == (weight, kind, object);
        assert!(found.iter().filter(same).any(|finding| finding.sentence.contains(words)), "{object}: {words}: {found:?}");
    };
    has(Weight::Fault, Kind::Setting, "fsync", "nothing that the server keeps is durable");
    has(Weight::Fault, Kind::Setting, "full_page_writes", "tear pages");
    has(Weight::Warning, Kind::Role, &above, "is a superuser");
    has(Weight::Warning, Kind::Role, &around, "bypasses row-level security");
    has(Weight::Warning, Kind::Role, &around, "may make roles");
    has(Weight::Warning, Kind::Role, &member, "owns the tables");
    has(Weight::Warning, Kind::Role, &format!("{plain} in pg_write_all_data"), "passes by what is granted here");
    assert!(!found.iter().any(|finding| finding.object == plain || finding.object == "tests"), "{found:?}");
    assert!(findings(&database, "tests").iter().any(|finding| finding.object == "tests" && finding.kind == Kind::Role));
}

#[test]
fn an_empty_database_is_one_finding() {
    let database = Database::empty("tests");
    assert_eq!(faults(&database, "tests"), ["version audit"]);
    assert!(findings(&database, "tests").iter().any(|finding| finding.sentence.contains("indelible database install")));
}

/// Looking leaves nothing behind.
#[test]
fn a_check_changes_nothing() {
    let database = Database::installed();
    let everything = "SELECT count(*), max(xmin::text::bigint) FROM pg_class; SELECT count(*) FROM pg_policy; SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg_temp%'";
    findings(&database, "tests");
    let before = database.does("tests", everything);
    findings(&database, "tests");
    assert_eq!(database.does("tests", everything), before);
}

/// A backup by pg_dump has the defence in it.
#[test]
fn a_dump_that_was_restored_is_whole() {
    let database = Database::installed();
    made(&database, "tests");
    fill(&database);
    let restored = Database::empty("tests");
    database.dump_into(&restored);
    assert_eq!(faults(&restored, "tests"), [""; 0]);
    assert_eq!(restored.does("tests", "SELECT principal_id FROM audit.audit_events"), ["alice"]);
    restored.refuses("tests", "DELETE FROM audit.events", "rows are never deleted");
    restored.refuses("tests", "ALTER TABLE audit.tiles DISABLE TRIGGER ALL", "must stay ENABLE ALWAYS");
    restored.does("tests", "SELECT audit.make_partitions(now(), 20)");
}
