//! Redaction rules of projects and organizations: in force from their acknowledgement on, whichever way an event comes, and never weaker
//! than what is built in.

use indelible_core::event::{Source, Submission};
use indelible_engine::access::{Caller, Envelope, KeyKind, Owner, Scope};
use indelible_engine::query::{Opening, Search};
use indelible_engine::resource::{Kind, MutateError, NewApiKey, Project, kind};

use crate::bench::{Bench, wait};

fn rules() -> &'static Kind {
    kind("redaction_rule").expect("a kind")
}

fn make(bench: &Bench, owner: Option<Owner>, rule: &str) -> Result<uuid::Uuid, MutateError> {
    wait(bench.ledger.create_resource(&bench.instance(), rules(), owner.or(Some(here(bench))), rule, None)).map(|done| done.kept.id)
}

fn here(bench: &Bench) -> Owner {
    Owner::Project(bench.ledger.default_project_id())
}

fn key(bench: &Bench, project: &Project) -> Caller {
    let new = NewApiKey {
        name: "n".to_owned(),
        owner: Owner::Project(project.id),
        kind: KeyKind::Application,
        scopes: Scope::ALL.to_vec(),
        expires_at: None,
    };
    let (_, text) = wait(bench.ledger.create_api_key(&bench.instance(), new)).expect("made");
    bench.ledger.authenticate(Some(&text), Envelope::default()).expect("a key")
}

