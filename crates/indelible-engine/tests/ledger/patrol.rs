//! Verification in the background: what somebody does to the rows of a running ledger is found and told once, nothing is found where
//! nothing is, and it is in nobody's way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indelible_core::hex;
use indelible_engine::Ledger;
use indelible_engine::append::AppendError;
use indelible_engine::patrol::{PatrolOptions, PatrolStatus};
use indelible_engine::query::Search;
use indelible_engine::query::status::LedgerStatus;
use indelible_engine::resource::Project;
use serde_json::Value;

use crate::bench::{Bench, event, wait};

pub(crate) const EAGER: PatrolOptions =
    PatrolOptions { first_after: Duration::from_millis(20), interval: Duration::from_millis(50), share_percent: 100 };

fn bench(patrol: PatrolOptions) -> Bench {
    Bench::with(|options| options.patrol = Some(patrol))
}

/// Closes it and opens it again, with its patrol.
fn reopen(bench: Bench, patrol: PatrolOptions) -> Bench {
    let Bench { folder, ledger, store, .. } = bench;
    ledger.close();
    let mut options = crate::bench::options(folder.path());
    options.patrol = Some(patrol);
    Bench { ledger: Ledger::open(options).expect("it opens again").ledger, folder, first: None, store }
}

pub(crate) fn status(bench: &Bench) -> PatrolStatus {
    bench.ledger.status().patrol.expect("there is a patrol")
}

