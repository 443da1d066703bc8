//! Agent runs, in the shapes in which agents and their benchmarks write them. The shape is told by the record:
//! `traj` is a chat run, `trajectory` a SWE-agent run, `spans` an OpenTelemetry trace, and a line with a `type`
//! one step of a coding-agent session.
//!
//! All become the same events: `run.start`, `model.invoke`, `tool.call` (an intent) with its `tool.result` (the outcome,
//! joined by `operation_id`), `subagent.*`, `run.finish`. `run.step` numbers them, since most shapes have no times.

mod chat;
mod session;
mod spans;
mod steps;
mod swe_agent;

use indelible_core::fault::Fault;
use indelible_core::json::Value;

use super::{Mapper, invalid};

/// The mapping of agent runs.
pub struct Trajectories {
    agent: Option<String>,
    session: Option<session::Session>,
}

impl Trajectories {
    /// A mapper for one file. `agent` names the agent of runs that do not name it themselves.
    pub fn new(agent: Option<&str>) -> Self {
        Self { agent: agent.map(str::to_owned), session: None }
    }

    fn agent(&self, otherwise: &'static str) -> String {
        self.agent.clone().unwrap_or_else(|| otherwise.to_owned())
    }
}

impl Mapper for Trajectories {
    fn record<'a>(&mut self, record: Value<'a>, number: u64) -> Result<Vec<Value<'a>>, Fault> {
        if record.get("traj").is_some() {
            return chat::map(record, &self.agent("chat-agent"));
        }
        if record.get("trajectory").is_some() {
            return swe_agent::map(record, &self.agent("swe-agent"));
        }
        if record.get("spans").is_some() {
            return spans::map(record, self.agent.as_deref());
        }
        if record.get("type").and_then(Value::as_str).is_some() {
            let agent = self.agent("coding-agent");
            return self.session.get_or_insert_with(|| session::Session::new(agent)).line(record, number);
        }
        Err(invalid("", "not an agent run of a known shape: neither traj, trajectory, spans nor a session line with a type"))
    }

    fn finish(&mut self) -> Vec<Value<'static>> {
        self.session.take().and_then(session::Session::finish).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::compose::text_at;
    use super::super::split::{Piece, Splitter};
    use super::*;
    use indelible_core::event::{Source, Submission};
    use indelible_core::json::parse;
    use uuid::Uuid;

    /// `step action tool` of every event that a file becomes, and the events.
    fn steps(file: &[u8]) -> (Vec<String>, Vec<Value<'static>>) {
        let mut mapper = Trajectories::new(None);
        let mut events = Vec::new();
        for (n, piece) in Splitter::new(file, &[]).enumerate() {
            let (_, Piece::Record(bytes)) = piece.expect("memory does not fail") else { panic!("record {n} is broken") };
            let made = mapper.record(parse(&bytes).expect("JSON"), n as u64).expect("maps");
            events.extend(made.into_iter().map(Value::into_owned));
        }
        events.extend(mapper.finish());
        let line = |event: &Value<'_>| {
            let get = |path: &[&str]| text_at(event, path).unwrap_or_default().to_owned();
            format!("{} {} {}", get(&["run", "step"]), get(&["action"]), get(&["context", "tool"])).trim_end().to_owned()
        };
        (events.iter().map(line).collect(), events)
    }

    fn sample(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out).expect("gzip");
        out
    }

    #[test]
    fn a_chat_run_becomes_steps_and_a_call_id_that_comes_twice_is_answered_in_order() {
        let run = br#"{"task_id":3,"trial":1,"reward":1.0,"info":{"task":{"user_id":"mia"}},"traj":[
            {"role":"system","content":"s"},{"role":"user","content":"u"},
            {"role":"assistant","content":null,"tool_calls":[{"id":"c","function":{"name":"first","arguments":"{\"a\":1}"}}]},
            {"role":"tool","tool_call_id":"c","name":"first","content":"Error: none"},
            {"role":"assistant","content":null,"tool_calls":[{"id":"c","function":{"name":"second","arguments":"x"}}]},
            {"role":"tool","tool_call_id":"c","name":"second","content":"{\"b\":2}"},
            {"role":"user","content":"bye"}]}"#;
        let (steps, events) = steps(run);
        assert_eq!(
            steps,
            [
                "0 run.start",
                "1 model.invoke",
                "2 tool.call first",
                "3 tool.result first",
                "4 model.invoke",
                "5 tool.call second",
                "6 tool.result second",
                "7 run.finish"
            ]
        );
        let get = |n: usize, path: &[&str]| text_at(&events[n], path).unwrap_or_default().to_owned();
        assert_eq!((get(2, &["operation_id"]), get(5, &["operation_id"])), (get(3, &["operation_id"]), get(6, &["operation_id"])));
        assert_ne!(get(2, &["operation_id"]), get(5, &["operation_id"]));
        assert_eq!(
            (get(3, &["outcome"]), get(3, &["reason"]), get(6, &["outcome"])),
            ("error".into(), "Error: none".into(), "allow".into())
        );
        assert_eq!((get(2, &["content", "arguments", "a"]), get(6, &["content", "result", "b"])), ("1".into(), "2".into()));
        assert_eq!((get(7, &["run", "verdict"]), get(1, &["principal", "id"])), ("pass".into(), "mia".into()));
        let seen =
            |n: usize| events[n].get("content").and_then(|content| content.get("messages")).and_then(Value::as_array).map(<[_]>::len);
        assert_eq!((seen(1), seen(4), seen(7)), (Some(2), Some(1), Some(2)));
    }

    #[test]
    fn a_swe_agent_run_becomes_steps() {
        let run = br#"{"run":"20240825_SWE-agent_gpt-4o","instance_id":"x-1","environment":"swe_main","trajectory":[
            {"thought":"t","action":"find_file \"X\" src\n","observation":"o","response":"r","state":"{\"working_dir\":\"/x\"}"},
            {"thought":"t","action":"","observation":"o","response":"r","state":"{\"working_dir\":\"/y\"}"}],
            "history":[{"role":"system","content":"s"},{"role":"assistant","content":"r"}],
            "info":{"exit_status":"submitted (exit_cost)","submission":"diff","model_stats":{"instance_cost":3.08,"tokens_sent":5,"tokens_received":6}}}"#;
        let (steps, events) = steps(run);
        assert_eq!(
            steps,
            ["0 run.start", "1 model.invoke", "2 tool.call find_file", "3 tool.result find_file", "4 model.invoke", "5 run.finish"]
        );
        let finish = &events[5];
        for (path, value) in [
            (&["outcome"][..], "partial"),
            (&["usage", "cost_micros"], "3080000"),
            (&["usage", "input_tokens"], "5"),
            (&["content", "output"], "diff"),
            (&["run", "procedure_id"], "x-1"),
        ] {
            assert_eq!(text_at(finish, path), Some(value), "{path:?}");
        }
        assert_eq!(text_at(&events[1], &["model", "id"]), Some("gpt-4o"));
        assert_eq!(text_at(&events[3], &["context", "working_dir"]), Some("/x"));
        for (path, value) in [
            (&["context", "working_dir"][..], "/y"),
            (&["content", "extra", "state", "working_dir"], "/y"),
            (&["content", "extra", "observation"], "o"),
            (&["content", "extra", "thought"], "t"),
        ] {
            assert_eq!(text_at(&events[4], path), Some(value), "a step without a command: {path:?}");
        }
    }

    #[test]
    fn a_session_becomes_one_run_with_its_tokens_and_cost() {
        let file = sample(include_bytes!("../../../demo/session.jsonl.gz"));
        let (steps, events) = steps(&file);
        assert_eq!(steps[0], "0 run.start");
        assert!(steps.last().expect("events").ends_with(" run.finish"));
        let run = text_at(&events[0], &["run", "id"]);
        assert_eq!(run, Some("ffae836b-9420-4060-ac13-7745215f90ff"));
        assert!(events.iter().all(|event| text_at(event, &["run", "id"]) == run));
        let calls = events.iter().filter(|event| text_at(event, &["action"]) == Some("tool.call"));
        let results: Vec<_> = events.iter().filter(|event| text_at(event, &["action"]) == Some("tool.result")).collect();
        for call in calls {
            let operation = text_at(call, &["operation_id"]);
            let result = results.iter().find(|result| text_at(result, &["operation_id"]) == operation).expect("every call has a result");
            assert_eq!(text_at(result, &["context", "tool"]), text_at(call, &["context", "tool"]));
        }
        let invoke = events.iter().find(|event| text_at(event, &["action"]) == Some("model.invoke")).expect("an answer");
        for (path, value) in [
            (&["usage", "input_tokens"][..], "2775"),
            (&["usage", "output_tokens"], "141"),
            (&["usage", "cost_micros"], "17400"),
            (&["usage", "currency"], "USD"),
            (&["model", "id"], "claude-opus-4-5"),
            (&["occurred_at"], "2025-12-08T22:41:09.389000Z"),
        ] {
            assert_eq!(text_at(invoke, path), Some(value), "{path:?}");
        }
    }

    #[test]
    fn session_lines_of_every_type_are_taken() {
        let file = br#"{"type":"message","timestamp":"2025-12-08T22:00:00Z","message":{"role":"bashExecution","command":"ls","output":"o","exitCode":2}}
{"type":"model_change","timestamp":"2025-12-08T22:00:01Z","provider":"p","modelId":"m"}
{"type":"thinking_level_change","timestamp":"2025-12-08T22:00:02Z","thinkingLevel":"low"}
{"type":"compaction","timestamp":"2025-12-08T22:00:03Z","summary":"s"}
{"type":"branchSummary","timestamp":"2025-12-08T22:00:03Z"}
{"type":"message","timestamp":"2025-12-08T22:00:04Z","message":{"role":"assistant","content":[],"stopReason":"aborted","model":"m"}}
"#;
        let (steps, events) = steps(file);
        assert_eq!(
            steps,
            [
                "0 run.start",
                "1 tool.call bash",
                "2 tool.result bash",
                "3 model.change",
                "4 thinking_level.change",
                "5 context.compact",
                "6 session.branch_summary",
                "7 model.invoke",
                "8 run.finish"
            ]
        );
        assert_eq!(text_at(&events[2], &["reason"]), Some("exit code 2"));
        assert_eq!(text_at(&events[1], &["actor", "type"]), Some("human"));
        assert_eq!(text_at(&events[7], &["outcome"]), Some("partial"));
        assert_eq!(text_at(&events[8], &["occurred_at"]), Some("2025-12-08T22:00:04.000000Z"));
    }

    #[test]
    fn a_session_that_names_no_model_is_events_all_the_same() {
        let file = br#"{"type":"session","id":"s","timestamp":"2025-12-08T22:00:00Z","provider":"p"}
{"type":"message","timestamp":"2025-12-08T22:00:01Z","message":{"role":"assistant","content":[],"provider":"p"}}
{"type":"thinking_level_change","timestamp":"2025-12-08T22:00:02Z","thinkingLevel":"low","provider":"p"}
"#;
        let (steps, events) = steps(file);
        assert_eq!(steps, ["0 run.start", "1 model.invoke", "2 thinking_level.change", "3 run.finish"]);
        for event in events {
            Submission::read(event, Source::Caller, Uuid::nil()).expect("a submission");
        }
    }

    #[test]
    fn a_trace_becomes_a_run_in_the_order_of_time() {
        let file = sample(include_bytes!("../../../demo/trace-tinyagent.json.gz"));
        let (steps, events) = steps(&file);
        assert_eq!(
            steps[..4],
            ["0 run.start", "1 model.invoke", "2 tool.call get_current_time", "3 tool.result get_current_time"],
            "{steps:?}"
        );
        assert!(steps.last().expect("events").ends_with(" run.finish"), "{steps:?}");
        let times: Vec<_> = events.iter().map(|event| text_at(event, &["occurred_at"]).expect("a time")).collect();
        assert!(times.is_sorted());
        let invoke = &events[1];
        for (path, value) in [
            (&["request", "trace_id"][..], "9707d5fd6d4a546d47757044c6127e04"),
            (&["model", "provider"], "mistral"),
            (&["usage", "input_tokens"], "328"),
            (&["usage", "cost_micros"], "38"),
            (&["duration_ms"], "342"),
            (&["actor", "id"], "any_agent"),
        ] {
            assert_eq!(text_at(invoke, path), Some(value), "{path:?}");
        }
        assert_eq!(text_at(&events[2], &["content", "arguments", "timezone"]), Some("America/New_York"));
    }

    #[test]
    fn every_sample_run_maps_to_the_same_ids_each_time() {
        for bytes in [
            &include_bytes!("../../../demo/chat-runs.jsonl.gz")[..],
            include_bytes!("../../../demo/session.jsonl.gz"),
            include_bytes!("../../../demo/trace-openai.json.gz"),
        ] {
            let file = sample(bytes);
            let ids = || steps(&file).1.iter().map(|event| text_at(event, &["id"]).expect("an id").to_owned()).collect::<Vec<_>>();
            let first = ids();
            assert_eq!(first, ids());
            let distinct: std::collections::HashSet<_> = first.iter().collect();
            assert_eq!(distinct.len(), first.len());
        }
    }

    #[test]
    fn what_is_not_a_run_is_refused() {
        for text in ["{}", "3", r#"{"traj":3}"#, r#"{"spans":[{}]}"#, r#"{"type":"message","message":{"role":"robot"}}"#] {
            assert!(Trajectories::new(None).record(parse(text.as_bytes()).expect("JSON"), 0).is_err(), "{text}");
        }
    }
}
