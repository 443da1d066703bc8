//! Importing: every format offline and through a server, twice, with bad records, in pieces too large for one batch.

use serde_json::{Value, json};

use super::program::{Folder, Ran, Server, run_with, sample};

/// Every sample of the repository: format, file, events.
const SAMPLES: &[(&str, &str, u64)] = &[
    ("cloudtrail", "cloudtrail.json.gz", 120),
    ("kubernetes", "kubernetes.jsonl.gz", 57),
    ("trajectories", "chat-runs.jsonl.gz", 165),
    ("trajectories", "session.jsonl.gz", 120),
    ("trajectories", "trace-tinyagent.json.gz", 12),
    ("trajectories", "trace-openai.json.gz", 9),
];

fn import(target: &[String], arguments: &[&str], input: &[u8]) -> Ran {
    let all: Vec<&str> = ["import"].iter().chain(arguments).copied().chain(target.iter().map(String::as_str)).collect();
    run_with(&all, input)
}

fn line(n: u64) -> String {
    format!(
        r#"{{"id":"00000000-0000-7000-8000-{n:012}","action":"load.test","outcome":"allow","actor":{{"type":"human","id":"u{}"}}}}"#,
        n % 7
    )
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|n| line(n) + "\n").collect()
}

#[test]
fn samples_go_in_once() {
    let folder = Folder::new();
    let beside = Folder::new();
    let server = Server::start(&beside.path());
    for target in [folder.target(), server.target()] {
        for (format, file, events) in SAMPLES {
            let first = import(&target, &[format, &sample(file)], b"").ok();
            assert_eq!(first.last(), format!("imported {events} events, skipped 0 duplicates, rejected 0"), "{file}");
            let again = import(&target, &[format, &sample(file), "--json"], b"").ok().json();
            assert_eq!((again[0]["imported"].as_u64(), again[0]["skipped"].as_u64()), (Some(0), Some(*events)), "{file}");
        }
    }
    drop(server);
    for folder in [&folder, &beside] {
        folder.run(&["verify"]).ok();
    }
}

#[test]
fn several_files_and_standard_input_compressed_or_not() {
    let folder = Folder::new();
    let plain = folder.file("a.json", lines(0..10));
    let packed = folder.file("b.log", zstd::encode_all(lines(10..20).as_bytes(), 1).expect("compresses"));
    let ran = import(&folder.target(), &["ndjson", &plain, &packed, "-"], lines(15..25).as_bytes()).ok();
    assert_eq!(ran.last(), "imported 25 events, skipped 5 duplicates, rejected 0");
}

#[test]
fn a_file_that_cannot_be_opened_keeps_none_of_the_others_out() {
    let folder = Folder::new();
    let [first, last] = [("a.json", 0..2), ("c.json", 2..5)].map(|(name, numbers)| folder.file(name, lines(numbers)));
    let none = folder.path().join("none.json").display().to_string();
    let ran = import(&folder.target(), &["ndjson", &first, &none, &last], b"");
    assert_eq!((ran.code, ran.last()), (1, "imported 5 events, skipped 0 duplicates, rejected 1"), "{}", ran.err);
    assert!(ran.err.contains("none.json: the file cannot be read: "), "{}", ran.err);
    assert_eq!(count(&folder), 5);
}

