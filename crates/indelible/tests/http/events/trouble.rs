//! A store that fails or stalls, and a client that takes nothing: told as it is, and over when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use indelible::http::HttpOptions;
use indelible_engine::faults::{Faults, When, Write};
use serde_json::json;

use crate::server::{EVENTS, House, encode, event};
use crate::wire::Wire;

const SOUND: u8 = 0;
const STALLS: u8 = 1;
const FAILS: u8 = 2;
const FAILS_YET_PERSISTS: u8 = 3;

/// What the next commits do, and whether one has begun to stall.
#[derive(Default)]
struct Disk(AtomicU8, AtomicBool);

impl Disk {
    fn is(&self, state: u8) -> bool {
        self.0.load(Ordering::SeqCst) == state
    }

    fn turn(&self, state: u8) {
        self.0.store(state, Ordering::SeqCst);
    }

    /// Stalls until what comes back is dropped, also by a test that fails.
    fn stall(&self) -> Stalled<'_> {
        self.turn(STALLS);
        Stalled(self)
    }
}

struct Stalled<'d>(&'d Disk);

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        self.0.turn(SOUND);
    }
}

impl Faults for Disk {
    fn strikes(&self, write: Write, when: When) -> bool {
        if write != Write::Commit {
            return false;
        }
        while when == When::Before && self.is(STALLS) {
            self.1.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(5));
        }
        self.is(if when == When::Before { FAILS } else { FAILS_YET_PERSISTS })
    }
}

fn house(disk: &Arc<Disk>, queue_bytes_max: usize) -> House {
    let faults = Arc::clone(disk);
    House::with(HttpOptions::default(), |options| {
        options.faults = Some(faults);
        options.queue_bytes_max = queue_bytes_max;
    })
}

#[test]
fn a_failed_commit_is_told_and_a_retry_tells_the_truth() {
    for (state, persists) in [(FAILS, false), (FAILS_YET_PERSISTS, true)] {
        let disk = Arc::new(Disk::default());
        let house = house(&disk, 1 << 20);
        let mut event = event("trouble.one");
        event["id"] = json!("00000000-0000-4000-8000-000000000007");
        disk.turn(state);
        let answer = house.post(EVENTS, &event).send();
        answer.problem(503, "outcome-unknown");
        assert!(answer.header("retry-after").is_some());
        // What cannot be recorded is not answered.
        assert_eq!(house.get(EVENTS).send().status, 503);
        assert_eq!(house.post("/v1/projects", &json!({"name": "p"})).key(&house.instance).send().status, 503);
        assert_eq!(house.get(EVENTS).key("ind_x").send().status, 503);
        disk.turn(SOUND);
        let until = Instant::now() + Duration::from_mins(1);
        let retried = loop {
            let answer = house.post(EVENTS, &event).send();
            if answer.status == 201 || Instant::now() > until {
                break answer.is(201);
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(retried.get("duplicate").is_some(), persists);
        assert_eq!(house.log("action eq \"trouble.one\"").len(), 1);
        assert_eq!(house.get("/v1/audit/verify").send().is(200)["findings"], json!([]));
    }
}

#[test]
fn a_full_queue_is_told_and_nothing_of_the_request_is_written() {
    let disk = Arc::new(Disk::default());
    let house = house(&disk, 1);
    let (statuses, third) = std::thread::scope(|scope| {
        let stalled = disk.stall();
        let send = |action: &'static str| scope.spawn(|| house.post(EVENTS, &event(action)).send());
        // One is being committed, one waits; there is no room for a third.
        let first = send("queue.first");
        until(&|| disk.1.load(Ordering::SeqCst));
        let second = send("queue.second");
        let figures = || ureq::get(format!("http://{}/metrics", house.metrics)).call().expect("metrics").body_mut().read_to_string();
        until(&|| figures().is_ok_and(|text| text.contains("\nindelible_queue_events 1\n")));
        let third = house.post(EVENTS, &event("queue.third")).send();
        drop(stalled);
        ([first, second].map(|handle| handle.join().expect("no panic").status), third)
    });
    assert_eq!(statuses, [201, 201]);
    third.problem(429, "queue-full");
    assert!(third.header("retry-after").is_some());
    assert_eq!(house.log("action sw \"queue.\"").len(), 2);
}

fn until(holds: &dyn Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_mins(1), "it does not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_client_that_takes_nothing_is_let_go() {
    let options = HttpOptions { idle_timeout: Duration::from_secs(3), connections_max: 2, ..HttpOptions::default() };
    let house = House::with(options, |_| ());
    let mut said = event("large.said");
    // Not compressible into the buffers of a socket.
    said["content"] = json!({"output": (0..1_500_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_string()).collect::<String>()});
    let id = house.post(EVENTS, &said).send().is(201)["id"].as_str().expect("an id").to_owned();
    let path = format!("{EVENTS}/{id}?include=content&purpose={}", encode("a test"));
    let wires: Vec<Wire> = (0..2)
        .map(|_| {
            let mut wire = Wire::open(house.address);
            wire.write(format!("GET {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\n\r\n", house.admin));
            wire
        })
        .collect();
    // Both places are taken until the server gives up on those two.
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    house.post(EVENTS, &event("after.them")).send().is(201);
    assert!(began.elapsed() < Duration::from_secs(14), "{:?}", began.elapsed());
    drop(wires);
}
