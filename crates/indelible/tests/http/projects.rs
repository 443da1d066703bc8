//! `/v1/projects`: made by keys of the organization or the instance, listed for whoever may see them.

use serde_json::{Value, json};

use crate::server::{House, pointers};

const PROJECTS: &str = "/v1/projects";

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().expect("data").iter().map(|project| project["id"].as_str().expect("an id")).collect()
}

#[test]
fn a_project_is_made_and_seen_by_whom_it_concerns() {
    let house = House::start();
    let answer = house.post(PROJECTS, &json!({"name": "second"})).key(&house.instance).send();
    let made = answer.is(201);
    assert_eq!((&made["organization_id"], &made["system"]), (&json!(house.organization), &json!(false)));
    let all = house.get(PROJECTS).key(&house.instance).send().is(200);
    assert!(ids(&all).contains(&made["id"].as_str().expect("an id")) && ids(&all).contains(&house.system.as_str()));
    let home =
        all["data"].as_array().expect("data").iter().find(|p| p["system"] == true && p["organization_id"] == json!(house.organization));
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
    let cases = [
        (&admin, json!({"name": "a"}), 403, "forbidden", project, "deny", vec![]),
        (&instance, json!({"name": "a", "organization_id": nobody}), 404, "not-found", system, "deny", vec![]),
        (&instance, json!({"name": "a\u{7}"}), 422, "invalid-resource", system, "error", vec!["/name"]),
        (&instance, json!({"name": "a", "organization_id": "x"}), 422, "invalid-resource", system, "error", vec!["/organization_id"]),
        (&instance, json!({"name": 1}), 422, "invalid-resource", system, "error", vec!["/name"]),
        (&instance, json!({"name": "a", "system": true}), 422, "invalid-resource", system, "error", vec!["/system"]),
    ];
    for (key, body, status, kind, home, outcome, places) in cases {
        let problem = house.post(PROJECTS, &body).key(key).refused(status, kind, (home, "project.create", outcome));
        assert_eq!(pointers(&problem), places, "{body}");
    }
    house.get(&format!("{PROJECTS}?x=1")).refused(400, "invalid-query", (house.project.as_str(), "audit.read", "error"));
}
