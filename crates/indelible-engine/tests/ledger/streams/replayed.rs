//! Dead letters, what is sent again, and tries.

use std::collections::BTreeSet;
use std::time::Duration;

use indelible_engine::access::{Envelope, KeyKind, Owner, Scope};
use indelible_engine::query::ReadError;
use indelible_engine::resource::{MutateError, NewApiKey};
use indelible_engine::stream::{DeliveriesAsked, DeliveryState, Patience, Replay};
use serde_json::json;
use uuid::Uuid;

use super::receiver::{Came, Say};
use super::{Delivering, PATIENCE, said, streams};
use crate::bench::wait;

/// Refuses events of some texts for good, alone or among others.
fn refuses(poison: &'static [u64]) -> impl FnMut(&Came) -> Say + Send {
    let ids: Vec<String> = poison.iter().map(|n| crate::bench::id(*n).to_string()).collect();
    move |came| {
        let is_poison = came.events().iter().any(|event| ids.iter().any(|id| event["id"] == id.as_str()));
        Say::Status(if is_poison { 422 } else { 200 })
    }
}

#[test]
fn a_refused_event_becomes_a_dead_letter_and_the_rest_goes_on() {
    let delivering = Delivering::new(PATIENCE);
    let members = |batch: u32| json!({"filter": "action eq \"test.step\"", "batch_events_max": batch, "dead_letter_after": 2});
    let (single, batched) = (delivering.stream(&members(1)), delivering.stream(&members(50)));
    delivering.receiver.says(refuses(&[17, 63]));
    delivering.append(0, 100);
    for stream in [single, batched] {
        delivering.until(stream, "two are dead, and the rest is through", |status| {
            status.dead_letters == 2 && delivering.receiver.taken(stream).len() == 98
        });
        let dead = delivering.deliveries(stream, Some(DeliveryState::Dead));
        // Of a delivery of several, those that are refused are found one by one.
        assert!(dead.iter().all(|dead| (dead.events, dead.status) == (1, Some(422)) && dead.attempts == 2), "{dead:#?}");
        assert!(delivering.receiver.taken(stream).is_sorted());
    }
    assert!(delivering.deliveries(single, Some(DeliveryState::Split)).is_empty());
    assert!(!delivering.deliveries(batched, Some(DeliveryState::Split)).is_empty());

    // Sent again once the receiver knows better; what the stream sends of itself goes on beside it.
    delivering.receiver.says(|_| Say::Status(200));
    let (caller, ledger) = (delivering.bench.admin(), &delivering.bench.ledger);
    let replayed = wait(ledger.replay(&caller, single, Replay::DeadLetters)).expect("replayed");
    assert_eq!((replayed.replay_id, replayed.deliveries), (None, Some(2)));
    delivering.append(100, 110);
    let all = |came: &[Came], stream: Uuid, n: usize| {
        let of = came.iter().filter(|came| came.taken && came.stream == stream).flat_map(Came::sequences);
        of.collect::<BTreeSet<_>>().len() == n
    };
    delivering.receiver.until("all arrived", |came| all(came, single, 110));
    let status = delivering.until(single, "none is dead", |status| status.dead_letters == 0 && status.replays == 0);
    assert!(status.is_running);
    let events = delivering.told("webhook_delivery.replay");
    let resource = json!({"type": "audit_stream", "id": single.to_string()});
    assert_eq!((events.len(), &events[0]["resource"]), (1, &resource));
    let again: Vec<_> = delivering.deliveries(single, None).into_iter().filter(|delivery| delivery.replay_id.is_some()).collect();
    assert_eq!(again.len(), 2, "{again:#?}");

    // One of them, of the other stream.
    let dead = delivering.deliveries(batched, Some(DeliveryState::Dead)).remove(0);
    let replayed = wait(ledger.replay(&caller, batched, Replay::Delivery(dead.id))).expect("replayed");
    assert_eq!((replayed.replay_id, replayed.deliveries), (Some(dead.id), Some(1)));
    delivering.receiver.until("one more", |came| all(came, batched, 109));
    let told = delivering.told("webhook_delivery.replay");
    let of_one = told.iter().find(|event| event["resource"]["type"] == "webhook_delivery").expect("the replay of one");
    assert_eq!((&of_one["resource"]["id"], &of_one["resource"]["parent"]), (&json!(dead.id.to_string()), &json!(batched.to_string())));
    assert_eq!(of_one["context"]["from_sequence"], json!(dead.first_sequence.to_string()));
    delivering.until(batched, "one is dead still", |status| status.dead_letters == 1 && status.replays == 0);
}

