//! What is refused is in the log before it is said: by a server and offline, by the checks of a submission and by the writer.

use serde_json::{Value, json};

use super::program::{Folder, Ran, Server, run_with};

/// An event, with these members besides.
fn event(members: &Value) -> Value {
    let mut event = json!({"action": "refusal.test", "outcome": "allow", "actor": {"type": "human", "id": "alice"}});
    event.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    event
}

fn with(target: &[String], arguments: &[&str], input: &str) -> Ran {
    let all: Vec<&str> = arguments.iter().copied().chain(target.iter().map(String::as_str)).collect();
    run_with(&all, input.as_bytes())
}

/// Reason, outcome and attempts of the refusals that were recorded, oldest first.
fn refusals(target: &[String]) -> Vec<(String, String, Option<String>)> {
    let filter = "action eq \"audit.append_rejected\"";
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut events = with(target, &["events", "--filter", filter, "--all", "--json"], "").ok().json();
    events.sort_by_key(|event| event["sequence"].as_u64());
    let told = |event: &Value| {
        (text(&event["reason"]).expect("a reason"), text(&event["outcome"]).expect("an outcome"), text(&event["context"]["attempts"]))
    };
    events.iter().map(told).collect()
}

fn refusal(reason: &str, outcome: &str, attempts: Option<&str>) -> (String, String, Option<String>) {
    (reason.to_owned(), outcome.to_owned(), attempts.map(str::to_owned))
}

/// A folder without a server, and one with.
fn both(check: impl Fn(&[String])) {
    let alone = Folder::new();
    check(&alone.target());
    let beside = Folder::new();
    let server = Server::start(&beside.path());
    check(&server.target());
}

#[test]
fn each_sort_of_attempt_of_one_batch_is_recorded_and_counted() {
    both(|target| {
        let batch = json!([
            event(&json!({"action": "audit.read"})),
            event(&json!({})),
            event(&json!({"assurance": "transactional"})),
            event(&json!({"action": "key.rotate"})),
            event(&json!({"colour": "red"})),
            event(&json!({"sequence": 7})),
        ]);
        let refused = with(target, &["append"], &batch.to_string());
        assert_eq!(refused.code, 1, "{}", refused.err);
        assert!(refused.err.contains("the engine alone writes"), "{}", refused.err);
        let mut found = refusals(target);
        found.sort();
        let expected = [
            refusal("engine_only at /0/action", "deny", Some("2")),
            refusal("invalid at /4/colour", "error", None),
            refusal("server_owned at /2/assurance", "error", Some("2")),
        ];
        assert_eq!(found, expected);
        assert!(with(target, &["events", "--filter", "action eq \"refusal.test\"", "--json"], "").ok().json().is_empty());
    });
}

#[test]
fn what_the_writer_refuses_is_recorded() {
    both(|target| {
        let id = "00000000-0000-7000-8000-000000000001";
        with(target, &["append"], &event(&json!({"id": id})).to_string()).ok();
        let other = event(&json!({"id": id, "outcome": "deny"}));
        let large = event(&json!({"subjects": vec!["x".repeat(1_000); 70]}));
        for batch in [other.clone(), json!([event(&json!({})), other]), large.clone(), json!([event(&json!({})), large])] {
            let refused = with(target, &["append"], &batch.to_string());
            assert_eq!(refused.code, 1, "{}", refused.err);
        }
        let expected = ["invalid at /0/id", "invalid at /1/id", "too_large at /0", "too_large at /1"];
        assert_eq!(refusals(target), expected.map(|reason| refusal(reason, "error", None)));
        assert_eq!(with(target, &["events", "--filter", "action eq \"refusal.test\"", "--json"], "").ok().json().len(), 1);
    });
}

#[test]
fn ids_that_other_events_have_are_recorded_once_for_each_file_of_an_import() {
    let folder = Folder::new();
    let target = folder.target();
    let line = |n: u32, outcome: &str| event(&json!({"id": format!("00000000-0000-7000-8000-{n:012}"), "outcome": outcome})).to_string();
    let good = folder.file("good.ndjson", [line(1, "allow"), line(2, "allow")].join("\n"));
    with(&target, &["import", "ndjson", &good], "").ok();
    let other = folder.file("other.ndjson", [line(1, "deny"), line(3, "allow"), line(2, "deny")].join("\n"));
    assert_eq!(with(&target, &["import", "ndjson", &other], "").last(), "imported 0 events, skipped 0 duplicates, rejected 1");
    assert_eq!(refusals(&target), [refusal("invalid at /id", "error", None)]);
    let skipped = with(&target, &["import", "ndjson", "--skip-bad", &other], "");
    assert_eq!(skipped.last(), "imported 1 events, skipped 0 duplicates, rejected 2");
    assert_eq!(refusals(&target)[1..], [refusal("invalid at /id", "error", Some("2"))]);
    // One that is looked at before anything of it goes in.
    let many: String = (10..12_000).map(|n| line(n, "allow") + "\n").chain([line(1, "deny") + "\n", line(2, "deny")]).collect();
    let many = folder.file("many.ndjson", many);
    assert_eq!(with(&target, &["import", "ndjson", &many], "").last(), "imported 0 events, skipped 0 duplicates, rejected 2");
    assert_eq!(refusals(&target)[2..], [refusal("invalid at /id", "error", Some("2"))]);
}
