//! Object, array and lines, plain and compressed; what is neither is refused.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::server::{EVENTS, House, event};

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

pub(crate) fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 3).expect("memory")
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn an_object_an_array_and_lines_are_taken_in_every_coding() {
    let house = House::start();
    let (one, two) = (event("form.one").to_string(), event("form.two").to_string());
    let forms = [
        ("application/json", one.clone(), 1),
        ("application/json; charset=utf-8", format!(" \n[{one},{two}] "), 2),
        ("APPLICATION/JSON", format!("[{one}]"), 1),
        ("application/x-ndjson", format!("{one}\n\r\n{two}"), 2),
        ("application/ndjson", format!("{one}\n"), 1),
        ("application/jsonl", format!("{one}\n{two}\n{one}\n"), 3),
    ];
    let mut expected = Vec::new();
    for (content_type, text, events) in &forms {
        let codings = [("identity", text.clone().into_bytes()), ("gzip", gzip(text.as_bytes())), ("ZSTD", zstd(text.as_bytes()))];
        for (coding, body) in codings {
            let ask = house.ask("POST", EVENTS).header("content-type", content_type).header("content-encoding", coding).body(body);
            let answer = ask.send().is(201);
            let receipts = match answer.get("receipts") {
                Some(receipts) => receipts.as_array().expect("an array").clone(),
                None => vec![answer],
            };
            assert_eq!(receipts.len(), *events, "{content_type} {coding}");
            for receipt in &receipts {
                assert_eq!(keys(receipt), ["id", "leaf_hash", "recorded_at", "row_hash", "sequence"]);
                expected.push((receipt["id"].clone(), receipt["sequence"].clone()));
            }
        }
    }
    let stored = house.log("action sw \"form.\"");
    let stored: Vec<_> = stored.iter().map(|event| (event["id"].clone(), event["sequence"].clone())).collect();
    assert_eq!(stored, expected, "each is there once, in the order of the receipts");
    let single = house.post(EVENTS, &event("form.one")).send().is(201);
    assert!(single.get("receipts").is_none(), "an object is answered with its receipt");
}

#[test]
fn other_forms_are_refused_and_the_refusal_is_recorded() {
    let house = House::start();
    let one = event("form.one").to_string();
    let json = "application/json";
    let cases: Vec<(&str, &str, Vec<u8>, u16, &str)> = vec![
        ("", "identity", one.clone().into(), 415, "unsupported-media-type"),
        ("text/plain", "identity", one.clone().into(), 415, "unsupported-media-type"),
        ("application/json+x", "identity", one.clone().into(), 415, "unsupported-media-type"),
        ("application/x-www-form-urlencoded", "identity", b"a=b".to_vec(), 415, "unsupported-media-type"),
        (json, "br", one.clone().into(), 415, "unsupported-encoding"),
        (json, "gzip, gzip", gzip(&gzip(one.as_bytes())), 415, "unsupported-encoding"),
        (json, "gzip", one.clone().into(), 400, "malformed-body"),
        (json, "zstd", one.clone().into(), 400, "malformed-body"),
        (json, "zstd", gzip(one.as_bytes()), 400, "malformed-body"),
        (json, "gzip", gzip(one.as_bytes())[..30].to_vec(), 400, "malformed-body"),
        (json, "identity", gzip(one.as_bytes()), 400, "malformed-json"),
        (json, "identity", Vec::new(), 400, "malformed-json"),
        (json, "identity", format!("{one}\n{one}").into(), 400, "malformed-json"),
        (json, "identity", b"[]".to_vec(), 422, "invalid-event"),
        (json, "identity", b"null".to_vec(), 422, "invalid-event"),
        (json, "identity", b"\"text\"".to_vec(), 422, "invalid-event"),
        ("application/x-ndjson", "identity", b"\n \n".to_vec(), 422, "invalid-event"),
        ("application/x-ndjson", "identity", format!("[{one}]").into(), 422, "invalid-event"),
        ("application/x-ndjson", "identity", format!("{one}\n{{").into(), 400, "malformed-json"),
    ];
    for (content_type, coding, body, status, kind) in cases {
        let ask = house.ask("POST", EVENTS).header("content-type", content_type).header("content-encoding", coding).body(body);
        ask.refused(status, kind, (&house.project, "audit.append_rejected", "error"));
    }
    assert!(house.log("action sw \"form.\"").is_empty(), "nothing of it is stored");
    let refused = house.ask("POST", EVENTS).header("content-type", json).header("content-encoding", "br").send();
    assert_eq!(refused.header("accept-encoding"), Some("gzip, zstd, identity"));
}

#[test]
fn a_bomb_is_stopped_and_the_server_goes_on() {
    let house = House::start();
    let bomb = vec![b' '; 200 * 1024 * 1024];
    for (coding, body) in [("gzip", gzip(&bomb)), ("zstd", zstd(&bomb))] {
        for content_type in ["application/json", "application/x-ndjson"] {
            let ask = house.ask("POST", EVENTS).header("content-type", content_type).header("content-encoding", coding).body(body.clone());
            ask.refused(413, "request-too-large", (&house.project, "audit.append_rejected", "error"));
        }
    }
    house.post(EVENTS, &event("still.here")).send().is(201);
}

#[test]
fn what_a_caller_leaves_out_the_server_makes() {
    let house = House::start();
    let given = json!({"action": "thing.do", "outcome": "allow", "actor": {"type": "anonymous"}, "occurred_at": "2024-02-29T23:00:00.1234567+02:00"});
    let receipt = house.post(EVENTS, &given).send().is(201);
    let stored = &house.log("action eq \"thing.do\"")[0];
    assert_eq!(stored["occurred_at"], "2024-02-29T21:00:00.123456Z");
    for name in ["id", "sequence", "recorded_at", "row_hash"] {
        assert_eq!(stored[name], receipt[name], "{name}");
    }
    assert_eq!(stored["action_category"], "thing");
    assert_eq!(stored["project_id"], house.project.as_str());
    assert_eq!(stored["recorder"]["path"], "http");
    assert_eq!(stored["id"].as_str().map(|id| id.as_bytes()[14]), Some(b'7'), "a UUIDv7");
}
