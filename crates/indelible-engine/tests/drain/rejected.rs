//! Rows that cannot be chained: each becomes `audit.append_rejected` with what it held, sealed, and goes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indelible_engine::database::bind::Purpose;
use indelible_engine::inbox::InboxKey;
use indelible_engine::resource::kind;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::place::{Place, event, id, wait};

const REJECTED: &str = r#"action eq "audit.append_rejected""#;
const TOLD: &str = "SELECT count(*) FROM audit.events WHERE action = 'audit.append_rejected'";

/// Puts a row in as nobody can who is not the owner.
fn put(place: &Place, project: &str, event: &[u8], sealed: bool) -> i64 {
    let insert = "INSERT INTO audit.inbox (id, project_id, organization_id, role, source, event, sealed)
        SELECT gen_random_uuid(), $1::text::uuid, organization_id, role, 'append', $2, $3 FROM audit.bindings RETURNING n";
    place.owner.rows(insert, &[&project, &event, &sealed])[0].get(0)
}

fn only(events: &[Value], n: i64) -> &Value {
    let found: Vec<_> = events.iter().filter(|event| event["resource"]["id"] == json!(n.to_string())).collect();
    let [event] = found.as_slice() else { panic!("row {n}: {events:?}") };
    assert_eq!((&event["outcome"], &event["resource"]["type"]), (&json!("error"), &json!("inbox_row")));
    event
}

#[test]
fn another_event_under_an_id_that_is_used_is_rejected_and_can_be_opened() {
    let (place, ledger) = Place::new();
    let (project, host) = (ledger.default_project_id(), place.host());
    host.append(&event(1, "first")).expect("taken");
    place.drained();
    let rule = r#"{"path":"/arguments/ssn","action":"exclude"}"#;
    wait(ledger.create_resource(&place.admin(&ledger), kind("redaction_rule").expect("a kind"), None, rule, None)).expect("made");
    let second = event(1, "second thoughts").replace("\"text\"", "\"password\":\"S3cret\",\"ssn\":\"S3cret\",\"text\"");
    host.append(&second).expect("taken");
    host.append(&event(2, "goes on")).expect("taken");
    place.drained();
    let rejected = place.events(&ledger, project, REJECTED);
    let [event] = rejected.as_slice() else { panic!("{rejected:?}") };
    assert_eq!(event["reason"], "another event has the id");
    assert_eq!(event["actor"], json!({"type": "system", "id": place.role}));
    assert_eq!(event["context"]["event_id"], json!(id(1)));
    let kept = &event["content"]["extra"]["event"];
    assert_eq!(kept["content"]["arguments"], json!({"password": "[REDACTED]", "text": "second thoughts"}), "{event}");
    assert_eq!(kept["actor"]["id"], "alice");
    let ids: Vec<_> = place.entries(project).iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!(ids, [json!(id(1)), json!(id(2))]);
    place.holds_none_of(&["S3cret", "second thoughts"]);
    place.verify();
}

