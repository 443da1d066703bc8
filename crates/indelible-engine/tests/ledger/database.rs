//! The checkpoint store in a PostgreSQL database: what is sealed verifies against it, an older copy is told, and a database that is away
//! stops no append.

use indelible_core::verify::Verdict;
use indelible_engine::anchor::SealingFailure;

use crate::bench::{Bench, copy, event, verify, wait};
use crate::postgres;

fn seal(bench: &Bench) -> Option<SealingFailure> {
    wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("recorded").failing
}

#[test]
fn a_ledger_is_sealed_beside_a_database_and_an_older_copy_is_told() {
    let bench = Bench::with(|options| options.checkpoints = postgres::database());
    bench.append(&[event(0, "first")]).expect("room");
    assert_eq!(seal(&bench), None);
    bench.verify();
    let Bench { folder, ledger, store, .. } = bench;
    ledger.close();
    let older = tempfile::tempdir().expect("a folder");
    copy(folder.path(), older.path());
    let bench = Bench::over(folder, store);
    bench.append(&[event(1, "second")]).expect("room");
    assert_eq!(seal(&bench), None);
    bench.verify();
    let reports = verify(older.path(), &bench.store);
    let report = reports.iter().find(|report| report.project_id == bench.ledger.default_project_id()).expect("a report");
    assert_eq!(report.verdict, Verdict::RolledBack, "{report:?}");
}

#[test]
fn a_database_that_is_away_stops_no_append() {
    let (mut server, folder) = postgres::start(&[]);
    let store = postgres::at(&folder, "postgres");
    let bench = Bench::with(|options| options.checkpoints = store);
    bench.append(&[event(0, "first")]).expect("room");
    assert_eq!(seal(&bench), None);
    drop(server.stdin.take());
    server.wait().expect("it ends");
    bench.append(&[event(1, "second")]).expect("appends go on");
    assert_eq!(seal(&bench), Some(SealingFailure::CheckpointStore));
    bench.append(&[event(2, "third")]).expect("appends go on");
}

/// A tree that does not grow, in a store that is read when it is opened.
#[test]
fn what_was_put_right_in_a_database_is_refused_no_more() {
    let (mut server, folder) = postgres::start(&[]);
    let store = postgres::at(&folder, "postgres");
    let bench = Bench::with(|options| options.checkpoints = store);
    assert_eq!(seal(&bench), None);
    let change = |checkpoint: &str| {
        let origin = format!("{}/{}", bench.ledger.instance_name(), bench.ledger.system_project_id());
        format!("UPDATE indelible_checkpoints SET checkpoint = {checkpoint} WHERE origin = '{origin}'")
    };
    let (spoil, mend) = (change("'x' || checkpoint"), change("substr(checkpoint, 2)"));
    postgres::say(&folder, "postgres", &spoil);
    let bench = bench.reopen();
    let refused = || {
        assert_eq!(seal(&bench), None);
        bench.ledger.status().sealing.refused
    };
    assert_eq!([refused(), refused()], [1, 1]);
    postgres::say(&folder, "postgres", &mend);
    assert_eq!(refused(), 0);
    bench.verify();
    drop(bench);
    drop(server.stdin.take());
    server.wait().expect("it ends");
}
