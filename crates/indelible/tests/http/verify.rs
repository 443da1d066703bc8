//! `/v1/audit/verify`: a whole project.

use serde_json::json;

use crate::server::{EVENTS, House, event};

#[test]
fn a_project_is_verified_and_that_is_recorded() {
    let house = House::start();
    house.post(EVENTS, &json!(vec![event("verify.one"); 300])).send().is(201);
    let answer = house.get("/v1/audit/verify").send();
    answer.left(&house, (&house.project, "audit.read", "allow"));
    let report = answer.is(200);
    assert_eq!((&report["project_id"], &report["findings"]), (&json!(house.project), &json!([])), "{report}");
    assert!(report["events"].as_u64().is_some_and(|events| events >= 300));
    assert!(["intact", "unanchored"].contains(&report["verdict"].as_str().expect("a word")), "{report}");
}

#[test]
fn wrong_questions_are_refused_and_recorded() {
    let house = House::start();
    let writer = house.make_key(&house.project, "application", &["events:append"]);
    let admin = house.admin.clone();
    let cases = [
        (&writer, "", 403, "forbidden", "deny"),
        (&admin, "?include=content", 400, "invalid-query", "error"),
        (&admin, "?project_id=00000000-0000-4000-8000-000000000001", 404, "not-found", "deny"),
    ];
    for (key, query, status, kind, outcome) in cases {
        house.get(&format!("/v1/audit/verify{query}")).key(key).refused(status, kind, (&house.project, "audit.read", outcome));
    }
}