#[test]
fn a_range_is_sent_again_in_order_and_a_restart_does_not_lose_the_rest_of_it() {
    let mut delivering = Delivering::new(PATIENCE);
    let stream = delivering.stream(&json!({"filter": "action eq \"test.step\"", "batch_events_max": 5}));
    delivering.append(0, 60);
    let count = |came: &[Came]| came.iter().filter(|came| came.taken).flat_map(Came::sequences).count();
    delivering.receiver.until("all arrived", |came| count(came) == 60);
    let sequences = delivering.receiver.taken(stream);
    let (first, last) = (sequences[10], sequences[49]);
    let mut left = 3;
    delivering.receiver.says(move |_| {
        left -= 1;
        if left >= 0 { Say::Status(200) } else { Say::Status(500) }
    });
    let caller = delivering.bench.admin();
    let range = |first, last| Replay::Range { project_id: None, first, last };
    wait(delivering.bench.ledger.replay(&caller, stream, range(first, last))).expect("replayed");
    delivering.until(stream, "it stands still in the middle", |status| status.replays == 1 && status.pending.is_some());
    delivering = delivering.reopen(PATIENCE);
    delivering.receiver.says(|_| Say::Status(200));
    delivering.until(stream, "it is over", |status| status.replays == 0);
    let again: Vec<u64> = delivering.receiver.taken(stream).split_off(60);
    assert_eq!(again, sequences[10..50]);
    let ledger = &delivering.bench.ledger;
    let wrong = |replay| wait(ledger.replay(&delivering.bench.admin(), stream, replay)).expect_err("refused");
    assert!(matches!(wrong(range(5, 4)), MutateError::Fault(fault) if fault.pointer == "/to_sequence"));
    assert!(matches!(wrong(range(5, 1_000_000)), MutateError::Fault(fault) if fault.pointer == "/to_sequence"));
    assert!(matches!(wrong(Replay::Delivery(Uuid::nil())), MutateError::NotFound("webhook_delivery")));
}

#[test]
fn a_try_is_an_event_and_is_sent_whatever_the_stream_sends() {
    let delivering = Delivering::new(PATIENCE);
    let stream = delivering.stream(&said());
    delivering.act(stream, "pause");
    let (caller, ledger) = (delivering.bench.admin(), &delivering.bench.ledger);
    let tested = wait(ledger.test_stream(&caller, stream)).expect("tested");
    assert!(tested.is_taken && tested.delivery.status == Some(204), "{tested:?}");
    let came = delivering.receiver.came();
    assert_eq!((came.len(), &came[0].events()[0]["action"]), (1, &json!("audit_stream.test")));
    delivering.receiver.says(|_| Say::Status(500));
    let tested = wait(ledger.test_stream(&caller, stream)).expect("tested");
    assert!(!tested.is_taken && tested.delivery.error.as_deref() == Some("the receiver answered 500"), "{tested:?}");
    assert_eq!(delivering.told("audit_stream.test").len(), 2);
    assert!(delivering.deliveries(stream, None).is_empty());
}

