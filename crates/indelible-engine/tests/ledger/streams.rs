//! Streams: what a receiver gets, whatever it answers and whenever the server is killed: every event, at least once, in the order of the chain.

mod broken;
mod contents;
mod receiver;
mod replayed;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indelible_core::webhook;
use indelible_engine::Ledger;
use indelible_engine::access::Caller;
use indelible_engine::query::Search;
use indelible_engine::resource::{Kind, MutateError, kind};
use indelible_engine::stream::{DeliveriesAsked, Delivery, DeliveryState, Patience, StreamStatus, Streaming, StreamsStatus};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bench::{Bench, event, wait};
use receiver::{Came, Receiver, Say};

/// Impatient, so that a test sees many attempts.
const PATIENCE: Patience =
    Patience { retry_min: Duration::from_millis(2), retry_max: Duration::from_millis(20), give_up_after: Duration::from_hours(1) };

fn streams() -> &'static Kind {
    kind("audit_stream").expect("a kind")
}

/// A ledger that delivers to a receiver, with a signing key.
struct Delivering {
    streaming: Streaming,
    bench: Bench,
    receiver: Arc<Receiver>,
    secret: String,
}

impl Delivering {
    fn new(patience: Patience) -> Self {
        Self::over(Bench::new(), patience)
    }

    fn over(bench: Bench, patience: Patience) -> Self {
        let receiver = Receiver::new();
        let keys = kind("webhook_signing_key").expect("a kind");
        let made = wait(bench.ledger.create_resource(&bench.admin(), keys, None, keys.example, None)).expect("made");
        let streaming = bench.ledger.deliver_streams(Arc::<Receiver>::clone(&receiver), patience).expect("it delivers");
        Self { streaming, bench, receiver, secret: made.shown[0].text.clone() }
    }

    fn stream(&self, members: &Value) -> Uuid {
        make(&self.bench.ledger, &self.bench.admin(), members)
    }

    fn append(&self, from: u64, to: u64) {
        let events: Vec<_> = (from..to).map(|n| event(n, "said")).collect();
        self.bench.append(&events).expect("appended");
    }

    /// Stops as if it were killed: what it was doing comes to no end.
    fn reopen(self, patience: Patience) -> Self {
        let Self { streaming, bench, receiver, secret } = self;
        streaming.close();
        drop(streaming);
        let bench = bench.reopen();
        let streaming = bench.ledger.deliver_streams(Arc::<Receiver>::clone(&receiver), patience).expect("it delivers");
        Self { streaming, bench, receiver, secret }
    }

    fn status(&self, stream: Uuid) -> StreamStatus {
        wait(self.bench.ledger.stream_status(&self.bench.admin(), stream)).expect("a status")
    }

    fn deliveries(&self, stream: Uuid, state: Option<DeliveryState>) -> Vec<Delivery> {
        let asked = DeliveriesAsked { state, limit: Some(1_000), before: None };
        let page = wait(self.bench.ledger.deliveries(&self.bench.admin(), stream, asked)).expect("a page");
        page.deliveries.into_iter().map(|(delivery, _)| delivery).collect()
    }

