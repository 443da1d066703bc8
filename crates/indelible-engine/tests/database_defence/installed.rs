//! Installing: once, by any number of servers at once, forward only, by a superuser and by a plain role.

use indelible_engine::database::install::{InstallError, Installed, VERSION, install, install_up_to, version};

use crate::event;
use crate::server::{Database, role, wait};

/// Everything in the schema, as the system's tables have it: what two ways of installing must agree on.
const EVERYTHING: &str = "
SELECT concat_ws(' ', relname, relkind, relrowsecurity, relpersistence, array_to_string(reloptions, ','), array_to_string(relacl, ',')) FROM pg_class WHERE relnamespace = 'audit'::regnamespace
UNION ALL SELECT concat_ws(' ', attrelid::regclass, attname, atttypid::regtype, attnotnull, attstorage, attacl) FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'audit'::regnamespace AND attnum > 0 AND NOT attisdropped
UNION ALL SELECT concat_ws(' ', oid::regprocedure, md5(prosrc), prosecdef, array_to_string(proconfig, ','), array_to_string(proacl, ',')) FROM pg_proc WHERE pronamespace = 'audit'::regnamespace
UNION ALL SELECT concat_ws(' ', tgrelid::regclass, tgname, tgenabled, tgtype) FROM pg_trigger WHERE tgrelid::regclass::text LIKE 'audit.%'
UNION ALL SELECT concat_ws(' ', polrelid::regclass, polname, pg_get_expr(polqual, polrelid)) FROM pg_policy
UNION ALL SELECT concat_ws(' ', evtname, evtenabled, evttags) FROM pg_event_trigger
UNION ALL SELECT pg_get_viewdef('audit.audit_events'::regclass)
UNION ALL SELECT version || name FROM audit.migrations
ORDER BY 1";

#[test]
fn what_is_installed_is_installed_once() {
    let database = Database::empty("tests");
    wait(async {
        assert_eq!(version(&mut database.connect("tests").await).await.expect("reads"), 0);
    });
    assert_eq!(database.install_as("tests"), Installed { before: 0, now: VERSION, event_triggers: true });
    let first = database.does("tests", EVERYTHING);
    assert_eq!(database.install_as("tests"), Installed { before: VERSION, now: VERSION, event_triggers: true });
    assert_eq!(database.does("tests", EVERYTHING), first);
    wait(async {
        assert_eq!(version(&mut database.connect("tests").await).await.expect("reads"), VERSION);
    });
}

#[test]
fn servers_that_start_at_once_install_once() {
    let (one, other) = (Database::empty("tests"), Database::empty("tests"));
    let mut before: Vec<i32> = std::thread::scope(|scope| {
        let installers: Vec<_> = [&one, &other].repeat(4).into_iter().map(|at| scope.spawn(|| at.install_as("tests").before)).collect();
        installers.into_iter().map(|installer| installer.join().expect("installs")).collect()
    });
    before.sort_unstable();
    assert_eq!(before, [0, 0, VERSION, VERSION, VERSION, VERSION, VERSION, VERSION]);
    assert_eq!(one.does("tests", "SELECT count(*) FROM audit.migrations"), [VERSION.to_string()]);
}

/// From each version that was released the same comes as from nothing, with what was written kept.
#[test]
fn every_released_version_is_brought_forward() {
    let whole = Database::installed().does("tests", EVERYTHING);
    for from in 0..=VERSION {
        let database = Database::empty("tests");
        let there = wait(async { install_up_to(&mut database.connect("tests").await, from).await });
        assert_eq!(there.expect("installs").now, from);
        if from > 0 {
            database.does("tests", &event(1, "00000000-0000-0000-0000-00000000000a", "alice", "{}"));
        }
        assert_eq!(database.install_as("tests").before, from);
        assert_eq!(database.does("tests", EVERYTHING), whole);
        assert_eq!(database.does("tests", "SELECT count(*) FROM audit.events"), [i32::from(from > 0).to_string()]);
    }
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let database = Database::installed();
    database.does("tests", &format!("INSERT INTO audit.migrations (version, name) VALUES ({}, 'later')", VERSION + 1));
    let before = database.does("tests", EVERYTHING);
    let refused = wait(async { install(&mut database.connect("tests").await).await });
    assert!(matches!(refused, Err(InstallError::Newer { found }) if found == VERSION + 1), "{refused:?}");
    assert_eq!(database.does("tests", EVERYTHING), before);
}

#[test]
fn a_plain_role_installs_without_event_triggers_and_a_superuser_adds_them() {
    let (database, owner) = Database::installed_by_its_owner();
    let functions = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'refuse_%' AND pronamespace = 'audit'::regnamespace";
    assert_eq!(database.does("tests", "SELECT count(*) FROM pg_event_trigger"), ["0"]);
    assert_eq!(database.does("tests", functions), ["1"], "what a superuser would run must not be the owner's");
    assert_eq!(database.install_as("tests"), Installed { before: VERSION, now: VERSION, event_triggers: true });
    assert_eq!(database.does("tests", "SELECT count(*) FROM pg_event_trigger WHERE evtenabled = 'A'"), ["4"]);
    let owners = "SELECT DISTINCT pg_get_userbyid(proowner) FROM pg_proc JOIN pg_event_trigger ON evtfoid = pg_proc.oid";
    assert_eq!(database.does("tests", owners), ["tests"]);
    database.refuses(&owner, "ALTER TABLE audit.tiles DISABLE TRIGGER ALL", "must stay ENABLE ALWAYS");
    database.does(&owner, "SELECT audit.make_partitions('2050-01-01+00')");
    // A server that starts as the owner finds all of it.
    assert_eq!(database.install_as(&owner), Installed { before: VERSION, now: VERSION, event_triggers: true });
}

#[test]
fn whoever_may_not_make_tables_installs_nothing() {
    let database = Database::empty("tests");
    let plain = role("plain", "");
    let refused = wait(async { install(&mut database.connect(&plain).await).await });
    assert!(refused.as_ref().is_err_and(|error| error.to_string().contains("permission denied for database")), "{refused:?}");
    assert_eq!(database.does("tests", "SELECT count(*) FROM pg_namespace WHERE nspname = 'audit'"), ["0"]);
}
