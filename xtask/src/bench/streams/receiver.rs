//! Whoever receives streams in the bench: a server with TLS on loopback that answers 204 and notes how far each stream has come, and a client
//! that posts to it what a stream posted, as the baseline.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// Bodies of a stream that are kept, to be posted again.
const KEPT: usize = 32;
/// Requests to this path are never answered.
pub(super) const DEAD: &str = "/dead";

/// The throw-away certificates of the tests.
pub(super) fn tls_file(name: &str) -> PathBuf {
    crate::root().join("crates/indelible/tests/cli/tls").join(name)
}

/// What came from one stream.
#[derive(Default)]
pub(super) struct Arrived {
    /// Of each request, the last sequence in it, and when it had come.
    pub(super) requests: Vec<(u64, Instant)>,
    /// The first bodies.
    pub(super) bodies: Vec<Vec<u8>>,
}

type Arrivals = Mutex<HashMap<String, Arrived>>;

/// The server.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    arrivals: Arc<Arrivals>,
}

impl Receiver {
    pub(super) fn start() -> anyhow::Result<Self> {
        let certificate = CertificateDer::from_pem_file(tls_file("server.pem"))?;
        let key = PrivateKeyDer::from_pem_file(tls_file("server.key"))?;
        let config = Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?);
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let arrivals = Arc::<Arrivals>::default();
        let shared = Arc::clone(&arrivals);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, arrivals) = (Arc::clone(&config), Arc::clone(&shared));
                // Where a connection breaks, the sender makes another.
                std::thread::spawn(move || serve(stream, config, &arrivals).ok());
            }
        });
        Ok(Self { address, arrivals })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    pub(super) fn arrivals(&self) -> MutexGuard<'_, HashMap<String, Arrived>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first sequence that has not come to a path.
    pub(super) fn next(&self, path: &str) -> u64 {
        let arrivals = self.arrivals();
        arrivals.get(path).and_then(|arrived| arrived.requests.last()).map_or(0, |(last, _)| last + 1)
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, arrivals: &Arrivals) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(64 * 1024, StreamOwned::new(ServerConnection::new(config)?, stream));
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).context("no request line")?.to_owned();
        let mut length = 0;
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse()?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let came_at = Instant::now();
        if path == DEAD {
            stream.read_exact(&mut [0]).ok();
            return Ok(());
        }
        {
            let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            let arrived = arrivals.entry(path).or_default();
            arrived.requests.push((last_sequence(&body).unwrap_or(0), came_at));
            if arrived.bodies.len() < KEPT {
                arrived.bodies.push(body);
            }
        }
        let out = stream.get_mut();
        out.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
        out.flush()?;
    }
}

/// The sequence of the last event in a body. Nothing that follows the member in an event of the bench has its name in it.
fn last_sequence(body: &[u8]) -> Option<u64> {
    const MEMBER: &[u8] = b"\"sequence\":";
    let at = body.windows(MEMBER.len()).rposition(|window| window == MEMBER)? + MEMBER.len();
    let digits = body[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

/// A client of the receiver, on one connection.
pub(super) struct Poster {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    head: String,
}

impl Poster {
    pub(super) fn connect(receiver: &Receiver) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(tls_file("ca.pem"))?)?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let connection = ClientConnection::new(Arc::new(config), ServerName::from(receiver.address.ip()))?;
        let stream = TcpStream::connect(receiver.address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(StreamOwned::new(connection, stream)), head: receiver.address.to_string() })
    }

    /// Posts a body, and waits until it was taken.
    pub(super) fn post(&mut self, body: &[u8]) -> anyhow::Result<()> {
        let head = format!("POST /baseline HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n", self.head, body.len());
        let out = self.stream.get_mut();
        out.write_all(&[head.as_bytes(), body].concat())?;
        out.flush()?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        ensure!(line.starts_with("HTTP/1.1 204"), "the receiver says {line:?}");
        while line.trim_end() != "" {
            line.clear();
            self.stream.read_line(&mut line)?;
        }
        Ok(())
    }
}
