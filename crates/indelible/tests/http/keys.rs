//! `/v1/audit/keys/…` and `/v1/audit/checkpoints/adopt`: the ledger's own keys, and what was signed.

use serde_json::json;

use crate::server::{EVENTS, House, event};

const ROTATE: &str = "/v1/audit/keys/rotate";
const CHAIN: &str = "/v1/audit/keys/chain";
const ADOPT: &str = "/v1/audit/checkpoints/adopt";

#[test]
fn each_kind_of_key_rotates_and_serves() {
    let house = House::start();
    for (kind, expected) in [("hmac", "hmac_key"), ("signing", "signing_key")] {
        let answer = house.post(ROTATE, &json!({"kind": kind})).key(&house.instance).send();
        let rotated = answer.is(201);
        assert_eq!((&rotated["kind"], &rotated["id"]), (&json!(expected), &json!(2)));
        answer.left(&house, (&house.system, "key.rotate", "allow"));
    }
    let rotated = house.post(ROTATE, &json!({"kind": "data", "organization_id": house.organization})).key(&house.instance).send().is(201);
    assert_eq!(rotated["kind"], "data_key");
    let appended = house.post(EVENTS, &event("test.step")).send().is(201);
    let id = appended["id"].as_str().expect("an id").to_owned();
    assert_eq!(house.get(&format!("{EVENTS}/{id}")).send().is(200)["hmac_key_id"], 2);
}

#[test]
fn who_may_not_and_what_is_no_kind_is_refused_and_recorded() {
    let house = House::start();
    house.post(ROTATE, &json!({"kind": "hmac"})).refused(403, "forbidden", (&house.project, "key.rotate", "deny"));
    for (body, pointer) in [
        (json!({"kind": "master"}), "/kind"),
        (json!({}), "/kind"),
        (json!({"kind": "hmac", "organization_id": house.organization}), "/organization_id"),
        (json!({"kind": "data", "organisation": "x"}), "/organisation"),
        (json!({"kind": "hmac", "retire_old": true}), "/retire_old"),
        (json!({"kind": "signing", "retire_old": "yes"}), "/retire_old"),
    ] {
        let refused = house.post(ROTATE, &body).key(&house.instance).send();
        assert_eq!(crate::server::pointers(&refused.problem(422, "invalid-resource")), [pointer], "{body}");
        refused.left(&house, (&house.system, "key.rotate", "error"));
    }
    let unknown = json!({"kind": "data", "organization_id": "00000000-0000-4000-8000-000000000000"});
    house.post(ROTATE, &unknown).key(&house.instance).refused(404, "not-found", (&house.system, "key.rotate", "deny"));
}

#[test]
fn wraps_are_renewed() {
    let house = House::start();
    let said = json!({"action": "test.step", "outcome": "allow", "actor": {"type": "human", "id": "a"}, "content": {"arguments": {}}});
    house.post(EVENTS, &said).send().is(201);
    house.post(ROTATE, &json!({"kind": "data"})).key(&house.instance).send().is(201);
    let answer = house.post("/v1/audit/keys/rewrap", &json!({"organization_id": house.organization})).key(&house.instance).send();
    let renewed = answer.is(200);
    assert!(renewed["renewed"].as_u64() > Some(0) && renewed["unopened"] == 0, "{renewed}");
    house.post("/v1/audit/keys/rewrap", &json!({})).refused(403, "forbidden", (&house.project, "key.rewrap", "deny"));
}

#[test]
fn the_chain_keys_of_one_project_are_handed_out_and_recorded() {
    let house = House::start();
    let answer = house.ask("POST", CHAIN).send();
    let keys = answer.is(200);
    assert_eq!(keys["project_id"], json!(house.project));
    assert_eq!((&keys["keys"][0]["hmac_key_id"], keys["keys"][0]["key"].as_str().map(str::len)), (&json!(1), Some(64)));
    answer.left(&house, (&house.project, "key.export", "allow"));
    let made = house.post("/v1/api_keys", &json!({"name": "n", "scopes": ["audit:read"]})).send().is(201);
    house.ask("POST", CHAIN).key(made["key"].as_str().expect("a key")).refused(403, "forbidden", (&house.project, "key.export", "deny"));
}

#[test]
fn an_old_signing_key_is_ended_at_once_where_that_is_said() {
    let house = House::start();
    let until = |n: usize| house.get("/v1/audit/keys").send().is(200)["keys"][n]["until"].clone();
    house.post(ROTATE, &json!({"kind": "signing"})).key(&house.instance).send().is(201);
    assert!(until(0).is_string() && until(1).is_null());
    let ended = house.post(ROTATE, &json!({"kind": "signing", "retire_old": true})).key(&house.instance).send().is(201);
    assert_eq!((until(0), until(1), until(2)), (ended["since"].clone(), ended["since"].clone(), serde_json::Value::Null));
}

#[test]
fn there_is_nothing_to_adopt_where_every_tree_grew() {
    let house = House::start();
    assert_eq!(house.ask("POST", ADOPT).key(&house.instance).send().is(200), json!({"adopted": [], "refused": []}));
    house.ask("POST", ADOPT).refused(403, "forbidden", (&house.project, "checkpoint.adopt", "deny"));
}
