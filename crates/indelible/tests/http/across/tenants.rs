//! Two projects: whatever one asks, nothing of the other shows, not even that it is there.

use serde_json::{Value, json};

use crate::server::{Answer, EVENTS, House, encode, event};

const NOBODY: &str = "00000000-0000-4000-8000-00000000dead";

struct Tenants {
    house: House,
    /// Project, key, and what it stored.
    one: (String, String, Value),
    other: (String, String, Value),
}

fn settle() -> Tenants {
    let house = House::start();
    let fill = |name: &str, count: usize| {
        let (project, key) = house.tenant(name);
        let batch: Vec<Value> = (0..count)
            .map(|n| {
                let mut event = event("tenant.act");
                event["actor"]["id"] = json!(format!("{name}-actor"));
                event["run"] = json!({"id": format!("run-{name}"), "thread_id": format!("thread-{name}"), "step": n});
                event["content"] = json!({"output": format!("said in {name}")});
                event
            })
            .collect();
        let receipts = house.post(EVENTS, &json!(batch)).key(&key).send().is(201)["receipts"].clone();
        (project, key, receipts)
    };
    let (one, other) = (fill("north", 5), fill("south", 23));
    Tenants { house, one, other }
}

fn data(page: &Value) -> &[Value] {
    page["data"].as_array().expect("data")
}

#[test]
fn no_filter_brings_another_projects_rows() {
    let Tenants { house, one: (project, key, _), other: (_, _, theirs) } = settle();
    let id = theirs[0]["id"].as_str().expect("an id");
    let filters = [
        String::new(),
        "action eq \"tenant.act\"".to_owned(),
        "actor.id co \"actor\"".to_owned(),
        "actor.id eq \"south-actor\"".to_owned(),
        "not (actor.id eq \"north-actor\")".to_owned(),
        "run.id eq \"run-south\" or run.id eq \"run-north\"".to_owned(),
        format!("id eq \"{id}\""),
        "sequence ge 0".to_owned(),
        "occurred_at gt \"1970-01-01T00:00:00Z\"".to_owned(),
    ];
    for filter in filters {
        for order in ["desc", "asc"] {
            let ask = house.get(&format!("{EVENTS}?limit=1000&order={order}&filter={}", encode(&filter))).key(&key);
            let answer = ask.send();
            let page = answer.is(200);
            assert!(data(&page).iter().all(|event| event["project_id"] == project.as_str()), "{filter}");
            // What it asked itself is in the records of its reads.
            let rows = data(&page).iter().filter(|event| event["action"] != "audit.read");
            assert!(rows.into_iter().all(|event| !event.to_string().contains("south")), "{filter}");
            // Its own rows and records of reads alone: fewer than the other has.
            assert!(page["indexed_through"].as_u64().is_some_and(|through| through < 5 + 1 + 2 * 9 + 2), "{page}");
        }
    }
}

