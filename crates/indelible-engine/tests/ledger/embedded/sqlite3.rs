//! A shell on `ledger.db` with the triggers in place: sqlite3 can look, and do nothing else, and what it does when it is closed takes nothing
//! from a running ledger.

use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::sync::Arc;

use indelible_engine::append::AppendError;
use indelible_engine::faults::When;
use indelible_engine::resource::{Once, kind};

use crate::bench::{Bench, event, wait};
use crate::faults::OneCommit;

fn sqlite3(bench: &Bench, sql: &str) -> (bool, String) {
    let output = Command::new("sqlite3").arg(bench.data().join("ledger.db")).arg(sql).output().expect("sqlite3 is installed");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// What somebody with a shell may try on each table.
const ATTACKS: &[&str] = &[
    "update events set entry = '{}' where sequence = 1",
    "update events set row_hash = zeroblob(32)",
    "delete from events where sequence = 1",
    "delete from events",
    "insert into events select max(row)+1, 3, 999, id, submission_key_id, submission_mac, retry_mac, prev_hash, row_hash, entry from events",
    "insert or replace into events select row, project, sequence, id, submission_key_id, submission_mac, retry_mac, prev_hash, row_hash, '{}' from events where row = 2",
    "replace into events select row, project, sequence, id, submission_key_id, submission_mac, retry_mac, prev_hash, row_hash, '{}' from events where row = 2",
    "insert or ignore into events select max(row)+1, 3, 999, id, 1, submission_mac, retry_mac, prev_hash, row_hash, entry from events",
    "update contents set stored = x'00'",
    "delete from contents",
    "insert or replace into contents select row, x'00' from contents",
    "update tiles set hashes = zeroblob(8192)",
    "delete from tiles",
    "insert or replace into tiles select project, level, position, zeroblob(8192) from tiles",
    "update wraps set wrap = zeroblob(40)",
    "delete from wraps",
    "insert or replace into wraps select row, data_key_id, zeroblob(40) from wraps",
    "insert or replace into heads select project, size, zeroblob(32), tree_root, hmac_key_id, mac, compact_range, recorded_at, last_row from heads",
    "update heads set size = 1",
    "delete from heads",
    "insert into cosignatures values (1, 'w', 'x', 0)",
    "insert into resources select project_id, type, 'another', version, body from resources where type = 'api_key' limit 1",
    "insert or replace into resources select project_id, type, id, version, '{}' from resources",
    "update resources set body = '{}'",
    "delete from resources",
    "insert into anchors select project, number + 1, tree_size, last_row, anchor, note, checkpoint from anchors",
    "insert or replace into anchors select project, number, tree_size, last_row, '{}', note, checkpoint from anchors",
    "update anchors set note = ''",
    "delete from anchors",
    "insert into instance_leaves select position + 100, project, number + 1, leaf from instance_leaves",
    "insert or replace into instance_leaves select position, project, number, '{}' from instance_leaves",
    "update instance_leaves set leaf = '{}'",
    "delete from instance_leaves",
    "insert into instance_tiles values (0, 0, zeroblob(8192))",
    "insert or replace into instance_edge select level, zeroblob(32) from instance_edge",
    "update instance_edge set hashes = zeroblob(32)",
    "delete from instance_edge",
    "insert into instance_checkpoints values (1000, '')",
    "insert or replace into instance_checkpoints select size, '' from instance_checkpoints",
    "update instance_checkpoints set checkpoint = ''",
    "delete from instance_checkpoints",
    "insert into signing_keys values (2, zeroblob(32), 0)",
    "insert or replace into signing_keys select id, zeroblob(32), since from signing_keys",
    "update signing_keys set public_key = zeroblob(32)",
    "delete from signing_keys",
    "insert into retired_signing_keys values (1, 0)",
    "insert or replace into retired_signing_keys select id, 0 from signing_keys",
    "insert into partial_tiles values (9, 0, zeroblob(32))",
    "insert or replace into partial_tiles select project, level, zeroblob(32) from partial_tiles",
    "update partial_tiles set hashes = zeroblob(32)",
    "delete from partial_tiles",
    "insert into ledgers values (9, '00000000-0000-0000-0000-000000000009', '')",
    "insert or replace into ledgers select project, project_id, '' from ledgers",
    "update ledgers set organization_id = ''",
    "delete from ledgers",
    "insert into data_keys values (9, '', zeroblob(40), 0)",
    "insert or replace into data_keys select id, organization_id, zeroblob(40), created_at from data_keys",
    "update data_keys set wrapped = zeroblob(40)",
    "delete from data_keys",
    "insert into ring_keys values (9, 0)",
    "insert or replace into ring_keys select id, 0 from ring_keys",
    "update ring_keys set since = 0",
    "delete from ring_keys",
    "insert into instance values ('another', 'x')",
    "insert or replace into instance select key, 'x' from instance",
    "update instance set value = 'x'",
    "delete from instance",
    "insert into answers values (zeroblob(16), zeroblob(32), zeroblob(32), 'halt', zeroblob(16), 0)",
    "insert or replace into answers select caller, key, zeroblob(32), type, id, answered_at from answers",
    "update answers set request = zeroblob(32)",
    "delete from answers",
    "insert into stream_cursors values (zeroblob(16), zeroblob(16), 1, 0, null, null)",
    "insert or replace into stream_cursors select stream, lane, project, 0, null, null from stream_cursors",
    "update stream_cursors set next_sequence = 1000",
    "delete from stream_cursors",
    "insert into webhook_deliveries values (zeroblob(16), zeroblob(16), zeroblob(16), 1, '', 0, 0, 1, 'dead', 1, 0, 0, 0, 0, 0, '', '')",
    "update webhook_deliveries set state = 'delivered'",
    "delete from webhook_deliveries",
    "insert into api_key_uses values (zeroblob(16), 0)",
    "insert or replace into api_key_uses select id, 0 from api_key_uses",
    "update api_key_uses set used_at = 0",
    "delete from api_key_uses",
];

#[test]
fn anyone_can_look_and_nobody_can_write() {
    let bench = Bench::new();
    let events: Vec<_> = (0..300).map(|n| event(n, "said")).collect();
    bench.append(&events).unwrap();
    wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed");
    let (halts, once) = (kind("halt").expect("a kind"), Once::new("once", String::new()).expect("a key"));
    wait(bench.ledger.create_resource(&bench.admin(), halts, None, halts.example, Some(&once))).expect("made");
    let (fine, text) = sqlite3(&bench, "select anchor, checkpoint from anchors where project = 3");
    assert!(fine && text.contains(r#""event_count":"#), "{text}");
    let (fine, text) = sqlite3(&bench, "select sequence, entry, hex(prev_hash), hex(row_hash) from events order by row desc limit 1");
    assert!(fine && text.contains(r#""action":"halt.issue""#), "{text}");
    for attack in ATTACKS {
        let (fine, text) = sqlite3(&bench, attack);
        // The triggers say so, or call a function that no shell has; a slip of the pen in an attack is refused with other words.
        let refused = text.contains("are never ") || text.contains("no such function: indelible_");
        assert!(!fine && refused, "{attack}: {text}");
    }
    let (_, tables) = sqlite3(&bench, "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'");
    // Of tables without rows nothing can be changed or deleted: their triggers are there all the same.
    let without_rows = ["cosignatures", "instance_tiles", "retired_signing_keys"];
    for table in tables.lines() {
        let (_, triggers) = sqlite3(&bench, &format!("select count(*) from sqlite_schema where type = 'trigger' and tbl_name = '{table}'"));
        assert_eq!(triggers.trim(), "3", "{table}");
        let verbs: &[&str] = if without_rows.contains(&table) { &["insert"] } else { &["insert", "update", "delete"] };
        for verb in verbs {
            let attacked = ATTACKS.iter().any(|attack| attack.starts_with(verb) && attack.split([' ', ';']).any(|word| word == table));
            assert!(attacked, "no attack tries to {verb} {table}");
        }
    }
    bench.verify();
    bench.append(&[event(1_000, "goes on")]).expect("the ledger goes on");
}

/// Whoever closes a database last empties its write-ahead log and removes it: to be taken for the last while a server writes would cost
/// what is acknowledged after that.
#[test]
fn whoever_looks_leaves_the_log_of_a_running_ledger_where_it_is() {
    let fault = OneCommit::new(When::After);
    let bench = Bench::with(|options| options.faults = Some(Arc::<OneCommit>::clone(&fault)));
    let log = || std::fs::metadata(bench.data().join("ledger.db-wal")).expect("the write-ahead log is there").ino();
    for n in 0..3 {
        bench.append(&[event(n, "said")]).expect("appended");
        let before = log();
        let (fine, text) = sqlite3(&bench, "select count(*) from events");
        assert!(fine, "{text}");
        assert_eq!(log(), before, "after {n} COMMITs that failed");
        // The store is opened anew after that.
        fault.arm();
        bench.append(&[event(100 + n, "said")]).expect_err("its COMMIT failed");
    }
}

/// Whether it was refused, and only another try with the same id tells what became of it.
fn is_in_doubt(bench: &Bench, n: u64) -> bool {
    let answer = bench.append(&[event(n, "said")]);
    matches!(answer, Err(AppendError::Unavailable { outcome_unknown: true, .. }))
}

/// SQLite goes on with a log that has no name any more, and the next start would not find what is in it.
#[test]
fn a_log_that_was_removed_under_a_running_ledger_is_told_before_anything_in_it_is_acknowledged() {
    let bench = Bench::new();
    bench.append(&(0..50).map(|n| event(n, "said")).collect::<Vec<_>>()).expect("appended");
    std::fs::remove_file(bench.data().join("ledger.db-wal")).expect("removed");
    assert!(is_in_doubt(&bench, 100));
    // Not gone on with, whoever asks.
    assert!(bench.append(&[event(101, "said")]).is_err());
    assert!(bench.ledger.status().refusing.is_some());
    let bench = bench.reopen();
    assert!(
        bench
            .append(&(0..50).map(|n| event(n, "said")).collect::<Vec<_>>())
            .expect("all are there")
            .iter()
            .all(|receipt| receipt.duplicate)
    );
    bench.append(&[event(101, "said")]).expect("it goes on");
    bench.verify();
}

#[test]
fn a_ledger_that_was_moved_under_a_running_server_takes_nothing_more() {
    let bench = Bench::new();
    bench.append(&[event(0, "said")]).expect("appended");
    let (here, away) = (bench.data().join("ledger.db"), bench.data().join("moved.db"));
    std::fs::rename(&here, &away).expect("moved");
    assert!(is_in_doubt(&bench, 100) && bench.append(&[event(101, "said")]).is_err());
    assert!(!here.exists(), "no new one is made in its place");
    bench.ledger.clone().close();
    std::fs::rename(&away, &here).expect("put back");
    let bench = bench.reopen();
    assert!(bench.append(&[event(0, "said")]).expect("it is there")[0].duplicate);
    bench.verify();
}

#[test]
fn what_somebody_else_writes_is_looked_at_before_anything_is_built_on_it() {
    let bench = Bench::new();
    let older = bench.folder.path().join("older.db");
    bench.append(&[event(0, "said")]).expect("appended");
    assert!(sqlite3(&bench, &format!(".backup {}", older.display())).0);
    bench.append(&[event(1, "said")]).expect("appended");
    // What does no harm stops nothing.
    assert!(sqlite3(&bench, "CREATE TABLE theirs (a)").0);
    bench.append(&[event(2, "said")]).expect("it goes on");
    // A row that is passed over is none.
    assert!(sqlite3(&bench, "CREATE TRIGGER passes BEFORE INSERT ON contents BEGIN SELECT RAISE(IGNORE); END").0);
    assert!(is_in_doubt(&bench, 3) && is_in_doubt(&bench, 3));
    assert!(sqlite3(&bench, "DROP TRIGGER passes; DROP TABLE theirs").0);
    bench.append(&[event(3, "said")]).expect("it goes on");
    bench.verify();
    // An older state in the place of what was acknowledged, though nothing was written since the start.
    let bench = bench.reopen();
    assert!(sqlite3(&bench, &format!(".restore {}", older.display())).0);
    for n in 4..8 {
        assert!(bench.append(&[event(n, "said")]).is_err(), "{n}");
    }
    assert!(bench.ledger.status().refusing.is_some_and(|why| why.contains("not in the store any more")));
}

/// Somebody who reads an older state keeps a log from being copied; it is as soon as he is done.
#[test]
fn a_log_that_was_removed_is_saved_once_nobody_reads_an_older_state() {
    let bench = Bench::new();
    bench.append(&[event(0, "said")]).expect("appended");
    let reader = rusqlite::Connection::open(bench.data().join("ledger.db")).expect("opened");
    reader.execute_batch("BEGIN; SELECT count(*) FROM events").expect("read");
    bench.append(&(1..50).map(|n| event(n, "said")).collect::<Vec<_>>()).expect("appended");
    std::fs::remove_file(bench.data().join("ledger.db-wal")).expect("removed");
    assert!(is_in_doubt(&bench, 100));
    drop(reader);
    let bench = bench.reopen();
    assert!(
        bench
            .append(&(0..50).map(|n| event(n, "said")).collect::<Vec<_>>())
            .expect("all are there")
            .iter()
            .all(|receipt| receipt.duplicate)
    );
    bench.verify();
}

#[test]
fn a_ledger_may_lie_where_a_link_leads() {
    let bench = Bench::new();
    bench.append(&[event(0, "said")]).expect("appended");
    let Bench { folder, ledger, store, .. } = bench;
    ledger.close();
    let (here, elsewhere) = (folder.path().join("data/ledger.db"), folder.path().join("elsewhere.db"));
    std::fs::rename(&here, &elsewhere).expect("moved");
    // An empty log that closing left is none of a linked file.
    std::fs::remove_file(folder.path().join("data/ledger.db-wal")).ok();
    std::os::unix::fs::symlink(&elsewhere, &here).expect("linked");
    let bench = Bench::over(folder, store);
    bench.append(&[event(1, "said")]).expect("appended");
    assert!(bench.folder.path().join("elsewhere.db-wal").exists());
    bench.verify();
}
