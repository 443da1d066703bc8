//! Redaction rules and event schemas by HTTP: a rule is tried before it is made, no planted value is in any file once it is
//! there, and an event that breaks a schema is refused with its place.

use std::path::Path;

use serde_json::{Value, json};

use crate::server::{EVENTS, House, event, pointers};

const TEST: &str = "/v1/redaction_rules/test";

fn each_file(folder: &Path, see: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { each_file(&path, see) } else { see(&path, &std::fs::read(&path).expect("a file")) }
    }
}

/// That none of these stands in any file of the data folder.
fn nowhere(house: &mut House, secrets: &[&str]) {
    let data = house.data();
    house.close();
    each_file(&data, &mut |path, bytes| {
        for secret in secrets {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} is in {}", path.display());
        }
    });
}

fn sample() -> Value {
    let mut sample = event("crm.update");
    sample["content"] = json!({"arguments": {"iban": "SAMPLE-1", "name": "n", "token": "SAMPLE-2"}});
    sample["context"] = json!({"iban": "SAMPLE-3"});
    sample
}

#[test]
fn a_rule_is_tried_on_a_sample_of_which_nothing_is_stored() {
    let mut house = House::start();
    let project = house.project.clone();
    let answer = house.post(TEST, &json!({"sample": sample()})).send();
    let shown = answer.is(200);
    assert_eq!(shown["content"], json!({"arguments": {"iban": "SAMPLE-1", "name": "n"}}));
    assert_eq!((&shown["entry"]["context"]["iban"], &shown["entry"]["project_id"]), (&json!("SAMPLE-3"), &json!(project)));
    assert!(shown["entry"].get("sequence").is_none() && shown["entry"]["assurance"] == "self_reported");
    answer.left(&house, (&project, "audit.read", "allow"));
    let rule = json!({"name": "I_BAN", "action": "exclude"});
    let shown = house.post(TEST, &json!({"sample": sample(), "rule": rule})).send().is(200);
    assert_eq!((&shown["content"], shown["entry"].get("context")), (&json!({"arguments": {"name": "n"}}), None));
    house.post("/v1/redaction_rules", &rule).send().is(201);
    let mut again = house.post(TEST, &json!({"sample": sample()})).send().is(200);
    for member in ["id", "occurred_at"] {
        assert_ne!(again["entry"][member], shown["entry"][member]);
        again["entry"][member] = shown["entry"][member].clone();
    }
    assert_eq!(again, shown, "as it was foretold");
    let bare = house.post(TEST, &json!({"sample": event("a.b")})).send().is(200);
    assert!(bare.get("content").is_none());

    let refused = |body: Value, pointer: &str| {
        let problem = house.post(TEST, &body).refused(422, "invalid-resource", (&project, "audit.read", "error"));
        assert_eq!(pointers(&problem), [pointer], "{problem}");
        assert!(!problem.to_string().contains("SAMPLE"), "{problem}");
    };
    refused(json!({}), "/sample");
    refused(json!({"sample": {"action": "a.b", "unknown": "SAMPLE"}}), "/sample/unknown");
    refused(json!({"sample": sample(), "rule": {"name": "a", "action": "SAMPLE"}}), "/rule/action");
    refused(json!({"sample": sample(), "rule": {"path": "SAMPLE", "action": "hmac"}}), "/rule/path");
    let narrow = house.make_key(&project, "application", &["audit:read", "control:write"]);
    house.post(TEST, &json!({"sample": sample()})).key(&narrow).refused(403, "forbidden", (&project, "audit.read", "deny"));
    let (other, _) = house.tenant("other");
    let theirs = house.make_key(&other, "application", &["audit:read", "audit:admin"]);
    let shown = house.post(TEST, &json!({"sample": sample()})).key(&theirs).send().is(200);
    assert_eq!(shown["entry"]["context"]["iban"], "SAMPLE-3", "no rule of theirs");
    let there = house.post(&format!("{TEST}?project_id={project}"), &json!({"sample": sample()})).key(&theirs);
    there.refused(404, "not-found", (&other, "audit.read", "deny"));
    nowhere(&mut house, &["SAMPLE-1", "SAMPLE-2", "SAMPLE-3"]);
}

