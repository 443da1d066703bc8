//! Which step of a run answers which: tool calls and their results, approvals and their decisions, sub-agents' beginnings and ends.
//!
//! By `operation_id`, or by whatever else both ends are named by. One name may be used more than once in a run: the earliest that awaits an
//! answer gets it.

use std::collections::{HashMap, HashSet, VecDeque};

use indelible_core::json::{Object, Value};
use indelible_core::time::Timestamp;

use super::tally::{Step, Usage};

/// A step and the one that answers it, by place in the list; either may be missing.
#[derive(Clone, Copy)]
struct Pair {
    first: Option<usize>,
    answer: Option<usize>,
}

/// Members beside `operation_id` that name both ends.
type Names = &'static [(&'static str, &'static str)];

const OF_CALLS: Names = &[("context", "tool_call_id")];
const OF_APPROVALS: Names = &[("resource", "id"), ("context", "tool_call_id")];
const OF_SUBAGENTS: Names = &[("context", "tool_call_id"), ("request", "span_id"), ("resource", "id")];

/// A name under which an answer may come: the run, which member, whether the step that awaits it has an `operation_id`, and the value.
type Name<'s> = (&'s str, usize, bool, &'s str);

/// Pairs of one sort.
struct Pairs<'s> {
    names: Names,
    /// Two that each have an `operation_id`, and not the same, may be a pair by another name.
    loosely: bool,
    all: Vec<Pair>,
    waiting: HashMap<Name<'s>, VecDeque<usize>>,
    answered: HashSet<usize>,
}

impl<'s> Pairs<'s> {
    fn new(names: Names, loosely: bool) -> Self {
        Self { names, loosely, all: Vec::new(), waiting: HashMap::new(), answered: HashSet::new() }
    }

    /// The names of a step: which of [`Self::names`], and its value. One without any is named by that.
    fn of(&self, step: &'s Step) -> Vec<(usize, &'s str)> {
        let others = self.names.iter().enumerate().filter_map(|(at, (outer, inner))| Some((at + 1, step.text(outer, inner)?)));
        let mut names: Vec<_> = step.text("operation_id", "").map(|id| (0, id)).into_iter().chain(others).collect();
        if names.is_empty() {
            names.push((0, ""));
        }
        names
    }

    fn begins(&mut self, at: usize, step: &'s Step) {
        let operation = step.text("operation_id", "").is_some();
        for (name, value) in self.of(step) {
            self.waiting.entry((run_of(step), name, operation, value)).or_default().push_back(self.all.len());
        }
        self.all.push(Pair { first: Some(at), answer: None });
    }

    /// Says whether something awaited this step.
    fn ends(&mut self, at: usize, step: &'s Step) -> bool {
        let operation = step.text("operation_id", "").is_some();
        for (name, value) in self.of(step) {
            // Of two that might be meant, one that is named by nothing else.
            let either = if name == 0 { [operation, operation] } else { [false, true] };
            for theirs in either.into_iter().filter(|theirs| name == 0 || self.loosely || !(operation && *theirs)) {
                let Some(waiting) = self.waiting.get_mut(&(run_of(step), name, theirs, value)) else { continue };
                while let Some(pair) = waiting.pop_front() {
                    if self.answered.insert(pair) {
                        self.all[pair].answer = Some(at);
                        return true;
                    }
                }
            }
        }
        false
    }

    /// A step that answers something, or stands for itself.
    fn ends_or_stands(&mut self, at: usize, step: &'s Step) {
        if !self.ends(at, step) {
            self.all.push(Pair { first: None, answer: Some(at) });
        }
    }
}

fn run_of(step: &Step) -> &str {
    step.text("run", "id").unwrap_or_default()
}

/// All pairs of a run, or of the runs of a conversation.
pub(super) struct Joined {
    calls: Vec<Pair>,
    approvals: Vec<Pair>,
    subagents: Vec<Pair>,
}

impl Joined {
    pub(super) fn of(steps: &[Step]) -> Self {
        let (mut calls, mut approvals) = (Pairs::new(OF_CALLS, true), Pairs::new(OF_APPROVALS, false));
        let mut subagents = Pairs::new(OF_SUBAGENTS, false);
        for (at, step) in steps.iter().enumerate() {
            match step.action() {
                "tool.call" if step.text("phase", "") != Some("outcome") => calls.begins(at, step),
                // A result without a call stands in the steps alone.
                "tool.result" | "tool.call" => {
                    calls.ends(at, step);
                }
                "approval.request" => approvals.begins(at, step),
                "approval.decide" => approvals.ends_or_stands(at, step),
                "subagent.start" => subagents.begins(at, step),
                "subagent.finish" => subagents.ends_or_stands(at, step),
                _ => {}
            }
        }
        Self { calls: calls.all, approvals: approvals.all, subagents: subagents.all }
    }

