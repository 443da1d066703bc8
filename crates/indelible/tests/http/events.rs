//! `/v1/audit/events`: handing in, searching, the feed, one event, verification.

use std::io::Write;

use serde_json::{Value, json};

use crate::client::{Client, percent};
use crate::server::{Running, event};

const LINES: &[(&str, &str)] = &[("content-type", "application/x-ndjson")];

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().expect("data").iter().map(|record| record["id"].as_str().expect("an id").to_owned()).collect()
}

fn some(client: &Client, actor: &str, count: usize) -> Vec<Value> {
    let events: Vec<String> = (0..count).map(|_| event(actor)).collect();
    let answer = client.append(&format!("[{}]", events.join(","))).ok();
    answer["receipts"].as_array().expect("receipts").clone()
}

#[test]
fn every_form_is_answered_with_its_receipts() {
    let server = Running::start();
    let client = server.admin();
    let one = client.append(&event("alice"));
    assert_eq!(one.status, 201);
    let one = one.ok();
    let names: Vec<&String> = one.as_object().expect("a receipt").keys().collect();
    assert_eq!(names, ["id", "leaf_hash", "recorded_at", "row_hash", "sequence"]);
    let many = some(&client, "alice", 3);
    assert_eq!(many.len(), 3);
    let lines = format!("{}\n\r\n{}\n{}", event("bob"), event("bob"), event("bob"));
    let lines = client.send("POST", "/v1/audit/events", LINES, lines.as_bytes()).ok();
    let sequences = |receipts: &[Value]| receipts.iter().map(|r| r["sequence"].as_u64().expect("a sequence")).collect::<Vec<_>>();
    let (array, lines) = (sequences(&many), sequences(lines["receipts"].as_array().expect("receipts")));
    let first = one["sequence"].as_u64().expect("a sequence");
    assert_eq!(array, [first + 1, first + 2, first + 3]);
    assert_eq!(lines, [first + 4, first + 5, first + 6]);
    let single = client.append(&format!("[{}]", event("carol"))).ok();
    assert_eq!(single["receipts"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_compressed_body_is_the_same_events() {
    let server = Running::start();
    let client = server.admin();
    let lines: String = (0..2_000).map(|n| event(&format!("actor-{n}")) + "\n").collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(lines.as_bytes()).expect("memory");
    let bodies = [("gzip", gzip.finish().expect("memory")), ("zstd", zstd::encode_all(lines.as_bytes(), 3).expect("memory"))];
    for (coding, body) in bodies {
        let headers = [LINES[0], ("content-encoding", coding)];
        let answer = client.send("POST", "/v1/audit/events", &headers, &body).ok();
        assert_eq!(answer["receipts"].as_array().map(Vec::len), Some(2_000), "{coding}");
    }
    assert_eq!(client.count(r#"actor.id eq "actor-1999""#), 2);
}

#[test]
fn a_retry_is_told_the_first_receipt_beside_new_events() {
    let server = Running::start();
    let client = server.admin();
    let named = |id: u128, actor: &str| {
        let mut event: Value = serde_json::from_str(&event(actor)).expect("JSON");
        event["id"] = json!(uuid::Uuid::from_u128(id).to_string());
        event
    };
    let first = client.append(&named(1, "alice").to_string()).ok();
    let again = client.append(&named(1, "alice").to_string()).ok();
    assert_eq!(again["duplicate"], true);
    for member in ["id", "sequence", "recorded_at", "row_hash", "leaf_hash"] {
        assert_eq!(first[member], again[member], "{member}");
    }
    let mixed = client.append(&json!([named(2, "bob"), named(1, "alice")]).to_string()).ok();
    assert_eq!(mixed["receipts"][0].get("duplicate"), None);
    assert_eq!(mixed["receipts"][1]["duplicate"], true);
    assert_eq!(mixed["receipts"][1]["row_hash"], first["row_hash"]);

    let conflict = client.append(&json!([named(3, "carol"), named(1, "mallory")]).to_string());
    assert_eq!(conflict.problem(), (409, "id-conflict".to_owned(), "/1/id".to_owned()));
    let conflict = client.append(&named(1, "mallory").to_string());
    assert_eq!(conflict.problem(), (409, "id-conflict".to_owned(), "/id".to_owned()));
    assert_eq!(client.count(r#"actor.id eq "carol" or actor.id eq "mallory""#), 0);
    assert_eq!(client.count(r#"action eq "audit.append_rejected""#), 2);
}

#[test]
fn pages_lead_to_the_next_until_there_is_none() {
    let server = Running::start();
    let client = server.admin();
    some(&client, "alice", 7);
    some(&client, "bob", 7);
    let mut path = format!("/v1/audit/events?filter={}&limit=3", percent(r#"actor.id eq "alice" and action eq "document.share""#));
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = client.get(&path);
        let page = answer.clone().ok();
        seen.extend(ids(&page));
        let next = answer.header("link");
        assert_eq!(next.is_some(), page["next_cursor"].is_string());
        let Some(next) = next else { break };
        assert!(next.contains("filter=actor.id%20eq"), "{next}");
        path = next.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\"")).expect("a link").to_owned();
    }
    assert_eq!(seen.len(), 7);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 7);
}

#[test]
fn the_feed_loses_nothing_and_goes_on_where_it_stood() {
    let server = Running::start();
    let client = server.admin();
    some(&client, "alice", 25);
    let (mut after, mut sequences) = (String::new(), Vec::new());
    loop {
        let answer = client.get(&format!("/v1/audit/events?order=asc&limit=10{after}"));
        let page = answer.ok();
        let rows = page["data"].as_array().expect("data");
        sequences.extend(rows.iter().map(|row| row["sequence"].as_u64().expect("a sequence")));
        assert_eq!(page["next_cursor"], Value::Null);
        if rows.len() < 10 {
            break;
        }
        after = format!("&after_sequence={}", page["next_after_sequence"].as_u64().expect("a place to go on"));
    }
    assert!(sequences.len() >= 25);
    assert!(sequences.iter().enumerate().all(|(n, sequence)| *sequence == n as u64), "{sequences:?}");
}

#[test]
fn a_read_is_recorded_with_what_was_asked_and_why() {
    let server = Running::start();
    let client = server.admin();
    let receipts = some(&client, "alice", 2);
    client.search(r#"actor.id eq "alice""#, "&purpose=ticket%2042").ok();
    let reads = client.search(r#"action eq "audit.read""#, "").ok();
    let read = &reads["data"][0];
    assert_eq!(read["read"]["filter"], r#"actor.id eq "alice""#);
    assert_eq!(read["read"]["purpose"], "ticket 42");
    assert_eq!(read["read"]["returned"], 2);
    assert_eq!(read["request"]["source_ip"], "127.0.0.1");

    let id = receipts[0]["id"].as_str().expect("an id");
    let shown = client.get(&format!("/v1/audit/events/{}", id.to_uppercase())).ok();
    assert_eq!(shown["row_hash"], receipts[0]["row_hash"]);
    let verified = client.get(&format!("/v1/audit/events/{id}/verify")).ok();
    assert_eq!((&verified["valid"], &verified["id"], &verified["findings"]), (&json!(true), &json!(id), &json!([])));
    let project = client.get("/v1/audit/verify").ok();
    assert_eq!(project["findings"], json!([]));
    assert_eq!(project["project_id"], server.project_id.to_string());
    assert!(["intact", "unanchored"].contains(&project["verdict"].as_str().expect("a verdict")), "{project}");
}

#[test]
fn content_is_opened_for_a_purpose_and_each_record_says_so() {
    let server = Running::start();
    let client = server.admin();
    let mut said: Value = serde_json::from_str(&event("alice")).expect("JSON");
    said["content"] = json!({"messages": [{"role": "user", "content": "what was said"}]});
    let id = client.append(&said.to_string()).ok()["id"].as_str().expect("an id").to_owned();
    let closed = client.get(&format!("/v1/audit/events/{id}")).ok();
    assert_eq!(closed.get("content"), None);
    let open = client.get(&format!("/v1/audit/events/{id}?include=content&purpose=a+complaint")).ok();
    assert_eq!(open["content"]["messages"][0]["content"], "what was said");
    let opened = client.search(r#"action eq "content.decrypt""#, "").ok();
    assert_eq!(opened["data"][0]["decrypt"]["record_id"], id.as_str());
    assert_eq!(opened["data"][0]["decrypt"]["purpose"], "a complaint");
    let without = client.get(&format!("/v1/audit/events/{id}?include=content"));
    assert_eq!(without.problem().1, "invalid-purpose");
    let reader = server.with_scopes(&["audit:read"]);
    let forbidden = reader.get(&format!("/v1/audit/events/{id}?include=content&purpose=curiosity"));
    assert_eq!(forbidden.problem().1, "forbidden");
    assert!(client.count(r#"action eq "audit.read" and outcome eq "deny""#) + client.count(r#"action eq "content.decrypt" and outcome eq "deny""#) > 0);
}
