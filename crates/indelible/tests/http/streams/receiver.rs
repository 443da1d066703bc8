//! A receiver of streams: a server with TLS on loopback, on threads of its own, that shows each request to a script and does what that says.
//! It keeps nothing itself.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// The certificates of the tests.
pub(crate) fn tls_file(name: &str) -> String {
    format!("{}/tests/cli/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// What is done once a request has come.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Say {
    /// An answer: its status, headers, each with its end of line, and body.
    Answer(u16, &'static str, &'static str),
    /// The same without headers and body, after so long.
    Slowly(u16, Duration),
    /// Half an answer, and the connection ends.
    Half,
    /// The connection ends before the answer, though it was taken.
    TakeAndBreak,
    /// Something that is no HTTP.
    Garbage,
    /// Nothing, until the other side closes.
    Hang,
}

/// It is taken.
pub(crate) const TAKE: Say = Say::status(204);

impl Say {
    /// An answer of this status alone.
    pub(crate) const fn status(status: u16) -> Self {
        Self::Answer(status, "", "")
    }

    /// Whether the receiver has it from then on.
    pub(crate) const fn takes(self) -> bool {
        matches!(self, Self::Answer(200..=299, ..) | Self::Slowly(200..=299, _) | Self::TakeAndBreak)
    }
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) path: String,
    /// By their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Came {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} among {:?}", self.headers))
    }

    /// The events of a delivery to a webhook, whether it is of one or of several.
    pub(crate) fn events(&self) -> Vec<Value> {
        match serde_json::from_slice(&self.body).expect("JSON") {
            Value::Array(events) => events,
            event => vec![event],
        }
    }

    pub(crate) fn sequences(&self) -> Vec<u64> {
        self.events().iter().map(|event| event["sequence"].as_u64().expect("a sequence")).collect()
    }
}

type Script = Box<dyn FnMut(&Came) -> Say + Send>;

/// A receiver of HTTP.
pub(crate) struct Receiver {
    port: u16,
    script: Arc<Mutex<Script>>,
}

impl Receiver {
    /// One that does what the script says.
    pub(crate) fn start(script: impl FnMut(&Came) -> Say + Send + 'static) -> Self {
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let shared = Arc::clone(&script);
        Self { port: listen(move |stream| serve(stream, &shared)), script }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// What it does from now on.
    pub(crate) fn says(&self, script: impl FnMut(&Came) -> Say + Send + 'static) {
        *self.script.lock().expect("no script panics") = Box::new(script);
    }
}

/// Waits for something, and says what there is instead where it does not come.
pub(crate) fn wait<T>(what: impl Fn() -> Option<T>, instead: impl Fn() -> String) -> T {
    let (end, mut pause) = (Instant::now() + Duration::from_mins(5), Duration::from_millis(5));
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(Instant::now() < end, "it does not come about: {}", instead());
        std::thread::sleep(pause);
        // Some questions are events themselves: whoever asks for the end of something gives it the time to come to it, which is longer than a
        // stream takes to look (a second) and to record how far it is (half of one).
        pause = (pause * 5 / 4).min(Duration::from_secs(2));
    }
}

/// A connection.
pub(crate) type Secured = BufReader<StreamOwned<ServerConnection, TcpStream>>;

/// Serves each connection on a thread of its own; the port.
pub(crate) fn listen(serve: impl Fn(Secured) + Send + Sync + 'static) -> u16 {
    let certificate = CertificateDer::from_pem_file(tls_file("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(tls_file("server.key")).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).expect("they belong together");
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (config, serve) = (Arc::new(config), Arc::new(serve));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            stream.set_nodelay(true).ok();
            let connection = ServerConnection::new(Arc::clone(&config)).expect("configured");
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(BufReader::new(StreamOwned::new(connection, stream))));
        }
    });
    port
}

fn serve(mut stream: Secured, script: &Mutex<Script>) {
    while let Some(came) = request(&mut stream) {
        let say = (*script.lock().expect("no script panics"))(&came);
        if !act(&mut stream, say) {
            return;
        }
    }
}

/// Whether the connection stays.
fn act(stream: &mut Secured, say: Say) -> bool {
    let (bytes, stays) = match say {
        Say::Answer(status, headers, body) => (answer(status, headers, body), true),
        Say::Slowly(status, wait) => {
            std::thread::sleep(wait);
            (answer(status, "", ""), true)
        }
        Say::Half => ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_owned(), false),
        Say::Garbage => ("\u{0}\u{1}{}<html>\r\n\r\n".to_owned(), false),
        Say::TakeAndBreak => return false,
        Say::Hang => {
            let _ = stream.read(&mut [0]);
            return false;
        }
    };
    let out = stream.get_mut();
    out.write_all(bytes.as_bytes()).and_then(|()| out.flush()).is_ok() && stays
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} said\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A request; none at the end, or where it breaks off.
fn request(stream: &mut Secured) -> Option<Came> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1).expect("a request line").to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().expect("a length")];
    stream.read_exact(&mut body).ok()?;
    Some(Came { path, headers, body })
}