    fn until(&self, stream: Uuid, what: &str, holds: impl Fn(&StreamStatus) -> bool) -> StreamStatus {
        let end = Instant::now() + Duration::from_mins(1);
        loop {
            let status = self.status(stream);
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < end, "{what}: {status:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The figures of the server, once they are so.
    fn figures(&self, what: &str, holds: impl Fn(&StreamsStatus) -> bool) -> StreamsStatus {
        let end = Instant::now() + Duration::from_mins(1);
        loop {
            let figures = self.bench.ledger.status().streams;
            if holds(&figures) {
                return figures;
            }
            assert!(Instant::now() < end, "{what}: {figures:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Every event of the chain whose action is one of a bench event.
    fn told(&self, action: &str) -> Vec<Value> {
        let search = Search { filter: Some(format!("action eq \"{action}\"")), limit: Some(1_000), ..Search::default() };
        let page = wait(self.bench.ledger.search(&self.bench.admin(), &self.bench.project(), search)).expect("a page");
        page.records.iter().map(|record| serde_json::from_slice(record).expect("JSON")).collect()
    }

    fn act(&self, stream: Uuid, verb: &str) {
        let verb = streams().verb(verb).expect("a verb");
        wait(self.bench.ledger.act_on_resource(&self.bench.admin(), streams(), verb, (stream, None), "{}", None)).expect("done");
    }
}

fn make(ledger: &Ledger, caller: &Caller, members: &Value) -> Uuid {
    let mut document = json!({"name": "n", "url": "https://receiver.example/in"});
    for (name, value) in members.as_object().expect("an object") {
        document[name] = value.clone();
    }
    wait(ledger.create_resource(caller, streams(), None, &document.to_string(), None)).expect("made").kept.id
}

/// Only what the tests append, so that their records of reads do not count.
fn said() -> Value {
    json!({"filter": "action eq \"test.step\""})
}

/// Without what came again.
fn once(sequences: &[u64]) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    sequences.iter().copied().filter(|sequence| seen.insert(*sequence)).collect()
}

#[test]
fn a_stream_that_could_send_nothing_is_not_made() {
    let bench = Bench::new();
    let cases = [
        ("webhook", "http://receiver.example/", "does not begin with https://"),
        ("webhook", "https://127.1/in", "ends in a number"),
        ("webhook", "https://0x7f000001/in", "ends in a number"),
        ("splunk_hec", "https://user:pass@receiver.example/", "a user or a password"),
        ("otlp", "https://receiver.example/a b", "percent-encoded"),
        ("otlp", "https://receiver.example/#part", "a fragment"),
        ("webhook", "https://receiver.example:0/", "port"),
        ("webhook", "https:///in", "empty part"),
        ("syslog", "tls://receiver.example:65536", "port"),
        ("syslog", "tls://receiver.example/in", "more than letters"),
        ("syslog", "https://receiver.example", "tls://HOST"),
        ("file", "file:../audit", "a file's name has"),
        ("file", "audit", "file:NAME"),
    ];
    let create = |document: Value| wait(bench.ledger.create_resource(&bench.admin(), streams(), None, &document.to_string(), None));
    for (destination, url, words) in cases {
        let error = create(json!({"name": "n", "destination": destination, "url": url})).err();
        let Some(MutateError::Fault(fault)) = error else { panic!("{url}: {error:?}") };
        assert!(fault.pointer == "/url" && fault.message.contains(words), "{url}: {fault:?}");
    }
    let error = create(json!({"name": "n", "url": "https://receiver.example/", "headers": {"Expect": "100-continue"}})).err();
    assert!(matches!(&error, Some(MutateError::Fault(fault)) if fault.pointer == "/headers/Expect"), "{error:?}");
}

#[test]
fn events_are_delivered_signed_in_order_and_once_where_nothing_fails() {
    let delivering = Delivering::new(PATIENCE);
    let stream = delivering.stream(&json!({"filter": "action eq \"test.step\"", "headers": {"X-Source": "indelible"}, "secret_headers": {"Authorization": "hunter22"}}));
    delivering.append(0, 300);
    let receiver = &delivering.receiver;
    receiver.until("all came", |came| came.len() >= 300);
    let taken = receiver.taken(stream);
    assert!(taken.len() == 300 && taken.is_sorted_by(|a, b| a < b), "{taken:?}");
    for came in receiver.came() {
        let (id, seconds) = (came.header("webhook-id"), came.header("webhook-timestamp").parse().expect("seconds"));
        assert_eq!(came.events()[0]["id"], id);
        assert_eq!(Some(came.header("webhook-signature").to_owned()), webhook::sign(&delivering.secret, id, seconds, &came.body));
        let others = ["Authorization", "X-Source", "content-type"].map(|name| came.header(name));
        assert_eq!(others, ["hunter22", "indelible", "application/json"]);
    }
}

#[test]
fn a_stream_begins_where_it_was_made_or_where_it_says() {
    let delivering = Delivering::new(PATIENCE);
    delivering.append(0, 10);
    let all = delivering.stream(&json!({"start": "beginning", "batch_events_max": 1000}));
    let new = delivering.stream(&json!({"batch_events_max": 1000, "format": "native"}));
    delivering.append(10, 20);
    let size = delivering.bench.events();
    let has =
        |came: &[Came], stream: Uuid| came.iter().filter(|came| came.stream == stream).flat_map(Came::sequences).max() >= Some(size - 1);
    delivering.receiver.until("both are there", |came| has(came, all) && has(came, new));
    let (from_the_start, from_then) = (delivering.receiver.taken(all), delivering.receiver.taken(new));
    assert_eq!(from_the_start[..usize::try_from(size).expect("few")], (0..size).collect::<Vec<_>>());
    // The first that it sends is the event that made it.
    let first = delivering.receiver.came().into_iter().find(|came| came.stream == new).expect("it came").events().remove(0);
    assert_eq!((&first["action"], &first["resource"]["id"]), (&json!("audit_stream.create"), &json!(new.to_string())));
    assert!(from_then.is_sorted_by(|a, b| a + 1 == *b), "{from_then:?}");
}

#[test]
fn whatever_a_receiver_answers_every_event_arrives_in_order() {
    let delivering = Delivering::new(PATIENCE);
    let streams: Vec<Uuid> = [1, 7, 100]
        .into_iter()
        .map(|batch| delivering.stream(&json!({"filter": "action eq \"test.step\"", "batch_events_max": batch})))
        .collect();
    // Each answers something else at each request: one in three takes it.
    let mut n = 0_usize;
    delivering.receiver.says(move |_| {
        let answers = [
            Say::Status(500),
            Say::TakeAndBreak,
            Say::Status(200),
            Say::Later(429, Duration::from_millis(30)),
            Say::Status(302),
            Say::Status(204),
            Say::Status(400),
            Say::Status(401),
            Say::Status(201),
        ];
        n += 1;
        answers[n % answers.len()].clone()
    });
    for start in (0..200).step_by(20) {
        delivering.append(start, start + 20);
    }
    for stream in &streams {
        delivering.receiver.until("all arrived", |came| {
            let all = came.iter().filter(|came| came.taken && came.stream == *stream).flat_map(Came::sequences);
            all.collect::<BTreeSet<_>>().len() == 200
        });
        let taken = once(&delivering.receiver.taken(*stream));
        assert!(taken.is_sorted(), "{taken:?}");
        // A retry is the same delivery: under one id there are always the same bytes.
        let came = delivering.receiver.came();
        let of =
            |id: &str| came.iter().filter(|came| came.header("webhook-id") == id).map(|came| came.body.clone()).collect::<BTreeSet<_>>();
        for one in came.iter().filter(|came| came.stream == *stream) {
            assert_eq!(of(one.header("webhook-id")).len(), 1);
        }
        let status = delivering.until(*stream, "it is through", |status| status.lag_events == 0 || status.pending.is_none());
        assert!(status.is_running, "{status:?}");
    }
    let tried = delivering.deliveries(streams[0], Some(DeliveryState::Delivered));
    assert!(
        tried.iter().any(|delivery| delivery.attempts > 1) && tried.iter().all(|delivery| delivery.answer.as_deref() == Some("an answer"))
    );
}

#[test]
fn what_was_sent_and_not_recorded_is_sent_again_as_the_same_delivery() {
    let mut delivering = Delivering::new(PATIENCE);
    let stream = delivering.stream(&json!({"filter": "action eq \"test.step\"", "batch_events_max": 10}));
    delivering.receiver.says(|_| Say::Hang);
    delivering.append(0, 7);
    delivering.receiver.until("it was sent", |came| !came.is_empty());
    // It is killed between sending and recording, and more is appended before it starts again.
    let sent = delivering.receiver.came().remove(0);
    delivering.streaming.close();
    delivering.append(7, 40);
    delivering = delivering.reopen(PATIENCE);
    delivering.receiver.says(|_| Say::Status(200));
    delivering.receiver.until("all arrived", |came| came.iter().filter(|came| came.taken).flat_map(Came::sequences).count() >= 40);
    let again = delivering.receiver.came().into_iter().find(|came| came.taken).expect("it was taken");
    assert_eq!((again.header("webhook-id"), &again.body), (sent.header("webhook-id"), &sent.body));
    let taken = delivering.receiver.taken(stream);
    assert!(taken.len() == 40 && taken.is_sorted(), "{taken:?}");
}

#[test]
fn a_dead_stream_costs_the_others_nothing() {
    let delivering = Delivering::new(Patience { retry_min: Duration::from_millis(300), ..PATIENCE });
    let all: Vec<Uuid> = (0..100).map(|_| delivering.stream(&said())).collect();
    let dead = all[50];
    delivering.receiver.says(move |came| if came.stream == dead { Say::Hang } else { Say::Status(200) });
    delivering.append(0, 20);
    delivering.receiver.until("99 have it all", |came| {
        all.iter().filter(|id| **id != dead).all(|id| came.iter().filter(|came| came.taken && came.stream == *id).count() >= 20)
    });
    for id in all.iter().filter(|id| **id != dead) {
        let taken = delivering.receiver.taken(*id);
        assert!(taken.len() == 20 && taken.is_sorted(), "{taken:?}");
    }
    let status = delivering.until(dead, "it is behind", |status| status.trouble.is_some() && status.pending.is_some());
    assert!(status.lag_events >= 20 && status.is_running, "{status:?}");
    assert_eq!(delivering.receiver.taken(dead), [0_u64; 0]);
    let figures = delivering.figures("one is behind", |figures| figures.lag_events_max >= 20 && figures.delivered_total >= 99 * 20);
    assert!(figures.running == 100 && figures.failing == 1, "{figures:?}");
    assert!(figures.lag_max > Duration::ZERO && figures.lag_max < Duration::from_mins(5), "{figures:?}");
}

#[test]
fn a_stream_that_nobody_wants_pauses_says_why_and_goes_on_from_where_it_was() {
    let delivering = Delivering::new(PATIENCE);
    let stream = delivering.stream(&said());
    delivering.receiver.says(|_| Say::Status(410));
    delivering.append(0, 5);
    let status = delivering.until(stream, "it pauses", |status| !status.is_running);
    assert!(status.state_reason.as_deref().is_some_and(|why| why.contains("410")), "{status:?}");
    let told = delivering.told("audit_stream.pause");
    assert_eq!((told.len(), &told[0]["actor"]["type"], &told[0]["resource"]["id"]), (1, &json!("system"), &json!(stream.to_string())));
    delivering.figures("it is paused", |figures| (figures.running, figures.paused, figures.lag_events_max) == (0, 1, 0));
    let came = delivering.receiver.came().len();
    delivering.append(5, 10);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(delivering.receiver.came().len(), came, "a paused stream sends nothing");
    delivering.receiver.says(|_| Say::Status(200));
    delivering.act(stream, "resume");
    delivering.receiver.until("the rest", |came| came.iter().filter(|came| came.taken).count() >= 10);
    assert!(delivering.receiver.taken(stream).is_sorted());
}

#[test]
fn a_stream_that_fails_for_long_pauses_and_goes_on_with_the_same_delivery_also_after_a_restart() {
    let mut delivering = Delivering::new(Patience { give_up_after: Duration::from_millis(80), ..PATIENCE });
    let stream = delivering.stream(&said());
    delivering.receiver.says(|_| Say::Status(503));
    delivering.append(0, 5);
    let status = delivering.until(stream, "it pauses", |status| !status.is_running);
    assert!(status.state_reason.as_deref().is_some_and(|why| why.contains("503")), "{status:?}");
    let pending = status.pending.expect("one is pending").0;
    assert!(status.lag_events >= 5 && pending.attempts > 1 && pending.status == Some(503), "{pending:?}");
    delivering = delivering.reopen(PATIENCE);
    delivering.until(stream, "it is paused still", |status| !status.is_running && status.pending.is_some());
    delivering.receiver.says(|_| Say::Status(200));
    delivering.act(stream, "resume");
    let status = delivering.until(stream, "it is through", |status| status.is_running && status.pending.is_none());
    assert_eq!(status.trouble, None);
    let first = delivering.deliveries(stream, None).pop().expect("the first of all");
    assert!(first.id == pending.id && first.state == DeliveryState::Delivered && first.attempts == pending.attempts + 1, "{first:?}");
}

/// What streams do is told of in no event, or one that sends everything would never come to its end.
#[test]
fn deliveries_are_no_events() {
    let delivering = Delivering::new(PATIENCE);
    let members = json!({"start": "beginning", "batch_events_max": 1, "categories": ["test", "audit_stream"]});
    let (stream, all) = (delivering.stream(&members), delivering.stream(&json!({"start": "beginning"})));
    delivering.append(0, 30);
    let last = delivering.bench.events();
    let is_through = |came: &[Came], id| came.iter().filter(|came| came.stream == id).flat_map(Came::sequences).max() == Some(last - 1);
    delivering.receiver.until("all arrived", |came| is_through(came, all) && is_through(came, stream));
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(delivering.bench.events(), last, "deliveries, and their records");
    let actions: BTreeSet<String> = delivering
        .receiver
        .came()
        .iter()
        .filter(|came| came.stream == stream)
        .map(|came| came.events()[0]["action"].as_str().expect("an action").to_owned())
        .collect();
    assert_eq!(actions, ["audit_stream.create", "test.step"].map(str::to_owned).into());
}

#[test]
fn a_stream_without_a_signing_key_says_so_and_goes_on_once_there_is_one() {
    let (bench, receiver) = (Bench::new(), Receiver::new());
    let streaming = bench.ledger.deliver_streams(Arc::<Receiver>::clone(&receiver), PATIENCE).expect("it delivers");
    let delivering = Delivering { streaming, bench, receiver, secret: String::new() };
    let stream = delivering.stream(&said());
    delivering.append(0, 5);
    delivering.until(stream, "it says so", |status| status.trouble.as_deref().is_some_and(|why| why.contains("signing key")));
    assert!(delivering.receiver.came().is_empty());
    // One that has nothing to sign with is behind like one that is refused.
    delivering.figures("it is behind", |figures| figures.running == 1 && figures.lag_events_max >= 5);
    let keys = kind("webhook_signing_key").expect("a kind");
    for _ in 0..2 {
        wait(delivering.bench.ledger.create_resource(&delivering.bench.admin(), keys, None, keys.example, None)).expect("made");
    }
    delivering.append(5, 10);
    delivering.receiver.until("all arrived", |came| came.len() >= 10);
    // While a key takes the place of another, both sign.
    let last = delivering.receiver.came().pop().expect("one");
    assert_eq!(last.header("webhook-signature").split(' ').count(), 2);
}

#[test]
fn a_stream_that_names_its_keys_is_signed_by_those_while_one_takes_the_place_of_the_other() {
    let delivering = Delivering::new(PATIENCE);
    let (ledger, admin) = (&delivering.bench.ledger, delivering.bench.admin());
    let keys = kind("webhook_signing_key").expect("a kind");
    let [old, new] = [(); 2].map(|()| wait(ledger.create_resource(&admin, keys, None, r#"{"name":"k"}"#, None)).expect("made"));
    let (old_id, new_id) = (old.kept.id.to_string(), new.kept.id.to_string());
    let stream = delivering.stream(&json!({"filter": "action eq \"test.step\"", "signing_key_id": old_id}));
    let change = |patch: Value| wait(ledger.update_resource(&admin, streams(), stream, None, &patch.to_string()));
    let signed = |from: u64, secrets: &[&str]| {
        delivering.append(from, from + 1);
        delivering.receiver.until("it came", |came| came.len() as u64 > from);
        let came = delivering.receiver.came().pop().expect("one");
        let seconds = came.header("webhook-timestamp").parse().expect("seconds");
        let expected = webhook::signatures(secrets.iter().copied(), came.header("webhook-id"), seconds, &came.body);
        assert_eq!(Some(came.header("webhook-signature")), expected.as_deref());
    };
    let (old, new) = (old.shown[0].text.as_str(), new.shown[0].text.as_str());
    signed(0, &[old]);
    change(json!({"signing_key_id": new_id, "previous_signing_key_id": old_id})).expect("changed");
    signed(1, &[new, old]);
    change(json!({"previous_signing_key_id": null})).expect("changed");
    signed(2, &[new]);
    for (patch, pointer) in [
        (json!({"previous_signing_key_id": Uuid::nil().to_string()}), "/previous_signing_key_id"),
        (json!({"previous_signing_key_id": "x"}), "/previous_signing_key_id"),
        (json!({"signing_key_id": null, "previous_signing_key_id": old_id}), "/previous_signing_key_id"),
        (json!({"signing_key_id": Uuid::nil().to_string()}), "/signing_key_id"),
    ] {
        let refused = change(patch.clone()).err();
        assert!(matches!(&refused, Some(MutateError::Fault(fault)) if fault.pointer == pointer), "{patch}: {refused:?}");
    }
}
