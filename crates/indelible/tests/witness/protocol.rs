//! `POST /add-checkpoint`, by its statuses and bodies.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::Note;

use crate::log::Log;
use crate::process::{Answer, Witness, add, post};

#[test]
fn each_answer_has_its_status_and_body() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, other_log) = (Log::new("log.example", 1), Log::new("other.example", 1));
    let impostor = Log::new("log.example", 2);
    let witness = Witness::start(&folder.path().join("one"), &[&log.key().to_string()]);
    let ask = |body: &str| add(&witness.url, body).expect("it answers");
    let cosigned = ask(&log.request(0, 10, false));
    assert_eq!(cosigned.status, 200, "{cosigned:?}");
    let note = format!("{}{}", log.checkpoint(10, false), cosigned.body);
    let keys = [log.key(), witness.key.parse().expect("a key")];
    let opened = Checkpoint::open(&Note::parse(note.as_bytes()).expect("a note"), &keys).expect("the log's");
    assert_eq!((opened.checkpoint.size, opened.witnesses.len()), (10, 1));

    let size = |answer: Answer| (answer.status, answer.content_type, answer.body);
    let conflict = (409, "text/x.tlog.size".to_owned(), "10\n".to_owned());
    assert_eq!(size(ask(&log.request(0, 12, false))), conflict);
    assert_eq!(size(ask(&log.request(7, 12, false))), conflict);
    assert_eq!(size(ask(&log.request(9, 9, false))), conflict, "never back");
    let fork = ask(&log.request(10, 10, true));
    assert!(fork.status == 409 && fork.content_type != "text/x.tlog.size", "{fork:?}");
    assert_eq!(ask(&log.request(10, 12, true)).status, 422, "the other story");
    assert_eq!(
        ask(&log.request(10, 12, false).replacen("old 10\n", "old 10\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 1)).status,
        422
    );
    assert_eq!(ask(&log.request(10, 12, false).replacen("old 10", "old 13", 1)).status, 400, "old beyond new");
    assert_eq!(ask(&impostor.request(10, 12, false)).status, 403);
    assert_eq!(ask(&other_log.request(0, 12, false)).status, 404);
    assert_eq!(ask("old 10\n").status, 400);
    assert_eq!(ask("").status, 400);
    assert_eq!(ask(&log.request(10, 12, false).replacen("old 10", "old 010", 1)).status, 400);
    assert_eq!(post(&witness.url, "/add-checkpoint", &vec![b'x'; 200_000]).expect("it answers").status, 413);
    assert_eq!(post(&witness.url, "/", b"").expect("it answers").status, 404);
    assert_eq!(ask(&log.request(10, 10, false)).status, 200, "again, with a new time");
    assert_eq!(ask(&log.request(10, 12, false)).status, 200);
    witness.stop();
}

#[test]
fn a_body_that_does_not_come_and_other_methods_are_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let witness = Witness::start(&folder.path().join("one"), &[&Log::new("log.example", 1).key().to_string()]);
    let say = |words: &str| {
        let mut stream = TcpStream::connect(witness.address()).expect("it listens");
        stream.write_all(words.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        answer
    };
    let answer = say("GET /add-checkpoint HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 405") && answer.contains("allow: post"), "{answer}");
    let answer = say("POST /add-checkpoint HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\nold");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[test]
fn a_witness_says_what_is_wrong_and_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("one");
    let key = Log::new("log.example", 1).key().to_string();
    let file = folder.path().join("keys");
    std::fs::write(&file, format!("# logs\n{key}\nx\n")).expect("written");
    let file = file.display().to_string();
    for (arguments, words) in [
        (&["--log-key", &key][..], "--name"),
        (&["--name", "w.example"], "--log-key"),
        (&["--name", "a+b", "--log-key", &key], "name"),
        (&["--name", "w.example", "--log-keys-file", &file], "line 3"),
        (&["--name", "w.example", "--log-key", &key, "--listen", "0.0.0.0:0"], "--listen-publicly"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_indelible")).arg("witness").arg("--store").arg(&store).args(arguments).output();
        let output = output.expect("the program starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(words), "{arguments:?}: {error}");
    }
}
