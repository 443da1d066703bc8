//! `/v1/api_keys`: made, listed, revoked; never more than the maker's own key allows.

use serde_json::{Value, json};

use crate::server::{EVENTS, House, event, pointers};

const KEYS: &str = "/v1/api_keys";

fn new(scopes: &[&str]) -> Value {
    json!({"name": "a key", "scopes": scopes})
}

#[test]
fn a_key_works_until_it_is_revoked() {
    let house = House::start();
    let answer = house.post(KEYS, &new(&["events:append"])).send();
    answer.left(&house, (&house.project, "api_key.create", "allow"));
    let made = answer.is(201);
    let (id, key) = (made["id"].as_str().expect("an id"), made["key"].as_str().expect("a key"));
    assert!(key.starts_with(&format!("ind_{id}_")) && answer.header("location") == Some(&format!("{KEYS}/{id}")));
    assert_eq!(made["owner"], json!({"type": "project", "id": house.project}));
    house.post(EVENTS, &event("key.works".replace("key.", "keys.").as_str())).key(key).send().is(201);
    let listed = house.get(KEYS).send().is(200);
    let mine = listed["data"].as_array().expect("data").iter().find(|key| key["id"] == id).expect("listed");
    assert!(mine.get("key").is_none() && mine["revoked_at"].is_null() && mine["last_used_at"].is_string());
    let revoked = house.ask("DELETE", &format!("{KEYS}/{id}")).send();
    assert_eq!(revoked.status, 204);
    revoked.left(&house, (&house.project, "api_key.revoke", "allow"));
    assert!(house.get(&format!("{KEYS}/{id}")).send().is(200)["revoked_at"].is_string());
    house.post(EVENTS, &event("keys.work")).key(key).send().problem(401, "unauthorized");
    house.ask("DELETE", &format!("{KEYS}/{id}")).refused(409, "conflict", (&house.project, "api_key.revoke", "error"));
}

#[test]
fn a_key_is_rotated_and_the_old_one_works_for_its_grace() {
    let house = House::start();
    let made = house.post(KEYS, &new(&["events:append"])).send().is(201);
    let (id, old) = (made["id"].as_str().expect("an id"), made["key"].as_str().expect("a key"));
    let rotate = |body: &Value| house.post(&format!("{KEYS}/{id}/rotate"), body).header("idempotency-key", "r");
    let answer = rotate(&json!({"grace_seconds": 600})).send();
    answer.left(&house, (&house.project, "api_key.rotate", "allow"));
    let rotated = answer.is(200);
    assert!(rotated["previous_until"].is_string());
    for key in [old, rotated["key"].as_str().expect("a key")] {
        house.post(EVENTS, &event("keys.work")).key(key).send().is(201);
    }
    let again = rotate(&json!({"grace_seconds": 600})).send();
    assert_eq!((again.header("idempotent-replayed"), again.is(200).get("key")), (Some("true"), None));
    rotate(&json!({})).refused(409, "conflict", (&house.project, "api_key.rotate", "error"));
    let second = house.post(&format!("{KEYS}/{id}/rotate"), "{}").send().is(200);
    house.post(EVENTS, &event("keys.work")).key(rotated["key"].as_str().expect("a key")).send().problem(401, "unauthorized");
    house.post(EVENTS, &event("keys.work")).key(second["key"].as_str().expect("a key")).send().is(201);
}

#[test]
fn an_expired_key_is_refused() {
    let house = House::start();
    let mut soon = new(&["events:append"]);
    soon["expires_at"] = json!("2099-01-01T00:00:00Z");
    let key = house.post(KEYS, &soon).send().is(201);
    assert_eq!(key["expires_at"], "2099-01-01T00:00:00Z");
    soon["expires_at"] = json!("2001-01-01T00:00:00Z");
    let problem = house.post(KEYS, &soon).refused(422, "invalid-resource", (&house.project, "api_key.create", "error"));
    assert_eq!(pointers(&problem), ["/expires_at"]);
}

