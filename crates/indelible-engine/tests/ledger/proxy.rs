//! What stands before an object store and misbehaves as told: it loses answers, refuses, hangs, garbles. One request a
//! connection.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use super::moto::exchange;

/// A request as it came.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) bytes: Vec<u8>,
}

/// What is done with one.
pub(crate) enum Deed {
    /// It is handed on, and answered as the store says.
    Forward,
    /// It is handed on, changed, and so is its answer.
    Change(fn(&[u8]) -> Vec<u8>, fn(&[u8]) -> Vec<u8>),
    /// It is handed on, and its answer is lost.
    Lose,
    /// It is not handed on, and this is the answer.
    Answer(Vec<u8>),
    /// There is no answer, and the connection stays open.
    Hang,
}

type Behaviour = Box<dyn FnMut(&Request) -> Deed + Send>;

/// It ends with the process.
pub(crate) struct Proxy {
    pub(crate) address: String,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Proxy {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("it listens");
        let address = listener.local_addr().expect("an address").to_string();
        let behaviour: Arc<Mutex<Behaviour>> = Arc::new(Mutex::new(Box::new(|_| Deed::Forward)));
        let shared = Arc::clone(&behaviour);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, behaviour }
    }

    /// From now on.
    pub(crate) fn behaves(&self, behaviour: impl FnMut(&Request) -> Deed + Send + 'static) {
        *self.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(behaviour);
    }
}

/// An answer in full.
pub(crate) fn answer(status: &str, body: &str) -> Deed {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nETag: \"0\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT");
    Deed::Answer(format!("{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes())
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let end = bytes.windows(4).position(|bytes: &[u8]| bytes == b"\r\n\r\n").map(|at| at + 4);
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if bytes.len() >= end + length.unwrap_or(0) {
                let mut words = head.split(' ');
                let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
                return Some(Request { method, target, bytes });
            }
        }
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
    }
}

/// Says in a head that the connection is for this alone.
pub(crate) fn closing(bytes: &[u8]) -> Vec<u8> {
    let line_end = bytes.windows(2).position(|bytes| bytes == b"\r\n").expect("a line") + 2;
    [&bytes[..line_end], b"Connection: close\r\n".as_slice(), &bytes[line_end..]].concat()
}

fn serve(mut stream: TcpStream, behaviour: &Mutex<Behaviour>) {
    let Some(request) = read(&mut stream) else { return };
    let deed = (behaviour.lock().unwrap_or_else(PoisonError::into_inner))(&request);
    let forward = |bytes: &[u8]| exchange(&closing(bytes));
    let told = match deed {
        Deed::Forward => closing(&forward(&request.bytes)),
        Deed::Change(there, back) => closing(&back(&forward(&there(&request.bytes)))),
        Deed::Lose => {
            forward(&request.bytes);
            return;
        }
        Deed::Answer(bytes) => bytes,
        Deed::Hang => {
            // Until the client gives up.
            let _ = stream.read(&mut [0; 1]);
            return;
        }
    };
    // A client that went away is what some of these tests are about.
    let _ = stream.write_all(&told);
}
