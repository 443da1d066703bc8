//! Stopping, and waiting in line.

use std::io::Write;
use std::time::Duration;

use indelible::http::HttpOptions;

use crate::client::{Client, Connection};
use crate::server::{Running, event, unlimited};

/// Sends the head of an append and, once the server has begun to read its body, half of that; returns the other half.
fn half_sent(client: &Client) -> (Connection, String) {
    let body = event("alice");
    let mut connection = Connection::open(client.address);
    let (authorization, length) = (format!("Bearer {}", client.key), body.len().to_string());
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("content-length", length.as_str()),
        ("expect", "100-continue"),
    ];
    connection.head("POST", "/v1/audit/events", &headers);
    assert_eq!(connection.answer().expect("it may go on").status, 100);
    let (first, rest) = body.split_at(body.len() / 2);
    connection.stream.write_all(first.as_bytes()).expect("the server reads");
    (connection, rest.to_owned())
}

#[test]
fn a_request_under_way_is_finished_before_the_server_goes() {
    let mut server = Running::start();
    let (mut connection, rest) = half_sent(&server.admin());
    let stopping = std::thread::spawn(move || server.stop());
    std::thread::sleep(Duration::from_millis(200));
    assert!(!stopping.is_finished(), "a request is under way");
    connection.stream.write_all(rest.as_bytes()).expect("the server still reads");
    assert_eq!(connection.answer().expect("an answer").status, 201);
    stopping.join().expect("the server ends in order");
}

#[test]
fn a_request_that_never_ends_does_not_hold_up_the_end() {
    let http = HttpOptions { drain_timeout: Duration::from_millis(300), ..unlimited() };
    let mut server = Running::start_with(http, None);
    let (mut connection, _) = half_sent(&server.admin());
    server.stop();
    assert!(connection.answer().is_none_or(|answer| answer.status >= 400));
}

#[test]
fn more_connections_than_places_wait_for_one() {
    let server = Running::start_with(HttpOptions { connections_max: 2, ..unlimited() }, None);
    let held = [Connection::open(server.address), Connection::open(server.address)];
    std::thread::sleep(Duration::from_millis(100));
    let mut third = Connection::open(server.address);
    third.head("GET", "/healthz", &[]);
    third.stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    assert_eq!(third.stream.peek(&mut [0]).map_err(|error| error.kind()), Err(std::io::ErrorKind::WouldBlock), "it waits");
    drop(held);
    third.stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    assert_eq!(third.answer().expect("its turn came").status, 200);
}
