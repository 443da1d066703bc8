//! Partitions: by month in UTC, made by any number of servers at once and under load, with all that a partition needs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::event;
use crate::server::{Database, role, wait};

const A: &str = "00000000-0000-0000-0000-00000000000a";
const NAMES: &str = "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'audit.events'::regclass ORDER BY 1::text";

#[test]
fn months_are_those_of_utc() {
    let database = Database::installed();
    for zone in ["Pacific/Kiritimati", "America/Los_Angeles", "UTC", "Europe/Berlin"] {
        let in_zone = format!("SET timezone = '{zone}'; SET datestyle = 'SQL, DMY'; ");
        for (at, names) in [
            ("2024-12-31 23:59:59.999999+00", vec!["events_2024_12", "events_2025_01"]),
            ("2025-01-01 00:00:00+00", vec!["events_2025_01", "events_2025_02"]),
            ("2024-02-29 12:00:00+14", vec!["events_2024_02", "events_2024_03"]),
        ] {
            let made = database.does("tests", &format!("{in_zone}BEGIN; SELECT * FROM audit.make_partitions('{at}', 1); ROLLBACK"));
            assert_eq!(made, names, "{zone}");
        }
    }
    database.does("tests", "SET timezone = 'Pacific/Kiritimati'; SELECT audit.make_partitions('2025-01-15 00:00:00+00', 0)");
    let bound = "SET timezone = 'UTC'; SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'events_2025_01'";
    assert_eq!(database.does("tests", bound), ["FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2025-02-01 00:00:00+00')"]);
    assert_eq!(database.does("tests", "SELECT * FROM audit.make_partitions('2025-01-31 23:59:59+00', 0)"), [""; 0], "it is there");
}

#[test]
fn a_clock_that_is_years_away_gets_its_partition() {
    let database = Database::installed();
    let insert = |at: &str| event(1, A, "alice", "{}").replacen("now()", &format!("'{at}'"), 1);
    for (at, month) in [("2061-07-01 00:00:00+00", "2061_07"), ("1999-12-31 23:59:59+00", "1999_12"), ("9999-12-31 23:59:59+00", "9999_12")]
    {
        database.refuses("tests", &insert(at), "no partition of relation \"events\" found");
        let made = database.does("tests", &format!("SELECT * FROM audit.make_partitions('{at}', 0)"));
        assert_eq!(made, [format!("events_{month}")]);
        database.does("tests", &insert(at));
        database.refuses("tests", &format!("DELETE FROM audit.events_{month}"), "rows are never deleted");
        database.refuses("tests", &format!("DELETE FROM audit.events_{month} WHERE false"), "rows are never deleted");
        database.refuses("tests", &format!("TRUNCATE audit.events_{month}"), "rows are never truncated");
    }
    assert_eq!(database.does("tests", "SELECT count(*) FROM audit.events"), ["3"]);
    for (at, ahead, words) in [
        ("NULL", "3", "takes a time"),
        ("now()", "-1", "0 to 1200 months"),
        ("now()", "1201", "0 to 1200 months"),
        ("'9999-12-01+00'", "1", "the years 1 to 9999"),
        ("'infinity'", "0", ""),
    ] {
        database.refuses("tests", &format!("SELECT audit.make_partitions({at}, {ahead})"), words);
    }
}

#[test]
fn a_table_in_the_place_of_a_partition_is_not_taken_for_one() {
    let (database, owner) = Database::installed_by_its_owner();
    let part = database.does("tests", NAMES).remove(0);
    database.does(&owner, &format!("ALTER TABLE audit.events DETACH PARTITION {part}"));
    database.refuses(&owner, "SELECT audit.make_partitions()", "is there and is no partition");
}

#[test]
fn everybody_makes_them_at_once() {
    let database = Database::installed();
    let mut made: Vec<String> = std::thread::scope(|scope| {
        let makers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| database.does("tests", "SELECT * FROM audit.make_partitions(now(), 40)"))).collect();
        makers.into_iter().flat_map(|maker| maker.join().expect("makes")).collect()
    });
    made.sort();
    let count = made.len();
    made.dedup();
    assert_eq!((made.len(), count), (37, 37), "each is made once; four were there");
    assert_eq!(database.does("tests", NAMES).len(), 41);
}

/// Writers and readers of audit.events go on while partitions are made: an old reader would hold up a lock that excludes everybody, and
/// everybody behind it.
#[test]
fn nobody_waits_for_a_partition_to_be_made() {
    let database = Database::installed();
    let (done, rows) = (AtomicBool::new(false), AtomicU64::new(10));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            wait(async {
                let client = database.connect("tests").await;
                client.batch_execute("BEGIN; SELECT count(*) FROM audit.events").await.expect("reads");
                while !done.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        });
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    wait(async {
                        let client = database.connect("tests").await;
                        client.batch_execute("SET lock_timeout = '2s'").await.expect("set");
                        while !done.load(Ordering::Relaxed) {
                            client
                                .batch_execute(&event(rows.fetch_add(1, Ordering::Relaxed) as i64, A, "alice", "{}"))
                                .await
                                .expect("written");
                        }
                    });
                })
            })
            .collect();
        let make = |ahead| database.says("tests", &format!("SET lock_timeout = '2s'; SELECT audit.make_partitions(now(), {ahead})"));
        let refused = (4..34).map(make).find(Result::is_err);
        done.store(true, Ordering::Relaxed);
        assert!(refused.is_none(), "{refused:?}");
        reader.join().expect("read");
        for writer in writers {
            writer.join().expect("wrote");
        }
    });
    assert_eq!(database.does("tests", NAMES).len(), 34);
    let written = rows.load(Ordering::Relaxed) - 10;
    assert!(written > 30, "{written}");
    assert_eq!(database.does("tests", "SELECT count(*) FROM audit.events"), [written.to_string()]);
}

/// A role that may act for the owner makes partitions which are the owner's.
#[test]
fn a_partition_belongs_to_whoever_has_the_table() {
    let (database, owner) = Database::installed_by_its_owner();
    let deputy = role("deputy", "");
    database.does("tests", &format!("GRANT {owner} TO {deputy}"));
    let made = database.does(&deputy, "SELECT * FROM audit.make_partitions('2040-01-01+00', 0)");
    assert_eq!(made, ["events_2040_01"]);
    let sql = "SELECT pg_get_userbyid(relowner), array_to_string(relacl, ' ') LIKE '%audit_server=a/%' FROM pg_class WHERE relname = 'events_2040_01'";
    assert_eq!(database.does("tests", sql), [format!("{owner}|t")]);
    let indexes = "SELECT count(*) FROM pg_index WHERE indrelid = 'audit.events_2040_01'::regclass AND indisvalid";
    assert_eq!(database.does("tests", indexes), ["4"]);
    let enabled = "SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'audit.events_2040_01'::regclass ORDER BY 1";
    assert_eq!(database.does("tests", enabled), ["refuse_row|A", "refuse_statement|A"]);
}
