//! The door: who comes without a valid key, too often, or from another origin; keys of every owner.

use std::time::{Duration, Instant};

use indelible::http::HttpOptions;
use serde_json::json;

use crate::server::{Answer, EVENTS, House, event};

/// What strangers left, in the instance's system project.
fn strangers(house: &House) -> Vec<(String, String)> {
    let events = house.log_of(&house.system, "action eq \"audit.unauthenticated\"");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    for event in &events {
        assert_eq!((&event["outcome"], &event["actor"]), (&json!("deny"), &json!({"type": "anonymous"})));
        assert_eq!(event["request"]["source_ip"], "127.0.0.1");
    }
    events.iter().map(|event| (text(&event["reason"]), text(&event["context"]["attempts"]))).collect()
}

#[test]
fn every_failure_is_the_same_401_and_recorded_once_a_minute_for_each_source() {
    let mut house = House::with(HttpOptions { stranger_burst: 100, ..HttpOptions::default() }, |_| ());
    let revoked = house.make_key(&house.project, "application", &["audit:read"]);
    assert_eq!(house.ask("DELETE", &format!("/v1/api_keys/{}", &revoked[4..40])).send().status, 204);
    let admin = house.admin.clone();
    let other_secret = format!("{}{}", &admin[..41], "A".repeat(43));
    let unknown = format!("ind_00000000-0000-4000-8000-000000000001_{}", "A".repeat(43));
    let headers = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer x".to_owned()),
        Some(format!("Basic {admin}")),
        Some(format!("Bearer {other_secret}")),
        Some(format!("Bearer {unknown}")),
        Some(format!("Bearer {revoked}")),
        Some(format!("Bearer {admin} x")),
        Some(admin.clone()),
    ];
    let mut first = None;
    for header in &headers {
        for (method, path) in [("GET", EVENTS), ("POST", EVENTS), ("GET", "/v1/projects"), ("DELETE", "/v1/api_keys/x")] {
            let mut ask = house.ask(method, path).no_key();
            if let Some(header) = header {
                ask = ask.header("authorization", header);
            }
            let answer = ask.send();
            let problem = answer.problem(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"indelible\""));
            assert_eq!(&problem, first.get_or_insert_with(|| problem.clone()), "failures are not told apart");
        }
    }
    assert_eq!(strangers(&house), [("no key".to_owned(), "1".to_owned())], "the first at once");
    house.close();
    // The others of that minute are in one event, written at the latest when the ledger closes.
    let opened = indelible_engine::Ledger::open(indelible_engine::Options::new(house.data())).expect("it opens again");
    let operator = opened.ledger.operator();
    let search = indelible_engine::query::Search {
        filter: Some("action eq \"audit.unauthenticated\"".to_owned()),
        feed: Some(indelible_engine::query::Feed::Start),
        ..Default::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let page = runtime.block_on(async {
        let project = opened.ledger.project_of(&operator, Some(opened.ledger.system_project_id())).expect("the system project");
        opened.ledger.search(&operator, &project, search).await.expect("a page")
    });
    let attempts: Vec<u64> = page
        .records
        .iter()
        .map(|record| serde_json::from_slice::<serde_json::Value>(record).expect("JSON"))
        .map(|event| event["context"]["attempts"].as_str().expect("a count").parse().expect("a number"))
        .collect();
    assert_eq!(attempts, [1, 39]);
    opened.ledger.close();
}

#[test]
fn strangers_are_slowed_and_keys_are_not() {
    let house = House::with(HttpOptions { stranger_rate: 1, stranger_burst: 3, ..HttpOptions::default() }, |_| ());
    let (began, mut passed) = (Instant::now(), 0);
    let answer = loop {
        let answer = house.get(EVENTS).no_key().send();
        if answer.status != 401 {
            break answer;
        }
        answer.problem(401, "unauthorized");
        passed += 1;
        assert!(passed < 1_000, "nobody is slowed");
    };
    // As many at once as there may be, and one more for each second that it took.
    assert!((3..=3 + began.elapsed().as_secs()).contains(&passed), "{passed}");
    answer.problem(429, "rate-limited");
    assert_eq!(answer.header("retry-after"), Some("1"));
    house.post(EVENTS, &event("known.one")).send().is(201);
}

