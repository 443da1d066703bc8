//! What an outsider is handed of the instance tree: over HTTP and in a bundle, the checkpoint with the cosignatures of the quorum; and where
//! the quorum is not to be had, what was signed all the same.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use indelible_core::checkpoint::{Checkpoint, Opened};
use indelible_core::note::{Note, VerifierKey};
use indelible_core::proof::InclusionProof;
use serde_json::Value;

use crate::house::log_key;
use crate::process::Witness;

/// A server with a witness policy; killed when dropped.
struct Server {
    child: Child,
    url: String,
    data: PathBuf,
}

impl Server {
    fn start(data: &Path, policy: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_indelible"))
            .args(["serve", "--listen", "127.0.0.1:0", "--no-metrics", "--log", "off", "--anchor-interval-seconds", "3600", "--data"])
            .arg(data)
            .arg("--checkpoints")
            .arg(data.with_extension("checkpoints"))
            .arg("--witness-policy")
            .arg(policy)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned)).expect("it says so");
        Self { child, url: url.trim().to_owned(), data: data.to_owned() }
    }

    fn key_file(&self, name: &str) -> PathBuf {
        self.data.join(format!("{name}.key"))
    }

    fn ask(&self, key: &str, method: &str, path: &str, body: &str) -> String {
        let config = ureq::Agent::config_builder().proxy(None).timeout_global(Some(Duration::from_secs(20)));
        let agent: ureq::Agent = config.build().into();
        let key = std::fs::read_to_string(self.key_file(key)).expect("a key");
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", key.trim())).header("accept", "application/json, text/plain");
        let request = request.header("content-type", "application/json");
        let sent = match method {
            "GET" => agent.run(request.body(()).expect("a request")),
            _ => agent.run(request.body(body.to_owned()).expect("a request")),
        };
        let mut answer = sent.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        answer.body_mut().read_to_string().expect("text")
    }

    /// Appends an event, and has it sealed; its id.
    fn grow(&self) -> String {
        let event = r#"{"action":"test.step","outcome":"allow","actor":{"type":"human","id":"alice"}}"#;
        let receipt: Value = serde_json::from_str(&self.ask("admin", "POST", "/v1/audit/events", event)).expect("JSON");
        self.ask("admin", "POST", "/v1/audit/anchors", "");
        receipt["id"].as_str().expect("an id").to_owned()
    }

    /// The checkpoint of the instance tree as it is handed out.
    fn checkpoint(&self) -> String {
        self.ask("instance", "GET", "/tlog/instance/checkpoint", "")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn open(note: &str, keys: &[VerifierKey]) -> Opened {
    Checkpoint::open(&Note::parse(note.as_bytes()).expect("a note"), keys).expect("the log's")
}

/// Waits until it is so.
fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_indelible")).args(arguments).output().expect("the program runs")
}

#[test]
fn cosignatures_reach_whoever_asks_and_whoever_gets_a_bundle() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let log = log_key(&data);
    let witness = Witness::start(&folder.path().join("one"), &[&log]);
    let policy = folder.path().join("policy");
    std::fs::write(&policy, format!("witness w {} {}\nquorum w\n", witness.key, witness.url)).expect("written");
    let server = Server::start(&data, &policy);
    let keys: Vec<VerifierKey> = [&log, &witness.key].map(|key| key.parse().expect("a key")).into();
    let cosigned = |note: &str| open(note, &keys).witnesses.iter().any(|cosigned| cosigned.key == keys[1]);

    // A bundle, made at once after the sealing that it asks for itself: it waits for the witness.
    server.grow();
    let bundle = folder.path().join("all.tar").display().to_string();
    let admin = server.key_file("admin").display().to_string();
    let made = run(&["export", "bundle", "--out", &bundle, "--server", &server.url, "--key-file", &admin]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let listed: Value = serde_json::from_slice(&run(&["verify-bundle", &bundle, "--json"]).stdout).expect("JSON");
    let offered: Vec<&str> = listed["keys_offered"].as_array().expect("keys").iter().filter_map(Value::as_str).collect();
    assert!(offered.contains(&witness.key.as_str()) && offered.contains(&log.as_str()), "{offered:?}");
    let believed = run(&["verify-bundle", &bundle, "--key", offered[0], "--key", &log, "--key", &witness.key]);
    let words = String::from_utf8_lossy(&believed.stdout).into_owned();
    assert!(believed.status.success() && words.contains("cosigned by 1 trusted witnesses"), "{words}");

    // Over HTTP, as soon as the quorum has cosigned.
    let id = server.grow();
    until("cosigned", || cosigned(&server.checkpoint()));
    let proof = || -> InclusionProof {
        let proof: Value = serde_json::from_str(&server.ask("admin", "GET", &format!("/v1/audit/events/{id}/proof"), "")).expect("JSON");
        InclusionProof::parse(proof["instance"]["proof"].as_str().expect("a proof").as_bytes()).expect("a proof")
    };
    until("proved against what was cosigned", || cosigned(&proof().checkpoint.to_string()));

    // A witness that is gone keeps nothing back.
    let before = open(&server.checkpoint(), &keys).checkpoint.size;
    witness.kill();
    server.grow();
    until("the newest is handed out", || open(&server.checkpoint(), &keys).checkpoint.size > before);
    assert!(!cosigned(&server.checkpoint()));
    let began = Instant::now();
    let late = folder.path().join("late.tar").display().to_string();
    assert!(run(&["export", "bundle", "--out", &late, "--server", &server.url, "--key-file", &admin]).status.success());
    assert!(began.elapsed() < Duration::from_mins(1), "nor does an export wait for it without end");
    let words = run(&["verify-bundle", &late, "--key", offered[0], "--key", &log, "--key", &witness_key(&policy)]);
    assert!(String::from_utf8_lossy(&words.stdout).contains("cosigned by 0 trusted witnesses"), "{words:?}");
}

/// The key of the only witness of a policy.
fn witness_key(policy: &Path) -> String {
    let text = std::fs::read_to_string(policy).expect("a policy");
    text.split_whitespace().nth(2).expect("a key").to_owned()
}
