//! Syslog over TLS: frames arrive as they were handed over, and a connection that ends is an error and no loss.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indelible_engine::stream::{Request, Response, Route, Transport as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::receiver::acceptor;
use super::{PATIENCE, STREAM, ask, on_loopback, request, streams, trusting, until};
use crate::streams::connect::Patience;
use crate::streams::guard::tests::Scripted;

/// What a collector does with a connection.
#[derive(Clone, Copy)]
enum Manner {
    /// Reads all of it.
    Reads,
    /// Reads so many bytes and closes, as TLS wants it.
    Closes(usize),
    /// Reads so many bytes and lets the connection break.
    Breaks(usize),
    /// Reads nothing.
    Ignores,
    /// Says something before it reads.
    Talks,
}

/// Receives frames; a connection in each manner, the last one again and again.
struct Collector {
    port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
    accepted: Arc<AtomicUsize>,
    /// Connections that the other side closed as TLS wants it.
    farewells: Arc<AtomicUsize>,
}

impl Collector {
    async fn start(manners: &'static [Manner]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let made = Self {
            port: listener.local_addr().expect("bound").port(),
            heard: Arc::default(),
            accepted: Arc::default(),
            farewells: Arc::default(),
        };
        let (heard, accepted, farewells) = (Arc::clone(&made.heard), Arc::clone(&made.accepted), Arc::clone(&made.farewells));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let manner = manners[accepted.fetch_add(1, Ordering::SeqCst).min(manners.len() - 1)];
                let (heard, farewells) = (Arc::clone(&heard), Arc::clone(&farewells));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor("server.pem").accept(stream).await else { return };
                    let left = match manner {
                        Manner::Reads => usize::MAX,
                        Manner::Talks => {
                            stream.write_all(&[b'?'; 5_000]).await.expect("said");
                            usize::MAX
                        }
                        Manner::Closes(bytes) | Manner::Breaks(bytes) => bytes,
                        Manner::Ignores => return std::future::pending().await,
                    };
                    let mut total = 0;
                    while total < left {
                        let mut bytes = [0; 4096];
                        let room = bytes.len().min(left - total);
                        match stream.read(&mut bytes[..room]).await {
                            Ok(0) => {
                                farewells.fetch_add(1, Ordering::SeqCst);
                                return;
                            }
                            Ok(read) => {
                                total += read;
                                heard.lock().expect("no panic").extend(&bytes[..read]);
                            }
                            Err(_) => return,
                        }
                    }
                    if matches!(manner, Manner::Closes(_)) {
                        let _ = stream.shutdown().await;
                    }
                });
            }
        });
        made
    }

    fn frames(&self, frames: &str) -> Request {
        let route = Route::Tls { host: "localhost".to_owned(), port: self.port };
        Request { headers: Vec::new(), body: frames.as_bytes().to_vec(), ..request(route) }
    }

    fn heard(&self) -> String {
        String::from_utf8(self.heard.lock().expect("no panic").clone()).expect("text")
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn frames_arrive_as_they_are_on_one_connection() {
    for manner in [&[Manner::Reads][..], &[Manner::Talks]] {
        let (collector, streams) = (Collector::start(manner).await, on_loopback());
        for frames in ["5 <1>1 ", "7 <1>1 ab4 <2>1"] {
            assert_eq!(ask(&streams, collector.frames(frames)).await, Ok(Response::default()));
        }
        until(|| collector.heard() == "5 <1>1 7 <1>1 ab4 <2>1").await;
        assert_eq!(collector.accepted(), 1);
        streams.forget(STREAM);
        until(|| collector.farewells.load(Ordering::SeqCst) == 1).await;
    }
}

#[tokio::test]
async fn some_mebibytes_arrive_whole() {
    let (collector, streams) = (Collector::start(&[Manner::Reads]).await, on_loopback());
    let frames = "9 <14>1 - x".repeat(400_000);
    ask(&streams, collector.frames(&frames)).await.expect("taken");
    until(|| collector.heard.lock().expect("no panic").len() == frames.len()).await;
    assert!(collector.heard() == frames);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_made_anew_and_nothing_is_lost() {
    for manners in [&[Manner::Closes(4), Manner::Reads][..], &[Manner::Breaks(4), Manner::Reads]] {
        let (collector, streams) = (Collector::start(manners).await, on_loopback());
        // Whether the first counts depends on when its end is seen; a repeat of it does no harm.
        let first = ask(&streams, collector.frames("2 ab")).await;
        if first.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(ask(&streams, collector.frames("2 cd")).await, Ok(Response::default()));
        until(|| collector.heard() == "2 ab2 cd").await;
        assert_eq!(collector.accepted(), 2);
    }
}

#[tokio::test]
async fn one_that_closes_while_it_is_written_to_is_an_error() {
    for manners in [&[Manner::Closes(0)][..], &[Manner::Breaks(0)], &[Manner::Closes(2)], &[Manner::Breaks(2)]] {
        // Whoever closes is seen at once, and looked for however late that comes.
        let patience = Patience { settle: Duration::from_secs(5), ..PATIENCE };
        let (collector, streams) = (Collector::start(manners).await, streams(Scripted::new(&[&["127.0.0.1"]]), patience));
        for size in [4, 1 << 20] {
            let error = ask(&streams, collector.frames(&"x".repeat(size))).await.expect_err("closed");
            assert!(error.contains("localhost did not take everything"), "{error}");
        }
    }
}

#[tokio::test]
async fn one_that_reads_nothing_is_given_up() {
    let collector = Collector::start(&[Manner::Ignores]).await;
    let streams = streams(Scripted::new(&[&["127.0.0.1"]]), Patience { whole: Duration::from_millis(300), ..PATIENCE });
    let error = ask(&streams, collector.frames(&"x".repeat(32 << 20))).await.expect_err("not taken");
    assert!(error.contains("within 300ms"), "{error}");
}

#[tokio::test]
async fn the_guard_and_the_certificate_are_the_same() {
    let collector = Collector::start(&[Manner::Reads]).await;
    let error = ask(&trusting("other-ca.pem", Scripted::new(&[&["127.0.0.1"]]), PATIENCE), collector.frames("2 ab")).await;
    assert!(error.as_ref().is_err_and(|error| error.contains("UnknownIssuer")), "{error:?}");
    let turned = streams(Scripted::new(&[&["127.0.0.1"], &["10.0.0.1"]]), Patience { recheck: Duration::ZERO, ..PATIENCE });
    ask(&turned, collector.frames("2 ab")).await.expect("taken");
    let error = ask(&turned, collector.frames("2 cd")).await.expect_err("it leads inside now");
    assert!(error.contains("--stream-allow"), "{error}");
    for (host, words) in
        [("127.1", "ends in a number"), ("::1", "more than letters"), ("169.254.169.254", "metadata"), ("a:b", "more than")]
    {
        let to_it = request(Route::Tls { host: host.to_owned(), port: collector.port });
        let error = ask(&on_loopback(), to_it).await.expect_err(host);
        assert!(error.contains(words), "{host}: {error}");
    }
    assert_eq!(collector.heard(), "2 ab");
}
