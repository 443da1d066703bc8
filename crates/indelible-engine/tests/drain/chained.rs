//! What is committed is chained once, and what is rolled back is not: with a server, without one, and with one that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use indelible_engine::faults::{Faults, When, Write};
use serde_json::json;

use crate::place::{Place, event, id};

#[test]
fn a_transaction_that_commits_has_its_event_and_one_that_rolls_back_has_none() {
    let (place, ledger) = Place::new();
    let host = place.host();
    host.run("BEGIN");
    host.append(&event(1, "never")).expect("taken");
    host.run("ROLLBACK; BEGIN");
    host.append(&event(2, "always")).expect("taken");
    assert_eq!(place.entries(ledger.default_project_id()), [json!(null); 0], "nothing before it commits");
    host.run("COMMIT");
    place.drained();
    let entries = place.entries(ledger.default_project_id());
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((&entry["id"], &entry["action"]), (&json!(id(2)), &json!("account.transfer")));
    assert_eq!((&entry["assurance"], &entry["recorder"]), (&json!("transactional"), &json!({"path": "transaction"})));
    assert_eq!(entry["actor"], json!({"type": "human", "id": "alice"}));
    let opened = place.events(&ledger, ledger.default_project_id(), r#"action eq "account.transfer""#);
    assert_eq!(opened[0]["content"]["arguments"]["text"], "always", "{opened:?}");
    place.verify();
}

#[test]
fn what_is_committed_while_no_server_runs_is_chained_by_the_next_in_order_and_with_its_time() {
    let (place, ledger) = Place::new();
    let project = ledger.default_project_id();
    ledger.close();
    let host = place.host();
    for n in 0..20 {
        host.append(&event(n, "alone")).expect("taken");
    }
    let given = event(20, "then").replace(r#""outcome""#, r#""occurred_at":"2020-01-02T03:04:05Z","outcome""#);
    host.append(&given).expect("taken");
    let times = place
        .owner
        .rows("SELECT to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM audit.inbox ORDER BY n", &[]);
    let mut times: Vec<String> = times.iter().map(|row| row.get(0)).collect();
    times[20] = "2020-01-02T03:04:05.000000Z".to_owned();
    assert_eq!(place.waiting(), 21);
    let _ledger = place.open("a");
    place.drained();
    let entries = place.entries(project);
    assert_eq!(entries.len(), 21);
    for (n, entry) in entries.iter().enumerate() {
        assert_eq!((&entry["id"], &entry["occurred_at"]), (&json!(id(n as u64)), &json!(times[n])));
        assert!(entry.get("claimed_at").is_none());
    }
    place.verify();
}

#[test]
fn the_same_event_again_is_recorded_once_and_its_row_goes() {
    let (place, ledger) = Place::new();
    let project = ledger.default_project_id();
    let host = place.host();
    host.append(&event(1, "once")).expect("taken");
    place.drained();
    host.append(&event(1, "once")).expect("a retry");
    place.drained();
    ledger.close();
    for n in [1, 2, 2, 2, 1] {
        host.append(&event(n, "once")).expect("a retry");
    }
    let ledger = place.open("a");
    place.drained();
    let ids: Vec<_> = place.entries(project).iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!(ids, [json!(id(1)), json!(id(2))]);
    assert_eq!(place.events(&ledger, project, r#"action eq "audit.append_rejected""#).len(), 0);
    place.verify();
}

/// Strikes once, at the n-th chance of one kind.
struct Once {
    write: Write,
    when: When,
    left: AtomicI64,
}

impl Faults for Once {
    fn strikes(&self, write: Write, when: When) -> bool {
        write == self.write && when == self.when && self.left.fetch_sub(1, Ordering::SeqCst) == 0
    }
}

#[test]
fn whatever_fails_when_a_row_is_chained_loses_nothing_and_does_nothing_twice() {
    let (place, ledger) = Place::new();
    let project = ledger.default_project_id();
    ledger.close();
    let (host, mut written) = (place.host(), 0);
    let last = [Write::Begin, Write::Event, Write::Content, Write::Wrap, Write::Head, Write::Drained, Write::Commit];
    for write in last {
        for when in [When::Before, When::After] {
            let faults = Arc::new(Once { write, when, left: AtomicI64::new(-1) });
            let ledger = place.open_with("a", |options| options.faults = Some(Arc::<Once>::clone(&faults)));
            faults.left.store(0, Ordering::SeqCst);
            host.run("BEGIN");
            for _ in 0..3 {
                host.append(&event(written, "kept")).expect("taken");
                written += 1;
            }
            host.run("COMMIT");
            place.drained();
            // What a COMMIT wrote is seen before the writer has come to strike after it.
            place.until("it strikes", || faults.left.load(Ordering::SeqCst) < 0);
            ledger.close();
            let ids: Vec<_> = place.entries(project).iter().map(|entry| entry["id"].clone()).collect();
            let expected: Vec<_> = (0..written).map(|n| json!(id(n))).collect();
            assert_eq!(ids, expected, "{write:?} {when:?}");
        }
    }
    place.verify();
}
