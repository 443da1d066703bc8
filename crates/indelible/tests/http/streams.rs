//! `/v1/audit_streams/{id}/…`: streams that deliver over loopback, with TLS, to receivers that answer as they like.

mod apart;
mod destinations;
mod inbox;
mod receiver;
mod reference;
mod replay;

use std::time::Duration;

use indelible_core::time::Timestamp;
use serde_json::{Value, json};

use crate::server::{EVENTS, House, event};
use inbox::Inbox;
use receiver::{Came, Say, TAKE, tls_file, wait};

const STREAMS: &str = "/v1/audit_streams";
const KEYS: &str = "/v1/webhook_signing_keys";
const NOBODY: &str = "00000000-0000-4000-8000-00000000dead";

/// A server that delivers to a receiver, with a key that signs.
struct Delivering {
    house: House,
    inbox: Inbox,
    secret: String,
}

/// A server that may reach loopback.
fn house(more: &[&str]) -> House {
    let (ca, mut arguments) = (tls_file("ca.pem"), vec!["--stream-allow", "127.0.0.1", "--stream-ca-file"]);
    arguments.push(&ca);
    arguments.extend(more);
    House::delivering(&arguments)
}

impl Delivering {
    fn start() -> Self {
        let house = house(&[]);
        let key = house.post(KEYS, r#"{"name":"k","primary":true}"#).send().is(201);
        Self { house, inbox: Inbox::start(), secret: key["secret"].as_str().expect("a secret").to_owned() }
    }

    /// Makes a stream of the test's events to this path; its URL in the API.
    fn stream(&self, path: &str, members: &Value) -> String {
        make(&self.house, &self.house.admin, &self.inbox.url(path), members)
    }

    fn append(&self, numbers: std::ops::Range<u64>) {
        append(&self.house, &self.house.admin, numbers);
    }

    fn status(&self, stream: &str) -> Value {
        self.house.get(&format!("{stream}/status")).send().is(200)
    }

    /// The status, once it is so.
    fn until(&self, stream: &str, holds: impl Fn(&Value) -> bool) -> Value {
        wait(|| Some(self.status(stream)).filter(|status| holds(status)), || self.status(stream).to_string())
    }

    fn deliveries(&self, stream: &str, asked: &str) -> Vec<Value> {
        let page = self.house.get(&format!("{stream}/deliveries{asked}")).send().is(200);
        page["data"].as_array().expect("data").clone()
    }

    /// The same, once there are so many: what was taken is recorded a moment later.
    fn recorded(&self, stream: &str, asked: &str, many: usize) -> Vec<Value> {
        let found = || Some(self.deliveries(stream, asked)).filter(|found| found.len() >= many);
        wait(found, || format!("{:?}", self.deliveries(stream, asked)))
    }
}

fn make(house: &House, key: &str, url: &str, members: &Value) -> String {
    let mut document = json!({"name": "n", "url": url, "filter": "action eq \"stream.step\""});
    for (name, value) in members.as_object().expect("an object") {
        document[name] = value.clone();
    }
    let made = house.post(STREAMS, &document).key(key).send().is(201);
    format!("{STREAMS}/{}", made["id"].as_str().expect("an id"))
}

fn append(house: &House, key: &str, numbers: std::ops::Range<u64>) {
    let numbered = |n: u64| {
        let mut event = event("stream.step");
        event["context"] = json!({"n": n.to_string()});
        format!("{event}\n")
    };
    let body: String = numbers.map(numbered).collect();
    house.ask("POST", EVENTS).key(key).header("content-type", "application/x-ndjson").body(body).send().is(201);
}

/// The numbers of the events in what came.
fn numbers(came: &[Came]) -> Vec<u64> {
    let number = |event: &Value| event["context"]["n"].as_str().expect("a number").parse().expect("a number");
    came.iter().flat_map(|came| came.events().iter().map(number).collect::<Vec<u64>>()).collect()
}

#[test]
fn what_a_stream_did_is_told_by_its_status_and_its_deliveries() {
    let delivering = Delivering::start();
    let (house, stream) = (&delivering.house, delivering.stream("/in", &json!({})));
    // One after the other: of deliveries that began within the same millisecond the ids, by which they are listed, have no order.
    for n in 0..5 {
        delivering.append(n..n + 1);
        assert_eq!(numbers(&delivering.inbox.until("/in", usize::try_from(n).expect("few") + 1)), (0..=n).collect::<Vec<_>>());
    }
    // Nothing lies before it once it has passed what is none of its own: the records of these questions too.
    let status = delivering.until(&stream, |status| status["lag_events"] == 0);
    let position = &status["positions"][0];
    assert_eq!((&position["project_id"], &position["next_sequence"]), (&json!(house.project), &position["events"]));
    let told = ["running", "state_reason", "lag_seconds", "trouble", "pending", "dead_letters", "replays"].map(|member| &status[member]);
    assert_eq!(told.map(Value::to_string), ["true", "null", "0.0", "null", "null", "0", "0"]);

    let all = delivering.recorded(&stream, "", 5);
    let sequences: Vec<u64> = all.iter().map(|delivery| delivery["first_sequence"].as_u64().expect("a number")).collect();
    assert!(sequences.is_sorted_by(|newer, older| newer > older), "{all:?}");
    let ids: Vec<String> = delivering.inbox.taken("/in").iter().rev().map(|came| came.header("webhook-id").to_owned()).collect();
    assert_eq!(all.iter().map(|delivery| delivery["message_id"].as_str().expect("an id")).collect::<Vec<_>>(), ids);
    for delivery in &all {
        let (state, status, attempts) = (&delivery["state"], &delivery["status"], &delivery["attempts"]);
        assert_eq!((state, status, attempts, &delivery["events"]), (&json!("delivered"), &json!(204), &json!(1), &json!(1)));
        assert!(delivery["latency_micros"].as_u64() > Some(0) && delivery["replay_id"].is_null(), "{delivery}");
    }
    let first = house.get(&format!("{stream}/deliveries?limit=3")).send();
    first.left(house, (&house.project, "audit.read", "allow"));
    let next = first.is(200)["next_before"].as_str().expect("there are more").to_owned();
    assert_eq!((first.is(200)["data"][2]["id"].as_str(), &first.is(200)["data"][0]), (Some(next.as_str()), &all[0]));
    let second = house.get(&format!("{stream}/deliveries?limit=3&before={next}&state=delivered")).send().is(200);
    assert_eq!((&second["data"], second.get("next_before")), (&json!(all[3..]), None));
    assert!(delivering.deliveries(&stream, "?state=dead").is_empty());
    let one = house.get(&format!("{stream}/deliveries/{}", all[2]["id"].as_str().expect("an id"))).send();
    one.left(house, (&house.project, "audit.read", "allow"));
    assert_eq!(one.is(200), all[2]);
    for asked in ["?state=lost", "?limit=0", "?limit=1001", "?before=x", "?after=1"] {
        house.get(&format!("{stream}/deliveries{asked}")).send().problem(400, "invalid-query");
    }
    house.get(&format!("{stream}/deliveries/{NOBODY}")).refused(404, "not-found", (&house.project, "audit.read", "error"));
    house.get(&format!("{STREAMS}/{NOBODY}/status")).refused(404, "not-found", (&house.project, "audit.read", "error"));
}

#[test]
fn whatever_a_receiver_does_is_told_and_every_event_arrives_in_order() {
    let delivering = Delivering::start();
    let says = [
        (Say::status(500), "the receiver answered 500"),
        (Say::status(302), "the receiver answered 302: redirects are not followed"),
        (Say::Answer(429, "Retry-After: 1\r\n", "later"), "the receiver answered 429"),
        (Say::status(401), "the receiver answered 401"),
        (Say::status(422), "the receiver answered 422"),
        (Say::Half, "the answer broke off"),
        (Say::Garbage, "no answer from 127.0.0.1"),
        (Say::TakeAndBreak, "no answer from 127.0.0.1"),
        (Say::Slowly(503, Duration::from_millis(300)), "the receiver answered 503"),
    ];
    // Beside them one whose receiver says nothing, all the while.
    let hung = delivering.stream("/hung", &json!({}));
    let deed = |say: Say| move |came: &Came| if came.path == "/hung" { Say::Hang } else { say };
    for (n, (say, why)) in says.iter().enumerate() {
        let path = format!("/{n}");
        let stream = delivering.stream(&path, &json!({}));
        // Nothing changes until it was seen.
        let say = *say;
        delivering.inbox.says(deed(say));
        delivering.append(0..3);
        let status = delivering.until(&stream, |status| status["pending"].is_object());
        let told = status["trouble"].as_str().expect("why it does not go on");
        assert!(told.contains(why) && status["lag_events"].as_u64() >= Some(3) && status["running"] == true, "{why}: {status}");
        assert_eq!((&status["pending"]["state"], &status["pending"]["error"]), (&json!("pending"), &status["trouble"]));
        delivering.inbox.says(deed(TAKE));
        let arrived = || Some(delivering.inbox.taken(&path)).filter(|taken| numbers(taken).contains(&2));
        let mut came = numbers(&wait(arrived, || format!("{why}: {}", delivering.status(&stream))));
        assert!(came.is_sorted(), "{why}: {came:?}");
        came.dedup();
        assert_eq!(came, [0, 1, 2], "{why}");
        let first = delivering.recorded(&stream, "?state=delivered", 3).pop().expect("the oldest");
        assert!(first["attempts"].as_u64() > Some(1) && first["error"].is_null(), "{first}");
        if let Say::Answer(429, ..) = say {
            let at = |member: &str| Timestamp::parse(first[member].as_str().expect("a time")).expect("a time").as_micros();
            assert!(at("attempted_at") - at("created_at") >= 1_000_000, "not before the second that it asked for: {first}");
        }
        assert_eq!(delivering.house.ask("DELETE", &stream).send().status, 204);
    }
    let behind = delivering.status(&hung);
    assert!(behind["lag_events"].as_u64() >= Some(27) && behind["running"] == true, "{behind}");
    assert_eq!(delivering.house.ask("DELETE", &hung).send().status, 204, "it ends though an answer is waited for");
}

#[test]
fn a_stream_is_paused_and_goes_on_from_where_it_was_whoever_pauses_it() {
    let delivering = Delivering::start();
    let (house, stream) = (&delivering.house, delivering.stream("/in", &json!({"batch_events_max": 10})));
    delivering.append(0..5);
    let came = || numbers(&delivering.inbox.taken("/in"));
    wait(|| (came().len() == 5).then_some(()), || format!("{:?}", came()));
    let paused = house.post(&format!("{stream}/pause"), r#"{"reason":"the receiver moves"}"#).send();
    paused.left(house, (&house.project, "audit_stream.pause", "allow"));
    house.post(&format!("{stream}/pause"), "{}").refused(409, "conflict", (&house.project, "audit_stream.pause", "error"));
    delivering.append(5..10);
    std::thread::sleep(Duration::from_millis(300));
    let status = delivering.status(&stream);
    assert_eq!((&status["running"], &status["state_reason"]), (&json!(false), &json!("the receiver moves")));
    assert!(status["lag_events"].as_u64() >= Some(5) && came().len() == 5, "{status}");
    house.post(&format!("{stream}/resume"), "{}").send().is(200);
    wait(|| (came().len() == 10).then_some(()), || format!("{:?}", came()));

    // A receiver that wants no more has it paused as well, and it says so.
    delivering.inbox.says(|_| Say::status(410));
    delivering.append(10..15);
    let status = delivering.until(&stream, |status| status["running"] == false);
    assert!(status["state_reason"].as_str().is_some_and(|why| why.contains("410")), "{status}");
    let told = house.log("action eq \"audit_stream.pause\" and actor.type eq \"system\"");
    assert_eq!(told.len(), 1, "{told:?}");
    delivering.inbox.says(|_| TAKE);
    house.post(&format!("{stream}/resume"), "{}").send().is(200);
    wait(|| (came().len() == 15).then_some(()), || format!("{:?}", came()));
    assert_eq!(came(), (0..15).collect::<Vec<_>>());
}

#[test]
fn a_try_shows_what_the_receiver_says() {
    let delivering = Delivering::start();
    let (house, members) = (&delivering.house, json!({"secret_headers": {"Authorization": "hunter22"}}));
    let stream = delivering.stream("/in", &members);
    let test = || house.ask("POST", &format!("{stream}/test"));
    house.post(&format!("{stream}/pause"), "{}").send().is(200);
    let answer = test().send();
    answer.left(house, (&house.project, "audit_stream.test", "allow"));
    let tested = answer.is(200);
    assert_eq!((&tested["taken"], &tested["delivery"]["status"]), (&json!(true), &json!(204)));
    let came = delivering.inbox.until("/in", 1);
    let sent = &came[0].events()[0];
    assert_eq!((&sent["action"], &sent["id"]), (&json!("audit_stream.test"), &tested["delivery"]["message_id"]));
    assert_eq!((&sent["request"]["request_id"], came[0].header("authorization")), (&json!(answer.request_id), "hunter22"));

    let cases = [
        (Say::Answer(500, "", "you sent hunter22"), json!(500), json!("you sent [REDACTED]")),
        (Say::Answer(302, "Location: https://127.0.0.1/\r\n", ""), json!(302), Value::Null),
        (Say::status(410), json!(410), Value::Null),
        (Say::Half, Value::Null, Value::Null),
        (Say::Garbage, Value::Null, Value::Null),
        (Say::TakeAndBreak, Value::Null, Value::Null),
    ];
    for (say, status, said) in cases {
        delivering.inbox.says(move |_| say);
        let tested = test().send().is(200);
        let delivery = &tested["delivery"];
        assert_eq!((&tested["taken"], &delivery["status"], &delivery["answer"]), (&json!(false), &status, &said), "{say:?}");
        assert!(delivery["error"].as_str().is_some_and(|why| !why.is_empty()), "{say:?}: {delivery}");
    }
    let status = delivering.status(&stream);
    assert_eq!((&status["state_reason"], &status["pending"]), (&Value::Null, &Value::Null));
    assert!(delivering.deliveries(&stream, "").is_empty(), "nothing of a try is kept");
    house.ask("POST", &format!("{STREAMS}/{NOBODY}/test")).refused(404, "not-found", (&house.project, "audit_stream.test", "deny"));
    // One that nobody could verify is not sent.
    let (other, key) = house.tenant("without a key");
    let writer = house.make_key(&other, "application", &["audit:write"]);
    let unsigned = make(house, &writer, &delivering.inbox.url("/unsigned"), &json!({}));
    house.ask("POST", &format!("{unsigned}/test")).key(&writer).refused(409, "conflict", (&other, "audit_stream.test", "error"));
    append(house, &key, 0..1);
    let trouble = || house.get(&format!("{unsigned}/status")).key(&writer).send().is(200)["trouble"].clone();
    wait(|| trouble().as_str().filter(|why| why.contains("signing key")).map(drop), || trouble().to_string());
}
