//! `/v1/audit/clock`: a jump of the clock stops appends until an administrator of the instance confirms it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use indelible::http::HttpOptions;
use indelible_core::time::Timestamp;
use indelible_engine::clock::{Clock, SystemClock};

use crate::server::{EVENTS, House, event};

/// The system's clock, put forward by so many seconds.
#[derive(Default)]
struct Turned(AtomicI64);

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        SystemClock.now().saturating_add_micros(self.0.load(Ordering::SeqCst) * 1_000_000)
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }
}

#[test]
fn a_clock_that_jumped_is_confirmed() {
    let clock = Arc::new(Turned::default());
    let house = House::with(HttpOptions::default(), |options| options.clock = clock.clone());
    house.post(EVENTS, &event("clock.right".replace("clock.", "clocks.").as_str())).send().is(201);
    clock.0.store(7_200, Ordering::SeqCst);
    let refused = house.post(EVENTS, &event("clocks.wrong")).send();
    refused.problem(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    house.get("/readyz").no_key().send().problem(503, "not-ready");
    house.get(EVENTS).send().problem(503, "unavailable");
    house.ask("POST", "/v1/audit/clock").send().problem(503, "unavailable");
    let answer = house.ask("POST", "/v1/audit/clock").key(&house.instance).send();
    assert!(answer.is(200)["confirmed_at"].is_string());
    answer.left(&house, (&house.system, "clock.confirm", "allow"));
    house.post(EVENTS, &event("clocks.confirmed")).send().is(201);
    house.get("/readyz").no_key().send().is(200);
    assert!(house.log("action eq \"clocks.wrong\"").is_empty());
}

#[test]
fn only_an_administrator_of_the_instance_confirms() {
    let house = House::start();
    let path = "/v1/audit/clock";
    house.ask("POST", path).refused(403, "forbidden", (&house.project, "clock.confirm", "deny"));
    let ask = house.ask("POST", &format!("{path}?sure=yes")).key(&house.instance);
    ask.refused(400, "invalid-query", (&house.system, "clock.confirm", "error"));
}
