//! `indelible decide` and `indelible spending`, offline and through a server.

use serde_json::{Value, json};

use super::program::{Folder, Ran, Server, run_with};

fn go(target: &[String], arguments: &[&str]) -> Ran {
    let all: Vec<&str> = arguments.iter().copied().chain(target.iter().map(String::as_str)).collect();
    run_with(&all, b"")
}

fn decides(target: &[String], id: &str) {
    let ask = ["decide", "--subject", id, "--action", "tool.call", "--resource", "tool:send_email"];
    let denied = go(target, &ask);
    assert_eq!(denied.code, 1, "{}", denied.err);
    assert!(denied.out.contains("deny") && denied.out.contains("default"), "{}", denied.out);
    let agent = id.split(':').next_back().expect("an id");
    let text = format!("permit (principal == Agent::\"{agent}\", action, resource);");
    let policy = json!({"name": "p", "text": text}).to_string();
    go(target, &["policy", "create", &policy]).ok();
    let allowed: Vec<Value> = go(target, &[&ask[..], &["--context", r#"{"run_id":"r"}"#, "--json"]].concat()).ok().json();
    assert_eq!((&allowed[0]["decision"], &allowed[0]["context"]["engine"]), (&json!(true), &json!("cedar")));
    let event = allowed[0]["context"]["id"].as_str().expect("an id");
    let shown: Vec<Value> = go(target, &["show", event, "--json"]).ok().json();
    assert_eq!((&shown[0]["action"], &shown[0]["run"]["id"]), (&json!("policy.decision"), &json!("r")));
    let many = json!({
        "subject": {"type": "agent", "id": agent}, "action": {"name": "a"}, "resource": {"type": "t", "id": "1"},
        "evaluations": [{}, {"subject": {"type": "user", "id": "nobody"}}],
    });
    let many = go(target, &["decide", &many.to_string(), "--json"]);
    assert_eq!(many.code, 1);
    assert_eq!(many.json()[0]["evaluations"].as_array().map(Vec::len), Some(2));
    let refused = go(target, &["decide", r#"{"subject":{}}"#]);
    assert!(refused.code == 1 && refused.err.contains("/subject/type"), "{}", refused.err);
    let budget = r#"{"name":"b","subject":{"type":"agent","id":"other"},"period":"day","limit_micros":5,"currency":"USD"}"#;
    let budget: Vec<Value> = go(target, &["budget", "create", budget, "--json"]).ok().json();
    let spent: Vec<Value> = go(target, &["spending", budget[0]["id"].as_str().expect("an id"), "--json"]).ok().json();
    assert_eq!((&spent[0]["spent_micros"], &spent[0]["limit_micros"]), (&json!(0), &json!(5)));
}

#[test]
fn decisions_and_spending_have_their_commands() {
    let folder = Folder::new();
    go(&folder.target(), &["project", "list"]);
    let made = go(&folder.target(), &["project", "create", "name=first", "--json"]).ok();
    assert!(!made.out.is_empty());
    decides(&folder.target(), "agent:offline");
    let server = Server::start(&folder.path());
    decides(&server.target(), "agent:online");
}
