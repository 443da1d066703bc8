//! One agent run as one record: its steps in order, calls joined with their results, requests with their decisions,
//! sub-agents below it, and what it adds up to.

use std::collections::{HashMap, HashSet, VecDeque};

use indelible_core::filter::Filter;
use indelible_core::json::{self, Object, Value};

use super::feed::each_ascending;
use super::open::Opened;
use super::reading::{Account, HeadMark, Lane, Reading};
use super::tally::{Step, Tally, in_order};
use super::{Opening, ReadError};
use crate::access::Caller;
use crate::ledger::Ledger;
use crate::resource::Project;

/// Steps of one run that are shown; more are counted.
const STEPS_MAX: usize = 20_000;
/// Bytes of their entries that are shown.
const STEPS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Sub-agent runs below one run, at any depth.
const SUBAGENTS_MAX: usize = 1_000;
/// Sub-agents below each other.
const SUBAGENT_DEPTH_MAX: usize = 16;
/// Contents opened for one record: how many, and their bytes in all.
const OPENED_MAX: usize = 5_000;
/// See [`OPENED_MAX`].
const OPENED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Members that are the same in every step, or of no use in it.
const LEFT_OUT: [&str; 4] = ["hmac_key_id", "organization_id", "project_id", "schema_version"];

impl Ledger {
    /// One run as one record, as JSON.
    pub async fn run(&self, caller: &Caller, project: &Project, run_id: &str, opening: Opening) -> Result<Vec<u8>, ReadError> {
        let mut reading = Reading::new(caller, project, "run", run_id, &opening);
        reading.filter = Some(equals("run.id", run_id));
        let run_id = run_id.to_owned();
        self.read(reading, move |lane, account| assemble(lane, &run_id, account)).await
    }
}

