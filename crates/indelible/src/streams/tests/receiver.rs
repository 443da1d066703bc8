//! A receiver: a server with TLS on loopback that does one deed for each request, the last one again and again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::tls_file;

/// What is done once a request has come.
#[derive(Clone)]
pub(super) enum Deed {
    /// These bytes, and the connection stays.
    Answer(Vec<u8>),
    /// These bytes, and the connection ends.
    Last(Vec<u8>),
    /// These bytes, one every 50 milliseconds.
    Drip(Vec<u8>),
    /// The first bytes, then the second ones until nobody takes them.
    Endless(Vec<u8>, Vec<u8>),
    /// Nothing.
    Hang,
    /// This is answered before the body of the request is read, and the connection ends.
    Early(Vec<u8>),
}

/// A request that came.
#[derive(Clone)]
pub(super) struct Seen {
    /// Which connection it came on, from 0.
    pub(super) connection: usize,
    /// In lower case but for its first line.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

pub(super) struct Receiver {
    pub(super) port: u16,
    state: Arc<State>,
}

struct State {
    deeds: Mutex<Vec<Deed>>,
    seen: Mutex<Vec<Seen>>,
    accepted: AtomicUsize,
    open: AtomicUsize,
}

pub(super) fn answer(status: &str, headers: &str, body: &str) -> Deed {
    Deed::Answer(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

pub(super) fn acceptor(certificate: &str) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(tls_file(certificate)).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(tls_file("server.key")).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).expect("they belong together");
    TlsAcceptor::from(Arc::new(config))
}

impl Receiver {
    pub(super) async fn start(deeds: &[Deed]) -> Self {
        Self::with("127.0.0.1", "server.pem", deeds).await
    }

    pub(super) async fn with(address: &str, certificate: &str, deeds: &[Deed]) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let deeds = Mutex::new(deeds.iter().rev().cloned().collect());
        let state = Arc::new(State { deeds, seen: Mutex::default(), accepted: AtomicUsize::new(0), open: AtomicUsize::new(0) });
        let (acceptor, shared) = (acceptor(certificate), Arc::clone(&state));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&shared));
                let connection = state.accepted.fetch_add(1, Ordering::SeqCst);
                state.open.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, connection, &state).await;
                    }
                    state.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, state }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().expect("no panic").clone()
    }

    /// Connections that were ever made, and those that are still open.
    pub(super) fn connections(&self) -> (usize, usize) {
        (self.state.accepted.load(Ordering::SeqCst), self.state.open.load(Ordering::SeqCst))
    }
}

impl State {
    fn next(&self) -> Deed {
        let mut deeds = self.deeds.lock().expect("no panic");
        let last = deeds.last().expect("a deed").clone();
        if deeds.len() > 1 {
            deeds.pop();
        }
        last
    }
}

async fn serve(mut stream: TlsStream<TcpStream>, connection: usize, state: &State) {
    loop {
        let Some(head) = head(&mut stream).await else { return };
        let deed = state.next();
        if let Deed::Early(bytes) = &deed {
            state.seen.lock().expect("no panic").push(Seen { connection, head, body: Vec::new() });
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            // What was sent stays to be read by the other side for a while.
            tokio::time::sleep(Duration::from_millis(200)).await;
            return;
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).expect("a length");
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        state.seen.lock().expect("no panic").push(Seen { connection, head, body });
        if !act(&mut stream, deed).await {
            return;
        }
    }
}

/// Whether the connection stays.
async fn act(stream: &mut TlsStream<TcpStream>, deed: Deed) -> bool {
    match deed {
        Deed::Answer(bytes) => stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok(),
        Deed::Last(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            false
        }
        Deed::Drip(bytes) => {
            for byte in bytes {
                if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            true
        }
        Deed::Endless(first, rest) => {
            let mut written = stream.write_all(&first).await;
            while written.is_ok() {
                written = stream.write_all(&rest).await;
            }
            false
        }
        Deed::Hang => {
            // Until the other side has closed it.
            let _ = stream.read(&mut [0; 16]).await;
            false
        }
        Deed::Early(_) => unreachable!("done before"),
    }
}

/// The head of a request; none at the end.
async fn head(stream: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(bytes).expect("a head is text");
    let (first, rest) = text.split_once("\r\n").expect("a line");
    let lower = |line: &str| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}\n", name.to_ascii_lowercase()),
        None => String::new(),
    };
    Some(format!("{first}\n{}", rest.lines().map(lower).collect::<String>()))
}