/// Hands an event in and gives it back opened, as text.
fn through(bench: &Bench, caller: &Caller, project: &Project, path: &'static str, members: &str) -> String {
    let id = bench.ledger.new_id();
    let text = format!(r#"{{"id":"{id}","outcome":"allow","actor":{{"type":"human","id":"alice"}},{members}}}"#);
    let submission = Submission::parse(text.as_bytes(), Source::Caller, id).expect("an event");
    let event = bench.ledger.prepare(caller, project, path, submission).expect("prepared");
    wait(bench.ledger.append(vec![event])).expect("appended");
    let opening = Opening { content: true, purpose: Some("a test".to_owned()) };
    let search = Search { filter: Some(format!("id eq \"{id}\"")), opening, ..Search::default() };
    let page = wait(bench.ledger.search(caller, project, search)).expect("a page");
    String::from_utf8(page.records[0].clone()).expect("UTF-8")
}

#[test]
fn a_rule_is_in_force_from_its_acknowledgement_until_its_end_whichever_way_an_event_comes() {
    let bench = Bench::new();
    let (admin, project) = (bench.admin(), bench.project());
    let other = wait(bench.ledger.create_project(&bench.instance(), None, "other")).expect("made");
    let them = key(&bench, &other);
    let event = r#""action":"crm.update","content":{"arguments":{"Iban_No":"S3cret","password":"S3cret2"},"output":"{\"ibanNo\":\"S3cret\"}"},"context":{"iban.no":"S3cret"}"#;
    assert_eq!(through(&bench, &admin, &project, "http", event).matches("S3cret").count(), 3);
    let id = make(&bench, None, r#"{"name":"iban_no","action":"exclude"}"#).expect("made");
    for path in ["http", "import", "append"] {
        let stored = through(&bench, &admin, &project, path, event);
        assert!(!stored.contains("S3cret") && !stored.to_lowercase().contains("iban"), "{path}: {stored}");
        assert_eq!(through(&bench, &them, &other, path, event).matches("S3cret").count(), 3, "no rule of theirs");
    }
    let bench = bench.reopen();
    assert!(!through(&bench, &bench.admin(), &project, "http", event).contains("S3cret"), "after a restart too");
    wait(bench.ledger.update_resource(&bench.admin(), rules(), id, None, r#"{"action":"hmac"}"#)).expect("changed");
    let stored = through(&bench, &bench.admin(), &project, "http", event);
    assert!(!stored.contains("S3cret") && stored.matches("hmac-sha256:").count() == 3, "{stored}");
    wait(bench.ledger.delete_resource(&bench.admin(), rules(), id, None)).expect("ended");
    assert_eq!(through(&bench, &bench.admin(), &project, "http", event).matches("S3cret").count(), 3);
    bench.verify();
}

#[test]
fn rules_of_an_organization_count_in_its_projects_beside_their_own_and_narrow_ones_where_they_are_meant() {
    let bench = Bench::new();
    let (admin, project) = (bench.admin(), bench.project());
    let organization = Owner::Organization(project.organization_id);
    make(&bench, Some(organization), r#"{"path":"/arguments/*/ssn","action":"redact"}"#).expect("made");
    make(&bench, None, r#"{"path":"/context/city","base":"event","action":"exclude"}"#).expect("made");
    make(&bench, None, r#"{"name":"note","action":"exclude","categories":["health"],"actions":["crm.update"]}"#).expect("made");
    let event = |action: &str| {
        let content = r#""content":{"arguments":{"people":{"ssn":"S3cret"},"list":[{"ssn":"kept, for it is an item"}],"note":"N0te"}}"#;
        format!(r#"{action},{content},"context":{{"city":"S3cret"}}"#)
    };
    for (action, narrow) in [
        (r#""action":"invoice.pay""#, false),
        (r#""action":"crm.update""#, true),
        (r#""action":"health.read""#, true),
        (r#""action":"health.read","action_category":"other""#, true),
        (r#""action":"invoice.pay","action_category":"health""#, true),
    ] {
        let stored = through(&bench, &admin, &project, "http", &event(action));
        assert!(!stored.contains("S3cret") && stored.contains("kept") && stored.contains("[REDACTED]"), "{stored}");
        assert_eq!(stored.contains("N0te"), !narrow, "{action}");
    }
    let other = wait(bench.ledger.create_project(&bench.instance(), None, "other")).expect("made");
    let stored = through(&bench, &key(&bench, &other), &other, "http", &event(r#""action":"health.read""#));
    assert!(stored.contains("[REDACTED]") && stored.contains(r#""city":"S3cret""#) && stored.contains("N0te"), "{stored}");
}

#[test]
fn no_rule_weakens_what_is_built_in_nor_hides_what_verification_needs() {
    let bench = Bench::new();
    let (admin, project) = (bench.admin(), bench.project());
    for name in ["token", "password", "authorization", "document", "reason", "subject"] {
        make(&bench, None, &format!(r#"{{"name":"{name}","action":"hmac"}}"#)).expect("made");
    }
    make(&bench, None, r#"{"path":"/context/*","base":"event","action":"exclude"}"#).expect("made");
    let event = r#""action":"crm.update","content":{"arguments":{"token":"S3cret","password":"S3cret"},"request":{"headers":{"Authorization":"Bearer S3cretS3cret1"}}}"#;
    let stored = through(&bench, &admin, &project, "http", event);
    assert!(!stored.contains("hmac-sha256") && !stored.contains("S3cret"), "{stored}");
}

/// Whoever may make rules must not be able to make what is done to the resources of the project unreadable.
#[test]
fn no_rule_blanks_what_events_of_resources_tell_but_rules_count_for_what_people_say() {
    let bench = Bench::new();
    let (admin, project) = (bench.admin(), bench.project());
    for name in ["document", "reason", "subject", "type"] {
        make(&bench, None, &format!(r#"{{"name":"{name}","action":"exclude"}}"#)).expect("made");
    }
    for path in ["/context/*", "/content/after_state", "/content/before_state/*", "/content/diff", "/content/arguments/context/city"] {
        make(&bench, None, &format!(r#"{{"path":"{path}","base":"event","action":"exclude"}}"#)).expect("made");
    }
    let halt = kind("halt").expect("a kind");
    let made = wait(bench.ledger.create_resource(&admin, halt, None, halt.example, None)).expect("made").kept;
    let budget = kind("budget").expect("a kind");
    let changed = wait(bench.ledger.create_resource(&admin, budget, None, budget.example, None)).expect("made").kept;
    wait(bench.ledger.update_resource(&admin, budget, changed.id, None, r#"{"limit_micros":7}"#)).expect("changed");
    let record = |filter: &str| {
        let opening = Opening { content: true, purpose: Some("a test".to_owned()) };
        let search = Search { filter: Some(filter.to_owned()), opening, ..Search::default() };
        let page = wait(bench.ledger.search(&admin, &project, search)).expect("a page");
        serde_json::from_slice::<serde_json::Value>(&page.records[0]).expect("JSON")
    };
    let record_of_halt = record(&format!("resource.id eq \"{}\" and action eq \"halt.issue\"", made.id));
    let after = &record_of_halt["content"]["after_state"];
    let said: serde_json::Value = serde_json::from_str(halt.example).expect("JSON");
    assert_eq!((&after["reason"], &after["subject"]), (&said["reason"], &said["subject"]), "{after}");
    assert!(record_of_halt["context"]["document"].is_string());
    let record_of_change = record(&format!("resource.id eq \"{}\" and action eq \"budget.update\"", changed.id));
    let content = &record_of_change["content"];
    assert_eq!((&content["before_state"]["limit_micros"], &content["after_state"]["limit_micros"]), (&25_000_000.into(), &7.into()));
    assert!(content["diff"].as_array().is_some_and(|diff| !diff.is_empty()), "{content}");
    // What somebody asks is theirs: their rules count for it.
    let question =
        r#"{"subject":{"type":"user","id":"u"},"action":{"name":"read"},"resource":{"type":"d","id":"1"},"context":{"city":"S3cret"}}"#;
    crate::decisions::decide(&bench, question);
    let decided = record(r#"action eq "policy.decision""#).to_string();
    assert!(!decided.contains("S3cret"), "{decided}");
    bench.reopen().verify();
}

#[test]
fn rules_that_are_none_are_refused_at_their_place() {
    let bench = Bench::new();
    let long = format!(r#"{{"name":"{}","action":"hmac"}}"#, "x".repeat(65));
    for (rule, pointer) in [
        (r#"{"action":"hmac"}"#, ""),
        (r#"{"name":"a","path":"/a","action":"hmac"}"#, ""),
        (r#"{"name":"_-.","action":"hmac"}"#, "/name"),
        (r#"{"name":"/a","action":"hmac"}"#, "/name"),
        (long.as_str(), "/name"),
        (r#"{"path":"a","action":"hmac"}"#, "/path"),
        (r#"{"path":"/a/~2","action":"hmac"}"#, "/path"),
        (r#"{"path":"/actor/id","base":"event","action":"hmac"}"#, "/path"),
        (r#"{"path":"/content","base":"event","action":"hmac"}"#, "/path"),
        (r#"{"path":"/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q","action":"hmac"}"#, "/path"),
        (r#"{"name":"a","action":"keep"}"#, "/action"),
        (r#"{"name":"a","action":"hmac","actions":["Pay"]}"#, "/actions/0"),
        (r#"{"name":"a","action":"hmac","categories":["a",""]}"#, "/categories/1"),
    ] {
        let error = make(&bench, None, rule).expect_err(rule);
        assert!(matches!(&error, MutateError::Fault(fault) if fault.pointer == pointer), "{rule}: {error:?}");
    }
    // Each fits, all together lead to too many places.
    let mut made = 0;
    let refused = loop {
        let path = format!("{}/a{}", "/*".repeat(made), "/*".repeat(14 - made));
        match make(&bench, None, &format!(r#"{{"path":"{path}","action":"hmac"}}"#)) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert!(made > 5 && matches!(&refused, MutateError::Fault(fault) if fault.pointer == "/path"), "{made} {refused:?}");
    let stored = through(&bench, &bench.admin(), &bench.project(), "http", r#""action":"a.b","content":{"output":1}"#);
    assert!(stored.contains("output"), "the ledger goes on");
}

/// What a filter compares with a secret is as secret in the record of the read.
#[test]
fn a_question_about_a_secret_is_recorded_without_it() {
    let bench = Bench::new();
    make(&bench, None, r#"{"name":"iban","action":"exclude","actions":["a.b"]}"#).expect("made");
    make(&bench, None, r#"{"path":"/context/city","base":"event","action":"hmac"}"#).expect("made");
    let filter = r#"context.iban eq "S3cret" or context.city sw "S3cret" or actor.id eq "bob""#;
    let search = Search { filter: Some(filter.to_owned()), ..Search::default() };
    wait(bench.ledger.search(&bench.admin(), &bench.project(), search)).expect("a page");
    let reads = Search { filter: Some(r#"action eq "audit.read""#.to_owned()), ..Search::default() };
    let page = wait(bench.ledger.search(&bench.admin(), &bench.project(), reads)).expect("a page");
    let record = String::from_utf8_lossy(&page.records[0]).into_owned();
    assert!(!record.contains("S3cret") && record.contains("bob") && record.contains("[REDACTED]"), "{record}");
}