#[test]
fn nobody_makes_a_key_that_allows_more_than_his_own() {
    let house = House::start();
    let weak = house.make_key(&house.project, "application", &["control:write", "events:append"]);
    let writer = house.make_key(&house.project, "application", &["events:append"]);
    let (other, _) = house.tenant("other");
    let of = |owner: Value| {
        let mut new = new(&["events:append"]);
        new["owner"] = owner;
        new
    };
    let cases = [
        (&weak, new(&["audit:read"]), 403, "forbidden"),
        (&weak, new(&["events:append", "content:decrypt"]), 403, "forbidden"),
        (&writer, new(&["events:append"]), 403, "forbidden"),
        (&weak, of(json!({"type": "instance"})), 403, "forbidden"),
        (&weak, of(json!({"type": "organization", "id": house.organization})), 404, "not-found"),
        (&weak, of(json!({"type": "project", "id": other})), 404, "not-found"),
        (&weak, of(json!({"type": "project", "id": "00000000-0000-4000-8000-000000000001"})), 404, "not-found"),
    ];
    for (key, body, status, kind) in cases {
        house.post(KEYS, &body).key(key).refused(status, kind, (&house.project, "api_key.create", "deny"));
    }
}

#[test]
fn a_document_that_is_wrong_is_refused_with_its_place_and_recorded() {
    let house = House::start();
    let long = json!({"name": "n".repeat(1_025), "scopes": ["audit:read"]}).to_string();
    let huge = format!("{{\"name\":\"{}\"}}", "n".repeat(1024 * 1024));
    let cases: &[(&str, u16, &str, &[&str])] = &[
        ("", 400, "malformed-json", &[]),
        ("{", 400, "malformed-json", &[]),
        ("[]", 422, "invalid-resource", &[""]),
        ("{}", 422, "invalid-resource", &["/name"]),
        (r#"{"name":"","scopes":["audit:read"]}"#, 422, "invalid-resource", &["/name"]),
        (&long, 422, "invalid-resource", &["/name"]),
        (r#"{"name":"a","scopes":[]}"#, 422, "invalid-resource", &["/scopes"]),
        (r#"{"name":"a","scopes":["root"]}"#, 422, "invalid-resource", &["/scopes/0"]),
        (r#"{"name":"a","name":"b","scopes":["audit:read"]}"#, 422, "invalid-resource", &["/name"]),
        (r#"{"name":"a","scopes":["audit:read"],"key":"k"}"#, 422, "invalid-resource", &["/key"]),
        (r#"{"name":"a","scopes":["audit:read"],"kind":"engine"}"#, 422, "invalid-resource", &["/kind"]),
        (&huge, 413, "request-too-large", &[]),
    ];
    for (body, status, kind, places) in cases {
        let problem = house.post(KEYS, &body).refused(*status, kind, (&house.project, "api_key.create", "error"));
        assert_eq!(pointers(&problem), *places, "{}", body.chars().take(60).collect::<String>());
    }
    let left = (house.project.as_str(), "api_key.create", "error");
    house.post(KEYS, &new(&["audit:read"])).header("content-type", "text/plain").refused(415, "unsupported-media-type", left);
    house.post(&format!("{KEYS}?x=1"), &new(&["audit:read"])).refused(400, "invalid-query", left);
}

#[test]
fn listing_and_revoking_are_refused_and_recorded() {
    let house = House::start();
    let writer = house.make_key(&house.project, "application", &["events:append"]);
    let nobody = format!("{KEYS}/00000000-0000-4000-8000-000000000001");
    let project = house.project.as_str();
    house.get(KEYS).key(&writer).refused(403, "forbidden", (project, "audit.read", "deny"));
    house.get(&format!("{KEYS}?x=1")).refused(400, "invalid-query", (project, "audit.read", "error"));
    house.ask("DELETE", &nobody).refused(404, "not-found", (project, "api_key.revoke", "deny"));
    house.ask("DELETE", &nobody).key(&writer).refused(404, "not-found", (project, "api_key.revoke", "deny"));
    let own = house.post(KEYS, &new(&["audit:read"])).send().is(201);
    let own = format!("{KEYS}/{}", own["id"].as_str().expect("an id"));
    house.ask("DELETE", &own).key(&writer).refused(403, "forbidden", (project, "api_key.revoke", "deny"));
    house.ask("DELETE", &format!("{KEYS}/x")).refused(404, "not-found", (project, "api_key.revoke", "error"));
}