#[test]
fn rows_that_are_no_event_that_do_not_open_or_are_for_nobody_are_rejected_with_what_they_held() {
    let (place, ledger) = Place::new();
    let project = ledger.default_project_id().to_string();
    let no_json = put(&place, &project, b"no JSON, {\"password\":\"S3cret\"}", false);
    let no_event = put(&place, &project, br#"{"action":"a.b","unknown":"what was said"}"#, false);
    let closed = put(&place, &project, b"\x01\x02\x03", true);
    let other_id = put(&place, &project, event(7, "another id").as_bytes(), false);
    let nobody = put(&place, &Uuid::from_u128(9).to_string(), event(8, "for nobody").as_bytes(), false);
    let owns = put(&place, &project, br#"{"action":"project.delete","outcome":"allow","actor":{"type":"human","id":"a"}}"#, false);
    let captures = put(&place, &project, br#"{"action":"row_capture.stop","outcome":"allow","actor":{"type":"human","id":"a"}}"#, false);
    let large = put(
        &place,
        &project,
        format!(
            r#"{{"action":"a.b","outcome":"allow","actor":{{"type":"human","id":"a"}},"content":{{"output":"{}"}}}}"#,
            "x".repeat(16 << 20)
        )
        .as_bytes(),
        false,
    );
    place.drained();
    let rejected = place.events(&ledger, ledger.default_project_id(), REJECTED);
    assert_eq!(rejected.len(), 7);
    for (n, reason) in [
        (no_json, "malformed"),
        (no_event, "invalid at /unknown"),
        (closed, "the event does not open"),
        (other_id, "the event has another id than its row"),
        (owns, "engine_only at /action"),
        (captures, "engine_only at /action"),
        (large, "too_large at /content"),
    ] {
        assert_eq!(only(&rejected, n)["reason"], reason);
    }
    let extra = |n| &only(&rejected, n)["content"]["extra"];
    assert_eq!(extra(closed), &json!({"sealed": STANDARD.encode(b"\x01\x02\x03")}));
    assert_eq!(extra(no_event), &json!({"event": {"action": "a.b", "unknown": "what was said"}}));
    assert!(extra(no_json)["text"].as_str().is_some_and(|text| text.starts_with("no JSON")), "{}", extra(no_json));
    assert_eq!(extra(large), &Value::Null);
    let organization = place.project(&ledger, ledger.default_project_id()).organization_id;
    let select = "SELECT project_id::text FROM audit.events WHERE resource_id = $1 AND action = 'audit.append_rejected'";
    let home: String = place.owner.rows(select, &[&nobody.to_string()])[0].get(0);
    let home = place.project(&ledger, Uuid::try_parse(&home).expect("an id"));
    assert_eq!((home.system, home.organization_id), (true, organization), "the organization tells of it");
    assert_eq!(only(&place.events(&ledger, home.id, REJECTED), nobody)["reason"], "there is no such project");
    assert_eq!(place.entries(ledger.default_project_id()), [json!(null); 0]);
    place.holds_none_of(&["S3cret", "what was said", "for nobody"]);
    place.verify();
}

#[test]
fn what_the_project_refuses_by_then_is_rejected_and_a_retry_is_not() {
    let (place, ledger) = Place::new();
    let (project, host) = (ledger.default_project_id(), place.host());
    host.append(&event(1, "before")).expect("taken");
    place.drained();
    let schema = r#"{"action":"account.transfer","schema":{"required":["reason"]},"mode":"enforcing"}"#;
    let made = wait(ledger.create_resource(&place.admin(&ledger), kind("event_schema").expect("a kind"), None, schema, None));
    made.expect("made");
    host.append(&event(1, "before")).expect("a retry");
    host.append(&event(2, "too late")).expect("taken");
    place.drained();
    let rejected = place.events(&ledger, project, REJECTED);
    let [event] = rejected.as_slice() else { panic!("{rejected:?}") };
    assert!(event["reason"].as_str().is_some_and(|reason| reason.starts_with("invalid")), "{event}");
    assert_eq!(event["context"]["event_id"], json!(id(2)));
    assert_eq!(place.entries(project).len(), 1);
    place.verify();
}

/// Rows that were waiting when the project was deleted.
#[test]
fn events_of_a_project_that_was_deleted_are_told_by_its_organization() {
    let (place, ledger) = Place::new();
    let instance = place.instance(&ledger);
    let project = wait(ledger.create_project(&instance, None, "short-lived")).expect("made");
    let first = place.project(&ledger, ledger.default_project_id());
    assert!(wait(ledger.unbind_role(&instance, Purpose::Host, &place.role, first.id)).expect("ended"));
    place.bind(&ledger, project.id);
    let host = place.host();
    host.append(&event(1, "alive")).expect("taken");
    place.drained();
    // It began before the deletion, and commits after it.
    host.run("BEGIN");
    host.append(&event(2, "gone")).expect("taken");
    wait(ledger.delete_resource(&instance, kind("project").expect("a kind"), project.id, None)).expect("deleted");
    host.run("COMMIT");
    place.until("the rejection is told", || place.owner.number(TOLD) == 1);
    assert_eq!(place.entries(project.id).len(), 1);
    let select = "SELECT project_id::text FROM audit.events WHERE action = 'audit.append_rejected'";
    let home: String = place.owner.rows(select, &[])[0].get(0);
    let home = place.project(&ledger, Uuid::try_parse(&home).expect("an id"));
    assert_eq!((home.system, home.organization_id), (true, project.organization_id));
    let rejected = place.events(&ledger, home.id, REJECTED);
    assert_eq!((&rejected[0]["reason"], &rejected[0]["content"]["extra"]["event"]["id"]), (&json!("project_deleted"), &json!(id(2))));
    place.verify();
}

/// What no program of ours encrypts to the key is not opened by chance.
#[test]
fn what_was_encrypted_to_another_key_does_not_open() {
    let (place, ledger) = Place::new();
    let other = indelible_core::hex::encode(&InboxKey::generate().expect("made").public().expect("bytes"));
    let sealed = format!("SELECT pgp_pub_encrypt_bytea('{{}}', '\\x{other}', 'cipher-algo=aes256, compress-algo=0')");
    let sealed: Vec<u8> = place.owner.rows(&sealed, &[])[0].get(0);
    let n = put(&place, &ledger.default_project_id().to_string(), &sealed, true);
    place.drained();
    assert_eq!(only(&place.events(&ledger, ledger.default_project_id(), REJECTED), n)["reason"], "the event does not open");
}
