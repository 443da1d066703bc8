//! A KMS for tests, on a port of loopback: the JSON protocol of AWS KMS with real keys, for whoever signs requests rightly.
//!
//! It holds Ed25519 keys and symmetric ones, recomputes each request's SigV4 by itself (`sigv4`), and misbehaves as a test says.
//! Shared by the tests of the engine and of the program.

mod keys;
mod sigv4;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

use keys::Key;

/// Who may ask, and by what secret.
pub(crate) const ACCESS_KEY_ID: &str = "AKIDTESTS";
pub(crate) const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+tests";
pub(crate) const SESSION_TOKEN: &str = "session-token-of-the-tests==";
const REGION: &str = "eu-central-1";

/// What it does instead of what is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Refuses the next so many requests with this status and type of error.
    Refuse(usize, u16, &'static str),
    /// Refuses one operation with a type of error, for as long as this is set.
    Forbid(&'static str, &'static str),
    /// Signs something else.
    WrongSignature,
    /// Is asked for one key and answers with another.
    OtherKey,
    /// Never answers.
    Hang,
    /// Answers bytes that are no JSON.
    Garbage,
    /// Answers more than anybody reads.
    Oversized,
    /// Closes each connection.
    Away,
}

#[derive(Default)]
struct State {
    keys: BTreeMap<String, Key>,
    trouble: Option<Trouble>,
    asked: Vec<String>,
}

/// A running server; it ends with the process.
pub(crate) struct KmsServer {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("not poisoned")
}

impl KmsServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream, &state));
            }
        });
        Self { url, state }
    }

    fn add(&self, key: Key) -> String {
        let mut state = lock(&self.state);
        let arn = format!("arn:aws:kms:{REGION}:111122223333:key/{:08x}-0000-4000-8000-000000000000", state.keys.len() + 1);
        state.keys.insert(arn.clone(), key);
        arn
    }

    /// A new Ed25519 key; its ARN.
    pub(crate) fn signing_key(&self) -> String {
        self.add(Key::ed25519())
    }

    /// A new symmetric key; its ARN.
    pub(crate) fn symmetric_key(&self) -> String {
        self.add(Key::symmetric())
    }

    /// Puts another Ed25519 key in the place of one.
    pub(crate) fn exchange(&self, arn: &str) {
        lock(&self.state).keys.insert(arn.to_owned(), Key::ed25519());
    }

    /// Misbehaves from now on, or no longer.
    pub(crate) fn trouble(&self, trouble: Option<Trouble>) {
        lock(&self.state).trouble = trouble;
    }

    /// The operations that were asked for since the last look, those that were refused included.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).asked)
    }
}

/// A request as it came.
struct Request {
    head: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim_end().is_empty() {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let header = |line: &String| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        let headers: BTreeMap<String, String> = lines.iter().skip(1).filter_map(header).collect();
        let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        Some(Self { head: lines.first()?.clone(), headers, body })
    }
}

fn respond(mut stream: &TcpStream, status: u16, body: &[u8]) {
    let head = format!("HTTP/1.1 {status} -\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n", body.len());
    // Who hung up is not waited for.
    drop(stream.write_all(&[head.as_bytes(), body].concat()));
}

fn refused(status: u16, kind: &str) -> (u16, Vec<u8>) {
    (status, json!({"__type": kind, "message": format!("the test says {kind}")}).to_string().into_bytes())
}

fn serve(stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader) {
        let operation = request.headers.get("x-amz-target").and_then(|target| target.strip_prefix("TrentService."));
        let operation = operation.unwrap_or("nothing").to_owned();
        lock(state).asked.push(operation.clone());
        let trouble = lock(state).trouble.clone();
        let (status, body) = match trouble {
            Some(Trouble::Hang) => return std::thread::sleep(Duration::from_mins(1)),
            Some(Trouble::Away) => return drop(stream.shutdown(Shutdown::Both)),
            Some(Trouble::Garbage) => (200, b"<html>it works</html>".to_vec()),
            Some(Trouble::Oversized) => (200, vec![b' '; 1 << 20]),
            Some(Trouble::Refuse(left, status, kind)) => {
                let next = left.checked_sub(1).filter(|left| *left > 0);
                lock(state).trouble = next.map(|left| Trouble::Refuse(left, status, kind));
                refused(status, kind)
            }
            Some(Trouble::Forbid(forbidden, kind)) if forbidden == operation => refused(400, kind),
            trouble => answer(&request, &operation, &lock(state).keys, trouble.as_ref()),
        };
        respond(stream, status, &body);
    }
}

/// What KMS answers to a request, but for what the trouble changes.
fn answer(request: &Request, operation: &str, keys: &BTreeMap<String, Key>, trouble: Option<&Trouble>) -> (u16, Vec<u8>) {
    if request.head != "POST / HTTP/1.1" || request.headers.get("content-type").is_none_or(|kind| kind != "application/x-amz-json-1.1") {
        return refused(400, "UnknownOperationException");
    }
    if let Err(kind) = sigv4::check(&request.headers, &request.body) {
        return refused(400, kind);
    }
    let Ok(asked) = serde_json::from_slice::<Value>(&request.body) else { return refused(400, "SerializationException") };
    let arn = asked["KeyId"].as_str().unwrap_or_default();
    let Some(key) = keys.get(arn) else { return refused(400, "NotFoundException") };
    let done = match operation {
        "GetPublicKey" => key.public_key(&asked),
        "Sign" => key.sign(&asked, trouble == Some(&Trouble::WrongSignature)),
        "GenerateDataKey" => key.generate_data_key(&asked),
        "Decrypt" => key.decrypt(&asked),
        _ => Err("UnknownOperationException"),
    };
    match done {
        Ok(mut answer) => {
            let named = if trouble == Some(&Trouble::OtherKey) { "arn:aws:kms:eu-central-1:111122223333:key/other" } else { arn };
            answer["KeyId"] = json!(named);
            (200, answer.to_string().into_bytes())
        }
        Err(kind) => refused(400, kind),
    }
}
