//! A retry is told the first receipt; another event under the same id is refused, and everything with it.

use serde_json::{Value, json};

use crate::server::{EVENTS, House, event, pointers};

fn with_id(n: u32, action: &str) -> Value {
    let mut event = event(action);
    event["id"] = json!(format!("00000000-0000-4000-8000-{n:012}"));
    event["content"] = json!({"arguments": {"n": n, "password": "p"}});
    event
}

#[test]
fn retries_and_new_events_may_be_mixed() {
    let house = House::start();
    let first = house.post(EVENTS, &with_id(1, "retry.one")).send().is(201);
    assert!(first.get("duplicate").is_none());
    let mut again = first.clone();
    again["duplicate"] = json!(true);
    assert_eq!(house.post(EVENTS, &with_id(1, "retry.one")).send().is(201), again);
    let batch = json!([with_id(2, "retry.two"), with_id(1, "retry.one"), with_id(3, "retry.three")]);
    let receipts = house.post(EVENTS, &batch).send().is(201)["receipts"].clone();
    assert_eq!(receipts[1], again);
    assert_eq!(receipts[0]["sequence"].as_u64().map(|n| n + 1), receipts[2]["sequence"].as_u64());
    let retried = house.post(EVENTS, &batch).send().is(201)["receipts"].clone();
    for n in 0..3 {
        assert_eq!((&retried[n]["row_hash"], &retried[n]["duplicate"]), (&receipts[n]["row_hash"], &json!(true)));
    }
    // The order of members, white space and upper case of the id say nothing.
    let spelt = r#" {"content":{"arguments":{"password":"p","n":1}},"actor":{"id":"alice","type":"human"},
        "outcome":"allow","action":"retry.one","id":"00000000-0000-4000-8000-000000000001"} "#;
    assert_eq!(house.post(EVENTS, &spelt).send().is(201), again);
    // Twice in one request is a retry as well.
    let twice = house.post(EVENTS, &json!([with_id(4, "retry.four"), with_id(4, "retry.four")])).send().is(201)["receipts"].clone();
    assert_eq!((&twice[0]["sequence"], &twice[1]["duplicate"]), (&twice[1]["sequence"], &json!(true)));
    assert_eq!(house.log("action sw \"retry.\"").len(), 4);
}

#[test]
fn a_conflict_writes_nothing_of_the_request() {
    let house = House::start();
    house.post(EVENTS, &with_id(1, "conflict.first")).send().is(201);
    let mut other_secret = with_id(1, "conflict.first");
    other_secret["content"]["arguments"]["password"] = json!("q");
    let cases = [
        (with_id(1, "conflict.other"), "/id"),
        (other_secret, "/id"),
        (json!([with_id(5, "conflict.new"), with_id(1, "conflict.other")]), "/1/id"),
        (json!([with_id(6, "conflict.new"), with_id(6, "conflict.newer")]), "/1/id"),
    ];
    for (body, pointer) in cases {
        let ask = house.post(EVENTS, &body);
        let problem = ask.refused(409, "id-conflict", (&house.project, "audit.append_rejected", "error"));
        assert_eq!(pointers(&problem), [pointer], "{body}");
    }
    assert_eq!(house.log("action sw \"conflict.\"").len(), 1);
}

#[test]
fn a_check_says_what_appending_would_and_writes_nothing() {
    let house = House::start();
    let check = format!("{EVENTS}/check");
    let first = house.post(EVENTS, &with_id(1, "check.first")).send().is(201);
    let answer = house.post(&check, &json!([with_id(2, "check.two"), with_id(1, "check.first"), with_id(2, "check.two")])).send().is(200);
    let duplicates: Vec<_> = answer["events"].as_array().expect("events").iter().map(|event| event.get("duplicate").is_some()).collect();
    assert_eq!((duplicates, &answer["events"][1]["id"]), (vec![false, true, true], &first["id"]));
    let mut odd = event("check.odd");
    odd["colour"] = json!(1);
    let cases = [
        (with_id(1, "check.other"), 409, "id-conflict", "error", vec!["/id"]),
        (json!([with_id(3, "a.b"), with_id(1, "check.other"), with_id(3, "a.c")]), 409, "id-conflict", "error", vec!["/1/id", "/2/id"]),
        (json!([with_id(1, "check.other"), odd]), 422, "invalid-event", "error", vec!["/1/colour"]),
        (json!([with_id(1, "check.other"), event("audit.read")]), 403, "engine-only-action", "deny", vec!["/1/action"]),
    ];
    for (body, status, kind, outcome, expected) in cases {
        let problem = house.post(&check, &body).refused(status, kind, (&house.project, "audit.append_rejected", outcome));
        assert_eq!(pointers(&problem), expected, "{body}");
    }
    assert_eq!(house.log("action sw \"check.\" or action sw \"a.\"").len(), 1);
}

#[test]
fn the_same_id_in_another_project_is_another_event() {
    let house = House::start();
    let (_, other) = house.tenant("other");
    house.post(EVENTS, &with_id(1, "shared.id")).send().is(201);
    let receipt = house.post(EVENTS, &with_id(1, "shared.other")).key(&other).send().is(201);
    assert!(receipt.get("duplicate").is_none());
}
