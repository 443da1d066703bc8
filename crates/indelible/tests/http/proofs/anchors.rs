//! `/v1/audit/anchors` and `/v1/audit/keys`: what was signed, how far it reaches, what keeps it from going on.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{ANCHORS, append, independent, keys, seal, start, text};
use crate::server::{EVENTS, House};
use crate::wire::Wire;

#[test]
fn anchors_follow_one_on_another_and_each_is_signed() {
    let house = start();
    for _ in 0..5 {
        append(&house, 3);
        seal(&house);
    }
    let keys = keys(&house);
    let (mut since, mut anchors) = (Some(0), Vec::new());
    while let Some(first) = since {
        let answer = house.get(&format!("{ANCHORS}?since={first}&limit=2")).send();
        answer.left(&house, (&house.project, "audit.read", "allow"));
        let page = answer.is(200);
        anchors.extend(page["anchors"].as_array().expect("anchors").iter().cloned());
        since = page["next_since"].as_u64();
    }
    assert_eq!(anchors, *house.get(ANCHORS).send().is(200)["anchors"].as_array().expect("anchors"));
    assert!(anchors.len() >= 5);
    let (mut previous, mut next) = (None, 0);
    for (n, published) in anchors.iter().enumerate() {
        let (anchor, exact) = (&published["anchor"], text(published, "anchor_text"));
        assert_eq!(serde_json::from_str::<Value>(exact).expect("JSON"), *anchor);
        assert_eq!((published["number"].as_u64(), anchor["first_sequence"].as_u64()), (Some(n as u64), Some(next)));
        assert_eq!(anchor.get("previous_anchor_sha256").and_then(Value::as_str), previous.as_deref());
        let digest = independent::sha256(exact.as_bytes());
        let (origin, size, root) = independent::checkpoint(text(published, "checkpoint"), &keys[..1]);
        assert_eq!((anchor["tree_size"].as_u64(), text(anchor, "tree_root")), (Some(size), &*independent::hex(&root)));
        let note = independent::open(text(published, "note"), &keys[..1]);
        let lines: Vec<_> = note.lines().collect();
        assert_eq!(lines[..2], ["indelible-anchor/v1", &*origin]);
        assert_eq!(independent::base64(lines[2]), digest);
        (previous, next) = (Some(independent::hex(&digest)), size);
    }
}

#[test]
fn sealing_is_an_administrators_and_leaves_one_event() {
    let house = start();
    let status = || house.get(&format!("{ANCHORS}/latest")).send().is(200);
    let before = status();
    assert_eq!((&before["latest"], &before["unanchored"]), (&Value::Null, &before["events"]));
    append(&house, 7);
    let answer = house.ask("POST", ANCHORS).send();
    let sealed = answer.is(200);
    answer.left(&house, (&house.project, "audit.anchor", "allow"));
    assert_eq!((&sealed["unanchored"], &sealed["refusal"], &sealed["failing"]), (&json!(0), &Value::Null, &json!(false)));
    assert_eq!(sealed["latest"]["anchor"]["tree_size"], sealed["events"]);
    let answer = house.get(&format!("{ANCHORS}/latest")).send();
    answer.left(&house, (&house.project, "audit.read", "allow"));
    let after = answer.is(200);
    assert_eq!(after["latest"], sealed["latest"]);
    // What was asked since is not anchored.
    assert!(after["unanchored"].as_u64().is_some_and(|rows| rows > 0), "{after}");

    let reader = house.make_key(&house.project, "application", &["audit:read", "events:append", "control:write"]);
    house.ask("POST", ANCHORS).key(&reader).refused(403, "forbidden", (&house.project, "audit.anchor", "deny"));
    let other = format!("{ANCHORS}?project_id={}", super::NOBODY);
    house.ask("POST", &other).refused(404, "not-found", (&house.project, "audit.anchor", "deny"));
}

