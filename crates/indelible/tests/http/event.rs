//! `/v1/audit/events/{id}` and `/v1/audit/events/{id}/verify`.

use serde_json::json;

use crate::server::{EVENTS, House, event};

#[test]
fn one_event_is_shown_and_opened_for_a_purpose() {
    let house = House::start();
    let mut said = event("event.said");
    said["content"] = json!({"before_state": {"status": "open"}, "after_state": {"status": "done"}});
    let receipt = house.post(EVENTS, &said).send().is(201);
    let id = receipt["id"].as_str().expect("an id");
    let path = format!("{EVENTS}/{id}");
    let closed = house.get(&path).send();
    closed.left(&house, (&house.project, "audit.read", "allow"));
    let closed = closed.is(200);
    assert!(closed.get("content").is_none() && closed["row_hash"] == receipt["row_hash"] && closed["changes"] == json!(["/status"]));
    let opened = house.get(&format!("{path}?include=content&purpose=ticket")).send();
    let actions: Vec<_> = house
        .log(&format!("request.request_id eq \"{}\"", opened.request_id))
        .iter()
        .map(|event| event["action"].as_str().expect("an action").to_owned())
        .collect();
    assert_eq!(actions, ["audit.read", "content.decrypt"]);
    let opened = opened.is(200);
    assert_eq!(opened["content"]["after_state"], json!({"status": "done"}));
    assert_eq!(opened["content"]["diff"][0]["path"], "/status");
    // An id is found in any case.
    house.get(&format!("{EVENTS}/{}", id.to_uppercase())).send().is(200);
}

#[test]
fn one_event_is_verified() {
    let house = House::start();
    let receipt = house.post(EVENTS, &event("event.proved")).send().is(201);
    let path = format!("{EVENTS}/{}/verify", receipt["id"].as_str().expect("an id"));
    let answer = house.get(&path).send();
    answer.left(&house, (&house.project, "audit.read", "allow"));
    let verdict = answer.is(200);
    assert_eq!(verdict["valid"], true, "{verdict}");
    assert_eq!((&verdict["sequence"], &verdict["findings"]), (&receipt["sequence"], &json!([])));
}

#[test]
fn what_is_not_there_or_not_allowed_is_refused_and_recorded() {
    let house = House::start();
    let receipt = house.post(EVENTS, &event("event.one")).send().is(201);
    let id = receipt["id"].as_str().expect("an id");
    let writer = house.make_key(&house.project, "application", &["events:append"]);
    let reader = house.make_key(&house.project, "application", &["audit:read"]);
    let (admin, nobody) = (house.admin.clone(), "00000000-0000-4000-8000-000000000001");
    let cases = [
        (&admin, nobody.to_owned(), 404, "not-found", "error"),
        (&admin, "not-an-id".to_owned(), 404, "not-found", "error"),
        (&admin, "%ff".to_owned(), 404, "not-found", "error"),
        (&admin, format!("{nobody}/verify"), 404, "not-found", "error"),
        (&admin, "x/verify".to_owned(), 404, "not-found", "error"),
        (&admin, format!("{id}?colour=red"), 400, "invalid-query", "error"),
        (&admin, format!("{id}/verify?include=content"), 400, "invalid-query", "error"),
        (&admin, format!("{id}?include=content"), 400, "invalid-purpose", "error"),
        (&admin, format!("{id}?project_id={nobody}"), 404, "not-found", "deny"),
        (&reader, format!("{id}?include=content&purpose=x"), 403, "forbidden", "deny"),
        (&writer, id.to_owned(), 403, "forbidden", "deny"),
        (&writer, format!("{id}/verify"), 403, "forbidden", "deny"),
        (&writer, nobody.to_owned(), 403, "forbidden", "deny"),
    ];
    for (key, path, status, kind, outcome) in cases {
        house.get(&format!("{EVENTS}/{path}")).key(key).refused(status, kind, (&house.project, "audit.read", outcome));
    }
    for method in ["DELETE", "PUT", "PATCH"] {
        let answer = house.ask(method, &format!("{EVENTS}/{id}")).send();
        answer.problem(405, "method-not-allowed");
        assert!(answer.header("allow").is_some_and(|allow| allow.contains("GET")));
    }
}
