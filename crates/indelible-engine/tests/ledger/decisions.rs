//! Decisions: what decides, in which order, how it is recorded, and that the change which is told turns it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indelible_core::json;
use indelible_engine::access::{Caller, Envelope, KeyKind, Owner, Scope};
use indelible_engine::decide::{Change, DecideError, Decision, Questions};
use indelible_engine::faults::{Faults, When, Write};
use indelible_engine::query::{Opening, Search};
use indelible_engine::resource::{Kept, NewApiKey, kind};
use uuid::Uuid;

use crate::bench::{Bench, wait};

/// An agent that would call a tool in a run.
const CALL: &str = r#"{"subject":{"type":"agent","id":"agent-7","properties":{"groups":["ops"]}},"action":{"name":"tool.call"},
    "resource":{"type":"tool","id":"send_email"},"context":{"run_id":"run-1","model":"large-2","amount":9223372036854775807}}"#;

pub(crate) fn questions(text: &str) -> Questions {
    Questions::read(&json::parse(text.as_bytes()).expect("JSON")).expect("questions")
}

pub(crate) fn decide(bench: &Bench, text: &str) -> Decision {
    let decisions = wait(bench.ledger.decide(&bench.admin(), &bench.project(), &questions(text))).expect("decided");
    let [only] = &decisions[..] else { panic!("one") };
    only.clone()
}

pub(crate) fn make(bench: &Bench, owner: Option<Owner>, noun: &str, document: &str) -> Arc<Kept> {
    let kind = kind(noun).expect(noun);
    wait(bench.ledger.create_resource(&bench.instance(), kind, owner.or(Some(own(bench))), document, None)).expect(document).kept
}

fn own(bench: &Bench) -> Owner {
    Owner::Project(bench.ledger.default_project_id())
}

fn organization(bench: &Bench) -> Owner {
    Owner::Organization(bench.project().organization_id)
}

