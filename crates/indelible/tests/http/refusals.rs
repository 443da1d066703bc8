//! What is refused, with the problem it is answered with, and the event that it leaves.

use indelible_core::event::members::{ENTRY, Owner, Shape};
use serde_json::{Value, json};

use crate::server::{Running, event};

fn with(member: &str, value: Value) -> String {
    let mut changed: Value = serde_json::from_str(&event("alice")).expect("JSON");
    changed[member] = value;
    changed.to_string()
}

#[test]
fn each_fault_of_an_event_has_its_answer_and_its_place() {
    let server = Running::start();
    let client = server.admin();
    let deep = format!(r#"{{"content":{{"extra":{}1{}}}}}"#, "[".repeat(1_000), "]".repeat(1_000));
    let cases: Vec<(String, u16, &str, &str)> = vec![
        (String::new(), 400, "malformed-json", ""),
        ("{".to_owned(), 400, "malformed-json", ""),
        ("[]".to_owned(), 422, "invalid-event", ""),
        ("1".to_owned(), 422, "invalid-event", ""),
        ("[1]".to_owned(), 422, "invalid-event", "/0"),
        ("{}".to_owned(), 422, "invalid-event", "/action"),
        (with("colour", json!("red")), 422, "invalid-event", "/colour"),
        (with("outcome", json!("maybe")), 422, "invalid-event", "/outcome"),
        (with("outcome", Value::Null), 422, "invalid-event", "/outcome"),
        (with("duration_ms", json!(-1)), 422, "invalid-event", "/duration_ms"),
        (with("actor", json!({"type": "robot", "id": "r"})), 422, "invalid-event", "/actor/type"),
        (with("context", json!({"a": 1})), 422, "invalid-event", "/context/a"),
        (with("content", json!({"anything": 1})), 422, "invalid-event", "/content/anything"),
        (format!(r#"[{},{}]"#, event("a"), with("id", json!("x"))), 422, "invalid-event", "/1/id"),
        (r#"{"action":"a.b","action":"a.b"}"#.to_owned(), 422, "invalid-event", "/action"),
        (r#"{"action":"\ud800"}"#.to_owned(), 422, "invalid-event", "/action"),
        (deep, 422, "event-too-large", ""),
    ];
    for (body, status, name, pointer) in &cases {
        let (got_status, got_name, got_pointer) = client.append(body).problem();
        assert_eq!((got_status, got_name.as_str()), (*status, *name), "{}", &body[..body.len().min(200)]);
        // How deep is too deep is the parser's to say.
        if *name != "event-too-large" {
            assert_eq!(got_pointer, *pointer, "{body}");
        }
    }
    let utf8 = client.send("POST", "/v1/audit/events", &[("content-type", "application/json")], b"{\"action\":\"\xff\"}");
    assert_eq!(utf8.problem(), (400, "malformed-json".to_owned(), String::new()));
    assert_eq!(client.count(r#"action eq "document.share""#), 0);
    assert_eq!(client.count(r#"action eq "audit.append_rejected""#), cases.len() + 1);
}

#[test]
fn all_faults_of_a_batch_are_told() {
    let server = Running::start();
    let client = server.admin();
    let events: Vec<String> = (0..300).map(|n| if n % 2 == 1 { with("outcome", json!("maybe")) } else { event("alice") }).collect();
    let answer = client.append(&format!("[{}]", events.join(",")));
    assert_eq!(answer.problem(), (422, "invalid-event".to_owned(), "/1/outcome".to_owned()));
    let problem = answer.json();
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(100));
    assert_eq!(problem["errors"][99]["pointer"], "/199/outcome");
    assert_eq!(problem["errors_total"], 150);
    let lines = client.send("POST", "/v1/audit/events", &[("content-type", "application/x-ndjson")], events.join("\n").as_bytes());
    assert_eq!(lines.json(), problem);
    assert_eq!(client.count(r#"action eq "document.share""#), 0);
}

#[test]
fn what_the_server_owns_cannot_be_claimed() {
    let server = Running::start();
    let client = server.admin();
    let owned: Vec<_> = ENTRY.iter().filter(|member| member.owner == Owner::Server).collect();
    assert!(owned.len() > 10);
    for member in &owned {
        let value = match member.shape {
            Shape::Integer(..) => json!(1),
            Shape::Choice(words) => json!(words[0]),
            Shape::Uuid => json!("00000000-0000-4000-8000-000000000000"),
            Shape::Time => json!("2026-01-01T00:00:00Z"),
            Shape::Texts(..) => json!([]),
            _ => json!({}),
        };
        let problem = client.append(&with(member.name, value)).problem();
        assert_eq!(problem, (422, "server-owned-member".to_owned(), format!("/{}", member.name)));
    }
    let rejected = client.search(r#"action eq "audit.append_rejected""#, "&limit=1000").ok();
    assert_eq!(rejected["data"].as_array().map(Vec::len), Some(owned.len()));
}

#[test]
fn what_the_engine_writes_nobody_else_does() {
    let server = Running::start();
    let client = server.admin();
    let actions = ["audit.read", "content.decrypt", "key.rotate", "integrity.anchor", "api_key.create", "audit.append_rejected"];
    for action in actions {
        let problem = client.append(&with("action", json!(action))).problem();
        assert_eq!(problem, (403, "engine-only-action".to_owned(), "/action".to_owned()), "{action}");
    }
    assert_eq!(client.count(r#"action eq "audit.append_rejected" and outcome eq "deny""#), actions.len());
}

#[test]
fn a_key_does_what_its_scopes_say_and_the_attempt_stays() {
    let server = Running::start();
    let (reader, writer) = (server.with_scopes(&["audit:read"]), server.with_scopes(&["events:append"]));
    assert_eq!(reader.append(&event("alice")).problem().1, "forbidden");
    assert_eq!(writer.get("/v1/audit/events").problem().1, "forbidden");
    assert_eq!(writer.get("/v1/audit/verify").problem().1, "forbidden");
    assert_eq!(writer.post("/v1/api_keys", r#"{"name":"x","scopes":["events:append"]}"#).problem().1, "forbidden");
    assert_eq!(writer.post("/v1/audit/clock", "").problem().1, "forbidden");
    let admin = server.admin();
    assert_eq!(admin.count(r#"action eq "audit.append_rejected" and outcome eq "deny""#), 1);
    assert_eq!(admin.count(r#"action eq "audit.read" and outcome eq "deny""#), 2);
    assert_eq!(writer.append(&event("alice")).status, 201);
}

#[test]
fn wrong_forms_have_their_problems() {
    let server = Running::start();
    let client = server.admin();
    let post = |headers: &[(&str, &str)], body: &[u8]| client.send("POST", "/v1/audit/events", headers, body).problem().1;
    let json = ("content-type", "application/json");
    assert_eq!(post(&[], event("a").as_bytes()), "unsupported-media-type");
    assert_eq!(post(&[("content-type", "text/plain")], event("a").as_bytes()), "unsupported-media-type");
    assert_eq!(post(&[json, ("content-encoding", "br")], b"x"), "unsupported-encoding");
    assert_eq!(post(&[json, ("content-encoding", "gzip")], b"not gzip"), "malformed-body");
    assert_eq!(post(&[json, ("content-encoding", "zstd")], b"not zstd"), "malformed-body");
    assert_eq!(post(&[("content-type", "application/x-ndjson")], b"\n\n"), "invalid-event");
    let answer = client.send("POST", "/v1/audit/events", &[json, ("content-encoding", "br")], b"x");
    assert_eq!(answer.header("accept-encoding"), Some("gzip, zstd, identity"));
    let charset = [("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!(client.send("POST", "/v1/audit/events", &charset, event("a").as_bytes()).status, 201);
}

#[test]
fn wrong_questions_have_their_problems() {
    let server = Running::start();
    let client = server.admin();
    let cases = [
        ("?colour=red", "invalid-query"),
        ("?limit=0", "invalid-query"),
        ("?limit=1001", "invalid-query"),
        ("?limit=1&limit=1", "invalid-query"),
        ("?after_sequence=1", "invalid-query"),
        ("?order=asc&cursor=abc", "invalid-query"),
        ("?order=sideways", "invalid-query"),
        ("?include=everything", "invalid-query"),
        ("?project_id=1", "invalid-query"),
        ("?filter=%FF", "invalid-query"),
        ("?filter=actor.id%20eq", "invalid-filter"),
        ("?filter=colour%20eq%20%22red%22", "invalid-filter"),
        ("?cursor=abc", "invalid-cursor"),
        ("?include=content", "invalid-purpose"),
        ("?project_id=00000000-0000-4000-8000-000000000000", "not-found"),
        ("/00000000-0000-4000-8000-000000000000", "not-found"),
        ("/nonsense", "not-found"),
        ("/nonsense/verify", "not-found"),
    ];
    for (rest, name) in cases {
        assert_eq!(client.get(&format!("/v1/audit/events{rest}")).problem().1, name, "{rest}");
    }
    let unknown = client.search(r#"colour eq "red""#, "").json();
    let attributes = unknown["attributes"].as_array().expect("the valid ones");
    assert!(attributes.contains(&json!("actor.id")), "{unknown}");
    let page = client.append(&format!("[{},{}]", event("alice"), event("alice"))).ok();
    assert_eq!(page["receipts"].as_array().map(Vec::len), Some(2));
    let cursor = client.search(r#"actor.id eq "alice""#, "&limit=1").ok()["next_cursor"].as_str().expect("a cursor").to_owned();
    assert_eq!(client.search(r#"actor.id eq "bob""#, &format!("&limit=1&cursor={cursor}")).problem().1, "invalid-cursor");
}

#[test]
fn the_words_of_a_problem() {
    let server = Running::start();
    let client = server.admin();
    insta::assert_snapshot!(client.append("[]").text(), @r#"{"type":"urn:indelible:problem:invalid-event","title":"The event is not valid","status":422,"detail":"there is no event in the request","errors":[{"pointer":"","message":"there is no event in the request"}]}"#);
    insta::assert_snapshot!(client.get("/v1/nothing").text(), @r#"{"type":"urn:indelible:problem:not-found","title":"There is nothing here","status":404,"detail":"there is no such URL"}"#);
    insta::assert_snapshot!(client.get("/v1/audit/events?limit=0").text(), @r#"{"type":"urn:indelible:problem:invalid-query","title":"A query parameter is not valid","status":400,"detail":"limit must be an integer from 1 to 1000"}"#);
    insta::assert_snapshot!(client.delete("/v1/audit/events").text(), @r#"{"type":"urn:indelible:problem:method-not-allowed","title":"The method is not allowed here","status":405,"detail":"this URL does not take that method"}"#);
}
