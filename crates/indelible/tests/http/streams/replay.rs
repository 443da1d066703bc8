//! `POST /v1/audit_streams/{id}/replay`: one delivery, all dead letters, a range; and what is refused.

use serde_json::{Value, json};

use super::receiver::{Came, Say, TAKE, wait};
use super::{Delivering, NOBODY, STREAMS, numbers};
use crate::server::pointers;

impl Delivering {
    fn replay(&self, stream: &str, body: &Value) -> Value {
        let answer = self.house.post(&format!("{stream}/replay"), body).send();
        answer.left(&self.house, (&self.house.project, "webhook_delivery.replay", "allow"));
        answer.is(202)
    }
}

/// Refuses every seventh event for what it is.
fn refuses(came: &Came) -> Say {
    let poisoned = numbers(std::slice::from_ref(came)).iter().any(|n| n % 7 == 3);
    if poisoned { Say::Answer(422, "", "not this one") } else { TAKE }
}

#[test]
fn one_delivery_all_dead_letters_and_a_range_are_sent_again() {
    let delivering = Delivering::start();
    let stream = delivering.stream("/in", &json!({"batch_events_max": 5, "dead_letter_after": 1}));
    delivering.inbox.says(refuses);
    delivering.append(0..21);
    delivering.until(&stream, |status| {
        let is_through = numbers(&delivering.inbox.taken("/in")).len() == 18;
        is_through && status["dead_letters"] == 3 && status["pending"].is_null()
    });
    let dead = delivering.recorded(&stream, "?state=dead", 3);
    assert!(dead.iter().all(|dead| (&dead["events"], &dead["answer"]) == (&json!(1), &json!("not this one"))), "{dead:?}");
    let taken: Vec<u64> = (0..21).filter(|n| n % 7 != 3).collect();
    assert_eq!(numbers(&delivering.inbox.taken("/in")), taken, "of a batch with one that is refused the others go on");

    delivering.inbox.says(|_| TAKE);
    let before = delivering.inbox.taken("/in").len();
    let id = dead[0]["id"].as_str().expect("an id");
    assert_eq!(delivering.replay(&stream, &json!({"delivery_id": id})), json!({"replay_id": id, "deliveries": 1}));
    let again = &delivering.inbox.until("/in", before + 1)[before..];
    assert_eq!((again[0].header("webhook-id"), numbers(again)), (dead[0]["message_id"].as_str().expect("an id"), vec![17]));
    let replayed = delivering.replay(&stream, &json!({"dead_letters": true}));
    assert_eq!(replayed, json!({"replay_id": null, "deliveries": 2}));
    assert_eq!(numbers(&delivering.inbox.until("/in", before + 3)[before + 1..]), [3, 10]);
    delivering.until(&stream, |status| status["dead_letters"] == 0 && status["replays"] == 0);
    let once = |state: &str| delivering.deliveries(&stream, &format!("?state={state}")).len();
    assert_eq!((once("dead"), once("replayed")), (0, 3));

    // A range, as many of its events as are the stream's; under the ids that batches of them have.
    let sequences: Vec<u64> = delivering.inbox.taken("/in").iter().flat_map(Came::sequences).collect();
    let (first, last) = (sequences.iter().min().expect("some"), sequences.iter().max().expect("some"));
    let before = delivering.inbox.taken("/in").len();
    let replayed = delivering.replay(&stream, &json!({"from_sequence": first + 2, "to_sequence": last}));
    assert!(replayed["deliveries"].is_null(), "{replayed}");
    let again = || numbers(&delivering.inbox.taken("/in")[before..]);
    wait(|| (again().len() == 19).then_some(()), || format!("{:?}", again()));
    assert_eq!(again(), (2..21).collect::<Vec<_>>());
    delivering.until(&stream, |status| status["replays"] == 0);
    let of_it = |delivery: &&Value| delivery["replay_id"] == replayed["replay_id"];
    assert_eq!(delivering.deliveries(&stream, "").iter().filter(of_it).count(), 4);
    let told = delivering.house.log("action eq \"webhook_delivery.replay\" and outcome eq \"allow\"");
    assert_eq!((told.len(), &told[0]["resource"]["id"]), (3, &json!(id)));
}

#[test]
fn what_is_no_replay_is_refused_with_its_place() {
    let delivering = Delivering::start();
    let (house, inbox) = (&delivering.house, &delivering.inbox);
    let (stream, other) = (delivering.stream("/in", &json!({})), delivering.stream("/other", &json!({})));
    delivering.append(0..3);
    let theirs = delivering.recorded(&other, "", 3)[0]["id"].clone();
    inbox.says(|_| Say::status(503));
    delivering.append(3..4);
    let pending = delivering.until(&stream, |status| status["pending"].is_object())["pending"]["id"].clone();
    let (elsewhere, _) = house.tenant("elsewhere");
    let own = (&house.project[..], "webhook_delivery.replay");
    let refused = |body: &Value, status: u16, kind: &str, outcome: &str| {
        let ask = house.post(&format!("{stream}/replay"), body);
        ask.refused(status, kind, (own.0, own.1, outcome))
    };
    for (body, pointer) in [
        (json!({"from_sequence": 2, "to_sequence": 1}), "/to_sequence"),
        (json!({"from_sequence": 0, "to_sequence": 1_000_000}), "/to_sequence"),
        (json!({"from_sequence": 0, "to_sequence": 9_007_199_254_740_991_u64}), "/to_sequence"),
        (json!({"to_sequence": 1}), "/from_sequence"),
        (json!({"from_sequence": 1}), "/to_sequence"),
        (json!({"from_sequence": -1, "to_sequence": 1}), "/from_sequence"),
        (json!({"from_sequence": "0", "to_sequence": 1}), "/from_sequence"),
        (json!({"delivery_id": "x"}), "/delivery_id"),
        (json!({"dead_letters": "yes"}), "/dead_letters"),
        (json!({"dead_letters": false}), ""),
        (json!({"dead_letters": true, "delivery_id": theirs}), ""),
        (json!({"everything": true}), "/everything"),
        (json!({}), ""),
        (json!([]), ""),
    ] {
        let problem = refused(&body, 422, "invalid-resource", "error");
        assert_eq!(pointers(&problem), [pointer], "{body}: {problem}");
    }
    // Nobody learns by this of a delivery of another stream, nor of another tenant's project.
    for body in [
        json!({"delivery_id": NOBODY}),
        json!({"delivery_id": theirs}),
        json!({"from_sequence": 0, "to_sequence": 0, "project_id": elsewhere}),
        json!({"from_sequence": 0, "to_sequence": 0, "project_id": NOBODY}),
    ] {
        refused(&body, 404, "not-found", "deny");
    }
    refused(&json!({"delivery_id": pending}), 409, "conflict", "error");
    let post = |body: &str| house.post(&format!("{stream}/replay"), body);
    post("{").refused(400, "malformed-json", (own.0, own.1, "error"));
    post("").refused(400, "malformed-json", (own.0, own.1, "error"));
    post("{}").header("content-type", "text/plain").refused(415, "unsupported-media-type", (own.0, own.1, "error"));
    let nowhere = house.post(&format!("{STREAMS}/{NOBODY}/replay"), &json!({"dead_letters": true}));
    nowhere.refused(404, "not-found", (own.0, own.1, "deny"));
    assert_eq!(delivering.status(&stream)["replays"], 0);
}
