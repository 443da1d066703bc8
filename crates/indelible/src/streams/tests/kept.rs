//! Connections that are kept: by whom they are used, when they are closed, and what happens when the other side has closed them.

use std::time::Duration;

use indelible_engine::stream::Transport as _;
use uuid::Uuid;

use super::receiver::{Deed, Receiver, answer};
use super::{PATIENCE, STREAM, ask, on_loopback, streams, to, until};
use crate::streams::connect::Patience;
use crate::streams::guard::tests::Scripted;

fn fine() -> Deed {
    answer("200 OK", "", "")
}

#[tokio::test]
async fn a_connection_is_used_again_by_its_stream_and_version_alone() {
    let (receiver, streams) = (Receiver::start(&[fine()]).await, on_loopback());
    let send = async |stream_id: u128, version| {
        let mut request = to(&receiver.url("/"));
        (request.stream_id, request.version) = (Uuid::from_u128(stream_id), version);
        ask(&streams, request).await.expect("an answer");
        receiver.seen().last().expect("seen").connection
    };
    let connections = [send(1, 1).await, send(1, 1).await, send(2, 1).await, send(1, 1).await, send(1, 2).await, send(1, 2).await];
    assert_eq!(connections, [0, 0, 1, 0, 2, 2]);
    until(|| receiver.connections() == (3, 2)).await;
}

#[tokio::test]
async fn requests_of_one_stream_at_once_do_not_wait_for_each_other() {
    let receiver = Receiver::start(&[Deed::Drip(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), fine()]).await;
    let patience = Patience { whole: Duration::from_secs(3), ..PATIENCE };
    let streams = streams(Scripted::new(&[&["127.0.0.1"]]), patience);
    let (slow, quick) = tokio::join!(ask(&streams, to(&receiver.url("/"))), async {
        until(|| receiver.seen().len() == 1).await;
        ask(&streams, to(&receiver.url("/"))).await
    });
    assert_eq!((slow.is_err(), quick.expect("an answer").status), (true, Some(200)));
    assert_eq!(receiver.connections().0, 2);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_made_anew() {
    // Closed after an answer, as it is told and as it is not; and only when the next request comes.
    let told = Deed::Last(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec());
    let untold = Deed::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let cases: [(&[Deed], [usize; 3]); 4] = [
        (&[told], [0, 1, 2]),
        (&[untold], [0, 1, 2]),
        (&[fine(), Deed::Last(Vec::new()), fine()], [0, 0, 1]),
        (&[fine(), fine(), Deed::Last(Vec::new()), fine()], [0, 0, 0]),
    ];
    for (deeds, connections) in cases {
        let (receiver, streams) = (Receiver::start(deeds).await, on_loopback());
        for n in 0..3 {
            let answered = ask(&streams, to(&receiver.url("/"))).await;
            assert_eq!(answered.expect("an answer").status, Some(200), "request {n}");
        }
        let seen: Vec<usize> = receiver.seen().iter().map(|seen| seen.connection).collect();
        assert_eq!(seen[..3], connections);
    }
}

#[tokio::test]
async fn it_is_tried_anew_once_and_not_after_an_answer_began() {
    let closes = Deed::Last(Vec::new());
    let (receiver, streams) = (Receiver::start(&[fine(), closes]).await, on_loopback());
    ask(&streams, to(&receiver.url("/"))).await.expect("an answer");
    ask(&streams, to(&receiver.url("/"))).await.expect_err("closed twice");
    assert_eq!(receiver.seen().len(), 3);

    let (receiver, streams) = (Receiver::start(&[fine(), Deed::Last(b"HTTP/1.1 2".to_vec())]).await, on_loopback());
    ask(&streams, to(&receiver.url("/"))).await.expect("an answer");
    ask(&streams, to(&receiver.url("/"))).await.expect_err("closed within the head");
    assert_eq!(receiver.seen().len(), 2);
}

#[tokio::test]
async fn what_a_stream_has_open_ends_with_it_or_for_want_of_use() {
    let (receiver, forgetting) = (Receiver::start(&[fine()]).await, on_loopback());
    ask(&forgetting, to(&receiver.url("/"))).await.expect("an answer");
    assert_eq!(receiver.connections(), (1, 1));
    forgetting.forget(STREAM);
    until(|| receiver.connections() == (1, 0)).await;

    let idle = streams(Scripted::new(&[&["127.0.0.1"]]), Patience { idle: Duration::from_millis(50), ..PATIENCE });
    ask(&idle, to(&receiver.url("/"))).await.expect("an answer");
    until(|| receiver.connections() == (2, 0)).await;
}

#[tokio::test]
async fn a_request_that_is_given_up_closes_its_connection() {
    let (receiver, streams) = (Receiver::start(&[fine(), Deed::Hang]).await, on_loopback());
    ask(&streams, to(&receiver.url("/"))).await.expect("an answer");
    let given_up = tokio::time::timeout(Duration::from_millis(100), ask(&streams, to(&receiver.url("/")))).await;
    assert!(given_up.is_err());
    until(|| receiver.connections() == (1, 0)).await;
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_later_moves_no_connection_and_is_looked_at_again() {
    let receiver = Receiver::start(&[fine()]).await;
    // The second answer comes between check and connection for who resolves twice.
    let once = streams(Scripted::new(&[&["127.0.0.1"], &["10.0.0.1"]]), PATIENCE);
    for _ in 0..2 {
        ask(&once, to(&receiver.url("/"))).await.expect("the address that was checked");
    }
    assert_eq!(receiver.connections().0, 1);

    let at_once = Patience { recheck: Duration::ZERO, ..PATIENCE };
    let turned = streams(Scripted::new(&[&["127.0.0.1"], &["127.0.0.1"], &["10.0.0.1"]]), at_once);
    for _ in 0..2 {
        ask(&turned, to(&receiver.url("/"))).await.expect("an answer");
    }
    let error = ask(&turned, to(&receiver.url("/"))).await.expect_err("it leads inside now");
    assert!(error.contains("--stream-allow"), "{error}");
    until(|| receiver.connections() == (2, 1)).await;
    assert_eq!(receiver.seen().len(), 4);

    let elsewhere = Receiver::with("127.0.0.2", "server.pem", &[fine()]).await;
    let moved = streams(Scripted::new(&[&["127.0.0.1"], &["127.0.0.2"]]), at_once);
    ask(&moved, to(&receiver.url("/"))).await.expect("an answer");
    let error = ask(&moved, to(&receiver.url("/"))).await.expect_err("nobody listens there");
    assert!(error.contains("no connection"), "{error}");
    until(|| receiver.connections() == (3, 1)).await;
    drop(elsewhere);
}

#[tokio::test]
async fn a_connection_on_which_something_comes_unasked_is_not_used() {
    let more = Deed::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 500 Forged\r\nContent-Length: 0\r\n\r\n".to_vec());
    let (receiver, streams) = (Receiver::start(&[more, fine()]).await, on_loopback());
    ask(&streams, to(&receiver.url("/"))).await.expect("an answer");
    let answered = ask(&streams, to(&receiver.url("/"))).await.expect("an answer");
    assert_eq!((answered.status, receiver.connections().0), (Some(200), 2));
}
