//! Verification by several threads: the same is found as by one, and it can be stopped.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indelible_core::verify::{Report, Verdict};
use rusqlite::Connection;

use super::super::VerifyError;
use super::super::walk::{Ground, Keys, walk};
use super::{copy, keys, template_of, verify_by};
use crate::index::fixture::project_id;
use crate::index::open_reader;
use crate::store::sql;

/// Rows of many batches, and something wrong in each: the same is found, by the same words in the same order, however many hash.
#[test]
fn findings_do_not_depend_on_how_many_threads_hash() {
    let whole = template_of(13_000);
    let folder = copy(whole.path());
    let db = Connection::open(folder.path().join("ledger.db")).expect("open");
    for sql in [
        "UPDATE events SET entry = replace(entry, 'actor-', 'nobody-') WHERE row % 1500 = 1",
        "UPDATE events SET prev_hash = zeroblob(32) WHERE row % 1500 = 300",
        "UPDATE events SET row_hash = zeroblob(31) WHERE row % 1500 = 500",
        "UPDATE contents SET stored = zeroblob(length(stored)) WHERE row % 1500 = 600",
        "UPDATE wraps SET wrap = zeroblob(40) WHERE row % 1500 = 900",
        "UPDATE events SET project = 2 WHERE row = 7000",
        "UPDATE events SET project = 9 WHERE row BETWEEN 9000 AND 9003",
        "DELETE FROM events WHERE row % 1500 = 1200",
        "UPDATE events SET row = -row WHERE row IN (4100, 4101); UPDATE events SET row = 8201 + row WHERE row < 0",
        "UPDATE events SET id = (SELECT id FROM events WHERE row = 50) WHERE row = 12345",
        "UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND position = 20",
    ] {
        db.execute_batch(sql).expect(sql);
    }
    drop(db);
    for only in [None, Some(project_id(2))] {
        let alone = verify_by(folder.path(), only, 1).expect("verified");
        let kinds: BTreeSet<_> = alone.iter().flat_map(|report| &report.findings).map(|finding| finding.kind).collect();
        assert!(only.is_some() || (kinds.len() >= 3 && alone[0].findings_total >= 50), "{alone:?}");
        for workers in [2, 5] {
            let together = verify_by(folder.path(), only, workers).expect("verified");
            assert_eq!(format!("{together:#?}"), format!("{alone:#?}"), "{workers} workers");
        }
    }
    let whole: Vec<Vec<Report>> = [1, 2, 5].map(|workers| verify_by(whole.path(), None, workers).expect("verified")).into();
    assert!(whole.iter().flatten().all(|report| report.findings.is_empty() && report.verdict == Verdict::Unanchored), "{whole:?}");
}

/// Who no longer wants the result is heard, whatever the queues hold.
#[test]
fn a_walk_by_many_threads_is_stopped() {
    let whole = template_of(13_000);
    let ledger = whole.path().join("ledger.db");
    let open = || open_reader(&ledger).map(sql::Connection::from).map_err(|error| error.to_string());
    let keys = |_: &sql::Connection| -> Result<Arc<dyn Keys>, String> { Ok(Arc::new(keys())) };
    for workers in [1, 5] {
        let (stop, checkpoints) = (AtomicBool::new(false), whole.path().join("none").into());
        let data = whole.path();
        let ground = Ground {
            data,
            checkpoints: &checkpoints,
            open: &open,
            keys: &keys,
            only: None,
            since: None,
            policy: None,
            workers,
            stop: &stop,
        };
        let mut rows = 0;
        let walked = walk(&ground, &mut |progress| {
            rows = progress.rows;
            stop.store(true, Ordering::Relaxed);
        });
        assert!(matches!(walked, Err(VerifyError::Stopped)), "{:?}", walked.map(|walked| walked.rows));
        assert!((1..=13_000).contains(&rows));
    }
}
