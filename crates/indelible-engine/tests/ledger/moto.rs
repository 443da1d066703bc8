//! moto on loopback, which imitates Amazon's services: one process for each process of tests, which ends with it, and a bucket for each
//! test. `cargo xtask install` installs it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

// The crate that has them is another in tests of the engine itself.
use super::{Bucket, CheckpointStore};

/// The process, whose standard input is never closed, and where it listens.
static SERVER: LazyLock<(Child, String)> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join("target/moto/bin/python");
    assert!(python.is_file(), "moto is not installed in target/moto: `cargo xtask install` does it");
    let script = root.join("crates/indelible-engine/tests/amazon.py");
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("moto starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says where it listens");
    (child, line.trim().strip_prefix("http://").expect("an address").to_owned())
});

/// Where moto listens, as `address:port`.
pub(crate) fn address() -> &'static str {
    &SERVER.1
}

/// A bucket of its own, and how it is reached.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) bucket: String,
    /// `address:port` of moto, or of what stands before it.
    pub(crate) reached_at: String,
    pub(crate) wait_max: Duration,
}

impl Place {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let bucket = format!("bucket-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let (status, _) = request("PUT", &format!("/{bucket}"), b"");
        assert_eq!(status, 200, "a bucket is made");
        Self { bucket, reached_at: address().to_owned(), wait_max: Bucket::WAIT_MAX }
    }

    /// The variables that lead there.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            ("AWS_ACCESS_KEY_ID", "an-id"),
            ("AWS_SECRET_ACCESS_KEY", "a-secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", &format!("http://{}", self.reached_at)),
        ];
        settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    pub(crate) fn named(&self) -> String {
        format!("s3://{}/some/prefix", self.bucket)
    }

    pub(crate) fn store(&self) -> CheckpointStore {
        let CheckpointStore::Bucket(bucket) = CheckpointStore::parse(self.named().as_ref(), self.settings()).expect("an address") else {
            panic!("{} is a bucket", self.named())
        };
        CheckpointStore::Bucket(Bucket { wait_max: self.wait_max, ..bucket })
    }
}

/// Whom moto takes a request to be of, which verifies no signature.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=an-id/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// Asks moto itself. Status and body.
pub(crate) fn request(method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {AUTHORIZATION}\r\nConnection: close", address());
    let head = format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len());
    let answer = exchange(&[head.as_bytes(), body].concat());
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head") + 4;
    let status = String::from_utf8_lossy(&answer[..end]).split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer[end..].to_vec())
}

/// Sends bytes to moto, and reads until it closes.
pub(crate) fn exchange(bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address()).expect("moto listens");
    stream.write_all(bytes).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    answer
}