#[test]
fn wrong_questions_are_refused_and_recorded() {
    let house = start();
    let writer = house.make_key(&house.project, "application", &["events:append"]);
    let admin = house.admin.clone();
    let nobody = format!("?project_id={}", super::NOBODY);
    for path in [ANCHORS, "/v1/audit/anchors/latest", "/v1/audit/keys"] {
        let cases = [
            (&writer, "", 403, "forbidden", "deny"),
            (&admin, "?other=1", 400, "invalid-query", "error"),
            (&admin, &*nobody, 404, "not-found", "deny"),
        ];
        for (key, query, status, kind, outcome) in cases {
            house.get(&format!("{path}{query}")).key(key).refused(status, kind, (&house.project, "audit.read", outcome));
        }
    }
    for query in ["limit=0", "limit=1001", "since=-1", "since=x", "limit=1&limit=1"] {
        house.get(&format!("{ANCHORS}?{query}")).refused(400, "invalid-query", (&house.project, "audit.read", "error"));
    }
    assert_eq!(house.get(&format!("{ANCHORS}?since=99")).send().is(200), json!({"anchors": [], "next_since": null}));
}

#[test]
fn keys_are_the_projects_and_the_instances() {
    let house = start();
    let answer = house.get("/v1/audit/keys").send();
    answer.left(&house, (&house.project, "audit.read", "allow"));
    let listed = answer.is(200);
    let names: Vec<_> =
        listed["keys"].as_array().expect("keys").iter().map(|key| text(key, "verifier_key").split_once('+').expect("a name").0).collect();
    assert_eq!(names[0], format!("{}/{}", names[1], house.project));
    assert!(listed["keys"][0]["since"].is_string() && listed["keys"][0]["until"].is_null());
}

/// One figure of the metrics.
fn figure(house: &House, name: &str) -> String {
    let mut wire = Wire::open(house.metrics);
    wire.write("GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let text = wire.rest();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap_or_else(|| panic!("no {name} in {text}"));
    line.to_owned()
}

#[test]
fn what_keeps_a_tree_from_being_signed_is_shown_where_it_is_looked_for() {
    let house = start();
    let ready = || house.get("/readyz").no_key().send().is(200);
    assert_ne!(figure(&house, "indelible_rows_unanchored"), "0");
    append(&house, 3);
    seal(&house);
    assert_eq!((ready(), figure(&house, "indelible_rows_unanchored")), (json!({"status": "ready"}), "0".to_owned()));
    for name in ["indelible_trees_refused", "indelible_sealing_failing"] {
        assert_eq!(figure(&house, name), "0", "{name}");
    }
    let since: f64 = figure(&house, "indelible_seconds_since_sealed").parse().expect("seconds");
    assert!((0.0..60.0).contains(&since), "{since}");

    let folder = house.data().with_extension("checkpoints");
    let file = std::fs::read_dir(folder).expect("the checkpoint store").next().expect("a file").expect("an entry").path();
    let store = Connection::open(file).expect("opens");
    store.execute("UPDATE checkpoints SET checkpoint = 'nothing' WHERE origin LIKE '%/' || ?1", [&house.project]).expect("changed");
    let receipt = append(&house, 1).remove(0);
    let status = house.ask("POST", ANCHORS).send().is(200);
    assert_eq!((text(&status["refusal"], "kind"), status["failing"].as_bool()), ("bad_checkpoint", Some(false)), "{status}");
    assert_eq!(ready()["status"], "degraded");
    assert_eq!(figure(&house, "indelible_trees_refused"), "1");
    assert!(figure(&house, "indelible_rows_unanchored").parse::<u64>().is_ok_and(|rows| rows >= 2));
    let waiting = house.get(&format!("{EVENTS}/{}/proof", text(&receipt, "id"))).send().problem(409, "not-anchored");
    assert!(text(&waiting, "detail").contains("is not signed (bad_checkpoint)"), "{waiting}");

    store.execute_batch("ALTER TABLE checkpoints RENAME COLUMN checkpoint TO gone").expect("spoiled");
    let status = house.ask("POST", ANCHORS).send().is(200);
    assert_eq!(status["failing"], true, "{status}");
    let told = ready();
    assert!(told["status"] == "degraded" && text(&told, "detail").starts_with("sealing fails"), "{told}");
    assert_eq!(figure(&house, "indelible_sealing_failing"), "1");
    // Appends go on.
    append(&house, 1);
}
