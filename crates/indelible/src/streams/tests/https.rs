//! What is sent, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use indelible_engine::stream::{ANSWER_BYTES_MAX, Response};
use uuid::Uuid;

use super::receiver::{Deed, Receiver, answer};
use super::{PATIENCE, ask, on_loopback, streams, to, until};
use crate::streams::guard::tests::Scripted;

#[tokio::test]
async fn a_request_is_what_the_engine_said_and_no_more() {
    let receiver = Receiver::start(&[answer("200 OK", "", "thanks")]).await;
    let mut sent = to(&receiver.url("/hooks/a?b=%20c"));
    sent.headers.push(("Webhook-Id".to_owned(), "msg_1".to_owned()));
    let body = sent.body.clone();
    let answered = ask(&on_loopback(), sent).await.expect("an answer");
    assert_eq!(answered, Response { status: Some(200), retry_after: None, body: b"thanks".to_vec() });
    let [seen] = &receiver.seen()[..] else { panic!("one request") };
    let mut lines: Vec<&str> = seen.head.lines().collect();
    lines[1..].sort_unstable();
    let (host, length) = (format!("host: localhost:{}", receiver.port), format!("content-length: {}", body.len()));
    let agent = format!("user-agent: indelible/{}", env!("CARGO_PKG_VERSION"));
    let expected = ["POST /hooks/a?b=%20c HTTP/1.1", &length, "content-type: application/json", &host, &agent, "webhook-id: msg_1"];
    assert_eq!((lines.as_slice(), &seen.body), (&expected[..], &body));
}

#[tokio::test]
async fn a_path_is_a_path_whatever_it_looks_like() {
    let (receiver, streams) = (Receiver::start(&[answer("200 OK", "", "")]).await, on_loopback());
    for path in ["//10.0.0.1/x?y", "/https://10.0.0.1/", "/a/../../b", "/?url=http://10.0.0.1", "/%00%0d%0a", "/*", "/a:b@c"] {
        ask(&streams, to(&receiver.url(path))).await.expect(path);
        let seen = receiver.seen().pop().expect("seen");
        assert!(seen.head.starts_with(&format!("POST {path} HTTP/1.1\n")), "{path}: {}", seen.head);
        assert!(seen.head.contains(&format!("\nhost: localhost:{}\n", receiver.port)), "{path}: {}", seen.head);
    }
    let error = ask(&streams, to(&receiver.url(&"/x".repeat(40_000)))).await.expect_err("longer than any request line");
    assert!(error.contains("cannot be sent"), "{error}");
}

#[tokio::test]
async fn a_hundred_streams_send_at_once() {
    let (receiver, streams) = (Receiver::start(&[answer("200 OK", "", "")]).await, Arc::new(on_loopback()));
    for _ in 0..2 {
        let mut all = tokio::task::JoinSet::new();
        for n in 0..100 {
            let (mut request, streams) = (to(&receiver.url("/")), Arc::clone(&streams));
            request.stream_id = Uuid::from_u128(n);
            all.spawn(async move { ask(&streams, request).await });
        }
        assert!(all.join_all().await.iter().all(|sent| sent.as_ref().is_ok_and(|answered| answered.status == Some(200))));
    }
    assert_eq!((receiver.connections(), receiver.seen().len()), ((100, 100), 200));
}

#[tokio::test]
async fn a_body_of_some_mebibytes_and_an_empty_one_go_whole() {
    let receiver = Receiver::start(&[answer("204 No Content", "", "")]).await;
    let streams = on_loopback();
    for size in [0, 1, 5 << 20] {
        let mut sent = to(&receiver.url("/"));
        sent.body = vec![b'x'; size];
        assert_eq!(ask(&streams, sent).await.expect("an answer").status, Some(204));
        assert_eq!(receiver.seen().last().expect("seen").body.len(), size);
    }
}

#[tokio::test]
async fn every_status_is_an_answer_and_no_redirect_is_followed() {
    let second = Receiver::start(&[answer("200 OK", "", "")]).await;
    let location = format!("Location: {}\r\n", second.url("/"));
    let cases = [
        ("200 OK", "", 200),
        ("202 Accepted", "", 202),
        ("300 Multiple Choices", location.as_str(), 300),
        ("301 Moved Permanently", &location, 301),
        ("302 Found", &location, 302),
        ("303 See Other", &location, 303),
        ("307 Temporary Redirect", &location, 307),
        ("308 Permanent Redirect", &location, 308),
        ("302 Found", "Location: http://169.254.169.254/latest/meta-data/\r\n", 302),
        ("400 Bad Request", "", 400),
        ("401 Unauthorized", "WWW-Authenticate: Basic\r\n", 401),
        ("410 Gone", "", 410),
        ("413 Content Too Large", "", 413),
        ("500 Internal Server Error", "", 500),
        ("503 Service Unavailable", "", 503),
        ("599 Whatever", "", 599),
    ];
    let deeds: Vec<Deed> = cases.iter().map(|(status, headers, _)| answer(status, headers, "x")).collect();
    let (receiver, streams) = (Receiver::start(&deeds).await, on_loopback());
    for (n, (status, _, number)) in cases.iter().enumerate() {
        let answered = ask(&streams, to(&receiver.url("/"))).await.expect(status);
        assert_eq!((answered.status, answered.body.as_slice(), receiver.seen().len()), (Some(*number), &b"x"[..], n + 1), "{status}");
    }
    assert!(second.seen().is_empty());
}

