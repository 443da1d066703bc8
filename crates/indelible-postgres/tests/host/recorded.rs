//! What is committed is recorded as it was said, whichever driver took it.

use std::time::{Duration, UNIX_EPOCH};

use indelible_postgres::{
    Actor, ActorType, Body, Content, Decision, Event, Grant, Http, Link, Model, Outcome, OutcomeDetail, Phase, Principal, PrincipalType,
    Provisioning, ProvisioningPath, Request, Resource, Run, Scope, Usage,
};
use serde_json::{Value, json};

use crate::driver::{Driver, Work};
use crate::place::Place;

/// An event with every member that there is.
fn full() -> Event {
    let http = Http::new().attempts(2).latency_ms(15).method("POST").request_bytes(4).request_truncated(false);
    let http = http.response_bytes(2).response_truncated(false).status(201).url("https://example.com/a");
    let request = Request::new().api_key_id("k-1").auth_method("oidc").request_id("r-1").source_ip("192.0.2.1");
    let request = request.span_id("0123456789abcdef").trace_id("0123456789abcdef0123456789abcdef").user_agent("browser");
    let run = Run::new().id("run-1").parent_id("run-0").procedure_id("p").procedure_version("2").step(3).thread_id("t").verdict("passed");
    let usage = Usage::new().cache_read_tokens(1).cost_micros(2).currency("EUR").input_tokens(3).output_tokens(4).reasoning_tokens(5);
    let content = Content::new().before_state(json!({"n": 1})).after_state(json!({"n": 2})).arguments(json!([1.5, null])).result(true);
    let content = content.output("out").error(Value::Null).messages([json!({"role": "user", "content": "ü"})]).extra(json!({"deep": [[]]}));
    let content = content.request(Body::new().header("accept", "a").header("accept", "b").body("text")).response(Body::new().body("{}"));
    Event::new("account.transfer", Actor::agent("a-1").display("A 1").on_behalf_of("alice"), Outcome::Partial)
        .chain([Link::new(ActorType::Human, "alice").display("Alice"), Link::new(ActorType::ServiceAccount, "s")])
        .on(Resource::new("account", "7").parent("bank-1"))
        .action_category("money")
        .cascade_root_id("bulk-1")
        .channel("api")
        .content(content)
        .context("tool", "t")
        .context("framework", "")
        .decision(Decision::new("permit").engine("e").policy_id("p").policy_version("1").rules(["r1", "r2"]))
        .duration_ms(12)
        .grant(Grant::new("g-1").kind("oauth").provider("p"))
        .http(http)
        .model(Model::new("m-1").provider("p"))
        .occurred_at(UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001))
        .operation_id("o-1")
        .outcome_detail(OutcomeDetail::NoOp)
        .phase(Phase::Outcome)
        .pii_classes(["name"])
        .principal(Principal::new(PrincipalType::User, "bob"))
        .provisioning(Provisioning::new(ProvisioningPath::Scim).sync_run_id("s-1"))
        .reason("because")
        .request(request)
        .run(run)
        .scope(Scope::new("team", "t-1"))
        .subjects(["bob"])
        .usage(usage)
}

/// Whatever `said` says is in `record`. Of a body the ledger keeps the text beside its size and digest.
fn holds(record: &Value, said: &Value, at: &str) {
    match (record, said) {
        (Value::Object(record), Value::Object(said)) => {
            for (name, value) in said {
                holds(record.get(name).unwrap_or(&Value::Null), value, &format!("{at}/{name}"));
            }
        }
        _ if at.ends_with("/body") => assert_eq!(&record["text"], said, "{at}"),
        _ => assert_eq!(record, said, "{at}"),
    }
}

#[test]
fn what_commits_is_recorded_as_it_was_said_and_what_rolls_back_is_not() {
    let (place, ledger) = Place::new();
    place.owner.run(&format!("CREATE TABLE own (n integer); GRANT ALL ON own TO {}", place.role));
    let mut committed = Vec::new();
    for mut driver in Driver::both(&place, &place.role) {
        let own = "INSERT INTO own VALUES (1)";
        let (never, always) = (full(), full());
        driver.run(&Work { own, event: Some(&never), rolls_back: true, ..Work::default() }).expect("taken");
        let id = driver.run(&Work { own, event: Some(&always), ..Work::default() }).expect("taken");
        assert_eq!(id, Some(always.id()));
        committed.push(always);
    }
    place.drained();
    assert_eq!(place.owner.number("SELECT count(*) FROM own"), 2);
    let records = place.events(&ledger, ledger.default_project_id(), r#"action eq "account.transfer""#);
    assert_eq!(records.len(), 2, "{records:?}");
    for (record, event) in records.iter().zip(&committed) {
        assert_eq!(record["assurance"], "transactional");
        holds(record, &serde_json::to_value(event).expect("JSON"), "");
    }
    place.verify();
}

#[test]
fn one_event_through_both_drivers_and_once_more_is_recorded_once() {
    let (place, ledger) = Place::new();
    let event = full();
    for mut driver in Driver::both(&place, &place.role) {
        for _ in 0..2 {
            let id = driver.run(&Work { event: Some(&event), ..Work::default() }).expect("taken");
            assert_eq!(id, Some(event.id()));
        }
    }
    place.drained();
    // A text that differed in one byte would be another event under the same id, and be rejected.
    let ids: Vec<_> = place.entries(ledger.default_project_id()).iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!(ids, [json!(event.id())]);
    assert_eq!(place.events(&ledger, ledger.default_project_id(), r#"action eq "audit.append_rejected""#), [json!(null); 0]);
}
