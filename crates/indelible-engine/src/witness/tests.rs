//! A witness over a folder: the vectors of another implementation, what is remembered, and what does not start.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Barrier;
use std::time::Duration;

use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::Note;
use indelible_core::time::Timestamp;
use indelible_core::tree::{Edge, Range, consistency, leaf_hash};
use rusqlite::Connection;
use serde_json::Value as Json;

use super::*;

struct At(u64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(i64::try_from(self.0).expect("in range") * 1_000_000).expect("in range")
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

fn open(store: &Path, name: Option<&str>, keys: &[VerifierKey]) -> Result<Witness, WitnessError> {
    at(store, name, keys, 1_700_000_000)
}

fn at(store: &Path, name: Option<&str>, keys: &[VerifierKey], seconds: u64) -> Result<Witness, WitnessError> {
    Witness::open(Options { store: store.to_owned(), name: name.map(str::to_owned), log_keys: keys.to_vec(), clock: Arc::new(At(seconds)) })
}

/// A log that can tell two stories: the second one changes leaf 5.
struct Log {
    signer: LocalSigner,
}

impl Log {
    fn new() -> Self {
        let name = Name::new("log.example").expect("a name");
        Self { signer: LocalSigner::from_seed(name, Algorithm::Ed25519, &Secret::new([1; 32])).expect("a seed") }
    }

    fn keys(&self) -> [VerifierKey; 1] {
        [self.signer.verifier_key().clone()]
    }

    fn request(&self, old: u64, size: u64, other: bool) -> String {
        let leaves: Vec<_> = (0..size).map(|n| leaf_hash(&[n as u8, u8::from(other && n == 5)])).collect();
        let mut edge = Edge::new();
        for leaf in &leaves {
            edge.append(*leaf, &mut Vec::new());
        }
        let hash_at = |height: u32, index: u64| {
            let mut range = Range::new(0);
            for leaf in leaves.get((index << height) as usize..((index + 1) << height) as usize)? {
                range.push(*leaf);
            }
            range.root()
        };
        let checkpoint = Checkpoint { origin: self.signer.verifier_key().name().clone(), size, root: edge.root() };
        let proof = consistency::proof(old, size, hash_at).unwrap_or_default();
        AddCheckpoint::new(old, proof, checkpoint.sign(&[&self.signer]).expect("it signs")).expect("a request").to_string()
    }
}

fn refused(witness: &Witness, body: &str) -> Answer {
    match witness.add_checkpoint(body.as_bytes()).expect("it answers") {
        Reply::Refused(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn cosigned(witness: &Witness, body: &str) -> String {
    match witness.add_checkpoint(body.as_bytes()).expect("it answers") {
        Reply::Cosigned(lines) => lines,
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_and_cosignatures_agree_with_another_implementation() {
    let vectors: Json = serde_json::from_str(include_str!("../../../indelible-core/testdata/witness.json")).expect("JSON");
    let text = |value: &Json| value.as_str().expect("a string").to_owned();
    let key: VerifierKey = text(&vectors["log"]).parse().expect("a key");
    let (name, time) = (text(&vectors["witness"]).split('+').next().expect("a name").to_owned(), vectors["time"].as_u64().expect("a time"));
    let mut lines = 0;
    for case in vectors["cases"].as_array().expect("cases") {
        let folder = tempfile::tempdir().expect("a folder");
        drop(open(folder.path(), Some(&name), std::slice::from_ref(&key)).expect("it begins"));
        write_private(&folder.path().join("witness.key"), format!("{}\n", text(&vectors["witness_seed"])).as_bytes()).expect("written");
        if let Some(last) = case["last"].as_array() {
            let root: [u8; 32] = hex::decode_array(last[1].as_str().expect("hex")).expect("32 bytes");
            let memory = Connection::open(folder.path().join("witness.db")).expect("it opens");
            let row = (key.name().as_str(), last[0].as_i64(), root);
            memory.execute("INSERT INTO cosigned (origin, size, root) VALUES (?1, ?2, ?3)", row).expect("inserted");
        }
        let keys = if case["known"] == true { vec![key.clone()] } else { vec![] };
        let witness = at(folder.path(), None, &keys, time).expect("it goes on");
        assert_eq!(witness.verifier_key().to_string(), text(&vectors["witness"]));
        let (status, body) = (case["status"].as_u64().expect("a status"), text(&case["body"]));
        match witness.add_checkpoint(body.as_bytes()).expect("it answers") {
            Reply::Cosigned(line) => {
                assert_eq!(status, 200, "{case}");
                if case["name"] == "grown" {
                    assert_eq!(line, text(&vectors["cosigned"]));
                    lines += 1;
                }
            }
            Reply::Refused(answer) => {
                assert_eq!(u64::from(answer.status()), status, "{case}");
                let size = if let Answer::OtherSize(size) = answer { Some(size) } else { None };
                assert_eq!(size, case["size"].as_u64(), "{case}");
            }
            Reply::Malformed(error) => panic!("{case}: {error}"),
        }
    }
    assert_eq!(lines, 1, "the cosignature was compared");
}

#[test]
fn a_second_start_goes_on() {
    let (folder, log) = (tempfile::tempdir().expect("a folder"), Log::new());
    let witness = open(folder.path(), Some("w.example"), &log.keys()).expect("it begins");
    let key = witness.verifier_key().clone();
    let lines = cosigned(&witness, &log.request(0, 10, false));
    let note = log.request(0, 10, false).split_once("\n\n").expect("a note").1.to_owned() + &lines;
    let opened = Checkpoint::open(&Note::parse(note.as_bytes()).expect("a note"), &[log.keys()[0].clone(), key.clone()]);
    assert_eq!(opened.expect("cosigned").witnesses[0].seconds, 1_700_000_000);
    assert!(matches!(open(folder.path(), None, &log.keys()), Err(WitnessError::Locked(_))));
    drop(witness);
    let witness = open(folder.path(), None, &log.keys()).expect("it goes on");
    assert_eq!(witness.verifier_key(), &key);
    assert_eq!(refused(&witness, &log.request(0, 12, false)), Answer::OtherSize(10));
    cosigned(&witness, &log.request(10, 10, false));
    assert_eq!(refused(&witness, &log.request(10, 10, true)), Answer::OtherRoot);
    assert_eq!(refused(&witness, &log.request(10, 12, true)), Answer::Inconsistent);
    assert_eq!(refused(&witness, &log.request(8, 8, false)), Answer::OtherSize(10));
    cosigned(&witness, &log.request(10, 12, false));
    let malformed = "old x\n\n".to_owned() + &"y".repeat(REQUEST_BYTES_MAX);
    assert!(matches!(witness.add_checkpoint(malformed.as_bytes()), Ok(Reply::Malformed(RequestError::Bytes("too long")))));
    // What looks like a second history is kept, each once.
    assert_eq!(refused(&witness, &log.request(12, 12, true)), Answer::OtherRoot);
    assert_eq!(refused(&witness, &log.request(12, 12, true)), Answer::OtherRoot);
    drop(witness);
    let memory = Connection::open(folder.path().join("witness.db")).expect("it opens");
    let mut select = memory.prepare("SELECT kind || size FROM suspicions ORDER BY 1").expect("a table");
    let kept: Vec<String> = select.query_map([], |row| row.get(0)).expect("rows").map(|row| row.expect("a row")).collect();
    assert_eq!(kept, ["inconsistent12", "other_root10", "other_root12"]);
}

#[test]
fn of_two_roots_for_one_size_one_is_cosigned_whoever_asks_at_once() {
    let (folder, log) = (tempfile::tempdir().expect("a folder"), Log::new());
    let witness = open(folder.path(), Some("w.example"), &log.keys()).expect("it begins");
    let mut old = 0;
    for size in 6..26 {
        let requests: Vec<String> = (0..4).map(|n| log.request(old, size, n % 2 == 1)).collect();
        let barrier = Barrier::new(requests.len());
        let ask = |request: &String| {
            barrier.wait();
            matches!(witness.add_checkpoint(request.as_bytes()).expect("it answers"), Reply::Cosigned(_))
        };
        let answers: Vec<bool> = std::thread::scope(|scope| {
            let asked: Vec<_> = requests.iter().map(|request| scope.spawn(|| ask(request))).collect();
            asked.into_iter().map(|asked| asked.join().expect("no panic")).collect()
        });
        // The one who comes second names the old size, which is not the last any more.
        assert_eq!(answers.iter().filter(|cosigned| **cosigned).count(), 1, "{size}: {answers:?}");
        old = size;
    }
}

#[test]
fn what_could_make_a_witness_vouch_for_two_histories_does_not_start() {
    let (folder, log) = (tempfile::tempdir().expect("a folder"), Log::new());
    let (key, db) = (folder.path().join("witness.key"), folder.path().join("witness.db"));
    assert!(matches!(open(folder.path(), None, &log.keys()), Err(WitnessError::Name(_))));
    assert!(matches!(open(folder.path(), Some("a b"), &log.keys()), Err(WitnessError::Name(_))));
    cosigned(&open(folder.path(), Some("w.example"), &log.keys()).expect("it begins"), &log.request(0, 10, false));
    for file in [&key, &db] {
        assert_eq!(std::fs::metadata(file).expect("there").permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    assert!(matches!(open(folder.path(), Some("v.example"), &log.keys()), Err(WitnessError::Name(_))));
    let witness = VerifierKey::new(Name::new("x").expect("a name"), Algorithm::CosignatureV1, [1; 32]);
    assert!(matches!(open(folder.path(), None, &[witness]), Err(WitnessError::NotALogs(_))));

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).expect("set");
    let error = open(folder.path(), None, &log.keys()).err().expect("others can read it").to_string();
    assert!(error.contains("chmod 600"), "{error}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("set");

    let (kept_key, kept_db) = (std::fs::read(&key).expect("read"), std::fs::read(&db).expect("read"));
    std::fs::remove_file(&db).expect("removed");
    assert!(matches!(open(folder.path(), Some("w.example"), &log.keys()), Err(WitnessError::Forgotten(_))));
    std::fs::write(&db, b"").expect("written");
    assert!(matches!(open(folder.path(), Some("w.example"), &log.keys()), Err(WitnessError::Forgotten(_))));
    std::fs::write(&db, &kept_db).expect("written");
    std::fs::remove_file(&key).expect("removed");
    assert!(matches!(open(folder.path(), Some("w.example"), &log.keys()), Err(WitnessError::Key(_))));
    write_private(&key, b"abc\n").expect("written");
    assert!(matches!(open(folder.path(), None, &log.keys()), Err(WitnessError::Key(_))));
    write_private(&key, &kept_key).expect("written");
    let witness = open(folder.path(), None, &log.keys()).expect("it goes on");
    assert_eq!(refused(&witness, &log.request(0, 10, false)), Answer::OtherSize(10));
}
