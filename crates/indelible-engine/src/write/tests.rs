//! Works of one group that have nothing to do with each other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

use super::{Change, Privilege, STALE, Work};
use crate::append::{AppendError, EngineEvent};
use crate::ledger::{Ledger, Options};

fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

#[test]
fn a_change_of_another_version_is_refused_and_keeps_nobody_else_from_being_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = Options::new(folder.path().join("data"));
    options.disk_reserve_bytes = 0;
    options.anchor_interval = Duration::from_hours(1);
    let ledger = Ledger::open(options).expect("it opens").ledger;
    let inner = &ledger.inner;
    let project = inner.registry.project(ledger.default_project_id()).expect("the default project");
    let id = Uuid::from_u128(7).to_string();
    let work = |versions: &[i64]| {
        let event = EngineEvent::new(&ledger.operator(), &project, "halt.issue", "allow");
        let row = |version: &i64| Change::Resource {
            project_id: project.id,
            kind: "halt",
            id: id.clone(),
            version: *version,
            body: "{}".to_owned(),
        };
        Work::with_changes(vec![inner.desk.prepare_own(event).expect("prepared")], versions.iter().map(row).collect(), Privilege::Engine)
    };
    let refused = |versions: &[i64]| {
        let row = inner.writer.committed_row();
        let answer = wait(inner.writer.submit(work(versions)));
        let Err(AppendError::Unavailable { reason, outcome_unknown: false }) = answer else { panic!("{answer:?}") };
        assert_eq!((reason.as_str(), inner.writer.committed_row()), (STALE, row), "{versions:?}");
    };
    refused(&[2]);
    wait(inner.writer.submit(work(&[1, 2]))).expect("each on the one before it");
    for versions in [&[1_i64][..], &[2], &[4], &[3, 3], &[3, 5]] {
        refused(versions);
    }
    // Beside others in one group: all are handed in before any is written.
    let works = [work(&[3]), work(&[3]), work(&[9]), work(&[4])];
    let answers = wait(async {
        let tasks: Vec<_> = works
            .into_iter()
            .map(|work| {
                let writer = Arc::clone(&inner.writer);
                tokio::spawn(async move { writer.submit(work).await.is_ok() })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.expect("answered"));
        }
        answers
    });
    assert_eq!(answers, [true, false, false, true]);
    assert_eq!(inner.writer.figures.commit_failures.load(Ordering::Relaxed), 0);
}
