//! Whom a transport believes: the authority that it was given, for the name that it asked for, for as long as the certificate says.

use std::sync::Arc;

use indelible_engine::clock::SystemClock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::receiver::{Receiver, answer};
use super::{PATIENCE, Streams, ask, on_loopback, streams, tls_file, to, trusting};
use crate::streams::connect::{Dialer, Purpose, reach, trusted};
use crate::streams::guard::tests::{Scripted, unlisted};
use crate::streams::guard::{Guard, SystemResolver};
use indelible_engine::stream::host::Host;

fn loopback() -> Scripted {
    Scripted::new(&[&["127.0.0.1"]])
}

#[tokio::test]
async fn a_certificate_of_another_name_authority_or_time_is_refused() {
    let cases = [
        ("server.pem", "ca.pem", "localhost", None),
        ("server.pem", "ca.pem", "127.0.0.1", None),
        ("server.pem", "ca.pem", "LOCALHOST", None),
        ("server.pem", "ca.pem", "receiver.example", Some("not valid for name")),
        ("server.pem", "other-ca.pem", "localhost", Some("UnknownIssuer")),
        ("server.pem", "expired-ca.pem", "localhost", Some("UnknownIssuer")),
        ("expired.pem", "ca.pem", "localhost", Some("invalid peer certificate")),
        ("expired.pem", "expired-ca.pem", "localhost", Some("expired")),
    ];
    for (certificate, authority, host, refusal) in cases {
        let receiver = Receiver::with("127.0.0.1", certificate, &[answer("200 OK", "", "")]).await;
        let streams = trusting(authority, loopback(), PATIENCE);
        let answered = ask(&streams, to(&format!("https://{host}:{}/", receiver.port))).await;
        let told = answered.as_ref().err().map(String::as_str);
        let expected = refusal.is_none() == told.is_none() && told.unwrap_or_default().contains(refusal.unwrap_or_default());
        assert!(expected, "{certificate} {authority} {host}: {answered:?}");
        assert_eq!(receiver.seen().is_empty(), refusal.is_some(), "what is refused was sent nothing");
    }
    // The address itself is in no certificate but as what it is.
    let receiver = Receiver::with("127.0.0.2", "server.pem", &[answer("200 OK", "", "")]).await;
    let error = ask(&on_loopback(), to(&format!("https://127.0.0.2:{}/", receiver.port))).await.expect_err("another address");
    assert!(error.contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn who_speaks_without_tls_is_sent_nothing() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut heard = vec![0; 1024];
        let read = stream.read(&mut heard).await.expect("read");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        heard.truncate(read);
        heard
    });
    let error = ask(&on_loopback(), to(&format!("https://localhost:{port}/secret"))).await.expect_err("no TLS");
    assert!(error.contains("no TLS with localhost"), "{error}");
    let heard = heard.await.expect("no panic");
    assert!(heard.first() == Some(&0x16) && !String::from_utf8_lossy(&heard).contains("secret"), "a handshake and no more");
}

#[tokio::test]
async fn without_authorities_the_option_is_named() {
    let guard = || Guard::new(vec!["127.0.0.0/8".parse().expect("a network")], loopback());
    let clock = || Arc::new(SystemClock);
    let streams = Streams::new(Dialer::new(guard(), None, PATIENCE), None, clock());
    let error = ask(&streams, to("https://localhost/")).await.expect_err("nobody is believed");
    assert!(error.contains("--stream-ca-file"), "{error}");
}

#[tokio::test]
async fn this_machine_is_reached_where_the_operator_says_so_and_no_connection_to_it_is_used_otherwise() {
    let receiver = Receiver::start(&[answer("200 OK", "", "")]).await;
    // The option allows the name, wherever it leads; without it there is no way to loopback at all.
    let guard = Guard::new(vec!["localhost".parse().expect("a host")], loopback());
    let roots = trusted(Some(&tls_file("ca.pem"))).expect("certificates");
    let streams = Streams::new(Dialer::new(guard, roots, PATIENCE), None, Arc::new(SystemClock));
    assert_eq!(ask(&streams, to(&receiver.url("/"))).await.expect("an answer").status, Some(200));
    for host in ["127.0.0.1", "other.example"] {
        let error = ask(&streams, to(&format!("https://{host}:{}/", receiver.port))).await.expect_err(host);
        assert!(error.contains("loopback") && error.contains("--stream-allow"), "{error}");
    }
    assert_eq!(receiver.connections().0, 1);
    // One of its addresses that is not special is only seen to be its own when it is connected.
    let dialer = Dialer::new(Guard::new(Vec::new(), loopback()), trusted(Some(&tls_file("ca.pem"))).expect("certificates"), PATIENCE);
    let purpose = Purpose { version: 1, host: Host::parse("localhost").expect("a host"), port: receiver.port };
    let (address, tls) = (([127, 0, 0, 1], receiver.port).into(), dialer.tls(&[]).expect("somebody is believed"));
    let error = reach(unlisted(address), &purpose, &tls).await.expect_err("this machine");
    assert!(error.contains("this machine itself"), "{error}");
}

#[tokio::test]
async fn the_systems_own_resolver_leads_there_too() {
    let receiver = Receiver::start(&[answer("200 OK", "", "")]).await;
    let streams = streams(SystemResolver::default(), PATIENCE);
    // `localhost` may be ::1 first, which is not in the list: then it is refused, and by the guard.
    match ask(&streams, to(&receiver.url("/"))).await {
        Ok(answered) => assert_eq!(answered.status, Some(200)),
        Err(error) => assert!(error.contains("--stream-allow"), "{error}"),
    }
}