#[tokio::test]
async fn what_comes_before_an_answer_is_not_one() {
    let early =
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\ny";
    let receiver = Receiver::start(&[Deed::Answer(early.into())]).await;
    let streams = on_loopback();
    for _ in 0..2 {
        let answered = ask(&streams, to(&receiver.url("/"))).await.expect("an answer");
        assert_eq!((answered.status, answered.body), (Some(201), b"y".to_vec()));
    }
    assert_eq!(receiver.connections().0, 1);
}

#[tokio::test]
async fn retry_after_is_told_as_a_time_from_now() {
    let cases = [
        ("Retry-After: 120\r\n", Some(Duration::from_mins(2))),
        ("retry-after:0\r\n", Some(Duration::ZERO)),
        ("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n", Some(Duration::ZERO)),
        ("Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n", Some(Duration::from_hours(30 * 24))),
        ("Retry-After: \u{e9}\r\n", None),
        ("", None),
    ];
    let deeds: Vec<Deed> = cases.iter().map(|(header, _)| answer("429 Too Many Requests", header, "")).collect();
    let (receiver, streams) = (Receiver::start(&deeds).await, on_loopback());
    for (header, expected) in cases {
        let answered = ask(&streams, to(&receiver.url("/"))).await.expect(header);
        assert_eq!((answered.status, answered.retry_after), (Some(429), expected), "{header}");
    }
}

#[tokio::test]
async fn of_a_long_answer_the_beginning_is_kept_and_the_connection_is_not() {
    let exact = "a".repeat(ANSWER_BYTES_MAX);
    let long = "b".repeat(ANSWER_BYTES_MAX + 1);
    let chunk = format!("400\r\n{}\r\n", "c".repeat(0x400)).into_bytes();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let until_the_end = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let huge = b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n".to_vec();
    let cases = [
        (answer("200 OK", "", &exact), b'a', 1),
        (answer("200 OK", "", &long), b'b', 0),
        (Deed::Endless(chunked, chunk), b'c', 0),
        (Deed::Endless(until_the_end, vec![b'd'; 1_000]), b'd', 0),
        (Deed::Endless(huge, vec![b'e'; 1_000]), b'e', 0),
    ];
    for (deed, byte, still_open) in cases {
        let (receiver, streams) = (Receiver::start(&[deed]).await, on_loopback());
        let answered = ask(&streams, to(&receiver.url("/"))).await.expect("an answer");
        assert_eq!((answered.status, answered.body == vec![byte; ANSWER_BYTES_MAX]), (Some(200), true), "{}", byte as char);
        until(|| receiver.connections() == (1, still_open)).await;
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_all_was_sent_counts() {
    let refusal = Deed::Early(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec());
    let receiver = Receiver::start(&[refusal]).await;
    let mut sent = to(&receiver.url("/"));
    sent.body = vec![b'x'; 8 << 20];
    assert_eq!(ask(&on_loopback(), sent).await.expect("an answer").status, Some(413));
}

#[tokio::test]
async fn dead_addresses_leave_time_for_the_others() {
    let receiver = Receiver::start(&[answer("200 OK", "", "")]).await;
    // Nobody listens at this port of the first; the others of the family are not tried when there are more.
    let several = streams(Scripted::new(&[&["127.0.0.2", "127.0.0.1", "127.0.0.3"]]), PATIENCE);
    assert_eq!(ask(&several, to(&receiver.url("/"))).await.expect("an answer").status, Some(200));
    let none = streams(Scripted::new(&[&["127.0.0.2"]]), PATIENCE);
    let error = ask(&none, to(&receiver.url("/"))).await.expect_err("nobody listens");
    assert!(error.contains("no connection to localhost"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_before_anything_is() {
    let streams = on_loopback();
    for (url, words) in [("http://localhost/", "https://"), ("https://127.1/", "ends in a number"), ("https://a@localhost/", "user")] {
        let error = ask(&streams, to(url)).await.expect_err(url);
        assert!(error.contains(words), "{url}: {error}");
    }
}
