//! What an event may not be, with the place of each fault; and what only the engine may say.

use serde_json::{Value, json};

use crate::server::{EVENTS, House, event, pointers};

/// An event with one more member, as text.
fn with(member: &str) -> String {
    event("fault.one").to_string().replacen('{', &format!("{{{member},"), 1)
}

#[test]
fn each_fault_is_refused_with_its_place() {
    let house = House::start();
    let cases: &[(&str, u16, &str, &str)] = &[
        (r#""colour":"red""#, 422, "invalid-event", "/colour"),
        (r#""actor.id":"x""#, 422, "invalid-event", "/actor.id"),
        (r#""a/b~c":1"#, 422, "invalid-event", "/a~1b~0c"),
        (r#""personal":{}"#, 422, "invalid-event", "/personal"),
        (r#""reason":null"#, 422, "invalid-event", "/reason"),
        (r#""reason":7"#, 422, "invalid-event", "/reason"),
        (r#""outcome":"allow""#, 422, "invalid-event", "/outcome"),
        (r#""context":{"a":"1","a":"2"}"#, 422, "invalid-event", "/context/a"),
        (r#""content":{"output":{"x":[0,{"y":1,"y":1}]}}"#, 422, "invalid-event", "/content/output/x/1/y"),
        (r#""reason":"\ud800""#, 422, "invalid-event", "/reason"),
        (r#""content":{"output":["\udc00x"]}"#, 422, "invalid-event", "/content/output/0"),
        (r#""duration_ms":9007199254740992"#, 422, "invalid-event", "/duration_ms"),
        (r#""duration_ms":-1"#, 422, "invalid-event", "/duration_ms"),
        (r#""duration_ms":1.5"#, 422, "invalid-event", "/duration_ms"),
        (r#""duration_ms":1e999"#, 422, "invalid-event", "/duration_ms"),
        (r#""http":{"status":1000}"#, 422, "invalid-event", "/http/status"),
        (r#""usage":{"input_tokens":99999999999999999999999}"#, 422, "invalid-event", "/usage/input_tokens"),
        (r#""id":"not-a-uuid""#, 422, "invalid-event", "/id"),
        (r#""occurred_at":"yesterday""#, 422, "invalid-event", "/occurred_at"),
        (r#""context":{"n":5}"#, 422, "invalid-event", "/context/n"),
        (r#""content":{"thoughts":"x"}"#, 422, "invalid-event", "/content/thoughts"),
        (r#""content":{"request":{"headers":{"a":[1]}}}"#, 422, "invalid-event", "/content/request/headers/a/0"),
        (r#""phase":"outcome""#, 422, "invalid-event", "/operation_id"),
        (r#""run":{"step":1}"#, 422, "invalid-event", "/run/id"),
        (r#""schema_version":1"#, 422, "server-owned-member", "/schema_version"),
        (r#""organization_id":"00000000-0000-4000-8000-000000000000""#, 422, "server-owned-member", "/organization_id"),
        (r#""project_id":"00000000-0000-4000-8000-000000000000""#, 422, "server-owned-member", "/project_id"),
        (r#""sequence":0"#, 422, "server-owned-member", "/sequence"),
        (r#""recorded_at":"2024-01-01T00:00:00Z""#, 422, "server-owned-member", "/recorded_at"),
        (r#""claimed_at":"2024-01-01T00:00:00Z""#, 422, "server-owned-member", "/claimed_at"),
        (r#""assurance":"transactional""#, 422, "server-owned-member", "/assurance"),
        (r#""recorder":{"path":"engine"}"#, 422, "server-owned-member", "/recorder"),
        (r#""changes":[]"#, 422, "server-owned-member", "/changes"),
        (r#""changes_total":0"#, 422, "server-owned-member", "/changes_total"),
        (r#""read":{"returned":1}"#, 422, "server-owned-member", "/read"),
        (r#""decrypt":{"purpose":"x"}"#, 422, "server-owned-member", "/decrypt"),
        (r#""sealed":{}"#, 422, "server-owned-member", "/sealed"),
        (r#""sealed_personal":{}"#, 422, "server-owned-member", "/sealed_personal"),
        (r#""hmac_key_id":1"#, 422, "server-owned-member", "/hmac_key_id"),
        (r#""content":{"diff":[]}"#, 422, "server-owned-member", "/content/diff"),
    ];
    for (member, status, kind, pointer) in cases {
        let problem = house.post(EVENTS, &with(member)).refused(*status, kind, (&house.project, "audit.append_rejected", "error"));
        assert_eq!(pointers(&problem), [*pointer], "{member}");
    }
    assert!(house.log("action eq \"fault.one\"").is_empty());
}

#[test]
fn what_is_missing_is_named_where_it_should_be() {
    let house = House::start();
    let cases = [
        (json!({}), "/action"),
        (json!({"action": "a.b", "outcome": "allow"}), "/actor"),
        (json!({"action": "a.b", "actor": {"type": "human", "id": "x"}}), "/outcome"),
        (json!({"action": "a.b", "outcome": "allow", "actor": {"id": "x"}}), "/actor/type"),
        (json!({"action": "a.b", "outcome": "allow", "actor": {"type": "human"}}), "/actor/id"),
        (json!({"action": "a.b", "outcome": "allow", "actor": {"type": "robot", "id": "x"}}), "/actor/type"),
        (json!({"action": "plain", "outcome": "allow", "actor": {"type": "human", "id": "x"}}), "/action"),
    ];
    for (body, pointer) in cases {
        let problem = house.post(EVENTS, &body).refused(422, "invalid-event", (&house.project, "audit.append_rejected", "error"));
        assert_eq!(pointers(&problem), [pointer], "{body}");
    }
}

#[test]
fn a_batch_names_every_fault_by_the_index_of_its_event() {
    let house = House::start();
    let mut batch = vec![event("batch.one"); 5];
    batch[1]["colour"] = json!("red");
    batch[3]["actor"]["type"] = json!("robot");
    let left = (house.project.as_str(), "audit.append_rejected", "error");
    let problem = house.post(EVENTS, &json!(batch)).refused(422, "invalid-event", left);
    assert_eq!(pointers(&problem), ["/1/colour", "/3/actor/type"]);
    let lines: String = batch.iter().map(|event| event.to_string() + "\n").collect();
    let ask = house.ask("POST", EVENTS).header("content-type", "application/x-ndjson").body(lines);
    assert_eq!(pointers(&ask.refused(422, "invalid-event", left)), ["/1/colour", "/3/actor/type"]);
    let all: Vec<Value> = (0..150).map(|_| batch[3].clone()).collect();
    let problem = house.post(EVENTS, &json!(all)).refused(422, "invalid-event", left);
    assert_eq!((pointers(&problem).len(), problem["errors_total"].as_u64()), (100, Some(150)));
    assert_eq!(pointers(&problem)[99], "/99/actor/type");
    assert!(house.log("action eq \"batch.one\"").is_empty());
}

#[test]
fn a_refusal_never_repeats_a_value() {
    let house = House::start();
    let bodies = [
        with(r#""outcome_detail":"hunter2""#),
        with(r#""id":"hunter2""#),
        with(r#""occurred_at":"hunter2""#),
        event("hunter2").to_string(),
        with(r#""duration_ms":"hunter2""#),
        "hunter2".to_owned(),
    ];
    for body in bodies {
        let answer = house.post(EVENTS, &body).send();
        assert!(answer.status >= 400 && !answer.text().contains("hunter2"), "{}", answer.text());
    }
    let records = house.log("action eq \"audit.append_rejected\"");
    assert_eq!(records.len(), 6);
    assert!(!json!(records).to_string().contains("hunter2"));
}

#[test]
fn nobody_but_the_engine_writes_its_actions() {
    let house = House::start();
    let actions =
        ["audit.read", "audit.anything", "content.decrypt", "key.rotate", "integrity.finding", "api_key.create", "project.create"];
    for action in actions {
        let left = (house.project.as_str(), "audit.append_rejected", "deny");
        let problem = house.post(EVENTS, &event(action)).refused(403, "engine-only-action", left);
        assert_eq!(pointers(&problem), ["/action"], "{action}");
        let batch = json!([event("fine.one"), event(action)]);
        assert_eq!(pointers(&house.post(EVENTS, &batch).refused(403, "engine-only-action", left)), ["/1/action"]);
    }
    assert!(house.log("action eq \"fine.one\"").is_empty());
}

#[test]
fn a_key_that_may_not_append_is_refused_and_recorded() {
    let house = House::start();
    let reader = house.make_key(&house.project, "application", &["audit:read"]);
    for body in [event("a.b").to_string(), "not JSON".to_owned()] {
        house.post(EVENTS, &body).key(&reader).refused(403, "forbidden", (&house.project, "audit.append_rejected", "deny"));
    }
    // Nobody writes into a system project.
    let path = format!("{EVENTS}?project_id={}", house.system);
    let ask = house.post(&path, &event("a.b")).key(&house.instance);
    ask.refused(403, "engine-only-action", (&house.system, "audit.append_rejected", "deny"));
}
