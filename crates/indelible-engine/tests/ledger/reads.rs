//! Asking: what comes back, what is recorded of it, and what one tenant cannot learn of another.

use std::collections::BTreeMap;
use std::sync::Arc;

use indelible_core::event::{Source, Submission};
use indelible_core::json::{self, Value};
use indelible_core::verify::Verdict;
use indelible_engine::access::{Caller, Envelope, KeyKind, Owner, Scope};
use indelible_engine::query::{Feed, Opening, Page, ReadError, Search};
use indelible_engine::resource::{NewApiKey, Project};

use crate::bench::{Bench, event, id, wait};
use crate::clock::Turned;

fn search(filter: &str) -> Search {
    Search { filter: (!filter.is_empty()).then(|| filter.to_owned()), ..Search::default() }
}

fn opening() -> Opening {
    Opening { content: true, purpose: Some("an incident".to_owned()) }
}

fn find(bench: &Bench, asked: Search) -> Result<Page, ReadError> {
    wait(bench.ledger.search(&bench.admin(), &bench.project(), asked))
}

fn parsed(record: &[u8]) -> Value<'static> {
    json::parse(record).unwrap_or_else(|fault| panic!("{fault}: {}", String::from_utf8_lossy(record))).into_owned()
}

fn text<'v>(value: &'v Value<'static>, path: &[&str]) -> &'v str {
    path.iter().try_fold(value, |value, name| value.get(name)).and_then(Value::as_str).unwrap_or_default()
}

/// The newest event of the project, found by looking for it, which leaves a newer one.
fn newest(bench: &Bench, filter: &str) -> Value<'static> {
    parsed(find(bench, Search { limit: Some(1), ..search(filter) }).expect("a page").records.first().expect("an event"))
}

