//! Bodies that come wrong, late, or not at all.

use std::time::{Duration, Instant};

use indelible::http::HttpOptions;

use crate::server::{EVENTS, House, event};
use crate::wire::{Wire, status};

const REJECTED: (&str, &str) = ("audit.append_rejected", "error");

/// Whoever has not been let go of by now is kept for as long as others are: fifteen seconds, and that long after the body.
const LET_GO: Duration = Duration::from_secs(14);

fn impatient() -> HttpOptions {
    HttpOptions {
        head_timeout: Duration::from_secs(2),
        idle_timeout: Duration::from_secs(2),
        body_timeout: Duration::from_secs(4),
        ..HttpOptions::default()
    }
}

/// The records of a request, once there is one; it may be written after the client has gone.
fn records(house: &House, request_id: &str) -> Vec<(String, String)> {
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        let events = house.log(&format!("request.request_id eq \"{request_id}\""));
        if !events.is_empty() || Instant::now() > until {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            return events.iter().map(|event| (text(&event["action"]), text(&event["outcome"]))).collect();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn rejected() -> Vec<(String, String)> {
    vec![(REJECTED.0.to_owned(), REJECTED.1.to_owned())]
}

#[test]
fn invalid_utf8_is_refused_wherever_it_stands() {
    let house = House::start();
    let good = event("utf8.one").to_string();
    let bad = [&good.as_bytes()[..good.len() - 1], b",\"reason\":\"\xff\"}"].concat();
    let cases = [
        ("application/json", bad.clone()),
        ("application/json", b"\xef\xbb\xbf{}".to_vec()),
        ("application/x-ndjson", [good.as_bytes(), b"\n", &bad].concat()),
        ("application/json", [b"[", good.as_bytes(), b",\"\xc0\xaf\"]"].concat()),
    ];
    for (content_type, body) in cases {
        let ask = house.ask("POST", EVENTS).header("content-type", content_type).body(body);
        ask.refused(400, "malformed-json", (&house.project, REJECTED.0, REJECTED.1));
    }
    assert!(house.log("action eq \"utf8.one\"").is_empty());
}

#[test]
fn a_body_that_ends_early_writes_nothing() {
    let house = House::start();
    let body = event("half.sent").to_string();
    for (n, sent) in [0, 1, body.len() - 1].into_iter().enumerate() {
        let request_id = format!("half-{n}");
        let mut wire = Wire::open(house.address);
        wire.head(&house.admin, &request_id, body.len());
        wire.write(&body[..sent]);
        wire.end();
        let answer = wire.rest();
        assert!(matches!(status(&answer), 0 | 400), "{answer}");
        drop(wire);
        assert_eq!(records(&house, &request_id), rejected(), "{n}");
    }
    // A chunk that is cut.
    let mut wire = Wire::open(house.address);
    wire.write(format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n40\r\n{{\"action\"",
        house.admin
    ));
    wire.end();
    assert!(matches!(wire.status(), 0 | 400));
    assert!(house.log("action eq \"half.sent\"").is_empty());
    house.post(EVENTS, &event("still.here")).send().is(201);
}

#[test]
fn a_slow_client_is_answered_and_let_go() {
    let house = House::with(impatient(), |_| ());
    // A body that stops, and one that trickles for ever.
    for (n, trickle) in [false, true].into_iter().enumerate() {
        let request_id = format!("slow-{n}");
        let mut wire = Wire::open(house.address);
        wire.head(&house.admin, &request_id, 1_000);
        let began = Instant::now();
        while trickle && began.elapsed() < Duration::from_millis(4_500) && wire.write(" ") {
            std::thread::sleep(Duration::from_millis(100));
        }
        let answer = wire.rest();
        assert_eq!(status(&answer), 408, "{answer}");
        assert!(answer.to_lowercase().contains("connection: close") && answer.contains("urn:indelible:problem:request-timeout"));
        assert!(began.elapsed() < LET_GO);
        assert_eq!(records(&house, &request_id), rejected());
    }
    // A head that never ends, and a connection that says nothing.
    for sent in ["GET /healthz HTTP/1.1\r\nHost: h\r\nX-A:", ""] {
        let mut wire = Wire::open(house.address);
        let began = Instant::now();
        wire.write(sent);
        assert!(matches!(wire.status(), 0 | 408));
        assert!(began.elapsed() < LET_GO, "{sent}");
    }
    house.post(EVENTS, &event("still.here")).send().is(201);
}

#[test]
fn what_is_not_http_is_told_so() {
    let house = House::start();
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(200_000));
    let many = format!("GET /healthz HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(200));
    let both = format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nnull",
        house.admin
    );
    let cases: &[(&str, &[u16])] = &[
        ("\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}", &[0, 400]),
        ("GET\r\n\r\n", &[400]),
        ("GET / HTTP/9.9\r\n\r\n", &[400, 505]),
        (&long, &[414, 431]),
        (&many, &[431]),
        (&both, &[400]),
    ];
    for (sent, expected) in cases {
        let mut wire = Wire::open(house.address);
        wire.write(sent);
        let status = wire.status();
        assert!(expected.contains(&status), "{status} for {}", sent.chars().take(40).collect::<String>());
    }
    house.post(EVENTS, &event("still.here")).send().is(201);
}