#[test]
fn a_real_id_of_another_project_and_one_that_is_nowhere_are_answered_alike() {
    let Tenants { house, one: (_, key, _), other: (other, _, theirs) } = settle();
    let id = theirs[0]["id"].as_str().expect("an id");
    let foreign_key = &house.make_key(&other, "application", &["audit:read"])[4..40].to_owned();
    let pairs = [
        ("GET", format!("{EVENTS}/{id}"), format!("{EVENTS}/{NOBODY}")),
        ("GET", format!("{EVENTS}/{id}?include=content&purpose=x"), format!("{EVENTS}/{NOBODY}?include=content&purpose=x")),
        ("GET", format!("{EVENTS}/{id}/verify"), format!("{EVENTS}/{NOBODY}/verify")),
        ("GET", "/v1/audit/runs/run-south".to_owned(), "/v1/audit/runs/run-nowhere".to_owned()),
        ("GET", "/v1/audit/conversations/thread-south".to_owned(), "/v1/audit/conversations/thread-nowhere".to_owned()),
        ("GET", format!("{EVENTS}?project_id={other}"), format!("{EVENTS}?project_id={NOBODY}")),
        ("POST", format!("{EVENTS}?project_id={other}"), format!("{EVENTS}?project_id={NOBODY}")),
        ("GET", format!("{EVENTS}/{id}?project_id={other}"), format!("{EVENTS}/{id}?project_id={NOBODY}")),
        ("GET", format!("/v1/audit/verify?project_id={other}"), format!("/v1/audit/verify?project_id={NOBODY}")),
        ("GET", format!("/v1/audit/status?project_id={other}"), format!("/v1/audit/status?project_id={NOBODY}")),
        ("GET", format!("/v1/audit/runs/run-south?project_id={other}"), format!("/v1/audit/runs/run-south?project_id={NOBODY}")),
        ("GET", format!("{EVENTS}/{id}/proof?project_id={other}"), format!("{EVENTS}/{id}/proof?project_id={NOBODY}")),
        ("GET", format!("/v1/audit/anchors?project_id={other}"), format!("/v1/audit/anchors?project_id={NOBODY}")),
        ("GET", format!("/v1/audit/anchors/latest?project_id={other}"), format!("/v1/audit/anchors/latest?project_id={NOBODY}")),
        ("POST", format!("/v1/audit/anchors?project_id={other}"), format!("/v1/audit/anchors?project_id={NOBODY}")),
        ("GET", format!("/v1/audit/keys?project_id={other}"), format!("/v1/audit/keys?project_id={NOBODY}")),
        ("GET", format!("/v1/audit/consistency?from=0&project_id={other}"), format!("/v1/audit/consistency?from=0&project_id={NOBODY}")),
        ("DELETE", format!("/v1/api_keys/{foreign_key}"), format!("/v1/api_keys/{NOBODY}")),
    ];
    for (method, real, guessed) in pairs {
        let send = |path: &str| {
            let ask = house.ask(method, path).key(&key).header("content-type", "application/json");
            if method == "POST" { ask.body("{}").send() } else { ask.send() }
        };
        let (real, guessed): (Answer, Answer) = (send(&real), send(&guessed));
        assert_eq!((real.status, real.text()), (404, guessed.text()), "{method}");
        // Whether the connection is kept says whether a body that nobody read had come by then.
        let names = |answer: &Answer| {
            let names = answer.headers.keys().map(|name| name.as_str().to_owned()).filter(|name| name != "connection");
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(&real), names(&guessed));
    }
    let owner = |id: &str| json!({"name": "k", "scopes": ["audit:read"], "owner": {"type": "project", "id": id}});
    let (real, guessed) = (owner(&other), owner(NOBODY));
    let (real, guessed) = (house.post("/v1/api_keys", &real).key(&key).send(), house.post("/v1/api_keys", &guessed).key(&key).send());
    assert_eq!((real.status, real.text()), (404, guessed.text()));
}

#[test]
fn refusals_stay_with_the_one_who_was_refused() {
    let Tenants { house, one: (project, key, _), other: (other, _, theirs) } = settle();
    let before = house.log_of(&other, "").len();
    let id = theirs[0]["id"].as_str().expect("an id");
    for path in [format!("{EVENTS}?project_id={other}"), format!("{EVENTS}/{id}?project_id={other}")] {
        house.get(&path).key(&key).refused(404, "not-found", (&project, "audit.read", "deny"));
    }
    let ask = house.post(&format!("{EVENTS}?project_id={other}"), &event("tenant.intrude")).key(&key);
    ask.refused(404, "not-found", (&project, "audit.append_rejected", "deny"));
    let after = house.log_of(&other, "");
    let foreign = |event: &&Value| event["request"]["api_key_id"] == key[4..40];
    assert_eq!(after.iter().filter(foreign).count(), 0);
    assert!(after.len() <= before + 1, "the record of the look before, and no more");
}

#[test]
fn a_cursor_leads_nowhere_in_another_project() {
    let Tenants { house, one: (project, key, _), other: (_, other_key, _) } = settle();
    for filter in ["", "action eq \"tenant.act\""] {
        let path = format!("{EVENTS}?limit=2&filter={}", encode(filter));
        let cursor = house.get(&path).key(&other_key).send().is(200)["next_cursor"].as_str().expect("a cursor").to_owned();
        let ask = house.get(&format!("{path}&cursor={cursor}")).key(&key);
        ask.refused(400, "invalid-cursor", (&project, "audit.read", "error"));
    }
}

#[test]
fn lists_counts_and_sequences_are_ones_own() {
    let Tenants { house, one: (project, key, mine), other: (other, _, theirs) } = settle();
    let projects = house.get("/v1/projects").key(&key).send().is(200);
    assert_eq!(data(&projects).iter().map(|p| p["id"].clone()).collect::<Vec<_>>(), [json!(project)]);
    let keys = house.get("/v1/api_keys").key(&key).send().is(200);
    assert!(data(&keys).iter().all(|k| k["owner"]["id"] == project.as_str()) && !data(&keys).is_empty());
    let report = house.get("/v1/audit/verify").key(&key).send();
    assert!(!report.text().contains(&other) && report.is(200)["events"].as_u64().is_some_and(|events| events < 20));
    let first = |receipts: &Value| receipts[0]["sequence"].as_u64().expect("a number");
    assert_eq!(first(&mine), first(&theirs), "each chain counts for itself");
}
