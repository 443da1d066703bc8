//! Members by HTTP: invited, signed in, seeing what is theirs, in the organization's explorer too.

use serde_json::{Value, json};

use crate::server::{EVENTS, House, event};

/// A member by invitation: its id and its key.
fn join(house: &House, user: &str, role: &str) -> (String, String) {
    let invited = json!({"name": user, "user_id": user, "role": role});
    let invitation = house.post("/v1/invitations", &invited).key(&house.instance).send().is(201);
    let answer = house.ask("POST", "/v1/invitations/accept").key(invitation["token"].as_str().expect("a token")).send();
    let member = answer.is(201);
    let text = |name: &str| member[name].as_str().expect("a text").to_owned();
    (text("id"), text("key"))
}

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().expect("data").iter().map(|event| event["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_member_signs_in_sees_what_is_shared_and_signs_out() {
    let house = House::start();
    let (member, key) = join(&house, "mia", "member");
    let mut said = event("chat.say");
    said["scope"] = json!({"type": "conversation", "id": "t1"});
    let id = house.post(EVENTS, &said).send().is(201)["id"].as_str().expect("an id").to_owned();
    house.post(EVENTS, &event("chat.say")).send().is(201);
    let session = house.post("/v1/sessions", &json!({"name": "laptop"})).key(&key).send().is(201);
    assert_eq!(session["member_id"], json!(member));
    let token = session["token"].as_str().expect("a token");
    let explorer = format!("/v1/organizations/{}/audit/events?filter=action%20eq%20%22chat.say%22", house.organization);
    let of_project = format!("{EVENTS}?project_id={}&filter=action%20eq%20%22chat.say%22", house.project);
    assert!(ids(&house.get(&explorer).key(token).send().is(200)).is_empty());
    let share = json!({"scope": {"type": "conversation", "id": "t1"}, "member_ids": [member]});
    house.post("/v1/shares", &share).send().is(201);
    for url in [&explorer, &of_project] {
        assert_eq!(ids(&house.get(url).key(token).send().is(200)), [id.as_str()], "{url}");
    }
    let (_, auditor) = join(&house, "ada", "auditor");
    for url in [&explorer, &of_project] {
        assert_eq!(ids(&house.get(url).key(&auditor).send().is(200)).len(), 2, "{url}");
    }
    let all = house.get(&format!("{explorer}&limit=1")).key(&auditor).send();
    assert!(all.header("link").is_some_and(|link| link.starts_with(&format!("</v1/organizations/{}/", house.organization))), "{all:?}");
    let next = all.is(200)["next_cursor"].as_str().expect("a cursor").to_owned();
    assert_eq!(ids(&house.get(&format!("{explorer}&limit=1&cursor={next}")).key(&auditor).send().is(200)).len(), 1);
    for (method, path) in [("GET", "/v1/policies"), ("GET", "/v1/audit/verify"), ("POST", "/v1/audit/anchors"), ("POST", EVENTS)] {
        let path = format!("{path}?project_id={}", house.project);
        let answer = house.ask(method, &path).body(event("a.b").to_string()).header("content-type", "application/json").key(token).send();
        assert!(answer.status == 403, "{method} {path}: {}", answer.text());
    }
    let own = format!("/v1/sessions/{}", session["id"].as_str().expect("an id"));
    assert_eq!(house.ask("DELETE", &own).key(token).send().status, 204);
    house.get(&explorer).key(token).send().problem(401, "unauthorized");
}

#[test]
fn an_explorer_shows_no_organization_but_its_own() {
    let house = House::start();
    let other = house.post("/v1/organizations", &json!({"name": "other"})).key(&house.instance).send().is(201);
    let other = other["id"].as_str().expect("an id");
    let (_, auditor) = join(&house, "ada", "auditor");
    let path = |id: &str| format!("/v1/organizations/{id}/audit/events");
    let real = house.get(&path(other)).key(&auditor).send().problem(404, "not-found");
    let guessed = house.get(&path("00000000-0000-4000-8000-000000000001")).key(&auditor).send().problem(404, "not-found");
    assert_eq!(real["detail"], guessed["detail"]);
    house.get(&path("x")).key(&auditor).send().problem(404, "not-found");
    house.get(&path(&house.organization)).send().problem(404, "not-found");
    house.get(&path(&house.organization)).key(&house.instance).send().is(200);
}