#[test]
fn all_of_a_file_goes_in_or_nothing_unless_bad_records_are_skipped() {
    let folder = Folder::new();
    let text =
        [line(0), "{\"broken\":\n".to_owned(), line(1), r#"{"action":"x"}"#.to_owned(), line(2), r#"{"action":"audit.read"}"#.to_owned()]
            .join("\n");
    let file = folder.file("bad.ndjson", &text);
    let refused = import(&folder.target(), &["ndjson", &file], b"");
    assert_eq!((refused.code, refused.last()), (1, "imported 0 events, skipped 0 duplicates, rejected 3"));
    let second = text.find("{\"broken").expect("there");
    assert!(
        refused.err.contains(&format!("bad.ndjson: record 1 (line 2, byte {second}): the line ends before its record does")),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("record 3 (line 5, "), "{}", refused.err);
    assert!(refused.err.contains("nothing of it was imported"), "{}", refused.err);
    assert_eq!(count(&folder), 0);
    let attempt = folder.run(&["events", "--filter", "action eq \"audit.append_rejected\"", "--json"]).ok().json();
    assert_eq!((attempt.len(), &attempt[0]["outcome"]), (1, &json!("deny")), "{attempt:?}");
    let forged = folder.file("forged.ndjson", [r#"{"action":"audit.read"}"#; 3].join("\n"));
    import(&folder.target(), &["ndjson", &forged], b"");
    let attempt = folder.run(&["events", "--filter", "action eq \"audit.append_rejected\"", "--json"]).ok().json();
    assert_eq!((attempt.len(), &attempt[0]["context"]["attempts"]), (2, &json!("3")), "{attempt:?}");
    let skipped = import(&folder.target(), &["ndjson", &file, "--skip-bad", "--json"], b"");
    let summary = &skipped.json()[0];
    assert_eq!((skipped.code, summary["imported"].as_u64(), summary["rejected"].as_u64()), (1, Some(3), Some(3)));
    assert_eq!(summary["files"][0]["errors"][0]["line"].as_u64(), Some(2));
    assert_eq!(count(&folder), 3);
}

#[test]
fn a_file_of_many_batches_is_checked_before_anything_of_it_goes_in() {
    let folder = Folder::new();
    let bad = folder.file("bad.ndjson", lines(0..12_000) + "{}\n");
    let refused = import(&folder.target(), &["ndjson", &bad], b"");
    assert_eq!((refused.code, refused.last()), (1, "imported 0 events, skipped 0 duplicates, rejected 1"), "{}", refused.err);
    assert!(refused.err.contains("record 12000 (line 12001, "), "{}", refused.err);
    assert_eq!(count(&folder), 0);
    let good = folder.file("good.ndjson", lines(0..12_000));
    let ran = import(&folder.target(), &["ndjson", &good], b"").ok();
    assert_eq!(ran.last(), "imported 12000 events, skipped 0 duplicates, rejected 0");
    let order = folder.run(&["sql", "SELECT count(*) AS n FROM audit_events a WHERE action = 'load.test' AND CAST(substr(id, 25) AS INTEGER) <> sequence - (SELECT min(sequence) FROM audit_events WHERE action = 'load.test')", "--json"]).ok();
    assert_eq!(order.json(), [json!({"n": 0})], "the order of the file is kept");
}

#[test]
fn in_a_file_of_many_batches_twins_and_entries_too_large_are_found_before_anything_goes_in() {
    let folder = Folder::new();
    let subjects = [0; 70].map(|_| format!("\"{}\"", "x".repeat(1_000))).join(",");
    let large = line(20_000).replace(r#""outcome""#, &format!(r#""subjects":[{subjects}],"outcome""#));
    let cases = [(line(3).replace("allow", "deny"), "the same id"), (large, "an entry of ")];
    for (last, message) in cases {
        let file = folder.file("bad.ndjson", lines(0..12_000) + &line(3) + "\n" + &last + "\n");
        let refused = import(&folder.target(), &["ndjson", &file], b"");
        assert_eq!((refused.code, refused.last()), (1, "imported 0 events, skipped 0 duplicates, rejected 1"), "{}", refused.err);
        assert!(refused.err.contains("record 12001 (line 12002, ") && refused.err.contains(message), "{}", refused.err);
        assert_eq!(count(&folder), 0);
    }
}

#[test]
fn an_id_that_another_event_has_is_refused_with_its_place() {
    let folder = Folder::new();
    let beside = Folder::new();
    let server = Server::start(&beside.path());
    for target in [folder.target(), server.target()] {
        let first = folder.file("first.ndjson", lines(0..3));
        import(&target, &["ndjson", &first], b"").ok();
        let text = [line(5), line(1).replace("allow", "deny"), line(6)].join("\n");
        let file = folder.file("second.ndjson", text);
        let refused = import(&target, &["ndjson", &file], b"");
        assert_eq!((refused.code, refused.last()), (1, "imported 0 events, skipped 0 duplicates, rejected 1"));
        assert!(refused.err.contains("record 1 (line 2, "), "{}", refused.err);
        let skipped = import(&target, &["ndjson", &file, "--skip-bad"], b"");
        assert_eq!((skipped.code, skipped.last()), (1, "imported 2 events, skipped 0 duplicates, rejected 1"), "{}", skipped.err);
    }
}

#[test]
fn an_id_that_another_event_has_is_found_before_anything_of_a_file_of_many_batches_goes_in() {
    let folder = Folder::new();
    let beside = Folder::new();
    let server = Server::start(&beside.path());
    for target in [folder.target(), server.target()] {
        let there = folder.file("there.ndjson", line(0) + "\n" + &line(11_500) + "\n" + &line(11_600));
        import(&target, &["ndjson", &there], b"").ok();
        let text = lines(0..12_000);
        let file = folder.file("bad.ndjson", text.replace(&line(11_500), &line(11_500).replace("allow", "deny")));
        let refused = import(&target, &["ndjson", &file], b"");
        assert_eq!((refused.code, refused.last()), (1, "imported 0 events, skipped 0 duplicates, rejected 1"), "{}", refused.err);
        assert!(refused.err.contains("record 11500 (line 11501, "), "{}", refused.err);
        assert!(refused.err.contains("nothing of it was imported"), "{}", refused.err);
        let file = folder.file("good.ndjson", text);
        let ran = import(&target, &["ndjson", &file, "--json"], b"").ok();
        assert_eq!((ran.json()[0]["imported"].as_u64(), ran.json()[0]["skipped"].as_u64()), (Some(11_997), Some(3)));
    }
    drop(server);
    assert_eq!((count(&folder), count(&beside)), (12_000, 12_000));
}

#[test]
fn secrets_of_the_samples_are_in_no_file() {
    let folder = Folder::new();
    import(&folder.target(), &["cloudtrail", &sample("cloudtrail.json.gz")], b"").ok();
    let token = b"IQoJb3JpZ2luX2Vj";
    let mut waiting = vec![folder.path()];
    while let Some(path) = waiting.pop() {
        for entry in std::fs::read_dir(path).expect("reads") {
            let path = entry.expect("reads").path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("reads");
                assert!(!bytes.windows(token.len()).any(|window| window == token), "{}", path.display());
            }
        }
    }
    let opened =
        folder.run(&["events", "--filter", "action eq \"sts.assume_role\"", "--all", "--json", "--content", "--purpose", "test"]).ok();
    let held: Vec<Value> = opened.json().into_iter().filter(|event| event["content"]["result"]["credentials"].is_object()).collect();
    assert!(!held.is_empty(), "the sample holds credentials");
    assert!(!opened.out.contains("IQoJb3JpZ2luX2Vj"), "a session token was kept");
}

fn count(folder: &Folder) -> u64 {
    let rows = folder.run(&["sql", "SELECT count(*) AS n FROM audit_events WHERE action = 'load.test'", "--json"]).ok().json();
    rows[0]["n"].as_u64().expect("a number")
}