#[test]
fn what_a_rule_takes_away_is_in_no_file_and_what_was_sealed_neither() {
    let mut house = House::start();
    house.post("/v1/redaction_rules", &json!({"name": "iban", "action": "hmac"})).send().is(201);
    house.post("/v1/redaction_rules", &json!({"path": "/output/*/pin", "action": "exclude"})).send().is(201);
    let mut planted = event("crm.update");
    planted["content"] = json!({
        "arguments": {"IBAN": "PLANTED-1", "text": "{\"i_ban\":\"PLANTED-2\"}", "url": "https://h/?iban=PLANTED-3"},
        "output": [{"pin": "PLANTED-4"}], "before_state": {"iban": "PLANTED-5"}, "after_state": {"iban": "PLANTED-6"},
        "request": {"headers": {"X-Iban": "kept"}, "body": "iban=PLANTED-7&a=1"}
    });
    planted["context"] = json!({"iban": "PLANTED-8"});
    house.post(EVENTS, &planted).send().is(201);
    let stream = json!({"name": "s", "url": "https://siem.example/", "secret_headers": {"Authorization": "PLANTED-9"}});
    let made = house.post("/v1/audit_streams", &stream).header("idempotency-key", "k").send();
    let again = house.post("/v1/audit_streams", &stream).header("idempotency-key", "k").send();
    assert_eq!(made.is(201)["secret_headers"], json!({"Authorization": "[SEALED]"}));
    assert_eq!(again.is(201), made.is(201));
    let id = made.is(201)["id"].as_str().expect("an id").to_owned();
    let patch = json!({"secret_headers": {"Authorization": "PLANTED-10"}}).to_string();
    let change = house.ask("PATCH", &format!("/v1/audit_streams/{id}")).header("content-type", "application/merge-patch+json");
    change.header("if-match", "*").body(patch).send().is(200);
    let updates = house.log("action eq \"audit_stream.update\"");
    let changes = updates[0]["changes"].as_array().expect("changes");
    assert!(changes.contains(&json!("/secret_headers/Authorization")), "{changes:?}");

    let signing = || house.post("/v1/webhook_signing_keys", r#"{"name":"k"}"#).header("idempotency-key", "s").send().is(201);
    let (key, replayed) = (signing(), signing());
    let secret = key["secret"].as_str().expect("a secret").to_owned();
    assert!(secret.starts_with("whsec_") && replayed["secret"] == "[SEALED]");
    let made = house.log("action eq \"webhook_signing_key.create\"");
    assert!(made.len() == 1 && made[0]["changes"].as_array().expect("changes").contains(&json!("/secret")), "{made:?}");
    let given = house.post("/v1/webhook_signing_keys", r#"{"name":"k","secret":"whsec_PLANTED-11"}"#);
    let problem = given.refused(422, "invalid-resource", (&house.project, "webhook_signing_key.create", "error"));
    assert_eq!(pointers(&problem), ["/secret"]);
    let planted: Vec<String> = (1..=11).map(|n| format!("PLANTED-{n}")).collect();
    let mut all: Vec<&str> = planted.iter().map(String::as_str).collect();
    all.extend([secret.as_str(), &secret["whsec_".len()..]]);
    nowhere(&mut house, &all);
}

#[test]
fn contents_leave_by_who_may_open_them_and_a_key_that_signs_stays() {
    let house = House::start();
    let project = house.project.clone();
    let stream = json!({"name": "s", "url": "https://siem.example/", "content_purpose": "detection"});
    let narrow = house.make_key(&project, "application", &["audit:read", "audit:write"]);
    let post = |body: &Value| house.post("/v1/audit_streams", body);
    post(&stream).key(&narrow).refused(403, "forbidden", (&project, "audit_stream.create", "deny"));
    let made = post(&stream).send().is(201);
    let item = format!("/v1/audit_streams/{}", made["id"].as_str().expect("an id"));
    let change = |body: Value| {
        let ask = house.ask("PATCH", &item).header("content-type", "application/merge-patch+json").header("if-match", "*");
        ask.body(body.to_string()).key(&narrow)
    };
    change(json!({"url": "https://else.example/"})).refused(403, "forbidden", (&project, "audit_stream.update", "deny"));
    house.post(&format!("{item}/pause"), r#"{"reason":"the receiver is away"}"#).key(&narrow).send().is(200);
    change(json!({"content_purpose": null})).send().is(200);
    change(json!({"state": "running"})).refused(422, "invalid-resource", (&project, "audit_stream.update", "error"));

    let key = house.post("/v1/webhook_signing_keys", r#"{"name":"k"}"#).send().is(201);
    let signed = json!({"name": "t", "url": "https://siem.example/", "signing_key_id": key["id"]});
    let (other, theirs) = house.tenant("other");
    let elsewhere = house.make_key(&other, "application", &["audit:read", "audit:write"]);
    let problem = post(&signed).key(&elsewhere).refused(422, "invalid-resource", (&other, "audit_stream.create", "error"));
    assert_eq!(pointers(&problem), ["/signing_key_id"]);
    post(&signed).key(&theirs).refused(403, "forbidden", (&other, "audit_stream.create", "deny"));
    let signed = post(&signed).send().is(201);
    let revoke = || house.ask("DELETE", &format!("/v1/webhook_signing_keys/{}", key["id"].as_str().expect("an id")));
    revoke().refused(409, "conflict", (&project, "webhook_signing_key.revoke", "error"));
    let end = house.ask("DELETE", &format!("/v1/audit_streams/{}", signed["id"].as_str().expect("an id"))).send();
    assert_eq!((end.status, revoke().send().status), (204, 204));
    for (member, value) in [
        ("url", json!("http://siem.example/")),
        ("url", json!("https://user:word@siem.example/")),
        ("filter", json!("nothing eq")),
        ("categories", json!(["Policy"])),
        ("headers", json!({"X-Api-Key": "v"})),
        ("headers", json!({"Webhook-Id": "v"})),
        ("secret_headers", json!({"X": "[SEALED]"})),
        ("batch_events_max", json!(0)),
    ] {
        let mut wrong = json!({"name": "t", "url": "https://siem.example/"});
        wrong[member] = value;
        let problem = post(&wrong).refused(422, "invalid-resource", (&project, "audit_stream.create", "error"));
        assert!(pointers(&problem)[0].starts_with(&format!("/{member}")), "{problem}");
    }
}

#[test]
fn an_event_that_breaks_a_schema_is_refused_with_its_place_and_counted_where_it_only_reports() {
    let house = House::start();
    let project = house.project.clone();
    let schema = json!({"properties": {"content": {"properties": {"arguments": {"properties": {"amount": {"maximum": 9}}}}}}});
    let made = house.post("/v1/event_schemas", &json!({"action": "invoice.pay", "schema": schema, "mode": "enforcing"})).send().is(201);
    let id = made["id"].as_str().expect("an id").to_owned();
    let mut broken = event("invoice.pay");
    broken["content"] = json!({"arguments": {"amount": 4711}});
    let problem = house.post(EVENTS, &broken).refused(422, "invalid-event", (&project, "audit.append_rejected", "error"));
    assert_eq!(pointers(&problem), ["/content/arguments/amount"]);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(&id) && !detail.contains("4711")), "{problem}");
    let batch = json!([event("a.b"), broken]);
    let problem = house.post(EVENTS, &batch).refused(422, "invalid-event", (&project, "audit.append_rejected", "error"));
    assert_eq!(pointers(&problem), ["/1/content/arguments/amount"]);
    let import = house.post(EVENTS, &broken).header("x-indelible-path", "import");
    import.refused(422, "invalid-event", (&project, "audit.append_rejected", "error"));
    let check = house.post("/v1/audit/events/check", &broken);
    check.refused(422, "invalid-event", (&project, "audit.append_rejected", "error"));

    let item = format!("/v1/event_schemas/{id}");
    let change = house.ask("PATCH", &item).header("content-type", "application/merge-patch+json").header("if-match", "\"1\"");
    change.body(r#"{"mode":"report_only"}"#).send().is(200);
    house.post(EVENTS, &broken).send().is(201);
    assert_eq!(house.get(&item).send().is(200)["violations"], 1);
    let metrics: ureq::Agent = ureq::Agent::config_builder().build().into();
    let mut figures = metrics.get(format!("http://{}/metrics", house.metrics)).call().expect("metrics");
    let figures = figures.body_mut().read_to_string().expect("text");
    assert!(figures.lines().any(|line| line == "indelible_schema_violations_total 1"), "{figures}");
    let mut forged = event("event_schema.violation");
    forged["reason"] = json!("mine");
    house.post(EVENTS, &forged).refused(403, "engine-only-action", (&project, "audit.append_rejected", "deny"));
}
