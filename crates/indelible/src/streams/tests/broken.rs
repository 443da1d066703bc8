//! Receivers that break off, never end, say nothing, or say what is no answer: each is one error, in time, and nothing of it stays.

use std::time::{Duration, Instant};

use super::receiver::{Deed, Receiver};
use super::{PATIENCE, ask, on_loopback, streams, to, until};
use crate::streams::connect::Patience;
use crate::streams::guard::tests::Scripted;

#[tokio::test]
async fn what_is_no_whole_answer_is_an_error() {
    let head = "HTTP/1.1 200 OK\r\n";
    let many = "X-A: y\r\n".repeat(101);
    let long = format!("X-Long: {}\r\n", "y".repeat(40 * 1024));
    let cases: &[(&str, Deed)] = &[
        ("nothing", Deed::Last(Vec::new())),
        ("half a status line", Deed::Last(b"HTTP/1.1 20".to_vec())),
        ("within the headers", Deed::Last(format!("{head}X-A: b\r\nX-").into())),
        ("before the end of the headers", Deed::Last(format!("{head}X-A: b\r\n").into())),
        ("within the body", Deed::Last(format!("{head}Content-Length: 10\r\n\r\nabc").into())),
        ("within a chunk", Deed::Last(format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nab").into())),
        ("before the last chunk", Deed::Last(format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n").into())),
        ("bytes of no protocol", Deed::Answer(b"\x00\x01\x02\xff\xfe\r\n\r\n\r\n".to_vec())),
        ("another protocol", Deed::Answer(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec())),
        ("no number", Deed::Answer(b"HTTP/1.1 abc OK\r\n\r\n".to_vec())),
        ("another version", Deed::Answer(b"HTTP/2.0 200 OK\r\n\r\n".to_vec())),
        ("two lengths", Deed::Answer(format!("{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab").into())),
        ("no length", Deed::Answer(format!("{head}Content-Length: ten\r\n\r\nab").into())),
        ("no chunk", Deed::Answer(format!("{head}Transfer-Encoding: chunked\r\n\r\nxyz\r\n").into())),
        ("too many headers", Deed::Answer(format!("{head}{many}Content-Length: 0\r\n\r\n").into())),
        ("a header too long", Deed::Answer(format!("{head}{long}Content-Length: 0\r\n\r\n").into())),
        ("headers without end", Deed::Endless(head.into(), b"X-A: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".to_vec())),
        ("a header without end", Deed::Endless(head.into(), vec![b'y'; 1_000])),
        ("a chunk's extension without end", Deed::Endless(format!("{head}Transfer-Encoding: chunked\r\n\r\n1;").into(), vec![b'y'; 1_000])),
    ];
    for (what, deed) in cases {
        let (receiver, streams) = (Receiver::start(std::slice::from_ref(deed)).await, on_loopback());
        let error = ask(&streams, to(&receiver.url("/"))).await.expect_err(what);
        assert!(error.contains("no answer from localhost") || error.contains("the answer broke off"), "{what}: {error}");
        assert!(!error.contains("yyy"), "nothing of what came is repeated: {error}");
        assert_eq!(receiver.seen().len(), 1, "{what}: on a new connection nothing is sent twice");
        until(|| receiver.connections() == (1, 0)).await;
    }
}

#[tokio::test]
async fn who_takes_too_long_is_given_up() {
    let patience = Patience { whole: Duration::from_millis(400), ..PATIENCE };
    let slow = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n".to_vec();
    let mut begun = slow.clone();
    begun.extend(b"abc");
    let cases = [
        ("says nothing", Deed::Hang),
        ("a byte now and then", Deed::Drip(slow)),
        ("begins and stops", Deed::Answer(begun)),
        ("answers without end before the answer", Deed::Endless(Vec::new(), b"HTTP/1.1 102 Processing\r\n\r\n".to_vec())),
    ];
    for (what, deed) in cases {
        let receiver = Receiver::start(&[deed]).await;
        let streams = streams(Scripted::new(&[&["127.0.0.1"]]), patience);
        let begun = Instant::now();
        let error = ask(&streams, to(&receiver.url("/"))).await.expect_err(what);
        assert!(error.contains("within 400ms"), "{what}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{what}: {:?}", begun.elapsed());
        until(|| receiver.connections() == (1, 0)).await;
    }
}

#[tokio::test]
async fn who_does_not_shake_hands_is_given_up() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let streams = streams(Scripted::new(&[&["127.0.0.1"]]), Patience { connect: Duration::from_millis(200), ..PATIENCE });
    let error = ask(&streams, to(&format!("https://localhost:{port}/"))).await.expect_err("no TLS");
    assert!(error.contains("no connection to localhost within 200ms"), "{error}");
    drop(listener);
}
