//! What a run's record says of its sub-agents, its approvals and its usage, and what it leaves out.

use indelible_core::json::Value;
use indelible_engine::query::Opening;

use crate::bench::{Bench, wait};

fn append(bench: &Bench, events: &[String]) {
    let whole = |event: &String| format!(r#"{{"actor":{{"type":"agent","id":"bot"}},"outcome":"allow",{event}}}"#);
    let events: Vec<String> = events.iter().map(whole).collect();
    for batch in events.chunks(1_000) {
        bench.append(batch).expect("appended");
    }
}

fn parsed(record: &[u8]) -> Value<'static> {
    indelible_core::json::parse(record).expect("JSON").into_owned()
}

fn run(bench: &Bench, id: &str) -> Value<'static> {
    let opening = Opening { content: true, purpose: Some("a test".to_owned()) };
    parsed(&wait(bench.ledger.run(&bench.admin(), &bench.project(), id, opening)).expect("a run"))
}

fn list<'v>(value: &'v Value<'static>, name: &str) -> &'v [Value<'static>] {
    value.get(name).and_then(Value::as_array).expect(name)
}

fn at<'v>(value: &'v Value<'static>, path: &[&str]) -> Option<&'v Value<'static>> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

fn text<'v>(value: &'v Value<'static>, path: &[&str]) -> &'v str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value<'static>, path: &[&str]) -> Option<i64> {
    at(value, path).and_then(Value::as_integer)
}

