//! Decisions while the sums are behind: what is waited for, and what is said where waiting was in vain.

use std::sync::Arc;
use std::time::Duration;

use indelible_core::json;

use super::{Shared, State};
use crate::access::{Caller, Owner};
use crate::decide::{DecideError, Questions};
use crate::ledger::{Ledger, Options};
use crate::query::Search;
use crate::resource::{Project, kind};

fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// A ledger with a policy that permits and a budget, whose sums nobody brings further.
fn behind() -> (tempfile::TempDir, Ledger, Caller, Arc<Project>) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = Options::new(folder.path().join("data"));
    options.disk_reserve_bytes = 0;
    options.anchor_interval = Duration::from_hours(1);
    let ledger = Ledger::open(options).expect("it opens").ledger;
    let caller = ledger.operator();
    let project = ledger.inner.registry.project(ledger.default_project_id()).expect("the default project");
    make(&ledger, "policy", r#"{"name":"p","text":"permit (principal, action, resource);"}"#);
    make(&ledger, "budget", r#"{"name":"b","subject":{"type":"project"},"period":"day","limit_micros":9,"currency":"USD"}"#);
    let shared = shared(&ledger);
    shared.lock().stop = true;
    shared.bell.notify_all();
    // No row follows on this one.
    shared.lock().through = -9;
    shared.through.send_replace(-9);
    (folder, ledger, caller, project)
}

fn shared(ledger: &Ledger) -> &Shared {
    &ledger.inner.spending.shared
}

fn make(ledger: &Ledger, noun: &str, document: &str) {
    let owner = Some(Owner::Project(ledger.default_project_id()));
    wait(ledger.create_resource(&ledger.operator(), kind(noun).expect("a kind"), owner, document, None)).expect(noun);
}

fn question() -> Questions {
    let text = br#"{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"d","id":"1"}}"#;
    Questions::one(&json::parse(text).expect("JSON")).expect("a question")
}

#[test]
fn what_was_acknowledged_while_a_decision_waited_for_the_sums_counts() {
    let (_folder, ledger, caller, project) = behind();
    let decisions = std::thread::scope(|scope| {
        let asking = scope.spawn(|| wait(ledger.decide(&caller, &project, &question())));
        while shared(&ledger).through.receiver_count() == 0 && !asking.is_finished() {
            std::thread::yield_now();
        }
        make(&ledger, "halt", r#"{"subject":{"type":"project"},"reason":"stop"}"#);
        shared(&ledger).through.send_replace(i64::MAX);
        asking.join().expect("asked").expect("decided")
    });
    assert_eq!((decisions[0].decision, decisions[0].engine), (false, "halt"));
}

#[test]
fn a_decision_that_waited_in_vain_is_recorded_as_none() {
    let (_folder, ledger, caller, project) = behind();
    let refused = wait(ledger.decide(&caller, &project, &question())).expect_err("nobody knows what was spent");
    let DecideError::Unavailable(reason) = refused else { panic!("{refused:?}") };
    let search = Search { filter: Some(r#"action eq "policy.decision""#.to_owned()), limit: Some(10), ..Search::default() };
    let page = wait(ledger.search(&caller, &project, search)).expect("a page");
    let [only] = &page.records[..] else { panic!("{} records", page.records.len()) };
    let record: serde_json::Value = serde_json::from_slice(only).expect("JSON");
    assert_eq!((record["outcome"].as_str(), record["reason"].as_str()), (Some("error"), Some(reason.as_str())));
}

/// A row is seen as soon as it is committed, by the thread that follows as well as by its writer.
#[test]
fn rows_are_counted_by_whoever_comes_first_with_them_and_not_again() {
    let mut state = State { through: 4, committed: 9, saved: 0, stop: false };
    // The thread read rows 5 to 9 while the writer counted them.
    assert!(state.goes_on(4, 9));
    assert!(!state.goes_on(4, 9));
    // It read fewer of them: the sums do not go back.
    assert!(!state.goes_on(4, 7));
    assert_eq!(state.through, 9);
    assert!(state.goes_on(9, 10));
}
