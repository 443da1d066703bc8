//! One agent run as one record: its steps in order, calls joined with their results, requests with their decisions,
//! sub-agents below it, and what it adds up to.

use indelible_core::filter::Filter;
use indelible_core::json::{self, Object, Value};

use super::feed::each_ascending;
use super::joined::Joined;
use super::open::{Opened, PLACE};
use super::reading::{Account, HeadMark, Lane, Reading};
use super::subagents::Subagents;
use super::tally::{Step, Tally, in_order};
use super::{Opening, ReadError};
use crate::access::Caller;
use crate::ledger::Ledger;
use crate::resource::Project;

/// Steps of one run that are shown; more are counted.
const STEPS_MAX: usize = 20_000;
/// Bytes of their entries that are shown.
const STEPS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Contents opened for one record: how many, and their bytes in all.
const OPENED_MAX: usize = 5_000;
/// See [`OPENED_MAX`].
const OPENED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Members that are the same in every step, or of no use in it.
const LEFT_OUT: [&str; 4] = ["hmac_key_id", "organization_id", "project_id", "schema_version"];

impl Ledger {
    /// One run as one record, as JSON.
    pub async fn run(&self, caller: &Caller, project: &Project, run_id: &str, opening: Opening) -> Result<Vec<u8>, ReadError> {
        let mut reading = Reading::new(caller, project, "run", run_id, &opening).by_candidates();
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
    let Matched { steps, mut tally } = matched(lane, head, "run.id", run_id, STEPS_MAX)?;
    if steps.is_empty() {
        return Err(ReadError::NotFound("run"));
    }
    let steps = in_order(steps);
    let mut record = Object::new();
    record.insert("run_id", Value::string(run_id.to_owned()));
    let joined = Joined::of(&steps);
    joined.answered(&steps).for_each(|intent| tally.answered(intent));
    tally.write(&mut record);
    let mut budget = Budget::default();
    let shown = steps.iter().map(|step| show(lane, step, account, &mut budget)).collect::<Result<Vec<_>, _>>()?;
    account.returned = shown.len() as u64;
    record.insert("tool_calls", joined.tool_calls(&steps, &shown));
    record.insert("approvals", joined.approvals(&steps, &shown));
    let mut subagents = Subagents::below(lane, head, run_id);
    record.insert("subagents", subagents.of(run_id, joined.subagents(&steps, &shown), 0)?);
    if subagents.left_out() > 0 {
        record.insert("subagents_left_out", Value::integer(subagents.left_out() as i64));
    }
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
    let apart: &[&str] = if Ledger::sees_apart(&lane.reading.caller) { &PLACE } else { &[] };
    let is_shown = |name: &str| !LEFT_OUT.contains(&name) && !apart.contains(&name);
    for (name, value) in step.entry.as_object().into_iter().flat_map(Object::iter).filter(|(name, _)| is_shown(name)) {
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
