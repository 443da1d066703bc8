//! Event triggers: where a superuser installed, not even a superuser takes the defence down by a statement, unless it is one about event triggers.

use crate::server::{Database, role};
use crate::{event, fill};

/// What would weaken something, and words of the refusal.
const REFUSED: &[(&str, &str)] = &[
    ("ALTER TABLE audit.tiles DISABLE TRIGGER ALL", "must stay ENABLE ALWAYS"),
    ("ALTER TABLE audit.tiles DISABLE TRIGGER refuse_row", "must stay ENABLE ALWAYS"),
    ("ALTER TABLE audit.tiles ENABLE TRIGGER refuse_row", "must stay ENABLE ALWAYS"),
    ("ALTER TABLE audit.tiles ENABLE REPLICA TRIGGER refuse_row", "must stay ENABLE ALWAYS"),
    ("ALTER TABLE audit.events DISABLE TRIGGER USER", "must stay ENABLE ALWAYS"),
    ("ALTER TABLE PARTED DISABLE TRIGGER refuse_statement", "must stay ENABLE ALWAYS"),
    ("ALTER TABLE audit.events DETACH PARTITION PARTED", "must stay a partition"),
    ("ALTER TABLE audit.events DETACH PARTITION PARTED CONCURRENTLY", "stay attached"),
    ("ALTER TABLE PARTED RENAME TO other", "must keep its name"),
    ("ALTER TABLE PARTED SET SCHEMA public", "must keep its name"),
    ("ALTER TABLE audit.tiles RENAME TO other", "must stay where it is"),
    ("ALTER TABLE audit.tiles SET SCHEMA public", "must stay where it is"),
    ("ALTER SCHEMA audit RENAME TO other", "must keep its name"),
    ("ALTER TABLE audit.tiles SET UNLOGGED", "is refused"),
    ("ALTER TABLE audit.tiles ALTER hashes TYPE bytea USING '\\x00'", "rows of the audit log are never changed"),
    // Before any trigger is asked.
    ("ALTER TABLE audit.events ALTER project TYPE bigint USING 0", "used by a view"),
    ("ALTER TABLE audit.events ADD COLUMN more double precision DEFAULT random()", "rows of the audit log are never changed"),
    ("ALTER TABLE audit.tiles DROP COLUMN hashes", "is of the audit log"),
    ("ALTER TABLE audit.ids DROP CONSTRAINT ids_pkey", "is of the audit log"),
    ("ALTER TABLE audit.events DISABLE ROW LEVEL SECURITY", "must keep its row-level security"),
    ("CREATE POLICY other ON audit.events USING (true)", "comes between"),
    ("ALTER POLICY reader ON audit.events USING (true)", "comes between"),
    ("DROP POLICY reader ON audit.events", "is of the audit log"),
    ("CREATE RULE other AS ON INSERT TO audit.events DO INSTEAD NOTHING", "comes between"),
    ("CREATE RULE other AS ON UPDATE TO audit.tiles DO INSTEAD NOTHING", "comes between"),
    ("DROP TRIGGER refuse_row ON audit.tiles", "is of the audit log"),
    ("ALTER TRIGGER refuse_row ON audit.tiles RENAME TO other", "comes between"),
    (
        "CREATE OR REPLACE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON audit.tiles FOR EACH ROW WHEN (false) EXECUTE FUNCTION audit.refuse_change()",
        "comes between",
    ),
    (
        "CREATE OR REPLACE TRIGGER refuse_row BEFORE UPDATE ON audit.tiles FOR EACH ROW EXECUTE FUNCTION audit.refuse_change()",
        "comes between",
    ),
    (
        "CREATE TRIGGER other BEFORE INSERT ON audit.events FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "comes between",
    ),
    ("CREATE TABLE public.below () INHERITS (audit.tiles)", "must stay a table of its own"),
    ("CREATE TABLE public.above (hashes bytea NOT NULL); ALTER TABLE audit.tiles INHERIT public.above", "must stay a table of its own"),
    ("DROP TABLE PARTED", "is of the audit log"),
    ("DROP TABLE audit.events CASCADE", "is of the audit log"),
    ("DROP TABLE audit.ids CASCADE", "is of the audit log"),
    ("DO $$ BEGIN EXECUTE 'DROP TABLE audit.ids CASCADE'; END $$", "is of the audit log"),
    ("SET session_replication_role = replica; DROP TABLE audit.ids CASCADE", "is of the audit log"),
    ("DROP VIEW audit.audit_events", "is of the audit log"),
    ("DROP SCHEMA audit CASCADE", "is the audit log"),
    ("DROP OWNED BY CURRENT_USER CASCADE", "among what the role owns"),
    ("DROP FUNCTION audit.refuse_weakening() CASCADE", "it guards the audit log"),
    ("DROP FUNCTION audit.make_partitions(timestamptz, int)", "is of the audit log"),
    (
        "CREATE OR REPLACE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "only made and replaced by installing",
    ),
    ("ALTER FUNCTION audit.refuse_change() OWNER TO audit_reader", "only made and replaced by installing"),
    ("ALTER VIEW audit.audit_events SET (security_invoker = false)", "only made and replaced by installing"),
    ("CREATE FUNCTION audit.inbox_seal() RETURNS text LANGUAGE sql AS 'SELECT NULL::text'", "only made and replaced by installing"),
    ("CREATE VIEW audit.more AS SELECT 1", "only made and replaced by installing"),
];

