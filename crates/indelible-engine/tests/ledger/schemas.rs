//! Event schemas: what breaks one that is enforcing is refused, what breaks one that reports is stored, counted and told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indelible_core::event::{Source, Submission};
use indelible_core::fault::Fault;
use indelible_core::json::Value;
use indelible_engine::access::Owner;
use indelible_engine::append::{AppendError, Foreseen, Receipt};
use indelible_engine::faults::When;
use indelible_engine::query::Search;
use indelible_engine::resource::{Kind, MutateError, kind};
use uuid::Uuid;

use crate::bench::{Bench, wait};
use crate::resources::Struck;

const SCHEMA: &str =
    r#"{"properties":{"content":{"properties":{"arguments":{"properties":{"amount":{"type":"integer"}},"required":["amount"]}}}}}"#;

fn schemas() -> &'static Kind {
    kind("event_schema").expect("a kind")
}

fn make(bench: &Bench, owner: Owner, action: &str, schema: &str, mode: &str) -> Result<Uuid, MutateError> {
    let document = format!(r#"{{"action":"{action}","schema":{schema},"mode":"{mode}"}}"#);
    wait(bench.ledger.create_resource(&bench.instance(), schemas(), Some(owner), &document, None)).map(|done| done.kept.id)
}

fn here(bench: &Bench) -> Owner {
    Owner::Project(bench.ledger.default_project_id())
}

fn event(n: u64, action: &str, amount: &str) -> String {
    let id = crate::bench::id(n);
    let arguments = format!(r#"{{"amount":{amount}}}"#);
    format!(
        r#"{{"id":"{id}","action":"{action}","outcome":"allow","actor":{{"type":"human","id":"alice"}},"content":{{"arguments":{arguments}}}}}"#
    )
}

fn append(bench: &Bench, event: &str, path: &'static str) -> Result<Receipt, AppendError> {
    let submission = Submission::parse(event.as_bytes(), Source::Caller, bench.ledger.new_id()).expect("an event");
    let event = bench.ledger.prepare(&bench.admin(), &bench.project(), path, submission).expect("prepared");
    wait(bench.ledger.append(vec![event])).map(|receipts| receipts[0].clone())
}

fn refused(answer: Result<Receipt, AppendError>) -> Fault {
    match answer {
        Err(AppendError::Fault { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_breaks_an_enforcing_schema_is_refused_by_every_way_in_and_a_retry_is_not() {
    let bench = Bench::new();
    let before = append(&bench, &event(1, "invoice.pay", r#""S3cret""#), "http").expect("there is no schema yet");
    let id = make(&bench, here(&bench), "invoice.pay", SCHEMA, "enforcing").expect("made");
    for path in ["http", "import", "append"] {
        let fault = refused(append(&bench, &event(2, "invoice.pay", r#""S3cret""#), path));
        assert_eq!(fault.pointer, "/content/arguments/amount");
        assert_eq!(fault.message, format!("breaks `type` of event schema {id}, version 1"));
    }
    append(&bench, &event(3, "invoice.pay", "7"), "http").expect("it is as it should be");
    append(&bench, &event(4, "invoice.refund", r#""x""#), "http").expect("another action");
    let again = append(&bench, &event(1, "invoice.pay", r#""S3cret""#), "http").expect("it is there already");
    assert_eq!((again.duplicate, again.sequence), (true, before.sequence));
    let foreseen = |text: &str| {
        let event = bench.prepare(text).expect("prepared");
        bench.ledger.foresee_blocking(&[event], 0).expect("foreseen").remove(0)
    };
    assert_eq!(foreseen(&event(1, "invoice.pay", r#""S3cret""#)), Foreseen::Duplicate);
    assert!(matches!(foreseen(&event(2, "invoice.pay", r#""S3cret""#)), Foreseen::Fault(_)));
    let huge = event(5, "invoice.pay", "1e999");
    assert_eq!(refused(append(&bench, &huge, "http")).pointer, "/content");
    wait(bench.ledger.update_resource(&bench.admin(), schemas(), id, None, r#"{"mode":"report_only"}"#)).expect("changed");
    append(&bench, &event(2, "invoice.pay", r#""S3cret""#), "http").expect("stored");
    wait(bench.ledger.update_resource(&bench.admin(), schemas(), id, None, r#"{"mode":"enforcing"}"#)).expect("changed");
    let bench = bench.reopen();
    let fault = refused(append(&bench, &event(6, "invoice.pay", "null"), "http"));
    assert!(fault.message.ends_with("version 3"), "{fault}");
    wait(bench.ledger.delete_resource(&bench.admin(), schemas(), id, None)).expect("ended");
    append(&bench, &event(6, "invoice.pay", "null"), "http").expect("no schema any more");
    bench.verify();
}

#[test]
fn what_breaks_a_reporting_schema_is_stored_counted_once_and_told() {
    let bench = Bench::new();
    let organization = Owner::Organization(bench.project().organization_id);
    let wide = make(&bench, organization, "invoice.pay", r#"{"required":["reason"]}"#, "report_only").expect("made");
    let id = make(&bench, here(&bench), "invoice.pay", SCHEMA, "report_only").expect("made");
    for n in [1, 2, 2, 2] {
        append(&bench, &event(n, "invoice.pay", r#""S3cret""#), "http").expect("stored");
    }
    append(&bench, &event(3, "invoice.pay", "3"), "http").expect("stored");
    let figures = |id| bench.ledger.figures(schemas(), id);
    assert_eq!(
        (figures(id), figures(wide)),
        (vec![("violations", Value::integer(2))], vec![("violations", Value::integer(3))]),
        "a retry is none"
    );
    assert_eq!(bench.ledger.status().schema_violations_total, 5);
    let bench = bench.reopen();
    let search = Search { filter: Some(r#"action eq "event_schema.violation""#.to_owned()), ..Search::default() };
    let page = wait(bench.ledger.search(&bench.admin(), &bench.project(), search)).expect("a page");
    let mut told: Vec<String> = page.records.iter().map(|record| String::from_utf8_lossy(record).into_owned()).collect();
    told.sort_by_key(|record| !record.contains(&id.to_string()));
    assert_eq!(told.len(), 2, "one for each schema: {told:?}");
    assert!(told[0].contains(r#""context":{"pointer":"/content/arguments/amount","schema_version":"1","violations":"2"}"#), "{told:?}");
    assert!(told[1].contains(&wide.to_string()) && told[1].contains(r#""pointer":"/reason""#) && told[1].contains(r#""violations":"3""#));
    assert!(told.iter().all(|record| !record.contains("S3cret")));
    bench.verify();
}

/// A minute later, or when the ledger closes.
#[test]
fn breaches_that_could_not_be_recorded_are_told_all_the_same() {
    for closes in [false, true] {
        let clock = crate::clock::Turned::new();
        let faults = Arc::new(Struck { when: When::Before, armed: AtomicBool::new(false) });
        let bench = Bench::with(|options| {
            options.clock = Arc::<crate::clock::Turned>::clone(&clock);
            options.faults = Some(Arc::<Struck>::clone(&faults));
        });
        make(&bench, here(&bench), "invoice.pay", SCHEMA, "report_only").expect("made");
        append(&bench, &event(1, "invoice.pay", r#""three""#), "http").expect("stored");
        let until = |what: &str, holds: &dyn Fn() -> bool| {
            let began = Instant::now();
            while !holds() {
                assert!(began.elapsed() < Duration::from_secs(30), "{what}");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let failed = bench.ledger.status().commit_failures_total;
        faults.armed.store(true, Ordering::SeqCst);
        clock.step(61, 61);
        bench.append(&[crate::bench::event(2, "beside")]).expect_err("struck");
        until("the record is tried", &|| bench.ledger.status().commit_failures_total >= failed + 2);
        faults.armed.store(false, Ordering::SeqCst);
        let search = || Search { filter: Some(r#"action eq "event_schema.violation""#.to_owned()), ..Search::default() };
        let told = |bench: &Bench| wait(bench.ledger.search(&bench.admin(), &bench.project(), search())).expect("a page").records;
        if !closes {
            clock.step(61, 61);
            bench.append(&[crate::bench::event(2, "beside")]).expect("no fault");
            until("it is told", &|| told(&bench).len() == 1);
        }
        let told = told(&bench.reopen_with(|options| options.clock = clock));
        assert_eq!(told.len(), 1, "closes: {closes}");
        assert!(String::from_utf8_lossy(&told[0]).contains(r#""violations":"1""#), "{told:?}");
    }
}

#[test]
fn schemas_are_checked_and_events_of_the_engine_need_none() {
    let bench = Bench::new();
    let made = |action: &str, schema: &str| make(&bench, here(&bench), action, schema, "enforcing");
    let pointer = |error: MutateError| match error {
        MutateError::Fault(fault) => fault.pointer,
        other => other.to_string(),
    };
    assert_eq!(pointer(made("a.b", r#"{"properties":{"a":{"type":"strin"}}}"#).expect_err("refused")), "/schema/properties/a/type");
    assert_eq!(pointer(made("a.b", r#"{"$ref":"https://x.example/"}"#).expect_err("refused")), "/schema/$ref");
    assert_eq!(pointer(made("a.b", "7").expect_err("refused")), "/schema");
    assert_eq!(pointer(made("a", "{}").expect_err("refused")), "/action");
    assert_eq!(pointer(made("audit.read", r#"{"not":{}}"#).expect_err("refused")), "/action");
    made("halt.issue", r#"{"not":{}}"#).expect("made");
    assert_eq!(made("halt.issue", "{}"), Err(MutateError::Conflict("this action has a schema already: change that one")));
    let halt = kind("halt").expect("a kind");
    wait(bench.ledger.create_resource(&bench.admin(), halt, None, halt.example, None)).expect("the engine's own event is as it is");
    let text = r#"{"action":"halt.issue","outcome":"allow","actor":{"type":"human","id":"alice"}}"#;
    assert_eq!(refused(append(&bench, text, "http")).pointer, "");
}

#[test]
fn what_would_take_too_many_steps_is_refused_or_counted_and_not_checked() {
    let bench = Bench::new();
    let all = vec!["{}"; 2_000].join(",");
    let schema = format!(r#"{{"properties":{{"content":{{"properties":{{"output":{{"items":{{"allOf":[{all}]}}}}}}}}}}}}"#);
    make(&bench, here(&bench), "list.strict", &schema, "enforcing").expect("made");
    let id = make(&bench, here(&bench), "list.loose", &schema, "report_only").expect("made");
    let list = |n: u64, action: &str, items: usize| {
        let items = vec!["1"; items].join(",");
        event(n, action, "1").replace("\"arguments\":{\"amount\":1}", &format!(r#""output":[{items}]"#))
    };
    append(&bench, &list(1, "list.strict", 9_000), "http").expect("not too many");
    let fault = refused(append(&bench, &list(2, "list.strict", 200_000), "http"));
    assert!(fault.pointer.is_empty() && fault.message.contains("20000000 steps"), "{fault}");
    append(&bench, &list(3, "list.loose", 200_000), "http").expect("it only reports");
    assert_eq!(bench.ledger.figures(schemas(), id), [("violations", Value::integer(1))]);
}