#[test]
fn a_neighbour_sees_no_stream_and_nobody_without_the_scope_changes_one() {
    let delivering = Delivering::new(PATIENCE);
    let (stream, ledger) = (delivering.stream(&said()), &delivering.bench.ledger);
    let instance = delivering.bench.instance();
    let project = indelible_engine::resource::kind("project").expect("a kind");
    let organization = Owner::Organization(delivering.bench.project().organization_id);
    let other = wait(ledger.create_resource(&instance, project, Some(organization), r#"{"name":"other"}"#, None)).expect("made").kept.id;
    let key = |owner, scopes: &[Scope]| {
        let new = NewApiKey { name: "k".to_owned(), owner, kind: KeyKind::Application, scopes: scopes.to_vec(), expires_at: None };
        let (_, secret) = wait(ledger.create_api_key(&instance, new)).expect("made");
        ledger.authenticate(Some(&secret), Envelope::default()).expect("recognised")
    };
    let stranger = key(Owner::Project(other), &Scope::ALL);
    assert_eq!(wait(ledger.stream_status(&stranger, stream)), Err(ReadError::NotFound("audit_stream")));
    assert_eq!(wait(ledger.deliveries(&stranger, stream, DeliveriesAsked::default())), Err(ReadError::NotFound("audit_stream")));
    assert_eq!(wait(ledger.delivery(&stranger, stream, Uuid::nil())), Err(ReadError::NotFound("audit_stream")));
    assert_eq!(wait(ledger.test_stream(&stranger, stream)), Err(MutateError::NotFound("audit_stream")));
    assert_eq!(wait(ledger.replay(&stranger, stream, Replay::DeadLetters)), Err(MutateError::NotFound("audit_stream")));
    let reader = key(Owner::Project(delivering.bench.project().id), &[Scope::AuditRead]);
    wait(ledger.stream_status(&reader, stream)).expect("who reads may look");
    let lacks = || MutateError::Forbidden("audit:write".to_owned());
    assert_eq!(wait(ledger.test_stream(&reader, stream)), Err(lacks()));
    assert_eq!(wait(ledger.replay(&reader, stream, Replay::DeadLetters)), Err(lacks()));
    let refused = delivering.told("webhook_delivery.replay");
    assert!(refused.iter().all(|event| event["outcome"] == "deny") && !refused.is_empty(), "{refused:#?}");
}

#[test]
fn a_stream_of_an_organization_sends_the_events_of_all_its_projects_each_in_order() {
    let delivering = Delivering::new(PATIENCE);
    let (bench, instance) = (&delivering.bench, delivering.bench.instance());
    let organization = Owner::Organization(bench.project().organization_id);
    let keys = indelible_engine::resource::kind("webhook_signing_key").expect("a kind");
    wait(bench.ledger.create_resource(&instance, keys, Some(organization), keys.example, None)).expect("made");
    let document = json!({"name": "all", "url": "https://receiver.example/all", "batch_events_max": 10}).to_string();
    let stream = wait(bench.ledger.create_resource(&instance, streams(), Some(organization), &document, None)).expect("made").kept.id;
    delivering.append(0, 30);
    // A project that comes later is one of them from its first event on.
    let project = indelible_engine::resource::kind("project").expect("a kind");
    let later =
        wait(bench.ledger.create_resource(&instance, project, Some(organization), r#"{"name":"later"}"#, None)).expect("made").kept.id;
    let home = bench.ledger.project_of(&instance, Some(later)).expect("a project");
    wait(bench.ledger.seal(&instance, &home)).expect("sealed");
    let of = |came: &[Came], project: Uuid| {
        let events = came.iter().filter(|came| came.taken && came.stream == stream).flat_map(Came::events);
        let of = events.filter(|event| event["project_id"] == project.to_string());
        of.map(|event| event["sequence"].as_u64().expect("a sequence")).collect::<Vec<_>>()
    };
    delivering.receiver.until("both came", |came| of(came, bench.project().id).len() >= 30 && !of(came, later).is_empty());
    let came = delivering.receiver.came();
    for project in [bench.project().id, later] {
        assert!(of(&came, project).is_sorted_by(|a, b| a + 1 == *b), "{:?}", of(&came, project));
    }
    assert_eq!(of(&came, later)[0], 0);
}

#[test]
fn a_replay_that_is_refused_holds_up_nothing_that_comes_also_after_a_restart_and_is_given_up_in_the_end() {
    let mut delivering = Delivering::new(PATIENCE);
    let stream = delivering.stream(&json!({"filter": "action eq \"test.step\"", "batch_events_max": 1}));
    delivering.append(0, 10);
    let all = |came: &[Came], n: usize| came.iter().filter(|came| came.taken).flat_map(Came::sequences).collect::<BTreeSet<_>>().len() == n;
    delivering.receiver.until("all arrived", |came| all(came, 10));
    let sequences = delivering.receiver.taken(stream);
    delivering.receiver.says(refuses(&[5]));
    let range = Replay::Range { project_id: None, first: sequences[4], last: sequences[6] };
    let caller = delivering.bench.admin();
    wait(delivering.bench.ledger.replay(&caller, stream, range)).expect("replayed");
    let is_stuck = |status: &super::StreamStatus| {
        status.replays == 1 && status.pending.as_ref().is_some_and(|(pending, _)| pending.replay_id.is_some() && pending.attempts > 2)
    };
    delivering.until(stream, "it is refused", is_stuck);
    delivering.append(10, 30);
    delivering.receiver.until("what came meanwhile arrived", |came| all(came, 30));
    let status = delivering.until(stream, "it is refused still", is_stuck);
    assert!(status.is_running && status.dead_letters == 0, "{status:?}");

    delivering = delivering.reopen(PATIENCE);
    delivering.append(30, 40);
    delivering.receiver.until("what came after the restart arrived", |came| all(came, 40));
    delivering.until(stream, "it is refused still", is_stuck);

    // The stream itself would be paused; a replay goes on without what is refused.
    delivering = delivering.reopen(Patience { give_up_after: Duration::from_millis(200), ..PATIENCE });
    let status = delivering.until(stream, "it is over", |status| status.replays == 0);
    assert!(status.is_running && status.dead_letters == 1, "{status:?}");
    let dead = delivering.deliveries(stream, Some(DeliveryState::Dead)).remove(0);
    assert_eq!((dead.first_sequence, dead.last_sequence), (sequences[5], sequences[5]));
    assert_eq!(delivering.receiver.taken(stream).last(), Some(&sequences[6]), "the rest of the replay");
}

#[test]
fn two_replays_are_taken_apart_each_for_itself_beside_what_comes() {
    let delivering = Delivering::new(PATIENCE);
    let members = json!({"filter": "action eq \"test.step\"", "batch_events_max": 16, "dead_letter_after": 1});
    let stream = delivering.stream(&members);
    delivering.append(0, 64);
    let count = |came: &[Came]| came.iter().filter(|came| came.taken).flat_map(Came::sequences).collect::<BTreeSet<_>>().len();
    delivering.receiver.until("all arrived", |came| count(came) == 64);
    let sequences = delivering.receiver.taken(stream);
    delivering.receiver.says(refuses(&[3, 40]));
    let caller = delivering.bench.admin();
    for (first, last) in [(0, 31), (32, 63)] {
        let range = Replay::Range { project_id: None, first: sequences[first], last: sequences[last] };
        wait(delivering.bench.ledger.replay(&caller, stream, range)).expect("replayed");
    }
    delivering.append(64, 128);
    let status = delivering.until(stream, "both are over", |status| status.replays == 0 && status.dead_letters == 2);
    assert!(status.is_running, "{status:?}");
    delivering.receiver.until("what came meanwhile arrived", |came| count(came) == 128);
    assert!(delivering.deliveries(stream, Some(DeliveryState::Dead)).iter().all(|dead| dead.events == 1 && dead.replay_id.is_some()));
}

#[test]
fn dead_letters_are_sent_again_in_the_order_of_the_chain() {
    let delivering = Delivering::new(PATIENCE);
    let stream = delivering.stream(&json!({"filter": "action eq \"test.step\"", "batch_events_max": 1, "dead_letter_after": 1}));
    delivering.receiver.says(refuses(&[1, 3, 5, 7, 9, 11, 13]));
    delivering.append(0, 15);
    delivering.until(stream, "they are dead", |status| status.dead_letters == 7 && delivering.receiver.taken(stream).len() == 8);
    let dead: Vec<u64> = delivering.deliveries(stream, Some(DeliveryState::Dead)).iter().rev().map(|dead| dead.first_sequence).collect();
    delivering.receiver.says(|_| Say::Status(200));
    wait(delivering.bench.ledger.replay(&delivering.bench.admin(), stream, Replay::DeadLetters)).expect("replayed");
    delivering.until(stream, "none is dead", |status| status.dead_letters == 0 && status.replays == 0);
    assert_eq!(delivering.receiver.taken(stream).split_off(8), dead);
}
