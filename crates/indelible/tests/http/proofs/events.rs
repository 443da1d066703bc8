//! `/v1/audit/events/{id}/proof`: one event against what was signed.

use indelible_core::proof::InclusionProof;
use indelible_core::tree::leaf_hash;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{ANCHORS, NOBODY, append, independent, keys, own, seal, start, text};
use crate::server::{EVENTS, House, event};

const JSON: &str = "application/json";

fn path(id: &str) -> String {
    format!("{EVENTS}/{id}/proof")
}

/// Asks for the proof of one event and checks all of it; the number of its anchor.
fn check(house: &House, receipt: &Value, keys: &[String]) -> u64 {
    let id = text(receipt, "id");
    let answer = house.get(&path(id)).header("accept", JSON).send();
    assert_eq!(answer.header("content-type"), Some(JSON));
    let proof = answer.is(200);
    let entry = text(&proof, "entry");
    let parsed: Value = serde_json::from_str(entry).expect("JSON");
    assert_eq!((&parsed["id"], &parsed["sequence"]), (&receipt["id"], &receipt["sequence"]));
    let (index, (origin, size, root)) = independent::included(text(&proof, "proof"), entry.as_bytes(), &keys[..1]);
    assert_eq!((Some(index), origin.split_once('/').map(|(_, id)| id)), (receipt["sequence"].as_u64(), Some(&*house.project)));
    let opened = InclusionProof::parse(text(&proof, "proof").as_bytes()).expect("a proof");
    let opened = opened.verify(&leaf_hash(entry.as_bytes()), &own(keys)).expect("it holds");
    assert_eq!((opened.checkpoint.size, opened.checkpoint.root), (size, root));

    let leaf = text(&proof["instance"], "leaf");
    let (_, (instance, ..)) = independent::included(text(&proof["instance"], "proof"), leaf.as_bytes(), &keys[1..]);
    assert_eq!(Some(&*instance), origin.split_once('/').map(|(instance, _)| instance));
    let number = proof["anchor"].as_u64().expect("a number");
    let page = house.get(&format!("{ANCHORS}?since={number}&limit=1")).send().is(200);
    let anchor = text(&page["anchors"][0], "anchor_text");
    let expected = json!({
        "anchor_sha256": independent::hex(&independent::sha256(anchor.as_bytes())),
        "project_id": house.project,
        "root": independent::hex(&root),
        "size": size,
    });
    assert_eq!(serde_json::from_str::<Value>(leaf).expect("JSON"), expected);

    let plain = house.get(&path(id)).send();
    assert_eq!((plain.status, plain.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    assert_eq!(plain.text(), text(&proof, "proof"));
    number
}

#[test]
fn every_event_is_proved_whatever_the_size_of_the_tree() {
    let house = start();
    let keys = keys(&house);
    let mut receipts: Vec<Value> = Vec::new();
    let mut anchors = Vec::new();
    for count in [1, 2, 5, 120, 127, 260] {
        receipts.extend(append(&house, count));
        seal(&house);
        let newest = receipts.len() - 1;
        for at in [0, newest / 3, newest.saturating_sub(1), newest] {
            anchors.push(check(&house, &receipts[at], &keys));
        }
    }
    // Always the newest anchor, whatever covered the event first.
    assert!(anchors.is_sorted() && anchors.first() < anchors.last(), "{anchors:?}");
    for receipt in receipts.iter().step_by(37) {
        check(&house, receipt, &keys);
    }
    let answer = house.get(&path(text(&receipts[0], "id"))).send();
    answer.left(&house, (&house.project, "audit.read", "allow"));
}

#[test]
fn an_event_that_no_anchor_covers_is_told_when_to_come_back() {
    let house = start();
    let first = append(&house, 1).remove(0);
    let refused = |receipt: &Value| {
        let answer = house.get(&path(text(receipt, "id"))).send();
        let problem = answer.problem(409, "not-anchored");
        answer.left(&house, (&house.project, "audit.read", "error"));
        assert!(text(&problem, "detail").starts_with("no anchor covers the event yet; the next sealing is due in "), "{problem}");
        let wait = answer.header("retry-after").and_then(|wait| wait.parse::<u64>().ok());
        assert!(wait.is_some_and(|wait| (3_000..=3_600).contains(&wait)), "{wait:?}");
    };
    refused(&first);
    seal(&house);
    check(&house, &first, &keys(&house));
    refused(&append(&house, 1).remove(0));
}

#[test]
fn another_projects_event_and_one_that_is_nowhere_are_answered_alike() {
    let house = start();
    let (_, stranger) = house.tenant("north");
    let receipt = append(&house, 1).remove(0);
    let ask = |id: &str| house.get(&path(id)).key(&stranger).send();
    for sealed in [false, true] {
        let (real, guessed) = (ask(text(&receipt, "id")), ask(NOBODY));
        assert_eq!((real.status, real.text()), (404, guessed.text()), "sealed: {sealed}");
        seal(&house);
    }
    let writer = house.make_key(&house.project, "application", &["events:append"]);
    house.get(&path(NOBODY)).key(&writer).refused(403, "forbidden", (&house.project, "audit.read", "deny"));
    house.get(&path("x")).refused(404, "not-found", (&house.project, "audit.read", "error"));
    house.get(&format!("{}?a=1", path(NOBODY))).refused(400, "invalid-query", (&house.project, "audit.read", "error"));
}

#[test]
fn what_was_changed_since_it_was_signed_gets_no_proof() {
    let house = start();
    let mut other = event("proof.item");
    other["reason"] = json!("as it was");
    let receipt = house.post(EVENTS, &other).send().is(201);
    seal(&house);
    let ledger = Connection::open(house.data().join("ledger.db")).expect("opens");
    ledger.execute_batch("PRAGMA busy_timeout = 5000; DROP TRIGGER events_update").expect("dropped");
    ledger.execute("UPDATE events SET entry = replace(entry, 'as it was', 'as it is ')", []).expect("changed");
    let answer = house.get(&path(text(&receipt, "id"))).send();
    answer.problem(500, "unprovable");
    answer.left(&house, (&house.project, "audit.read", "error"));
    let sequence = receipt["sequence"].as_u64().expect("a number");
    let bundle = |count: u64| house.get(&format!("/tlog/{}/tile/entries/000.p/{count}", house.project));
    assert_eq!(bundle(sequence).cached("private, no-store").send().status, 200);
    bundle(sequence + 1).send().problem(500, "unprovable");
}
