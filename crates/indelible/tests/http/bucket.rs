//! A server whose checkpoint store is in an object store: it verifies beside it, and does not wait for one that hangs.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use indelible::http::HttpOptions;
use serde_json::json;

use crate::moto::Place;
use crate::server::{EVENTS, House, event};

#[test]
fn a_project_is_verified_beside_an_object_store() {
    let place = Place::new();
    let house = House::with(HttpOptions::default(), |options| options.checkpoints = place.store());
    house.post(EVENTS, &json!([event("bucket.one")])).send().is(201);
    house.ask("POST", "/v1/audit/anchors").send().is(200);
    let report = house.get("/v1/audit/verify").send().is(200);
    assert_eq!((&report["verdict"], &report["findings"]), (&json!("intact"), &json!([])), "{report}");
}

#[test]
fn a_store_that_hangs_degrades_a_server_and_stops_nothing() {
    // Connections are taken, by the kernel, and nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("it listens");
    let reached_at = silent.local_addr().expect("an address").to_string();
    let place = Place { reached_at, wait_max: Duration::from_secs(2), ..Place::new() };
    let house = House::with(HttpOptions::default(), |options| options.checkpoints = place.store());
    std::thread::scope(|scope| {
        let begun = Instant::now();
        let sealing = scope.spawn(|| house.ask("POST", "/v1/audit/anchors").send().is(200));
        while !sealing.is_finished() {
            house.get("/healthz").no_key().send().is(200);
            house.get("/readyz").no_key().send().is(200);
            house.post(EVENTS, &json!([event("bucket.one")])).send().is(201);
        }
        assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(sealing.join().expect("it ends")["failing"], json!(true));
    });
    let ready = house.get("/readyz").no_key().send().is(200);
    assert_eq!(ready["status"], json!("degraded"));
    assert!(ready["detail"].as_str().is_some_and(|detail| detail.starts_with("sealing fails at the checkpoint store")), "{ready}");
    let begun = Instant::now();
    drop(house);
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
}