#[test]
fn a_superuser_does_not_take_the_defence_down_by_a_statement() {
    let database = Database::installed();
    fill(&database);
    let part = database.does("tests", "SELECT tableoid::regclass FROM audit.events").remove(0);
    for (statement, words) in REFUSED {
        database.refuses("tests", &statement.replace("PARTED", &part), words);
    }
    let bare = part.trim_start_matches("audit.");
    let by_path = format!("ALTER TABLE events DETACH PARTITION {bare} CONCURRENTLY");
    database.does("tests", &format!("ALTER ROLE tests IN DATABASE {} SET search_path = audit", database.0));
    database.refuses("tests", &by_path, "stay attached");
    assert_eq!(database.does("tests", "SELECT count(*) FROM audit.events"), ["1"]);
}

#[test]
fn what_only_maintains_goes_through() {
    let database = Database::installed();
    fill(&database);
    for statement in [
        "SELECT audit.make_partitions(now(), 14)",
        "CREATE INDEX more ON audit.events (tool)",
        "REINDEX INDEX audit.more",
        "DROP INDEX audit.more",
        "ANALYZE audit.events",
        "VACUUM FULL audit.tiles",
        "CLUSTER audit.tiles USING tiles_pkey",
        "ALTER TABLE audit.tiles SET (autovacuum_enabled = true)",
        "ALTER TABLE audit.events ALTER entry SET STATISTICS 100",
        "COMMENT ON TABLE audit.events IS 'kept'",
        "CREATE OR REPLACE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON audit.tiles FOR EACH ROW EXECUTE FUNCTION audit.refuse_change(); \
         ALTER TABLE audit.tiles ENABLE ALWAYS TRIGGER refuse_row",
    ] {
        database.does("tests", statement);
    }
    database.refuses("tests", "DELETE FROM audit.tiles", "rows are never deleted");
}

/// Somebody with no right to the schema works in the same database, and is not in anybody's way.
#[test]
fn what_others_do_in_the_database_is_theirs() {
    let database = Database::installed();
    let other = role("other", "");
    database.does("tests", &format!("GRANT CREATE ON SCHEMA public TO {other}"));
    for statement in [
        "CREATE TABLE public.events (id int PRIMARY KEY, at date) PARTITION BY RANGE (id)",
        "CREATE TABLE public.events_1 PARTITION OF public.events FOR VALUES FROM (0) TO (9)",
        "ALTER TABLE public.events DETACH PARTITION public.events_1 CONCURRENTLY",
        "ALTER TABLE public.events_1 ADD COLUMN more double precision DEFAULT random()",
        "CREATE TABLE public.tiles (hashes bytea); CREATE TABLE public.below () INHERITS (public.tiles)",
        "CREATE FUNCTION public.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER refuse_row BEFORE INSERT ON public.tiles FOR EACH ROW EXECUTE FUNCTION public.refuse_change()",
        "ALTER TABLE public.tiles DISABLE TRIGGER refuse_row; ALTER TABLE public.tiles SET UNLOGGED",
        "CREATE POLICY mine ON public.tiles USING (true); ALTER TABLE public.tiles ENABLE ROW LEVEL SECURITY",
        "CREATE VIEW public.audit_events AS SELECT 1 AS a; CREATE TEMP TABLE t AS SELECT 1 AS a; DROP TABLE t",
        "DROP TRIGGER refuse_row ON public.tiles; DROP FUNCTION public.refuse_change(); DROP VIEW public.audit_events",
        "DROP TABLE public.below, public.tiles, public.events, public.events_1",
    ] {
        database.does(&other, statement);
    }
}

/// Said in the documentation, and true: the proofs are what is left then.
#[test]
fn a_superuser_who_means_it_removes_everything() {
    let database = Database::installed();
    fill(&database);
    database.does(
        "tests",
        "ALTER EVENT TRIGGER indelible_refuse_weakening DISABLE; ALTER TABLE audit.events DISABLE TRIGGER ALL; DELETE FROM audit.events;",
    );
    assert_eq!(database.does("tests", "SELECT count(*) FROM audit.events"), ["0"]);
    database.does("tests", &event(1, "00000000-0000-0000-0000-00000000000a", "bob", "{}"));
}
