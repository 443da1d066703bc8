//! `/v1/audit/status`, and what it says of a ledger that somebody changed: there, in `/readyz` and in the metrics.

use std::path::Path;
use std::time::{Duration, Instant};

use indelible::http::HttpOptions;
use indelible_engine::patrol::PatrolOptions;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::server::{EVENTS, House, event};
use crate::wire::Wire;

const STATUS: &str = "/v1/audit/status";

#[test]
fn everybody_is_told_of_what_is_theirs_and_it_is_recorded() {
    let house = House::start();
    let (north, key) = house.tenant("north");
    house.post(EVENTS, &json!(vec![event("status.one"); 7])).key(&key).send().is(201);
    let answer = house.get(STATUS).key(&key).send();
    answer.left(&house, (&north, "audit.read", "allow"));
    let own = answer.is(200);
    let projects = own["projects"].as_array().expect("projects");
    assert_eq!((projects.len(), &own["projects_total"], &own["instance"]), (1, &json!(1), &Value::Null));
    assert_eq!((&projects[0]["project_id"], &projects[0]["name"]), (&json!(north), &json!("north")));
    // Its key's own event is before them.
    assert_eq!((&projects[0]["events"], &projects[0]["unanchored"], &projects[0]["anchored_at"]), (&json!(8), &json!(8), &Value::Null));
    assert_eq!((&projects[0]["refusal"], &projects[0]["verification"], &own["verification"]), (&Value::Null, &Value::Null, &Value::Null));

    house.post("/v1/audit/anchors", "").send().is(200);
    let sealed = house.get(STATUS).key(&key).send().is(200)["projects"][0].clone();
    assert!(sealed["events"].as_u64().is_some_and(|events| events > 8) && sealed["unanchored"] == 0, "{sealed}");
    assert!(sealed["anchored_at"].is_string() && sealed["unindexed"].as_u64() <= sealed["events"].as_u64(), "{sealed}");

    // The instance sees every project and the whole; asked for one project, that one alone.
    let answer = house.get(STATUS).key(&house.instance).send();
    answer.left(&house, (&house.system, "audit.read", "allow"));
    let all = answer.is(200);
    let known = |id: &str| all["projects"].as_array().expect("projects").iter().any(|project| project["project_id"] == id);
    assert!(known(&north) && known(&house.project) && known(&house.system), "{all}");
    let total: u64 = all["projects"].as_array().expect("projects").iter().filter_map(|project| project["events"].as_u64()).sum();
    assert_eq!(all["instance"]["events"].as_u64(), Some(total), "{all}");
    let one = house.get(&format!("{STATUS}?project_id={north}")).key(&house.instance).send();
    one.left(&house, (&north, "audit.read", "allow"));
    let one = one.is(200);
    assert_eq!((&one["projects_total"], &one["instance"]), (&json!(1), &Value::Null));
}

#[test]
fn an_organization_sees_its_projects_and_nothing_of_the_whole() {
    let house = House::start();
    house.tenant("north");
    let owner = json!({"type": "organization", "id": house.organization});
    let body = json!({"name": "org", "kind": "application", "scopes": ["audit:read"], "owner": owner});
    let key = house.post("/v1/api_keys", &body).key(&house.instance).send().is(201)["key"].as_str().expect("a key").to_owned();
    let seen = house.get(STATUS).key(&key).send().is(200);
    let ids: Vec<_> = seen["projects"].as_array().expect("projects").iter().map(|project| project["project_id"].clone()).collect();
    assert!(ids.contains(&json!(house.project)) && !ids.contains(&json!(house.system)), "{seen}");
    assert_eq!((ids.len(), &seen["instance"]), (3, &Value::Null), "its own system project, the default one and north");
}

#[test]
fn who_may_not_ask_is_refused_and_that_is_recorded() {
    let house = House::start();
    let (north, _) = house.tenant("north");
    let writer = house.make_key(&house.project, "application", &["events:append"]);
    let admin = house.admin.clone();
    let cases = [
        (&writer, String::new(), 403, "forbidden", "deny"),
        (&admin, "?limit=1".to_owned(), 400, "invalid-query", "error"),
        (&admin, format!("?project_id={north}"), 404, "not-found", "deny"),
        (&admin, "?project_id=00000000-0000-4000-8000-000000000001".to_owned(), 404, "not-found", "deny"),
    ];
    for (key, query, status, kind, outcome) in cases {
        house.get(&format!("{STATUS}{query}")).key(key).refused(status, kind, (&house.project, "audit.read", outcome));
    }
}