#[test]
fn what_was_appended_is_found_at_once_and_each_read_is_recorded() {
    let bench = Bench::new();
    bench.append(&(0..20).map(|n| event(n, "hello")).collect::<Vec<_>>()).expect("appended");
    let page = find(&bench, search(r#"action eq "test.step""#)).expect("a page");
    assert_eq!(page.records.len(), 20);
    let record = parsed(&page.records[0]);
    assert_eq!(text(&record, &["row_hash"]).len(), 64);
    assert!(record.get("content").is_none() && record.get("sealed").is_some());
    let read = newest(&bench, r#"action eq "audit.read""#);
    assert_eq!(text(&read, &["read", "filter"]), r#"action eq "test.step""#);
    assert_eq!(read.get("read").and_then(|read| read.get("returned")).and_then(Value::as_integer), Some(20));
    assert_eq!(page.indexed_through, record_sequence(&read).map(|sequence| sequence - 1));
    bench.verify();
}

fn record_sequence(record: &Value<'_>) -> Option<u64> {
    record.get("sequence").and_then(Value::as_integer).map(i64::unsigned_abs)
}

#[test]
fn opened_content_leaves_an_event_a_record_and_needs_scope_and_purpose() {
    let bench = Bench::new();
    bench.append(&(0..3).map(|n| event(n, "what was said")).collect::<Vec<_>>()).expect("appended");
    let page = find(&bench, Search { opening: opening(), ..search(r#"action eq "test.step""#) }).expect("a page");
    assert!(page.records.iter().all(|record| text(&parsed(record), &["content", "arguments", "text"]) == "what was said"));
    let opened = find(&bench, search(r#"action eq "content.decrypt" and decrypt.purpose eq "an incident""#)).expect("a page");
    let mut ids: Vec<String> = opened.records.iter().map(|record| text(&parsed(record), &["decrypt", "record_id"]).to_owned()).collect();
    ids.sort();
    assert_eq!(ids, (0..3).map(|n| id(n).to_string()).collect::<Vec<_>>());

    let one = wait(bench.ledger.event(&bench.admin(), &bench.project(), id(1), opening())).expect("an event");
    assert_eq!(text(&parsed(&one), &["content", "arguments", "text"]), "what was said");
    let without = Opening { content: true, purpose: None };
    assert!(matches!(find(&bench, Search { opening: without, ..search("") }), Err(ReadError::Purpose(_))));
    assert_eq!(text(&newest(&bench, r#"action eq "audit.read" and outcome eq "error""#), &["reason"]), "opening content needs a purpose");

    let reader = key(&bench, &bench.project(), &[Scope::AuditRead]);
    let asked = Search { opening: opening(), ..search("") };
    let refused = wait(bench.ledger.search(&reader, &bench.project(), asked));
    assert_eq!(refused.expect_err("refused"), ReadError::Forbidden("content:decrypt".to_owned()));
    assert_eq!(text(&newest(&bench, r#"action eq "audit.read" and outcome eq "deny""#), &["reason"]), "the key lacks content:decrypt");
}

fn key(bench: &Bench, project: &Project, scopes: &[Scope]) -> Caller {
    let new = NewApiKey {
        name: "reader".to_owned(),
        owner: Owner::Project(project.id),
        kind: KeyKind::Application,
        scopes: scopes.to_vec(),
        expires_at: None,
    };
    let (_, secret) = wait(bench.ledger.create_api_key(&bench.instance(), new)).expect("a key");
    bench.ledger.authenticate(Some(&secret), Envelope::default()).expect("recognised")
}

#[test]
fn reads_that_fail_say_why_and_are_recorded() {
    let bench = Bench::new();
    bench.append(&[event(1, "x")]).expect("appended");
    let cases = [
        (Search { cursor: Some("nonsense".to_owned()), ..search("") }, "the cursor does not belong to this query"),
        (Search { limit: Some(0), ..search("") }, "limit is 1 to 1000"),
        (Search { limit: Some(1_001), ..search("") }, "limit is 1 to 1000"),
        (search(r#"nothing.like.it eq "s3cret""#), "the filter is not valid"),
        (search("actor.id eq"), "the filter is not valid"),
        (Search { cursor: Some("x".to_owned()), feed: Some(Feed::Start), ..search("") }, "a feed goes on by after_sequence, not by cursor"),
    ];
    for (asked, reason) in cases {
        assert!(find(&bench, asked.clone()).is_err(), "{asked:?}");
        assert_eq!(text(&newest(&bench, r#"action eq "audit.read" and outcome eq "error""#), &["reason"]), reason);
    }
    let missing = wait(bench.ledger.event(&bench.admin(), &bench.project(), id(99), Opening::default()));
    assert_eq!(missing, Err(ReadError::NotFound("event")));
    let read = newest(&bench, r#"action eq "audit.read" and outcome eq "error""#);
    assert_eq!((text(&read, &["reason"]), text(&read, &["resource", "id"])), ("there is no such event", id(99).to_string().as_str()));
    let no_run = wait(bench.ledger.run(&bench.admin(), &bench.project(), "no such run", Opening::default()));
    assert_eq!(no_run, Err(ReadError::NotFound("run")));
}

#[test]
fn pages_go_on_with_their_cursor_and_no_other_filter() {
    let bench = Bench::new();
    bench.append(&(0..25).map(|n| event(n, "x")).collect::<Vec<_>>()).expect("appended");
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let asked = Search { limit: Some(10), cursor: cursor.take(), ..search(r#"action eq "test.step""#) };
        let page = find(&bench, asked).expect("a page");
        seen.extend(page.records.iter().map(|record| text(&parsed(record), &["id"]).to_owned()));
        let Some(next) = page.next_cursor else { break };
        let other = Search { cursor: Some(next.clone()), ..search(r#"action eq "test.other""#) };
        assert_eq!(find(&bench, other).expect_err("another filter"), ReadError::Cursor);
        cursor = Some(next);
    }
    let mut distinct = seen.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!((seen.len(), distinct.len()), (25, 25));
}

#[test]
fn two_projects_learn_nothing_of_each_other() {
    let bench = Bench::new();
    let ours = bench.project();
    let theirs = Arc::new(wait(bench.ledger.create_project(&bench.instance(), None, "theirs")).expect("a project"));
    let all = [Scope::AuditRead, Scope::ContentDecrypt, Scope::EventsAppend];
    let (us, them) = (key(&bench, &ours, &all), key(&bench, &theirs, &all));
    bench.append(&(0..30).map(|n| event(n, "ours")).collect::<Vec<_>>()).expect("appended");
    let submission = event(500, "theirs");
    let submission = Submission::parse(submission.as_bytes(), Source::Caller, id(500)).expect("read");
    let prepared = bench.ledger.prepare(&them, &theirs, "http", submission).expect("prepared");
    bench.ledger.append_blocking(vec![prepared]).expect("appended");

    // The other's volume shows neither in pages, nor in the feed, nor in indexed_through.
    let page = wait(bench.ledger.search(&them, &theirs, search(""))).expect("a page");
    for record in &page.records {
        assert_eq!(text(&parsed(record), &["project_id"]), theirs.id.to_string());
    }
    assert_eq!(page.indexed_through, Some(page.records.len() as u64 - 1));
    let feed = Search { feed: Some(Feed::Start), limit: Some(1_000), ..search("") };
    let feed = wait(bench.ledger.search(&them, &theirs, feed)).expect("a feed");
    let sequences: Vec<_> = feed.records.iter().map(|record| record_sequence(&parsed(record)).expect("a sequence")).collect();
    assert_eq!(sequences, (0..sequences.len() as u64).collect::<Vec<_>>());

    // A cursor, an id and a project of the other are as unknown as any.
    let cursor = wait(bench.ledger.search(&us, &ours, Search { limit: Some(5), ..search("") })).expect("a page").next_cursor;
    let asked = Search { cursor, ..search("") };
    assert_eq!(wait(bench.ledger.search(&them, &theirs, asked)).expect_err("a foreign cursor"), ReadError::Cursor);
    let foreign = wait(bench.ledger.event(&them, &theirs, id(1), Opening::default()));
    let unknown = wait(bench.ledger.event(&them, &theirs, id(777), Opening::default()));
    assert_eq!((&foreign, &unknown), (&Err(ReadError::NotFound("event")), &Err(ReadError::NotFound("event"))));
    let filter = format!(r#"id eq "{}""#, id(1));
    assert!(wait(bench.ledger.search(&them, &theirs, search(&filter))).expect("a page").records.is_empty());
    assert_eq!(wait(bench.ledger.search(&them, &ours, search(""))).expect_err("a foreign project"), ReadError::NotFound("project"));
    assert_eq!(wait(bench.ledger.verify_project(&them, &ours)).expect_err("a foreign project"), ReadError::NotFound("project"));
    assert_eq!(wait(bench.ledger.verify_event(&them, &theirs, id(1))).expect_err("a foreign event"), ReadError::NotFound("event"));
}

#[test]
fn a_feed_comes_to_rest_and_loses_nothing() {
    // Within a minute.
    let bench = Bench::with(|options| options.clock = Turned::new());
    let others = [key(&bench, &bench.project(), &[Scope::AuditRead]), key(&bench, &bench.project(), &[Scope::AuditRead])];
    bench.append(&(0..10).map(|n| event(n, "x")).collect::<Vec<_>>()).expect("appended");
    let (admin, project) = (bench.admin(), bench.project());
    let readers = [&admin, &others[0], &others[1]];
    let mut seen: [BTreeMap<u64, String>; 3] = Default::default();
    let mut after = [None; 3];
    let mut rows = 0;
    for round in 0..30 {
        for ((who, after), seen) in readers.iter().zip(&mut after).zip(&mut seen) {
            let feed = Some(after.map_or(Feed::Start, Feed::After));
            let page = wait(bench.ledger.search(who, &project, Search { feed, limit: Some(4), ..search("") })).expect("a page");
            for record in page.records.iter().map(|record| parsed(record)) {
                seen.insert(record_sequence(&record).expect("a sequence"), text(&record, &["action"]).to_owned());
            }
            *after = page.next_after_sequence;
        }
        match round {
            15 => drop(bench.append(&[event(100, "late")]).expect("appended")),
            20 => rows = bench.events(),
            _ => {}
        }
    }
    assert_eq!(bench.events(), rows, "readers who see nothing but each other's records leave no more");
    for (after, seen) in after.into_iter().zip(&seen) {
        assert_eq!(after, Some(rows - 1));
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), (0..rows).collect::<Vec<_>>());
    }
    // Each came, and each was told of the late event.
    for who in &readers {
        let key = who.api_key_id().expect("a key").to_string();
        let polls = search(&format!(r#"action eq "audit.read" and resource.type eq "audit_feed" and request.api_key_id eq "{key}""#));
        assert!(find(&bench, polls).expect("a page").records.len() >= 2);
    }
}

/// Polls that were not recorded by themselves are told when their reader stays away, or when the ledger closes.
#[test]
fn polls_that_were_counted_are_told_when_the_reader_goes_and_at_closing() {
    let turned = Turned::new();
    let clock = Arc::clone(&turned);
    let bench = Bench::with(move |options| options.clock = clock);
    bench.append(&[event(1, "x")]).expect("appended");
    let poll = |bench: &Bench, who: &Caller, after| {
        let asked = Search { feed: Some(Feed::After(after)), ..search("") };
        wait(bench.ledger.search(who, &bench.project(), asked)).expect("a page").records.len()
    };
    let last = bench.events() - 1;
    assert_eq!((0..4).map(|_| poll(&bench, &bench.admin(), last)).collect::<Vec<_>>(), [0, 1, 1, 1]);
    let other = key(&bench, &bench.project(), &[Scope::AuditRead]);
    let rows = bench.events();
    poll(&bench, &other, last);
    assert_eq!(bench.events(), rows + 1, "a reader who comes is recorded");
    poll(&bench, &bench.admin(), rows);
    poll(&bench, &other, rows);
    assert_eq!(bench.events(), rows + 1, "who reads nothing but another's record leaves none");
    // The admin stays away, the other does not.
    let told = r#"action eq "audit.read" and resource.type eq "audit_feed""#;
    turned.step(40, 40);
    poll(&bench, &other, rows);
    turned.step(25, 25);
    bench.append(&[event(2, "y")]).expect("appended");
    let mut gone = newest(&bench, told);
    for _ in 0..100 {
        if text(&gone, &["reason"]).starts_with('4') {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        gone = newest(&bench, told);
    }
    assert_eq!(text(&gone, &["reason"]), "4 further polls returned nothing but records of polls");
    let admin = bench.admin().api_key_id().map(|id| id.to_string());
    assert_eq!(Some(text(&gone, &["request", "api_key_id"])), admin.as_deref());
    turned.step(1, 1);
    let bench = bench.reopen_with(|options| options.clock = turned);
    let told = newest(&bench, told);
    assert_eq!(text(&told, &["reason"]), "2 further polls returned nothing but records of polls");
    assert_eq!(Some(text(&told, &["request", "api_key_id"])), other.api_key_id().map(|id| id.to_string()).as_deref());
    bench.verify();
}

/// Contents of more bytes than a page holds are read page by page, and what was not shown was not opened.
#[test]
fn a_page_of_large_contents_ends_early_and_goes_on() {
    let bench = Bench::new();
    let large = "a b ".repeat(15 * 256 * 1024);
    for n in 0..5 {
        bench.append(&[event(n, &large)]).expect("appended");
    }
    let asked = |cursor| Search { cursor, opening: opening(), ..search(r#"action eq "test.step""#) };
    let first = find(&bench, asked(None)).expect("a page");
    assert_eq!(first.records.len(), 4);
    let opened = find(&bench, search(r#"action eq "content.decrypt""#)).expect("a page");
    assert_eq!(opened.records.len(), 4);
    let second = find(&bench, asked(first.next_cursor)).expect("a page");
    assert_eq!((second.records.len(), second.next_cursor), (1, None));
    let feed = |feed| Search { feed: Some(feed), ..asked(None) };
    let first = find(&bench, feed(Feed::Start)).expect("a page");
    let second = find(&bench, feed(Feed::After(first.next_after_sequence.expect("a sequence")))).expect("a page");
    assert_eq!((first.records.len(), second.records.len()), (4, 1));
}

fn append_run(bench: &Bench) {
    let events = [
        r#"{"action":"run.start","outcome":"allow","run":{"id":"r1","thread_id":"t1","procedure_id":"refund","procedure_version":"3"},"occurred_at":"2026-01-01T00:00:00Z"}"#,
        r#"{"action":"model.invoke","outcome":"allow","run":{"id":"r1","thread_id":"t1","step":1},"usage":{"input_tokens":100,"output_tokens":20,"cost_micros":500,"currency":"EUR"},"occurred_at":"2026-01-01T00:00:01Z"}"#,
        r#"{"action":"tool.call","phase":"intent","operation_id":"op-1","run":{"id":"r1","thread_id":"t1","step":2},"context":{"tool":"mail","tool_call_id":"c1"},"content":{"arguments":{"to":"alice"}},"occurred_at":"2026-01-01T00:00:02Z"}"#,
        r#"{"action":"tool.result","phase":"outcome","operation_id":"op-1","outcome":"allow","run":{"id":"r1","thread_id":"t1","step":3},"context":{"tool":"mail","tool_call_id":"c1"},"content":{"result":"sent"},"occurred_at":"2026-01-01T00:00:04Z"}"#,
        r#"{"action":"tool.call","phase":"intent","operation_id":"op-2","run":{"id":"r1","thread_id":"t1","step":4},"context":{"tool":"pay","tool_call_id":"c1"},"occurred_at":"2026-01-01T00:00:05Z"}"#,
        r#"{"action":"approval.request","outcome":"allow","operation_id":"ask-1","run":{"id":"r1","thread_id":"t1","step":5},"occurred_at":"2026-01-01T00:00:06Z"}"#,
        r#"{"action":"approval.decide","outcome":"deny","operation_id":"ask-1","run":{"id":"r1","thread_id":"t1","step":6},"occurred_at":"2026-01-01T00:00:07Z"}"#,
        r#"{"action":"model.invoke","outcome":"allow","run":{"id":"r2","parent_id":"r1","thread_id":"t1","step":1},"usage":{"input_tokens":7},"occurred_at":"2026-01-01T00:00:08Z"}"#,
        r#"{"action":"run.finish","outcome":"partial","run":{"id":"r1","thread_id":"t1","step":9,"verdict":"failed"},"usage":{"input_tokens":100},"occurred_at":"2026-01-01T00:00:09Z"}"#,
    ];
    let events: Vec<String> =
        events.iter().rev().map(|event| format!(r#"{{"actor":{{"type":"agent","id":"bot"}},{}"#, &event[1..])).collect();
    bench.append(&events).expect("appended");
}

#[test]
fn a_run_is_one_record_and_a_conversation_holds_its_runs() {
    let bench = Bench::new();
    append_run(&bench);
    let run = parsed(&wait(bench.ledger.run(&bench.admin(), &bench.project(), "r1", opening())).expect("a run"));
    let list = |name: &str| run.get(name).and_then(Value::as_array).expect("a list").to_vec();
    let actions: Vec<_> = list("steps").iter().map(|step| text(step, &["action"]).to_owned()).collect();
    let wanted =
        ["run.start", "model.invoke", "tool.call", "tool.result", "tool.call", "approval.request", "approval.decide", "run.finish"];
    assert_eq!(actions, wanted, "events came in backwards");
    for (path, wanted) in [
        (&["status"][..], "finished"),
        (&["verdict"], "failed"),
        (&["outcome"], "partial"),
        (&["thread_id"], "t1"),
        (&["procedure", "id"], "refund"),
        (&["procedure", "version"], "3"),
        (&["started_at"], "2026-01-01T00:00:00.000000Z"),
        (&["finished_at"], "2026-01-01T00:00:09.000000Z"),
    ] {
        assert_eq!(text(&run, path), wanted, "{path:?}");
    }
    let number =
        |value: &Value<'static>, path: &[&str]| path.iter().try_fold(value, |value, name| value.get(name)).and_then(Value::as_integer);
    assert_eq!(number(&run, &["duration_ms"]), Some(9_000));
    assert_eq!(number(&run, &["usage", "input_tokens"]), Some(100), "the total that the end reports is not added to its parts");
    let calls = list("tool_calls");
    assert_eq!(text(&calls[0], &["call", "content", "arguments", "to"]), "alice");
    assert_eq!(text(&calls[0], &["result", "content", "result"]), "sent");
    assert_eq!(number(&calls[0], &["duration_ms"]), Some(2_000));
    assert!(calls.len() == 2 && calls[1].get("result").is_none());
    assert_eq!(text(&list("approvals")[0], &["decided"]), "deny");
    assert_eq!(text(&list("open_intents")[0], &["operation_id"]), "op-2");
    let below = list("subagents");
    assert_eq!((below.len(), text(&below[0], &["run_id"]), number(&below[0], &["usage", "input_tokens"])), (1, "r2", Some(7)));
    assert_eq!(find(&bench, search(r#"action eq "content.decrypt""#)).expect("a page").records.len(), 2);

    let conversation = wait(bench.ledger.conversation(&bench.admin(), &bench.project(), "t1", Opening::default()));
    let conversation = parsed(&conversation.expect("a conversation"));
    let events = conversation.get("events").and_then(Value::as_array).expect("events");
    assert_eq!(events.len(), 9);
    assert!(events.is_sorted_by_key(|event| text(event, &["occurred_at"])));
    let runs = conversation.get("runs").and_then(Value::as_array).expect("runs");
    assert_eq!(runs.iter().map(|run| text(run, &["run_id"])).collect::<Vec<_>>(), ["r1", "r2"]);
}

#[test]
fn events_and_projects_verify_and_the_index_can_be_built_anew() {
    let bench = Bench::new();
    bench.append(&(0..600).map(|n| event(n, "x")).collect::<Vec<_>>()).expect("appended");
    for n in [0, 1, 255, 599] {
        let verified = wait(bench.ledger.verify_event(&bench.admin(), &bench.project(), id(n))).expect("verified");
        assert!(verified.valid && verified.verdict == Verdict::Unanchored && verified.findings.is_empty(), "{verified:?}");
        assert_eq!((verified.anchored, verified.anchor), (false, None));
    }
    wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed");
    bench.append(&[event(600, "x")]).expect("appended");
    wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed");
    for (n, anchor) in [(0, 0), (255, 0), (599, 0), (600, 1)] {
        let verified = wait(bench.ledger.verify_event(&bench.admin(), &bench.project(), id(n))).expect("verified");
        assert!(verified.valid && verified.verdict == Verdict::Intact && verified.findings.is_empty(), "{verified:?}");
        assert_eq!((verified.anchored, verified.anchor), (true, Some(anchor)), "{n}");
    }
    let mut last = (0, 0);
    let rows = bench.ledger.rebuild_index(&mut |done, of| last = (done, of)).expect("built");
    assert!(rows > 600 && last == (rows, rows), "{rows} {last:?}");
    assert_eq!(find(&bench, Search { limit: Some(1_000), ..search(r#"action eq "test.step""#) }).expect("a page").records.len(), 601);
    let report = wait(bench.ledger.verify_project(&bench.admin(), &bench.project())).expect("verified");
    assert_eq!((report.verdict, report.findings.len()), (Verdict::Unanchored, 0), "{report:?}");
    assert!(report.unanchored > 0 && report.unanchored < 20, "only what was read since: {report:?}");
    let read = newest(&bench, r#"resource.type eq "verification""#);
    assert!(text(&read, &["reason"]).starts_with("unanchored"), "{}", text(&read, &["reason"]));
    let bench = bench.reopen();
    std::fs::remove_file(bench.data().join("index.db")).expect("removed");
    let bench = bench.reopen();
    assert_eq!(find(&bench, Search { limit: Some(1_000), ..search(r#"action eq "test.step""#) }).expect("a page").records.len(), 601);
    bench.verify();
}
