//! Contents: they leave by who may open them, each with an event, and come back by no answer.

use std::collections::BTreeSet;

use indelible_engine::access::{Caller, Envelope, KeyKind, Owner, Scope};
use indelible_engine::resource::{MutateError, NewApiKey};
use indelible_engine::stream::Replay;
use serde_json::json;

use super::receiver::{Came, Say};
use super::{Delivering, PATIENCE, said, streams};
use crate::bench::wait;

/// Who may write and change streams, and open nothing.
fn writer(delivering: &Delivering) -> Caller {
    let new = NewApiKey {
        name: "streams".to_owned(),
        owner: Owner::Project(delivering.bench.project().id),
        kind: KeyKind::Application,
        scopes: vec![Scope::AuditWrite],
        expires_at: None,
    };
    let ledger = &delivering.bench.ledger;
    let (_, secret) = wait(ledger.create_api_key(&delivering.bench.instance(), new)).expect("made");
    ledger.authenticate(Some(&secret), Envelope::default()).expect("recognised")
}

#[test]
fn contents_leave_where_the_stream_has_a_purpose_with_an_event_a_record() {
    let delivering = Delivering::new(PATIENCE);
    let open = delivering.stream(&json!({"filter": "action eq \"test.step\"", "content_purpose": "the archive of the bank"}));
    let closed = delivering.stream(&said());
    delivering.append(0, 5);
    delivering.receiver.until("all arrived", |came| came.len() >= 10);
    for came in delivering.receiver.came() {
        assert_eq!(came.events()[0].get("content").is_some(), came.stream == open);
    }
    let told = delivering.told("content.decrypt");
    assert_eq!(told.len(), 5, "{told:#?}");
    let ids: BTreeSet<String> = told.iter().map(|event| event["decrypt"]["record_id"].as_str().expect("an id").to_owned()).collect();
    let came = delivering.receiver.came();
    let sent: BTreeSet<String> = came.iter().filter(|came| came.stream == open).map(|came| came.header("webhook-id").to_owned()).collect();
    assert_eq!(ids, sent);
    assert!(
        told.iter().all(|event| event["decrypt"]["purpose"] == "the archive of the bank" && event["resource"]["id"] == open.to_string())
    );
    delivering.until(closed, "all is recorded", |status| status.lag_events < 5);
    assert!(delivering.deliveries(closed, None).len() == 5);
    delivering.bench.verify();
}

/// Whoever may not open contents sends none elsewhere, and what is in a delivery that failed before is recorded like the rest.
#[test]
fn contents_leave_by_no_change_of_a_stream_that_is_not_recorded_or_not_allowed() {
    let delivering = Delivering::new(PATIENCE);
    let stream = delivering.stream(&said());
    delivering.receiver.says(|_| Say::Status(500));
    delivering.append(0, 5);
    delivering.until(stream, "it fails", |status| status.pending.is_some());
    let (ledger, admin) = (&delivering.bench.ledger, delivering.bench.admin());
    let change = |caller: &Caller, patch: &str| wait(ledger.update_resource(caller, streams(), stream, None, patch));
    change(&admin, r#"{"content_purpose":"the archive","secret_headers":{"X-Api-Key":"one"}}"#).expect("changed");
    delivering.receiver.says(|_| Say::Status(200));
    delivering.receiver.until("all arrived", |came| came.iter().filter(|came| came.taken).count() >= 5);
    let with_content = |came: &&Came| came.taken && came.events()[0].get("content").is_some();
    let sent: BTreeSet<String> =
        delivering.receiver.came().iter().filter(with_content).map(|came| came.header("webhook-id").to_owned()).collect();
    let told = delivering.told("content.decrypt");
    let recorded: BTreeSet<String> = told.iter().map(|event| event["decrypt"]["record_id"].as_str().expect("an id").to_owned()).collect();
    assert!(!sent.is_empty() && sent.is_subset(&recorded), "{sent:?} and {recorded:?}");

    let caller = writer(&delivering);
    for patch in [r#"{"secret_headers":{"X-Api-Key":"theirs"}}"#, r#"{"filter":null}"#, r#"{"name":"m"}"#] {
        let refused = change(&caller, patch).expect_err(patch);
        assert_eq!(refused, MutateError::Forbidden("content:decrypt".to_owned()), "{patch}");
    }
    let act = |caller: &Caller, verb: &str| {
        let verb = streams().verb(verb).expect("a verb");
        wait(ledger.act_on_resource(caller, streams(), verb, (stream, None), "{}", None))
    };
    act(&caller, "pause").expect("pausing needs no more");
    let forbidden = || MutateError::Forbidden("content:decrypt".to_owned());
    assert_eq!(act(&caller, "resume").err(), Some(forbidden()));
    act(&admin, "resume").expect("resumed");
    for replay in [Replay::DeadLetters, Replay::Range { project_id: None, first: 0, last: 1 }] {
        assert_eq!(wait(ledger.replay(&caller, stream, replay)), Err(forbidden()));
        wait(ledger.replay(&admin, stream, replay)).expect("replayed");
    }
}

/// A receiver that repeats what it was sent tells nobody who may not open it.
#[test]
fn what_a_receiver_says_of_contents_is_not_kept() {
    let delivering = Delivering::new(PATIENCE);
    let open = delivering.stream(&json!({"filter": "action eq \"test.step\"", "content_purpose": "the archive", "dead_letter_after": 1}));
    let closed = delivering.stream(&said());
    delivering.receiver.says(move |came| {
        Say::Repeat(if came.stream == open && came.events()[0]["sequence"].as_u64().is_some_and(|n| n % 2 == 0) { 422 } else { 200 })
    });
    delivering.append(0, 6);
    delivering.until(open, "some are dead", |status| status.dead_letters == 3 && status.pending.is_none() && status.lag_events < 6);
    delivering.receiver.until("all arrived", |came| came.len() >= 12);
    delivering.until(closed, "all is recorded", |status| status.lag_events < 6);
    let kept = delivering.deliveries(open, None);
    assert!(kept.len() == 6 && kept.iter().all(|delivery| delivery.answer.is_none()), "{kept:#?}");
    assert!(kept.iter().all(|delivery| delivery.error.as_deref().is_none_or(|error| error == "the receiver answered 422")), "{kept:#?}");
    let kept = delivering.deliveries(closed, None);
    assert!(!kept.is_empty() && kept.iter().all(|delivery| delivery.answer.is_some()), "{kept:#?}");
}
