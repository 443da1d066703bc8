//! The pages of the API say what the server does.

use std::collections::BTreeSet;

use indelible::http::{HttpOptions, ProblemKind, action_reference, problem_reference, resource_reference, routes};
use serde_json::{Value, json};

use crate::server::{Ask, EVENTS, House, event};

fn page(name: &str) -> String {
    let path = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_problem_is_on_its_page() {
    assert_eq!(page("problems.md"), problem_reference(), "cargo test -p indelible with UPDATE_DOCS=1 writes it anew");
    let text = page("problems.md");
    for kind in ProblemKind::ALL {
        assert_eq!(text.matches(&format!("`{}`", kind.uri())).count(), 1, "{}", kind.name());
    }
}

#[test]
fn every_route_has_its_heading_and_an_example() {
    let text = page("http.md");
    // Those of resources are on a page of their own, which is made from the kinds.
    let routes: Vec<_> = routes().into_iter().filter(|route| route.kind.is_none()).collect();
    for route in &routes {
        let heading = format!("### {} {}\n", route.method, route.path);
        let at = text.find(&heading).unwrap_or_else(|| panic!("{heading}"));
        let section = text[at + heading.len()..].split("\n### ").next().expect("a section");
        let stem = route.path.split('{').next().expect("a path");
        assert!(section.contains("curl") && section.contains(stem), "{heading} has no example");
    }
    assert_eq!(text.matches("\n### ").count(), routes.len(), "no route that is not there");
}

#[test]
fn every_kind_of_resource_is_on_its_page() {
    compare("resources.md", &resource_reference());
}

#[test]
fn every_action_is_on_its_page() {
    compare("actions.md", &action_reference());
    for action in indelible_core::event::action::catalogue() {
        let (noun, verb) = action.split_once('.').expect("noun.verb");
        let line = page("actions.md").lines().find(|line| line.starts_with(&format!("| `{noun}` |"))).map(str::to_owned);
        assert!(line.expect("a line").contains(&format!("`{verb}`")), "{action}");
    }
}

/// That a page is what is made from the code; with `UPDATE_DOCS` it is written first.
fn compare(name: &str, made: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR")), made).expect("docs/ can be written");
    }
    assert_eq!(page(name), made, "cargo test -p indelible with UPDATE_DOCS=1 writes it anew");
}

/// What HTTP itself has in every answer.
const OF_HTTP: &[&str] = &["content-type", "content-length", "date", "connection", "transfer-encoding"];

/// The names of header fields that the document has for an answer.
fn documented(document: &Value, method: &str, template: &str, status: u16) -> BTreeSet<String> {
    let answer = &document["paths"][template][method.to_lowercase()]["responses"][status.to_string()];
    let headers = answer["headers"].as_object().unwrap_or_else(|| panic!("{method} {template} {status}: {answer}"));
    headers.keys().map(|name| name.to_ascii_lowercase()).collect()
}

/// Both ways: no answer has a header that is not in the document, and each that is there comes in some answer.
#[test]
fn headers_of_answers_are_those_of_the_document() {
    let house = House::with(HttpOptions { key_rate: 20, ..HttpOptions::default() }, |_| ());
    let document = house.get("/openapi.json").no_key().send().is(200);
    let post = |path: &str, body: Value| house.post(path, &body).key(&house.instance);
    let project = json!({"type": "project", "id": house.project});
    let subject = json!({"type": "agent", "id": "a"});
    let budget = json!({"name": "b", "subject": subject, "period": "day", "limit_micros": 1, "currency": "USD", "on_exceed": "deny", "owner": project});
    let key = json!({"name": "k", "scopes": ["audit:read"], "owner": project});
    post(EVENTS, json!([event("a.b"), event("a.b")])).send().is(201);
    post("/v1/audit/anchors", json!({})).send();
    let unsealed = post(EVENTS, event("a.c")).send().is(201)["id"].as_str().expect("an id").to_owned();
    let mut asked: Vec<(&str, &str, u16, Ask<'_>)> = vec![
        ("POST", EVENTS, 201, post(EVENTS, event("a.b"))),
        ("POST", EVENTS, 415, post(EVENTS, json!({})).header("content-encoding", "br")),
        ("GET", EVENTS, 200, house.get(&format!("{EVENTS}?limit=1")).key(&house.instance)),
        ("GET", EVENTS, 401, house.get(EVENTS).no_key()),
        ("POST", "/v1/budgets", 201, house.post("/v1/budgets", &budget).header("idempotency-key", "\"once\"")),
        ("POST", "/v1/budgets", 201, house.post("/v1/budgets", &budget).header("idempotency-key", "\"once\"")),
        ("POST", "/v1/api_keys", 201, post("/v1/api_keys", key)),
        ("GET", "/healthz", 200, house.get("/healthz").no_key()),
        ("DELETE", EVENTS, 405, house.ask("DELETE", EVENTS)),
        ("GET", "/v1/audit/events/{id}/proof", 409, house.get(&format!("{EVENTS}/{unsealed}/proof"))),
        ("POST", "/v1/audit/exports", 200, house.post("/v1/audit/exports", &json!({"from_sequence": 0}))),
    ];
    asked.extend((0..60).map(|_| ("GET", EVENTS, 429, house.get(EVENTS))));
    let (mut carried, mut known) = (BTreeSet::new(), BTreeSet::new());
    for (method, template, status, ask) in asked {
        let answer = ask.send();
        if status == 429 && answer.status == 200 {
            continue;
        }
        assert_eq!(answer.status, status, "{method} {template}: {}", answer.text());
        // A method that a URL does not have is on the page of those that it has.
        let names = documented(&document, if status == 405 { "GET" } else { method }, template, status);
        for name in answer.headers.keys().map(ureq::http::HeaderName::as_str).filter(|name| !OF_HTTP.contains(name)) {
            assert!(names.contains(name), "{method} {template} {status} has {name}, which is not in the document");
            carried.insert(name.to_owned());
        }
        known.extend(names);
    }
    assert_eq!(known.difference(&carried).collect::<Vec<_>>(), Vec::<&String>::new(), "in the document, and in no answer");
}

#[test]
fn headers_that_requests_may_have_are_in_the_document() {
    let house = House::start();
    let document = house.get("/openapi.json").no_key().send().is(200);
    let asked = |method: &str, path: &str| -> Vec<String> {
        let parameters = document["paths"][path][method]["parameters"].as_array().cloned().unwrap_or_default();
        let headers = parameters.iter().filter(|parameter| parameter["in"] == "header");
        headers.map(|header| header["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(asked("get", EVENTS), ["X-Request-Id", "traceparent"]);
    assert_eq!(asked("post", EVENTS), ["X-Request-Id", "traceparent", "Content-Encoding", "X-Indelible-Path"]);
    assert_eq!(asked("post", "/v1/api_keys"), ["Idempotency-Key", "X-Request-Id", "traceparent", "Content-Encoding"]);
}