#[test]
fn a_key_has_a_rate() {
    let house = House::with(HttpOptions { key_rate: 2, ..HttpOptions::default() }, |_| ());
    let (began, mut answers) = (Instant::now(), Vec::new());
    while answers.len() < 12 || (answers.iter().all(|answer: &Answer| answer.status == 201) && began.elapsed() < Duration::from_mins(1)) {
        answers.push(house.post(EVENTS, &event(&format!("rate.n{}", answers.len()))).send());
    }
    let first = &answers[0];
    assert_eq!(
        (first.status, first.header("ratelimit-policy"), first.header("ratelimit")),
        (201, Some("\"key\";q=2;w=1"), Some("\"key\";r=1;t=1"))
    );
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 201).collect();
    assert!(!refused.is_empty() && refused.len() <= 10);
    for answer in refused {
        answer.problem(429, "rate-limited");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // Another key has a rate of its own, and waiting helps.
    house.get("/v1/projects").key(&house.instance).send().is(200);
    // The first of a minute is recorded before it is answered, the others are counted.
    let told = house.log("action eq \"audit.rate_limited\"");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["outcome"], &told[0]["context"]["attempts"]), (&json!("deny"), &json!("1")));
    assert_eq!(told[0]["request"]["api_key_id"], house.admin[4..40]);
    std::thread::sleep(Duration::from_millis(1_100));
    house.post(EVENTS, &event("rate.later")).send().is(201);
}

#[test]
fn without_a_limit_there_are_no_headers_of_it() {
    let house = House::with(HttpOptions { key_rate: 0, ..HttpOptions::default() }, |_| ());
    let answer = house.post(EVENTS, &event("rate.free")).send();
    assert_eq!((answer.status, answer.header("ratelimit")), (201, None));
}

#[test]
fn a_page_of_another_origin_is_refused() {
    let house = House::start();
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        house.post(EVENTS, &event("cross.site")).header("origin", origin).send().problem(403, "cross-origin");
    }
    assert!(house.log("action eq \"cross.site\"").is_empty());
    let own = format!("http://{}", house.address);
    house.post(EVENTS, &event("same.site")).header("origin", &own).send().is(201);
}

#[test]
fn too_many_large_bodies_at_once_are_told_to_come_back() {
    let house = House::with(HttpOptions { bodies_bytes_max: 1024 * 1024, ..HttpOptions::default() }, |_| ());
    let mut body = event("memory.one").to_string().into_bytes();
    body.resize(2 * 1024 * 1024, b' ');
    let answer = house.ask("POST", EVENTS).header("content-type", "application/json").body(body).send();
    answer.problem(503, "unavailable");
    assert!(answer.header("retry-after").is_some());
    house.post(EVENTS, &event("memory.two")).send().is(201);
}

#[test]
fn a_key_of_the_instance_names_a_project_or_means_the_default_one() {
    let house = House::start();
    let (other, _) = house.tenant("other");
    house.post(EVENTS, &event("owner.one")).key(&house.instance).send().is(201);
    house.post(&format!("{EVENTS}?project_id={other}"), &event("owner.two")).key(&house.instance).send().is(201);
    assert_eq!((house.log("action sw \"owner.\"").len(), house.log_of(&other, "action sw \"owner.\"").len()), (1, 1));
    let body = json!({"name": "o", "scopes": ["events:append"], "owner": {"type": "organization", "id": house.organization}});
    let key = house.post("/v1/api_keys", &body).key(&house.instance).send().is(201)["key"].as_str().expect("a key").to_owned();
    house.post(&format!("{EVENTS}?project_id={other}"), &event("owner.three")).key(&key).send().is(201);
    // The instance's own system project is beyond an organization; the refusal stands in the organization's chain.
    let all = house.get("/v1/projects").key(&house.instance).send().is(200);
    let home = all["data"].as_array().expect("data").iter().find(|p| p["system"] == true && p["owner"]["id"] == json!(house.organization));
    let home = home.expect("the organization's own")["id"].as_str().expect("an id").to_owned();
    let ask = house.post(&format!("{EVENTS}?project_id={}", house.system), &event("owner.four")).key(&key);
    ask.refused(404, "not-found", (&home, "audit.append_rejected", "deny"));
}
