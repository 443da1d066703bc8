//! `/v1/projects`: made by keys of the organization or the instance, listed for whoever may see them.

use serde_json::{Value, json};

use crate::server::{EVENTS, House, event, pointers};

const PROJECTS: &str = "/v1/projects";

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().expect("data").iter().map(|project| project["id"].as_str().expect("an id")).collect()
}

#[test]
fn a_project_is_made_and_seen_by_whom_it_concerns() {
    let house = House::start();
    let answer = house.post(PROJECTS, &json!({"name": "second"})).key(&house.instance).send();
    let made = answer.is(201);
    assert_eq!((&made["owner"]["id"], &made["system"]), (&json!(house.organization), &json!(false)));
    let all = house.get(PROJECTS).key(&house.instance).send().is(200);
    assert!(ids(&all).contains(&made["id"].as_str().expect("an id")) && ids(&all).contains(&house.system.as_str()));
    let home = all["data"].as_array().expect("data").iter().find(|p| p["system"] == true && p["owner"]["id"] == json!(house.organization));
    answer.left(&house, (home.expect("the organization's own")["id"].as_str().expect("an id"), "project.create", "allow"));
    assert_eq!(ids(&house.get(PROJECTS).send().is(200)), [house.project.as_str()], "a project's key sees its own");
}

#[test]
fn a_list_of_projects_is_a_read() {
    let house = House::start();
    house.get(PROJECTS).send().left(&house, (&house.project, "audit.read", "allow"));
    for (scopes, status) in [(json!(["events:append"]), 403), (json!(["audit:read"]), 200), (json!(["control:write"]), 200)] {
        let made = house.post("/v1/api_keys", &json!({"name": "n", "scopes": scopes})).send().is(201);
        let key = made["key"].as_str().expect("a key");
        if status == 403 {
            house.get(PROJECTS).key(key).refused(403, "forbidden", (&house.project, "audit.read", "deny"));
        } else {
            house.get(PROJECTS).key(key).send().is(status);
        }
    }
}

#[test]
fn wrong_requests_are_refused_and_recorded() {
    let house = House::start();
    let nobody = "00000000-0000-4000-8000-000000000001";
    let (admin, instance, project, system) = (house.admin.clone(), house.instance.clone(), house.project.as_str(), house.system.as_str());
    let all = house.get(PROJECTS).key(&house.instance).send().is(200);
    let own = all["data"].as_array().expect("data").iter().find(|p| p["system"] == true && p["owner"]["id"] == json!(house.organization));
    let own = own.expect("the organization's own")["id"].as_str().expect("an id");
    let within = |id: &str| json!({"name": "a", "owner": {"type": "organization", "id": id}});
    let cases = [
        (&admin, json!({"name": "a"}), 403, "forbidden", project, "deny", vec![]),
        (&admin, within(&house.organization), 404, "not-found", project, "deny", vec![]),
        (&instance, within(nobody), 404, "not-found", system, "deny", vec![]),
        (&instance, within("x"), 422, "invalid-resource", system, "error", vec!["/owner/id"]),
        (&instance, json!({"name": "a\u{7}"}), 422, "invalid-resource", own, "error", vec!["/name"]),
        (&instance, json!({"name": 1}), 422, "invalid-resource", own, "error", vec!["/name"]),
        (&instance, json!({"name": "a", "system": true}), 422, "invalid-resource", own, "error", vec!["/system"]),
    ];
    for (key, body, status, kind, home, outcome, places) in cases {
        let problem = house.post(PROJECTS, &body).key(key).refused(status, kind, (home, "project.create", outcome));
        assert_eq!(pointers(&problem), places, "{body}");
    }
    house.get(&format!("{PROJECTS}?x=1")).refused(400, "invalid-query", (house.project.as_str(), "audit.read", "error"));
}

#[test]
fn a_deleted_project_takes_nothing_more_and_is_still_read() {
    let house = House::start();
    let (id, key) = house.tenant("doomed");
    house.post(EVENTS, &event("before.end")).key(&key).send().is(201);
    assert_eq!(house.ask("DELETE", &format!("{PROJECTS}/{id}")).key(&house.instance).send().status, 204);
    house.post(EVENTS, &event("after.end")).key(&key).send().problem(401, "unauthorized");
    let late = house.post(&format!("{EVENTS}?project_id={id}"), &event("after.end")).key(&house.instance);
    late.refused(410, "deleted", (&id, "audit.append_rejected", "error"));
    let halt = json!({"subject": {"type": "agent", "id": "a"}, "reason": "r", "owner": {"type": "project", "id": id}});
    house.post("/v1/halts", &halt).key(&house.instance).send().problem(410, "deleted");
    let page = house.get(&format!("{EVENTS}?project_id={id}&filter=action%20eq%20%22before.end%22")).key(&house.instance).send().is(200);
    assert_eq!(page["data"].as_array().map(Vec::len), Some(1));
    assert!(house.get(&format!("{PROJECTS}/{id}")).key(&house.instance).send().is(200)["deleted_at"].is_string());
    let report = house.get(&format!("/v1/audit/verify?project_id={id}")).key(&house.instance).send().is(200);
    assert!(report["verdict"] == "intact" || report["verdict"] == "unanchored", "{report}");
}