    /// The steps that are answered, under whatever name.
    pub(super) fn answered<'s>(&self, steps: &'s [Step]) -> impl Iterator<Item = &'s Step> {
        let all = [&self.calls, &self.approvals, &self.subagents].into_iter().flatten();
        all.filter(|pair| pair.answer.is_some()).filter_map(|pair| steps.get(pair.first?))
    }

    pub(super) fn tool_calls(&self, steps: &[Step], shown: &[Value<'static>]) -> Value<'static> {
        let calls = self.calls.iter().filter_map(|pair| {
            let call = pair.first?;
            let mut joined = Object::new();
            for name in ["tool_call_id", "tool"] {
                if let Some(text) = steps[call].text("context", name) {
                    joined.insert(name, Value::string(text.to_owned()));
                }
            }
            joined.insert("call", brief(&shown[call]));
            if let Some(result) = pair.answer {
                joined.insert("result", brief(&shown[result]));
                joined.insert("duration_ms", Value::integer(took(&steps[call], &steps[result])));
            }
            Some(Value::Object(joined))
        });
        Value::Array(calls.collect())
    }

    pub(super) fn approvals(&self, steps: &[Step], shown: &[Value<'static>]) -> Value<'static> {
        let approvals = self.approvals.iter().map(|pair| {
            let mut joined = Object::new();
            if let Some(request) = pair.first {
                joined.insert("request", brief(&shown[request]));
            }
            if let Some(decision) = pair.answer {
                joined.insert("decision", brief(&shown[decision]));
                let decided = steps[decision].text("decision", "decision").or_else(|| steps[decision].text("outcome", ""));
                if let Some(decided) = decided {
                    joined.insert("decided", Value::string(decided.to_owned()));
                }
            }
            joined.insert("open", Value::Bool(pair.answer.is_none()));
            Value::Object(joined)
        });
        Value::Array(approvals.collect())
    }

    /// Sub-agents that the run's own steps tell of. `shown` are the steps as they are shown.
    pub(super) fn subagents(&self, steps: &[Step], shown: &[Value<'static>]) -> Vec<Subagent> {
        let subagents = self.subagents.iter().map(|pair| {
            let (start, finish) = (pair.first.map(|at| &steps[at]), pair.answer.map(|at| &steps[at]));
            let text = |outer, inner| [start, finish].into_iter().flatten().find_map(|step| step.text(outer, inner)).map(str::to_owned);
            let names = [text("resource", "id"), text("operation_id", "")];
            let mut record = Object::new();
            let agent = names[0].clone().or_else(|| text("context", "agent_name"));
            let outcome = finish.and_then(|finish| finish.text("outcome", "")).map(str::to_owned);
            let when = |step: Option<&Step>| Some(Timestamp::from_micros(step?.found.key.occurred_at)?.to_string());
            let status = Some(if finish.is_some() { "finished" } else { "open" }.to_owned());
            for (name, value) in
                [("agent", agent), ("status", status), ("outcome", outcome), ("started_at", when(start)), ("finished_at", when(finish))]
            {
                if let Some(value) = value {
                    record.insert(name, Value::string(value));
                }
            }
            if let Some((start, finish)) = start.zip(finish) {
                record.insert("duration_ms", Value::integer(took(start, finish)));
            }
            if let Some(usage) = finish.or(start).map(Usage::of) {
                record.insert("usage", usage.value());
            }
            for (name, at) in [("start", pair.first), ("finish", pair.answer)] {
                if let Some(at) = at {
                    record.insert(name, brief(&shown[at]));
                }
            }
            Subagent { names, record }
        });
        subagents.collect()
    }
}

/// A sub-agent that the steps of a run tell of.
pub(super) struct Subagent {
    names: [Option<String>; 2],
    /// As it is shown.
    pub(super) record: Object<'static>,
}

impl Subagent {
    /// Whether it may be the run of this id, which has events of its own.
    pub(super) fn is_run(&self, run_id: &str) -> bool {
        self.names.iter().flatten().any(|name| name == run_id)
    }
}

/// How long it took: what the end says, or the time between, in milliseconds.
fn took(first: &Step, answer: &Step) -> i64 {
    let waited = answer.found.key.occurred_at - first.found.key.occurred_at;
    answer.integer("duration_ms", "").unwrap_or(waited.max(0) / 1_000)
}

/// A step as it stands in a joined pair: who, when, how it ended, and its content; the rest is in `steps`.
fn brief(step: &Value<'static>) -> Value<'static> {
    const KEPT: [&str; 9] = ["actor", "content", "content_error", "id", "occurred_at", "outcome", "outcome_detail", "reason", "sequence"];
    let mut brief = Object::new();
    for name in KEPT {
        if let Some(value) = step.get(name) {
            brief.insert(name, value.clone());
        }
    }
    Value::Object(brief)
}