/// The filter by which one attribute has one value.
pub(crate) fn equals(attribute: &str, value: &str) -> String {
    let mut text = format!("{attribute} eq ").into_bytes();
    json::write_string(value, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// What matched, as much of it as is shown, and how much there was.
pub(crate) struct Matched {
    pub(crate) steps: Vec<Step>,
    pub(crate) tally: Tally,
}

/// Every event of which `attribute` is `value`.
pub(crate) fn matched(lane: &Lane<'_>, head: HeadMark, attribute: &str, value: &str, kept_max: usize) -> Result<Matched, ReadError> {
    let filter = Filter::parse(&equals(attribute, value)).map_err(ReadError::Filter)?;
    lane.scan(head, Some(&filter), |scan| {
        let (mut steps, mut tally, mut bytes) = (Vec::new(), Tally::default(), 0);
        each_ascending(scan, 0, &mut |found| {
            if let Some(step) = Step::read(found) {
                tally.add(&step);
                bytes += step.found.entry.len();
                if steps.len() < kept_max && bytes <= STEPS_BYTES_MAX {
                    steps.push(step);
                }
            }
            Ok(true)
        })?;
        Ok(Matched { steps, tally })
    })
}

fn assemble(lane: &Lane<'_>, run_id: &str, account: &mut Account) -> Result<Vec<u8>, ReadError> {
    let head = lane.head()?;
    let Matched { steps, tally } = matched(lane, head, "run.id", run_id, STEPS_MAX)?;
    if steps.is_empty() {
        return Err(ReadError::NotFound("run"));
    }
    let steps = in_order(steps);
    let mut record = Object::new();
    record.insert("run_id", Value::string(run_id.to_owned()));
    tally.write(&mut record);
    let joined = Joined::of(&steps);
    let mut budget = Budget::default();
    let shown = steps.iter().map(|step| show(lane, step, account, &mut budget)).collect::<Result<Vec<_>, _>>()?;
    account.returned = shown.len() as u64;
    record.insert("tool_calls", joined.tool_calls(&steps, &shown));
    record.insert("approvals", joined.approvals(&steps, &shown));
    let mut seen = HashSet::from([run_id.to_owned()]);
    record.insert("subagents", subagents(lane, head, run_id, &mut seen, 0)?);
    if tally.steps() > shown.len() as u64 {
        record.insert("steps_left_out", Value::integer((tally.steps() - shown.len() as u64) as i64));
    }
    record.insert("steps", Value::Array(shown));
    Ok(Value::Object(record).to_verbatim())
}

/// What is left to be opened for one record.
#[derive(Default)]
pub(crate) struct Budget {
    opened: usize,
    bytes: usize,
}

/// One event: its members, hashes aside, and its content where that is opened.
pub(crate) fn show(lane: &Lane<'_>, step: &Step, account: &mut Account, budget: &mut Budget) -> Result<Value<'static>, ReadError> {
    let mut shown = Object::new();
    for (name, value) in step.entry.as_object().into_iter().flat_map(Object::iter).filter(|(name, _)| !LEFT_OUT.contains(name)) {
        shown.insert(name.to_owned(), value.clone());
    }
    if budget.opened >= OPENED_MAX || budget.bytes >= OPENED_BYTES_MAX {
        if lane.reading.opening.content && step.entry.get("sealed").is_some() {
            shown.insert("content_error", Value::string("not opened: too many contents for one record; read the event by its id"));
        }
        return Ok(Value::Object(shown));
    }
    match lane.open(&step.found, account)? {
        Opened::None => {}
        Opened::Content(content) => {
            budget.opened += 1;
            budget.bytes += content.len();
            match json::parse(&content) {
                Ok(content) => shown.insert("content", content.into_owned()),
                Err(_) => shown.insert("content_error", Value::string("the content is not JSON")),
            };
        }
        Opened::Failed(reason) => {
            shown.insert("content_error", Value::string(reason));
        }
    }
    Ok(Value::Object(shown))
}

/// Which step answers which, by place in the list.
struct Joined {
    calls: Vec<(usize, Option<usize>)>,
    approvals: Vec<(Option<usize>, Option<usize>)>,
}

impl Joined {
    /// A result answers the earliest call of its id that has none: one id may be used more than once in a run.
    fn of(steps: &[Step]) -> Self {
        let (mut calls, mut approvals) = (Vec::new(), Vec::new());
        let mut open_calls: HashMap<&str, VecDeque<usize>> = HashMap::new();
        let mut open_requests: HashMap<&str, VecDeque<usize>> = HashMap::new();
        for (at, step) in steps.iter().enumerate() {
            let call_id = step.text("context", "tool_call_id");
            let asked = step.text("operation_id", "").or_else(|| step.text("resource", "id")).or(call_id);
            match step.action() {
                "tool.call" if step.text("phase", "") != Some("outcome") => {
                    if let Some(id) = call_id.or_else(|| step.text("operation_id", "")) {
                        open_calls.entry(id).or_default().push_back(calls.len());
                    }
                    calls.push((at, None));
                }
                "tool.result" | "tool.call" => {
                    let id = call_id.or_else(|| step.text("operation_id", ""));
                    if let Some(call) = id.and_then(|id| open_calls.get_mut(id)).and_then(VecDeque::pop_front) {
                        calls[call].1 = Some(at);
                    }
                }
                "approval.request" => {
                    open_requests.entry(asked.unwrap_or_default()).or_default().push_back(approvals.len());
                    approvals.push((Some(at), None));
                }
                "approval.decide" => match open_requests.get_mut(asked.unwrap_or_default()).and_then(VecDeque::pop_front) {
                    Some(request) => approvals[request].1 = Some(at),
                    None => approvals.push((None, Some(at))),
                },
                _ => {}
            }
        }
        Self { calls, approvals }
    }

    fn tool_calls(&self, steps: &[Step], shown: &[Value<'static>]) -> Value<'static> {
        let calls = self.calls.iter().map(|(call, result)| {
            let mut joined = Object::new();
            for name in ["tool_call_id", "tool"] {
                if let Some(text) = steps[*call].text("context", name) {
                    joined.insert(name, Value::string(text.to_owned()));
                }
            }
            joined.insert("call", brief(&shown[*call]));
            if let Some(result) = result {
                joined.insert("result", brief(&shown[*result]));
                let waited = steps[*result].found.key.occurred_at - steps[*call].found.key.occurred_at;
                joined.insert("duration_ms", Value::integer(steps[*result].integer("duration_ms", "").unwrap_or(waited.max(0) / 1_000)));
            }
            Value::Object(joined)
        });
        Value::Array(calls.collect())
    }

    fn approvals(&self, steps: &[Step], shown: &[Value<'static>]) -> Value<'static> {
        let approvals = self.approvals.iter().map(|(request, decision)| {
            let mut joined = Object::new();
            if let Some(request) = request {
                joined.insert("request", brief(&shown[*request]));
            }
            if let Some(decision) = decision {
                joined.insert("decision", brief(&shown[*decision]));
                let decided = steps[*decision].text("decision", "decision").or_else(|| steps[*decision].text("outcome", ""));
                if let Some(decided) = decided {
                    joined.insert("decided", Value::string(decided.to_owned()));
                }
            }
            joined.insert("open", Value::Bool(decision.is_none()));
            Value::Object(joined)
        });
        Value::Array(approvals.collect())
    }
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

/// The runs that name `run_id` as their parent, each with what it adds up to and its own sub-agents.
fn subagents(lane: &Lane<'_>, head: HeadMark, run_id: &str, seen: &mut HashSet<String>, depth: usize) -> Result<Value<'static>, ReadError> {
    let mut children = Vec::new();
    let mut summaries = Vec::new();
    for step in matched(lane, head, "run.parent_id", run_id, STEPS_MAX)?.steps {
        if let Some(child) = step.text("run", "id")
            && seen.len() <= SUBAGENTS_MAX
            && seen.insert(child.to_owned())
        {
            children.push(child.to_owned());
        }
    }
    for child in children {
        let mut summary = Object::new();
        summary.insert("run_id", Value::string(child.clone()));
        matched(lane, head, "run.id", &child, 0)?.tally.write(&mut summary);
        if depth < SUBAGENT_DEPTH_MAX {
            summary.insert("subagents", subagents(lane, head, &child, seen, depth + 1)?);
        }
        summaries.push(Value::Object(summary));
    }
    Ok(Value::Array(summaries))
}