fn policy(bench: &Bench, text: &str) -> Arc<Kept> {
    let text = serde_json::Value::String(text.to_owned());
    make(bench, None, "policy", &format!(r#"{{"name":"p","text":{text}}}"#))
}

fn settings(bench: &Bench, patch: &str) {
    let kind = kind("project_settings").expect("a kind");
    wait(bench.ledger.update_resource(&bench.admin(), kind, bench.ledger.default_project_id(), None, patch)).expect("changed");
}

/// Does what a decision says would turn it.
fn apply(bench: &Bench, change: &Change) {
    let kind = kind(change.kind).expect("a kind");
    let caller = bench.instance();
    match (change.id, &change.document) {
        (Some(id), None) => drop(wait(bench.ledger.delete_resource(&caller, kind, id, None)).expect("ended")),
        (Some(id), Some(patch)) => drop(wait(bench.ledger.update_resource(&caller, kind, id, None, patch)).expect("changed")),
        (None, document) => drop(make(bench, None, change.kind, document.as_deref().expect("a document"))),
    }
}

/// That a decision is this, by this, and turns after what it says, and not before the last of it.
fn turns(bench: &Bench, text: &str, (allow, engine, changes): (bool, &str, &[&str])) -> Decision {
    let first = decide(bench, text);
    assert_eq!((first.decision, first.engine), (allow, engine), "{first:?}");
    assert_eq!(first.changes.iter().map(|change| change.action).collect::<Vec<_>>(), changes, "{first:?}");
    for change in &first.changes {
        let still = decide(bench, text);
        assert_eq!(still.decision, allow, "turned before {change:?}");
        apply(bench, change);
    }
    let last = decide(bench, text);
    assert_eq!(last.decision, !allow, "{first:?} {last:?}");
    first
}

/// The newest record of a decision, opened.
fn recorded(bench: &Bench) -> serde_json::Value {
    let opening = Opening { content: true, purpose: Some("a test".to_owned()) };
    let search = Search { filter: Some(r#"action eq "policy.decision""#.to_owned()), limit: Some(1), opening, ..Search::default() };
    let page = wait(bench.ledger.search(&bench.admin(), &bench.project(), search)).expect("a page");
    serde_json::from_slice(&page.records[0]).expect("JSON")
}

const PERMIT_ALL: &str = "permit (principal, action, resource);";

#[test]
fn a_halt_of_whatever_kind_denies_until_it_is_cleared() {
    for (subject, of_organization) in [
        (r#"{"type":"agent","id":"agent-7"}"#, false),
        (r#"{"type":"run","id":"run-1"}"#, false),
        (r#"{"type":"project"}"#, false),
        (r#"{"type":"agent","id":"agent-7"}"#, true),
        (r#"{"type":"organization"}"#, true),
    ] {
        let bench = Bench::new();
        policy(&bench, PERMIT_ALL);
        assert!(decide(&bench, CALL).decision);
        let owner = of_organization.then(|| organization(&bench));
        for other in [r#"{"type":"agent","id":"agent-8"}"#, r#"{"type":"run","id":"run-2"}"#] {
            make(&bench, None, "halt", &format!(r#"{{"subject":{other},"reason":"r"}}"#));
        }
        let halt = make(&bench, owner, "halt", &format!(r#"{{"subject":{subject},"reason":"it ran away"}}"#));
        let first = turns(&bench, CALL, (false, "halt", &["halt.clear"]));
        assert!(first.reason.contains("it ran away"), "{first:?}");
        assert_eq!(first.rules[0].to_string(), format!("halt:{}@1", halt.id));
    }
}

#[test]
fn a_forbid_overrides_a_permit_until_its_policy_is_disabled() {
    let bench = Bench::new();
    policy(&bench, PERMIT_ALL);
    let forbid =
        policy(&bench, "@id(\"no mail\")\nforbid (principal, action in Action::\"tool\", resource == Resource::\"tool/send_email\");");
    let first = turns(&bench, CALL, (false, "cedar", &["policy.update"]));
    assert_eq!(first.rules[0].to_string(), format!("policy:{}@1#no mail", forbid.id));
}

#[test]
fn a_permit_allows_until_its_policy_is_disabled() {
    let bench = Bench::new();
    policy(&bench, "permit (principal in Group::\"ops\", action, resource);");
    turns(&bench, CALL, (true, "cedar", &["policy.update"]));
    // Where the project allows by default, only a forbid turns it.
    settings(&bench, r#"{"default_decision":"allow"}"#);
    policy(&bench, PERMIT_ALL);
    turns(&bench, CALL, (true, "cedar", &["policy.create"]));
}

#[test]
fn the_default_decides_where_no_policy_does() {
    let bench = Bench::new();
    let first = turns(&bench, CALL, (false, "default", &["policy.create"]));
    assert_eq!(first.rules[0].to_string(), "default:deny");
    let bench = Bench::new();
    settings(&bench, r#"{"default_decision":"allow"}"#);
    turns(&bench, CALL, (true, "default", &["policy.create"]));
    // Whatever stands in the names, exactly what was asked is permitted, and nothing else.
    let bench = Bench::new();
    let odd = r#"{"subject":{"type":"robot","id":"a\"b\\c'?💥"},"action":{"name":"x y"},"resource":{"type":"t","id":"\"; forbid (principal, action, resource);"}}"#;
    turns(&bench, odd, (false, "default", &["policy.create"]));
    assert!(!decide(&bench, CALL).decision);
}

#[test]
fn a_policy_that_fails_denies_as_an_error_until_it_is_disabled() {
    let bench = Bench::new();
    policy(&bench, PERMIT_ALL);
    policy(
        &bench,
        "permit (principal, action, resource) when { context.numbers.hasTag(\"amount\") && context.numbers.getTag(\"amount\") + 1 > 0 };",
    );
    let first = turns(&bench, CALL, (false, "cedar", &["policy.update"]));
    assert_eq!(first.outcome, "error");
    assert!(decide(&bench, &CALL.replace("9223372036854775807", "1")).decision);
}

#[test]
fn everything_that_speaks_against_it_is_in_the_change() {
    let bench = Bench::new();
    make(&bench, None, "halt", r#"{"subject":{"type":"agent","id":"agent-7"},"reason":"r"}"#);
    make(&bench, None, "halt", r#"{"subject":{"type":"project"},"reason":"r"}"#);
    make(
        &bench,
        None,
        "budget",
        r#"{"name":"b","subject":{"type":"model","id":"large-2"},"period":"day","limit_micros":0,"currency":"USD"}"#,
    );
    // Its only permit goes with the forbid that is beside it.
    policy(&bench, &format!("{PERMIT_ALL}\nforbid (principal, action, resource);"));
    let changes = ["halt.clear", "halt.clear", "budget.update", "policy.update", "policy.create"];
    let first = turns(&bench, CALL, (false, "halt", &changes));
    assert_eq!(first.rules.len(), 2);
}

#[test]
fn a_project_that_looks_on_is_told_what_it_would_have_been() {
    let bench = Bench::new();
    settings(&bench, r#"{"enforcement":"shadow"}"#);
    let decision = decide(&bench, CALL);
    assert_eq!((decision.decision, decision.would_be, decision.shadow, decision.outcome), (true, false, true, "allow"));
    let event = recorded(&bench);
    assert_eq!(
        (&event["outcome"], &event["decision"]["decision"], &event["context"]["enforcement"]),
        (&"allow".into(), &"deny".into(), &"shadow".into())
    );
    policy(&bench, PERMIT_ALL);
    let decision = decide(&bench, CALL);
    assert!(decision.decision && decision.would_be && decision.shadow);
}

#[test]
fn a_decision_is_recorded_whole() {
    let bench = Bench::new();
    let kept = policy(&bench, PERMIT_ALL);
    let decision = decide(&bench, CALL);
    let event = recorded(&bench);
    assert_eq!(event["id"], decision.id.to_string());
    assert_eq!(
        (&event["action"], &event["outcome"], &event["assurance"]),
        (&"policy.decision".into(), &"allow".into(), &"transactional".into())
    );
    assert_eq!(event["actor"]["type"], "service_account");
    assert_eq!(event["principal"], serde_json::json!({"id": "agent-7", "type": "agent"}));
    assert_eq!(event["resource"], serde_json::json!({"id": "send_email", "type": "tool"}));
    assert_eq!(event["run"]["id"], "run-1");
    let rule = format!("policy:{}@1#1", kept.id);
    let expected = serde_json::json!({"decision": "allow", "engine": "cedar", "policy_id": kept.id.to_string(), "policy_version": "1", "rules": [rule]});
    assert_eq!(event["decision"], expected);
    assert_eq!((&event["context"]["action"], &event["context"]["subject_type"]), (&"tool.call".into(), &"agent".into()));
    let changes: serde_json::Value = serde_json::from_str(event["context"]["changes"].as_str().expect("text")).expect("JSON");
    assert_eq!(changes, serde_json::json!([{"action": "policy.update", "document": {"enabled": false}, "id": kept.id.to_string()}]));
    let reason = event["reason"].as_str().expect("a reason");
    assert!(reason.contains(&rule) && reason.ends_with(&format!("Denied after: disable policy {}", kept.id)), "{reason}");
    assert_eq!(event["content"]["arguments"]["context"]["run_id"], "run-1");
    assert_eq!(event["content"]["arguments"]["subject"]["groups"][0], "ops");
    bench.verify();
}

#[test]
fn many_questions_are_one_batch_and_end_where_they_are_to() {
    let bench = Bench::new();
    policy(&bench, "permit (principal, action, resource == Resource::\"doc/2\");");
    let ask = |semantic: &str| {
        let text = format!(
            r#"{{"subject":{{"type":"user","id":"alice"}},"action":{{"name":"read"}},"options":{{"evaluations_semantic":"{semantic}"}},
                "evaluations":[{{"resource":{{"type":"doc","id":"2"}}}},{{"resource":{{"type":"doc"}}}},{{"resource":{{"type":"doc","id":"2"}}}},
                {{"resource":{{"type":"doc","id":"3"}}}}]}}"#
        );
        let before = bench.ledger.status();
        let decisions = wait(bench.ledger.decide(&bench.admin(), &bench.project(), &questions(&text))).expect("decided");
        let after = bench.ledger.status();
        assert_eq!((after.rows - before.rows, after.commits_total - before.commits_total), (decisions.len() as u64, 1));
        decisions.iter().map(|decision| (decision.decision, decision.outcome)).collect::<Vec<_>>()
    };
    assert_eq!(ask("execute_all"), [(true, "allow"), (false, "error"), (true, "allow"), (false, "deny")]);
    assert_eq!(ask("deny_on_first_deny"), [(true, "allow"), (false, "error")]);
    assert_eq!(ask("permit_on_first_permit"), [(true, "allow")]);
    bench.verify();
}

/// Strikes every write of one kind while it is armed.
struct Always(AtomicBool, Write, When);

impl Faults for Always {
    fn strikes(&self, write: Write, when: When) -> bool {
        self.0.load(Ordering::SeqCst) && (self.1, self.2) == (write, when)
    }
}

#[test]
fn what_cannot_be_recorded_is_not_decided() {
    for (write, when) in
        [(Write::Event, When::Before), (Write::Content, When::After), (Write::Commit, When::Before), (Write::Commit, When::After)]
    {
        let faults = Arc::new(Always(AtomicBool::new(false), write, when));
        let bench = Bench::with(|options| options.faults = Some(Arc::<Always>::clone(&faults)));
        policy(&bench, PERMIT_ALL);
        faults.0.store(true, Ordering::SeqCst);
        let answer = wait(bench.ledger.decide(&bench.admin(), &bench.project(), &questions(CALL)));
        assert!(matches!(answer, Err(DecideError::Append(_))), "{write:?} {answer:?}");
        faults.0.store(false, Ordering::SeqCst);
        let mut after = wait(bench.ledger.decide(&bench.admin(), &bench.project(), &questions(CALL)));
        for _ in 0..40 {
            if after.is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
            after = wait(bench.ledger.decide(&bench.admin(), &bench.project(), &questions(CALL)));
        }
        assert!(after.expect("service resumes")[0].decision);
    }
}

fn key(bench: &Bench, project: Uuid, scopes: &[Scope]) -> Caller {
    let new = NewApiKey {
        name: "k".to_owned(),
        owner: Owner::Project(project),
        kind: KeyKind::Gateway,
        scopes: scopes.to_vec(),
        expires_at: None,
    };
    let (_, credential) = wait(bench.ledger.create_api_key(&bench.instance(), new)).expect("made");
    bench.ledger.authenticate(Some(&credential), Envelope::default()).expect("a key")
}

#[test]
fn two_tenants_decide_by_their_own_rules_and_who_may_not_ask_is_told() {
    let bench = Bench::new();
    let other = wait(bench.ledger.create_project(&bench.instance(), None, "other")).expect("made");
    let theirs = key(&bench, other.id, &[Scope::EventsAppend]);
    policy(&bench, PERMIT_ALL);
    let project = bench.ledger.project_of(&theirs, None).expect("their own");
    let first = bench.project();
    let ask = |caller: &Caller, project| wait(bench.ledger.decide(caller, project, &questions(CALL)));
    assert!(!ask(&theirs, &project).expect("decided")[0].decision, "a neighbour's permit is none");
    make(&bench, Some(Owner::Project(other.id)), "policy", &format!(r#"{{"name":"p","text":"{PERMIT_ALL}"}}"#));
    make(&bench, None, "halt", r#"{"subject":{"type":"agent","id":"agent-7"},"reason":"r"}"#);
    assert!(ask(&theirs, &project).expect("decided")[0].decision, "nor is a neighbour's halt one");
    assert!(!decide(&bench, CALL).decision);
    // A policy of the organization counts in all of its projects.
    make(&bench, Some(organization(&bench)), "policy", r#"{"name":"p","text":"forbid (principal, action, resource);"}"#);
    assert_eq!(ask(&theirs, &project).expect("decided")[0].engine, "cedar");
    let reader = key(&bench, bench.ledger.default_project_id(), &[Scope::AuditRead, Scope::ControlWrite]);
    assert!(matches!(ask(&reader, &first), Err(DecideError::Forbidden(_))));
    assert!(matches!(ask(&theirs, &first), Err(DecideError::Forbidden(_))));
    let event = recorded(&bench);
    assert_eq!((&event["outcome"], &event["reason"]), (&"deny".into(), &"the key lacks events:append".into()));
    bench.verify();
}

#[test]
fn a_change_counts_from_when_it_is_acknowledged() {
    let bench = Bench::new();
    let policies = kind("policy").expect("a kind");
    let kept = policy(&bench, PERMIT_ALL);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime");
    let stop = Arc::new(AtomicBool::new(false));
    runtime.block_on(async {
        // Others ask all the while, so that books are made while they change.
        let askers: Vec<_> = (0..3)
            .map(|_| {
                let (ledger, admin, project, stop) = (bench.ledger.clone(), bench.admin(), bench.project(), Arc::clone(&stop));
                tokio::spawn(async move {
                    while !stop.load(Ordering::SeqCst) {
                        ledger.decide(&admin, &project, &questions(CALL)).await.expect("decided");
                    }
                })
            })
            .collect();
        for n in 0..60_u64 {
            let patch = format!(r#"{{"enabled":{}}}"#, n % 2 == 1);
            bench.ledger.update_resource(&bench.admin(), policies, kept.id, None, &patch).await.expect("changed");
            let decision = bench.ledger.decide(&bench.admin(), &bench.project(), &questions(CALL)).await.expect("decided");
            assert_eq!(decision[0].decision, n % 2 == 1, "after change {n}");
        }
        stop.store(true, Ordering::SeqCst);
        for asker in askers {
            asker.await.expect("no panic");
        }
    });
    bench.verify();
}

#[test]
fn a_caller_records_decisions_of_its_own_as_before() {
    let bench = Bench::new();
    let event = r#"{"action":"policy.decision","outcome":"deny","actor":{"type":"service_account","id":"opa"},"decision":{"decision":"deny","engine":"opa"}}"#;
    bench.append(&[event.to_owned()]).expect("a caller records the decisions of its own engine");
    let event = recorded(&bench);
    assert_eq!((&event["assurance"], &event["decision"]["engine"]), (&"self_reported".into(), &"opa".into()));
}

#[test]
fn a_decision_about_long_names_is_recorded_with_the_whole_change() {
    let bench = Bench::new();
    let long = "\\\"".repeat(1_024);
    let text = format!(
        r#"{{"subject":{{"type":"device","id":"{long}"}},"action":{{"name":"{long}"}},"resource":{{"type":"t","id":"{long}"}},"context":{{"run_id":"{long}"}}}}"#
    );
    turns(&bench, &text, (false, "default", &["policy.create"]));
    let denied = decide(&bench, &text.replacen("device", "robot", 1));
    let event = recorded(&bench);
    assert_eq!(event["context"].get("changes"), None);
    let change = &event["content"]["extra"]["changes"][0];
    let document: serde_json::Value = serde_json::from_str(denied.changes[0].document.as_deref().expect("a document")).expect("JSON");
    assert_eq!((&change["action"], &change["document"]), (&"policy.create".into(), &document));
    bench.verify();
}
