//! Witnesses that do not behave.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indelible_core::key::Secret;
use indelible_core::note::{Algorithm, LocalSigner, Name, Signer, cosign};
use indelible_core::witness::AddCheckpoint;

/// Answers every request in one way.
pub(crate) struct Fake {
    pub(crate) url: String,
    asked: Arc<AtomicUsize>,
}

impl Fake {
    /// `answer` makes status, headers and body of a request's body; `None` never answers.
    pub(crate) fn start(answer: impl Fn(&str) -> Option<(u16, String, String)> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(AtomicUsize::new(0));
        let (counted, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (counted, answer) = (Arc::clone(&counted), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let body = request(&stream);
                    counted.fetch_add(1, Ordering::SeqCst);
                    match answer(&body) {
                        Some((status, content_type, body)) => respond(&stream, status, &content_type, &body),
                        None => std::thread::sleep(Duration::from_mins(1)),
                    }
                });
            }
        });
        Self { url, asked }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn request(mut stream: &TcpStream) -> String {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok();
    String::from_utf8(body).expect("UTF-8")
}

fn respond(mut stream: &TcpStream, status: u16, content_type: &str, body: &str) {
    let head =
        format!("HTTP/1.1 {status} x\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).ok();
}

/// A key of a witness that is nobody's.
pub(crate) fn signer(name: &str, seed: u8) -> LocalSigner {
    LocalSigner::from_seed(Name::new(name).expect("a name"), Algorithm::CosignatureV1, &Secret::new([seed; 32])).expect("a seed")
}

/// Cosigns whatever it is asked, under the name and key id of `as_key`, with the key of `signer`.
pub(crate) fn forged(body: &str, signer: &LocalSigner, as_signer: &LocalSigner) -> String {
    let request = AddCheckpoint::parse(body.as_bytes()).expect("a request");
    let mut line = cosign(request.note().text(), signer, 1_700_000_000).expect("it cosigns");
    line.key_id = as_signer.verifier_key().id();
    line.name = as_signer.verifier_key().name().clone();
    line.to_string()
}