/// Somebody at the file of the running server, past the triggers.
fn set_content(data: &Path, sequence: u64, content: &[u8]) {
    let db = Connection::open(data.join("ledger.db")).expect("it opens");
    db.busy_timeout(Duration::from_secs(10)).expect("set");
    db.execute_batch("DROP TRIGGER IF EXISTS contents_update").expect("dropped");
    let sql = "UPDATE contents SET stored = ?2 WHERE row = (SELECT row FROM events WHERE project = 3 AND sequence = ?1)";
    assert_eq!(db.execute(sql, (sequence as i64, content)).expect("changed"), 1);
}

fn content(data: &Path, sequence: u64) -> Vec<u8> {
    let db = Connection::open(data.join("ledger.db")).expect("it opens");
    let sql = "SELECT stored FROM contents WHERE row = (SELECT row FROM events WHERE project = 3 AND sequence = ?1)";
    db.query_row(sql, [sequence as i64], |row| row.get(0)).expect("a content")
}

fn figure(house: &House, name: &str) -> f64 {
    let mut wire = Wire::open(house.metrics);
    wire.write("GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let text = wire.rest();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap_or_else(|| panic!("{name} in {text}"));
    line.parse().expect("a number")
}

/// Waits until two more rounds have come to their end with so many findings.
fn rounds(house: &House, findings: f64) {
    let (begun, end) = (figure(house, "indelible_verifications_total"), Instant::now() + Duration::from_mins(1));
    while figure(house, "indelible_verifications_total") < begun + 3.0
        || (figure(house, "indelible_integrity_findings") - findings).abs() > 0.5
    {
        assert!(Instant::now() < end, "{findings}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_somebody_did_to_the_file_degrades_the_server_until_it_is_put_back() {
    let patrol = PatrolOptions { first_after: Duration::from_millis(20), interval: Duration::from_millis(50), share_percent: 100 };
    let house = House::with(HttpOptions { key_rate: 0, ..HttpOptions::default() }, |options| options.patrol = Some(patrol));
    let mut said = event("status.said");
    said["content"] = json!({"output": "something was said"});
    house.post(EVENTS, &json!(vec![said; 40])).send().is(201);
    rounds(&house, 0.0);
    assert_eq!(house.get("/readyz").no_key().send().is(200)["status"], "ready");
    assert!(figure(&house, "indelible_verified_rows") >= 40.0 && figure(&house, "indelible_verification_age_seconds") < 60.0);

    let (data, place) = (house.data(), 20);
    let whole = content(&data, place);
    let mut spoiled = whole.clone();
    *spoiled.last_mut().expect("bytes") ^= 1;
    set_content(&data, place, &spoiled);
    rounds(&house, 1.0);
    let ready = house.get("/readyz").no_key().send();
    let detail = "verification found something: /v1/audit/status says what";
    assert_eq!(ready.is(200), json!({"status": "degraded", "detail": detail}), "it goes on recording");
    let told = house.log("action eq \"integrity.finding\"");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["resource"]["id"], &told[0]["reason"]), (&json!("20"), &json!("the content was changed")));
    house.get(&format!("/v1/audit/events/{}/verify", told[0]["id"].as_str().expect("an id"))).send().is(200);
    let status = house.get(STATUS).send().is(200);
    let found = &status["projects"][0]["verification"];
    assert_eq!((&found["verdict"], &found["findings_total"]), (&json!("altered"), &json!(1)), "{status}");
    assert_eq!(found["findings"], json!([{"kind": "altered", "sequence": 20, "detail": "the content was changed"}]));
    assert!(found["through_sequence"].as_u64().is_some_and(|through| through >= 39) && status["verification"]["begun_at"].is_string());
    // Another tenant hears nothing of it.
    let (_, key) = house.tenant("north");
    rounds(&house, 1.0);
    let theirs = house.get(STATUS).key(&key).send().is(200);
    assert_eq!(theirs["projects"][0]["verification"]["findings_total"], json!(0), "{theirs}");
    assert!(
        theirs["projects"][0]["verification"]["verdict"] == "unanchored" || theirs["projects"][0]["verification"]["verdict"] == "intact"
    );

    set_content(&data, place, &whole);
    rounds(&house, 0.0);
    assert_eq!(house.get("/readyz").no_key().send().is(200)["status"], "ready");
    assert_eq!(house.log("action eq \"integrity.clear\"").len(), 1);
    assert_eq!(house.log("action eq \"integrity.finding\"").len(), 1);
}
