//! `/healthz`, `/readyz`, `/openapi.json`, and `/metrics` on its own listener.

use crate::server::{EVENTS, House, event};
use crate::wire::{Wire, status};

#[test]
fn the_process_answers_without_a_key() {
    let house = House::start();
    assert_eq!(house.get("/healthz").no_key().send().is(200)["status"], "ok");
    assert_eq!(house.get("/readyz").no_key().send().is(200)["status"], "ready");
    let document = house.get("/openapi.json").no_key().send().is(200);
    let routes = indelible::http::routes();
    for route in &routes {
        let operation = &document["paths"][&route.path][route.method.to_lowercase()];
        assert!(operation["summary"].is_string(), "{} {}", route.method, route.path);
        // What the document says needs a key is not answered without one.
        let answer = house.ask(route.method, &route.path.replace(['{', '}'], "x")).no_key().send();
        assert_eq!(answer.status == 401 || answer.status == 429, route.keyed, "{} {}", route.method, route.path);
    }
    assert_eq!(
        routes.len(),
        document["paths"].as_object().map_or(0, |paths| paths.values().map(|item| item.as_object().map_or(0, serde_json::Map::len)).sum())
    );
}

#[test]
fn other_urls_and_methods_are_told_so() {
    let house = House::start();
    for path in ["/", "/v1", "/v1/audit", "/v1/audit/events/", "/v2/audit/events", "/metrics", "/v1/audit/events/x/y"] {
        house.get(path).send().problem(404, "not-found");
    }
    for (method, path) in [("DELETE", EVENTS), ("PUT", EVENTS), ("POST", "/healthz"), ("PATCH", "/v1/api_keys"), ("GET", "/v1/audit/clock")]
    {
        house.ask(method, path).send().problem(405, "method-not-allowed");
    }
    let answer = house.ask("HEAD", EVENTS).send();
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    answer.left(&house, (&house.project, "audit.read", "allow"));
}

#[test]
fn metrics_have_a_listener_of_their_own_and_name_nobody() {
    let house = House::start();
    house.post(EVENTS, &event("metric.one")).send().is(201);
    let scrape = |path: &str| {
        let mut wire = Wire::open(house.metrics);
        wire.write(format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
        wire.rest()
    };
    let text = scrape("/metrics");
    assert_eq!(status(&text), 200);
    assert!(text.contains("\nindelible_rows_total ") && text.contains("indelible_http_requests_total{status=\"2xx\"} 1\n"), "{text}");
    let names = [house.project.as_str(), house.organization.as_str(), &house.admin[4..40], "alice", "metric.one"];
    assert!(names.iter().all(|name| !text.contains(name)));
    assert_eq!(status(&scrape(EVENTS)), 404);
}
