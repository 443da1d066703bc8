//! Organizations' keys through moto's KMS, which somebody else wrote from AWS's documentation. moto knows no Ed25519 keys, so
//! signatures are made by the server of these tests alone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::house::Place;
use crate::organizations::files;

/// moto on a port of loopback; it ends with its standard input.
struct Moto {
    child: Child,
    url: String,
}

impl Moto {
    fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let python = root.join("target/moto/bin/python");
        assert!(python.is_file(), "moto is not installed in target/moto: `cargo xtask install` does it");
        let script = root.join("crates/indelible-engine/tests/amazon.py");
        let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("moto starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says where it listens");
        Self { child, url: line.trim().to_owned() }
    }

    /// An operation by its administrator; moto verifies no signature.
    fn ask(&self, operation: &str, body: &Value) -> Value {
        let address = self.url.strip_prefix("http://").expect("plain HTTP");
        let (body, credential) = (body.to_string(), "Credential=an-id/20260101/eu-central-1/kms/aws4_request");
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nX-Amz-Target: TrentService.{operation}\r\nContent-Type: \
             application/x-amz-json-1.1\r\nAuthorization: AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).expect("moto listens");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).unwrap_or(Value::Null)
    }

    /// A new symmetric key; its ARN.
    fn key(&self) -> String {
        self.ask("CreateKey", &json!({}))["KeyMetadata"]["Arn"].as_str().expect("a key").to_owned()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn contents_are_sealed_under_a_key_of_moto_and_open_after_a_restart() {
    let (moto, place) = (Moto::start(), Place::new());
    let (arn, other) = (moto.key(), moto.key());
    let house = place.serve(&moto.url, &["--organization-kms", &arn]);
    let id = house.append("alice");
    house.sealed();
    house.stop();
    let house = place.serve(&moto.url, &[]);
    let opened = house.get(&format!("/v1/audit/events/{id}?include=content&purpose=a%20test"));
    assert_eq!(opened["content"]["arguments"]["said"], "secret of alice");
    house.stop();
    assert_eq!(place.verify(&moto.url).0, 0);
    assert!(files(&place).iter().all(|(_, text)| text.contains(&arn)));

    // What is in a file moto opens for the purpose that was named, and for no other.
    for (name, text) in files(&place) {
        let line = |word: &str| text.lines().find_map(|line| line.strip_prefix(word)).expect("a line").to_owned();
        let organization = name.trim_start_matches("organization-").trim_end_matches(".key");
        let decrypt = |context: Value| {
            let opened = moto.ask("Decrypt", &json!({"CiphertextBlob": line("ciphertext "), "EncryptionContext": context}));
            (opened["Plaintext"].is_string(), opened["__type"].as_str().unwrap_or_default().to_owned())
        };
        let instance = line("instance ");
        assert!(decrypt(json!({"indelible:instance": instance, "indelible:organization": organization})).0);
        for other in [json!({}), json!({"indelible:instance": instance, "indelible:organization": "another"})] {
            assert_eq!(decrypt(other), (false, "InvalidCiphertextException".to_owned()));
        }
    }
    // Another KMS, which has not that key. That a disabled one opens nothing the server of these tests shows: moto opens with it.
    let another = Moto::start();
    let said = place.try_serve(&another.url, &[]).map(|_| ()).expect_err("it has no such key");
    assert!(said.contains("cannot be opened") && said.contains(&arn), "{said}");
    let (code, said) = place.verify(&another.url);
    assert!(code == 2 && said.contains("cannot be opened"), "{said}");
    place.serve(&moto.url, &[]).stop();
    // moto refuses what it does not know, in its own words.
    let elsewhere = Place::new();
    let missing = other.rsplit_once('/').map(|(beginning, _)| format!("{beginning}/00000000-0000-4000-8000-000000000000")).expect("an ARN");
    let said = elsewhere.try_serve(&moto.url, &["--organization-kms", &missing]).map(|_| ()).expect_err("no such key");
    assert!(said.contains("NotFoundException"), "{said}");
    let said = elsewhere.try_serve(&moto.url, &["--signing-kms", &other]).map(|_| ()).expect_err("it does not sign");
    assert!(said.contains(&other), "{said}");
}