fn time(second: u32) -> String {
    format!(r#""occurred_at":"2026-01-01T00:00:{second:02}Z""#)
}

#[test]
fn sub_agents_that_the_steps_tell_of_are_in_the_record() {
    let bench = Bench::new();
    let step = |second: u32, rest: &str| format!(r#"{},"run":{{"id":"r1","step":{second}}},{rest}"#, time(second));
    let events = [
        step(
            1,
            r#""action":"subagent.start","phase":"intent","operation_id":"op-1","resource":{"type":"agent","id":"reader"},"content":{"arguments":{"task":"read"}}"#,
        ),
        step(2, r#""action":"subagent.start","request":{"span_id":"00f067aa0ba902b7"},"resource":{"type":"agent","id":"writer"}"#),
        step(3, r#""action":"subagent.start","resource":{"type":"agent","id":"lost"}"#),
        step(
            4,
            r#""action":"subagent.finish","request":{"span_id":"00f067aa0ba902b7"},"resource":{"type":"agent","id":"writer"},"duration_ms":1500"#,
        ),
        step(
            6,
            r#""action":"subagent.finish","phase":"outcome","operation_id":"op-1","resource":{"type":"agent","id":"reader"},"usage":{"input_tokens":7},"content":{"output":"done"}"#,
        ),
        step(7, r#""action":"subagent.finish","resource":{"type":"agent","id":"never started"}"#),
        // A run of its own, of which the steps above tell as well: once in the record.
        step(8, r#""action":"subagent.start","resource":{"type":"run","id":"r2"}"#),
        step(9, r#""action":"subagent.finish","resource":{"type":"run","id":"r2"},"usage":{"input_tokens":3}"#),
        format!(r#"{},"action":"run.start","run":{{"id":"r2","parent_id":"r1"}}"#, time(8)),
        // Below that one, by its own steps.
        format!(r#"{},"action":"subagent.start","run":{{"id":"r2","step":1}},"resource":{{"type":"agent","id":"deeper"}}"#, time(8)),
    ];
    append(&bench, &events);
    let record = run(&bench, "r1");
    let below = list(&record, "subagents");
    let names: Vec<_> = below.iter().map(|agent| text(agent, &["agent"])).collect();
    assert_eq!(names, ["r2", "reader", "writer", "lost", "never started"]);
    let reader = &below[1];
    for (path, wanted) in [
        (&["status"][..], "finished"),
        (&["outcome"], "allow"),
        (&["started_at"], "2026-01-01T00:00:01.000000Z"),
        (&["finished_at"], "2026-01-01T00:00:06.000000Z"),
        (&["start", "content", "arguments", "task"], "read"),
        (&["finish", "content", "output"], "done"),
    ] {
        assert_eq!(text(reader, path), wanted, "{path:?}");
    }
    assert_eq!((number(reader, &["duration_ms"]), number(reader, &["usage", "input_tokens"])), (Some(5_000), Some(7)));
    assert_eq!(number(&below[2], &["duration_ms"]), Some(1_500), "joined by its span");
    assert_eq!((text(&below[3], &["status"]), at(&below[3], &["finish"])), ("open", None));
    assert_eq!((text(&below[4], &["status"]), at(&below[4], &["start"])), ("finished", None));
    assert_eq!((text(&below[0], &["run_id"]), number(&below[0], &["usage", "input_tokens"])), ("r2", Some(3)));
    assert_eq!(text(&list(&below[0], "subagents")[0], &["agent"]), "deeper");
    assert_eq!(at(&record, &["subagents_left_out"]), None);
}

#[test]
fn the_end_of_a_run_says_what_all_of_it_used() {
    let bench = Bench::new();
    let finish = |run: &str, tokens: u32| {
        format!(r#""action":"run.finish","run":{{"id":"{run}","thread_id":"t"}},"usage":{{"input_tokens":{tokens}}}"#)
    };
    let part = |run: &str| {
        format!(r#""action":"subagent.finish","run":{{"id":"{run}","thread_id":"t"}},"operation_id":"{run}","usage":{{"input_tokens":7}}"#)
    };
    append(&bench, &[part("r1"), finish("r1", 100), part("r2"), finish("r3", 20)]);
    let used = |id: &str| number(&run(&bench, id), &["usage", "input_tokens"]);
    assert_eq!((used("r1"), used("r2"), used("r3")), (Some(100), Some(7), Some(20)));
    let conversation = wait(bench.ledger.conversation(&bench.admin(), &bench.project(), "t", Opening::default())).expect("a conversation");
    assert_eq!(number(&parsed(&conversation), &["usage", "input_tokens"]), Some(120), "each run's whole");
}

/// What is shown as decided is not open as well.
#[test]
fn an_approval_that_is_joined_by_its_resource_is_no_open_intent() {
    let bench = Bench::new();
    let step = |second: u32, rest: &str| format!(r#"{},"run":{{"id":"r1","thread_id":"t","step":{second}}},{rest}"#, time(second));
    let resource = |id: &str| format!(r#""resource":{{"type":"payment","id":"{id}"}}"#);
    let events = [
        step(1, &format!(r#""action":"approval.request","phase":"intent","operation_id":"op-1",{}"#, resource("p1"))),
        step(2, &format!(r#""action":"approval.request","phase":"intent","operation_id":"op-2",{}"#, resource("p1"))),
        step(3, &format!(r#""action":"approval.decide",{},"decision":{{"decision":"allow"}}"#, resource("p1"))),
        // Of another operation: it decides neither.
        step(4, &format!(r#""action":"approval.decide","phase":"outcome","operation_id":"op-9",{}"#, resource("p1"))),
        step(5, r#""action":"tool.call","phase":"intent","operation_id":"op-3","context":{"tool_call_id":"c1"}"#),
        step(6, r#""action":"tool.result","context":{"tool_call_id":"c1"}"#),
        // The same name in another run of the conversation.
        format!(r#"{},"run":{{"id":"r2","thread_id":"t"}},"action":"approval.decide",{}"#, time(7), resource("p1")),
    ];
    append(&bench, &events);
    let record = run(&bench, "r1");
    let approvals: Vec<_> = list(&record, "approvals")
        .iter()
        .map(|pair| {
            (number(pair, &["request", "sequence"]).is_some(), at(pair, &["open"]) == Some(&Value::Bool(true)), text(pair, &["decided"]))
        })
        .collect();
    assert_eq!(approvals, [(true, false, "allow"), (true, true, ""), (false, false, "allow")]);
    let open = |record: &Value<'static>| {
        list(record, "open_intents").iter().map(|intent| text(intent, &["operation_id"]).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(open(&record), ["op-2"]);
    let conversation = wait(bench.ledger.conversation(&bench.admin(), &bench.project(), "t", Opening::default())).expect("a conversation");
    let conversation = parsed(&conversation);
    assert_eq!(open(&conversation), ["op-2"]);
    assert_eq!(open(&list(&conversation, "runs")[0]), ["op-2"]);
}

#[test]
fn sub_agents_that_are_left_out_are_counted() {
    let bench = Bench::new();
    let below = |run: &str, parent: &str| format!(r#""action":"run.start","run":{{"id":"{run}","parent_id":"{parent}"}}"#);
    let mut events: Vec<String> = (0..1_003).map(|n| below(&format!("w{n}"), "wide")).collect();
    // Each twice: what is left out is counted once.
    events.extend((0..1_003).map(|n| below(&format!("w{n}"), "wide")));
    events.push(r#""action":"run.start","run":{"id":"wide"}"#.to_owned());
    events.push(r#""action":"run.start","run":{"id":"d0"}"#.to_owned());
    events.extend((1..20).map(|n| below(&format!("d{n}"), &format!("d{}", n - 1))));
    append(&bench, &events);
    let wide = run(&bench, "wide");
    assert_eq!((list(&wide, "subagents").len(), number(&wide, &["subagents_left_out"])), (1_000, Some(3)));
    let deep = run(&bench, "d0");
    let mut depth = 0;
    let mut at_depth = &deep;
    while let Some(next) = list(at_depth, "subagents").first() {
        (depth, at_depth) = (depth + 1, next);
    }
    assert_eq!((depth, number(&deep, &["subagents_left_out"])), (16, Some(1)), "of what is below that one, nothing is known");
}