fn until(bench: &Bench, what: &str, holds: impl Fn(&PatrolStatus) -> bool) -> PatrolStatus {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let status = status(bench);
        if holds(&status) {
            return status;
        }
        assert!(Instant::now() < end, "{what}: {status:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Two rounds that begin after this call come to their end.
fn rounds(bench: &Bench) -> PatrolStatus {
    let done = status(bench).rounds_total;
    until(bench, "rounds", |status| status.rounds_total >= done + 3)
}

/// The default project's events of an action, newest first.
fn told(bench: &Bench, action: &str) -> Vec<Value> {
    told_in(bench, &bench.project(), action)
}

fn told_in(bench: &Bench, project: &Project, action: &str) -> Vec<Value> {
    let search = Search { filter: Some(format!("action eq \"{action}\"")), ..Search::default() };
    let page = wait(bench.ledger.search(&bench.instance(), project, search)).expect("a page");
    page.records.iter().map(|record| serde_json::from_slice(record).expect("JSON")).collect()
}

/// Findings that were told in any chain.
fn told_anywhere(bench: &Bench) -> Vec<Value> {
    bench.projects().iter().flat_map(|project| told_in(bench, project, "integrity.finding")).collect()
}

fn ledger_status(bench: &Bench) -> LedgerStatus {
    wait(bench.ledger.ledger_status(&bench.admin(), None)).expect("a status")
}

/// A content of which a byte was changed, as it was.
struct Spoiled(Vec<u8>);

impl Spoiled {
    fn spoil(bench: &Bench) -> Self {
        let whose = "SELECT row FROM events WHERE sequence = 100 AND project = 3";
        let stored = bench.shell().value(&format!("SELECT stored FROM contents WHERE row = ({whose})"));
        let stored = hex::decode(&stored).expect("hex");
        let mut other = stored.clone();
        other[0] ^= 1;
        write(bench, &other);
        Self(stored)
    }

    fn put_back(&self, bench: &Bench) {
        write(bench, &self.0);
    }
}

fn write(bench: &Bench, stored: &[u8]) {
    let shell = bench.shell();
    let whose = "SELECT row FROM events WHERE sequence = 100 AND project = 3";
    assert_eq!(shell.force(&format!("UPDATE contents SET stored = {} WHERE row = ({whose})", shell.bytes(stored))), 1);
}

#[test]
fn a_changed_byte_is_found_told_once_and_cleared() {
    let bench = bench(EAGER);
    // Far enough from the end that a start does not look at it.
    bench.append(&(0..3_000).map(|n| event(n, "one")).collect::<Vec<_>>()).expect("appended");
    wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed");
    assert_eq!(rounds(&bench).findings, 0);
    // A round is a complete verification, and leaves its note; one that finds something leaves none.
    let note = bench.store.folder().expect("a folder").join(format!("{}.verified", bench.ledger.instance_name()));
    assert!(note.exists());
    let spoiled = Spoiled::spoil(&bench);
    until(&bench, "found", |status| status.findings == 1 && !status.failing);
    assert_eq!(rounds(&bench).findings, 1);
    std::fs::remove_file(&note).expect("removed");
    rounds(&bench);
    assert!(!note.exists());
    let findings = told(&bench, "integrity.finding");
    assert_eq!(findings.len(), 1, "not again in each round: {findings:?}");
    let finding = &findings[0];
    assert_eq!((&finding["resource"]["type"], &finding["resource"]["id"]), (&Value::from("sequence"), &Value::from("100")));
    assert_eq!((&finding["outcome"], &finding["context"]["verdict"]), (&Value::from("error"), &Value::from("altered")));
    assert_eq!(finding["reason"], "the content was changed");
    let shown = ledger_status(&bench);
    let found = shown.projects[0].verification.as_ref().expect("a round came to its end");
    assert_eq!((found.verdict.as_str(), found.findings_total, found.findings[0].sequence), ("altered", 1, Some(100)));

    // After a restart it is known before the first round, and not told again.
    let bench = reopen(bench, PatrolOptions { first_after: Duration::from_hours(1), ..EAGER });
    let recalled = until(&bench, "recalled", |status| status.findings == 1);
    assert_eq!(recalled.rounds_total, 0);
    let bench = reopen(bench, EAGER);
    assert_eq!(rounds(&bench).findings, 1);
    assert_eq!(told(&bench, "integrity.finding").len(), 1);

    // Put back, it clears; found once more, it is told once more.
    spoiled.put_back(&bench);
    until(&bench, "cleared", |status| status.findings == 0 && !status.failing);
    rounds(&bench);
    let cleared = told(&bench, "integrity.clear");
    assert_eq!(cleared.len(), 1);
    assert_eq!(cleared[0]["context"]["fingerprint"], finding["context"]["fingerprint"]);
    bench.verify();
    Spoiled::spoil(&bench);
    until(&bench, "found again", |status| status.findings == 1);
    rounds(&bench);
    assert_eq!((told(&bench, "integrity.finding").len(), told(&bench, "integrity.clear").len()), (2, 1));
    spoiled.put_back(&bench);
    until(&bench, "cleared again", |status| status.findings == 0);
}

#[test]
fn what_is_of_no_project_is_told_by_the_instance() {
    let bench = bench(EAGER);
    wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed");
    rounds(&bench);
    bench.shell().force("UPDATE instance_checkpoints SET checkpoint = checkpoint || 'x'");
    until(&bench, "found", |status| status.findings > 0 && !status.failing);
    rounds(&bench);
    assert!(told(&bench, "integrity.finding").is_empty());
    assert!(told_anywhere(&bench).iter().all(|event| event["project_id"] == bench.ledger.system_project_id().to_string()));
    assert!(!told_anywhere(&bench).is_empty());
    let shown = wait(bench.ledger.ledger_status(&bench.instance(), None)).expect("a status");
    let system = shown.projects.iter().find(|project| project.project_id == bench.ledger.system_project_id()).expect("the system project");
    assert_eq!(system.verification.as_ref().map(|found| found.findings_total), Some(status(&bench).findings));
}

/// Three writers and a sealer at work, and rounds at full speed.
#[test]
fn beside_a_ledger_at_work_nothing_is_found() {
    let bench = Bench::with(|options| {
        options.patrol = Some(PatrolOptions { interval: Duration::from_millis(1), ..EAGER });
        options.anchor_interval = Duration::from_millis(15);
    });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (bench, done) = (&bench, &done);
            scope.spawn(move || {
                for n in (0_u64..).take_while(|_| !done.load(Ordering::SeqCst)) {
                    let first = writer * 100_000_000 + n * 40;
                    let events: Vec<_> = (first..first + 40).map(|n| event(n, "load")).collect();
                    // On a slow machine an index that is built anew may be too far behind to tell a retry.
                    while let Err(error) = bench.append(&events) {
                        assert!(matches!(error, AppendError::Unavailable { outcome_unknown: false, .. }), "{error}");
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
            });
        }
        let end = Instant::now() + Duration::from_secs(4);
        while Instant::now() < end {
            bench.ledger.rebuild_index(&mut |_, _| {}).expect("built anew");
            std::thread::sleep(Duration::from_millis(700));
        }
        done.store(true, Ordering::SeqCst);
    });
    let status = until(&bench, "rounds", |status| status.rounds_total > 5);
    assert_eq!((status.findings, status.failing), (0, false));
    assert_eq!(told_anywhere(&bench), [Value::Null; 0]);
    bench.verify();
}

#[test]
fn closing_ends_a_round_at_once_and_the_next_start_begins_one_anew() {
    let slow = PatrolOptions { first_after: Duration::ZERO, share_percent: 1, ..EAGER };
    let bench = bench(PatrolOptions { first_after: Duration::from_hours(1), ..EAGER });
    for n in 0..10 {
        bench.append(&(n * 3_000..(n + 1) * 3_000).map(|n| event(n, "one")).collect::<Vec<_>>()).expect("appended");
    }
    let bench = reopen(bench, slow);
    let instance = bench.instance();
    let running = || wait(bench.ledger.ledger_status(&instance, None)).expect("a status").instance.expect("the instance").running;
    let end = Instant::now() + Duration::from_secs(30);
    while running().is_none_or(|(_, rows, total)| rows == 0 || rows == total) {
        assert!(Instant::now() < end, "no round began");
        std::thread::sleep(Duration::from_millis(2));
    }
    let began = Instant::now();
    let bench = reopen(bench, EAGER);
    // What is left of the round takes minutes.
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
    assert_eq!(rounds(&bench).findings, 0);
}

#[test]
fn a_data_key_that_was_deleted_is_found_though_the_server_holds_it() {
    let bench = bench(EAGER);
    bench.append(&(0..10).map(|n| event(n, "one")).collect::<Vec<_>>()).expect("appended");
    assert_eq!(rounds(&bench).findings, 0);
    let shell = bench.shell();
    let id = shell.number("SELECT max(id) FROM data_keys");
    let change = format!(
        "CREATE TABLE kept AS SELECT * FROM data_keys WHERE id = {id}; DELETE FROM data_keys WHERE id = (SELECT max(id) FROM kept)"
    );
    assert_eq!(shell.force(&change), 1);
    until(&bench, "found", |status| status.findings == 1);
    // A round is counted when it ends, and told after that.
    rounds(&bench);
    let findings = told_anywhere(&bench);
    assert!(findings[0]["reason"].as_str().is_some_and(|reason| reason.starts_with(&format!("data key {id} is gone"))), "{findings:?}");
    assert_eq!(shell.force("INSERT INTO data_keys SELECT * FROM kept"), 1);
    until(&bench, "put back", |status| status.findings == 0);
}
