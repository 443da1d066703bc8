//! Through HTTPS: a proxy that ends TLS in front of the server, under a certificate of a throw-away authority (`tls/`, which
//! nothing else trusts; its private keys are gone, but for the server's).

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::program::{Folder, Server, run, run_with};

const EVENT: &str = r#"{"actor":{"type":"human","id":"alice"},"action":"document.share","outcome":"allow"}"#;

fn tls(name: &str) -> String {
    format!("{}/tests/cli/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// One HTTP message, head and body by its Content-Length; empty at the end of the stream.
fn message(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => return Vec::new(),
        }
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("the body comes whole");
    bytes.extend(body);
    bytes
}

/// Ends TLS in front of `server` on a loopback address, for as long as the test runs; its port.
fn proxy(server: &Server, address: &str) -> u16 {
    let certificate = CertificateDer::from_pem_file(tls("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(tls("server.key")).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).expect("they belong together");
    let config = Arc::new(config);
    let listener = TcpListener::bind((address, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let behind = server.address().to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (config, behind) = (Arc::clone(&config), behind.clone());
            std::thread::spawn(move || {
                let mut front = BufReader::new(StreamOwned::new(ServerConnection::new(config).expect("configured"), stream));
                let mut back = TcpStream::connect(behind).expect("the server listens");
                loop {
                    let request = message(&mut front);
                    if request.is_empty() {
                        return;
                    }
                    back.write_all(&request).expect("sent");
                    let answer = message(&mut back);
                    front.get_mut().write_all(&answer).and_then(|()| front.get_mut().flush()).expect("answered");
                }
            });
        }
    });
    port
}

#[test]
fn a_server_behind_tls_is_reached_with_its_authority_and_with_no_other() {
    let folder = Folder::new();
    let server = Server::start(&folder.path());
    let (port, other_port) = (proxy(&server, "127.0.0.1"), proxy(&server, "127.0.0.2"));
    let with = |host: &str, ca: &str, words: &[&str], input: &str| {
        let url = format!("https://{host}:{}", if host == "127.0.0.2" { other_port } else { port });
        let all: Vec<&str> = words.iter().copied().chain(["--server", &url, "--key-file", server.key_file(), "--ca-file", ca]).collect();
        run_with(&all, input.as_bytes())
    };
    let receipt = with("localhost", &tls("ca.pem"), &["append", "--json"], EVENT).ok().json();
    assert!(receipt[0]["sequence"].is_u64(), "{receipt:?}");
    with("127.0.0.1", &tls("ca.pem"), &["verify"], "").ok();
    // Neither another authority, nor a name that is not in the certificate, nor the system's own list.
    for (host, ca) in [("localhost", "other-ca.pem"), ("127.0.0.2", "ca.pem")] {
        let refused = with(host, &tls(ca), &["append"], EVENT);
        assert!(refused.code == 1 && refused.err.contains("certificate"), "{host} {ca}: {} {}", refused.code, refused.err);
    }
    let url = format!("https://localhost:{port}");
    let refused = run(&["events", "--server", &url, "--key-file", server.key_file()]);
    assert!(refused.code == 1 && refused.err.contains("certificate"), "{}", refused.err);
    let found = with("localhost", &tls("ca.pem"), &["events", "--filter", "action eq \"document.share\"", "--json"], "").ok();
    assert_eq!(found.json().len(), 1, "what was refused was not sent");
}

#[test]
fn what_is_imported_through_a_server_is_said_to_be() {
    let folder = Folder::new();
    let server = Server::start(&folder.path());
    let key = folder.file("unused", "");
    let key = key.replace("unused", "gateway.key");
    let (url, ca) = (format!("https://localhost:{}", proxy(&server, "127.0.0.1")), tls("ca.pem"));
    let target = ["--server", &url, "--ca-file", &ca];
    let make =
        ["keys", "create", "gateway", "--kind", "gateway", "--scope", "events:append", "--out", &key, "--key-file", server.key_file()];
    run(&[&make[..], &target].concat()).ok();
    let through = [&target[..], &["--key-file", &key]].concat();
    run_with(&[&["append"][..], &through].concat(), EVENT.as_bytes()).ok();
    let file = folder.file("events.ndjson", EVENT.replace("document.share", "document.open"));
    run(&[&["import", "ndjson", &file][..], &through].concat()).ok();
    for (action, assurance, path) in [("document.share", "gateway", "http"), ("document.open", "self_reported", "import")] {
        let filter = format!("action eq \"{action}\"");
        let read = ["events", "--filter", &filter, "--json", "--key-file", server.key_file()];
        let found = run(&[&read[..], &target].concat()).ok().json();
        assert_eq!((&found[0]["assurance"], &found[0]["recorder"]["path"]), (&json!(assurance), &json!(path)), "{action}");
    }
}
