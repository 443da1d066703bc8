//! Everything of one conversation, oldest first, and the runs in it.

use std::collections::BTreeMap;

use indelible_core::json::{Object, Value};

use super::joined::Joined;
use super::reading::{Account, Lane, Reading};
use super::run::{Budget, Matched, equals, matched, show};
use super::tally::Tally;
use super::{Opening, ReadError};
use crate::access::Caller;
use crate::ledger::Ledger;
use crate::resource::Project;

/// Events of one conversation that are shown; more are counted.
const EVENTS_MAX: usize = 20_000;

impl Ledger {
    /// Everything of one conversation, oldest first, as JSON.
    pub async fn conversation(&self, caller: &Caller, project: &Project, thread_id: &str, opening: Opening) -> Result<Vec<u8>, ReadError> {
        let mut reading = Reading::new(caller, project, "conversation", thread_id, &opening).by_candidates();
        reading.filter = Some(equals("run.thread_id", thread_id));
        let thread_id = thread_id.to_owned();
        self.read(reading, move |lane, account| assemble(lane, &thread_id, account)).await
    }
}

fn assemble(lane: &Lane<'_>, thread_id: &str, account: &mut Account) -> Result<Vec<u8>, ReadError> {
    let head = lane.head()?;
    let Matched { mut steps, mut tally } = matched(lane, head, "run.thread_id", thread_id, EVENTS_MAX)?;
    if steps.is_empty() {
        return Err(ReadError::NotFound("conversation"));
    }
    steps.sort_by_key(|step| (step.found.key.occurred_at, step.found.sequence));
    // Runs in the order in which they first show.
    let mut order: Vec<String> = Vec::new();
    let mut runs: BTreeMap<String, (Tally, Vec<Value<'static>>)> = BTreeMap::new();
    let mut budget = Budget::default();
    let mut events = Vec::with_capacity(steps.len());
    for step in &steps {
        if let Some(run) = step.text("run", "id") {
            let (tally, sequences) = runs.entry(run.to_owned()).or_insert_with(|| {
                order.push(run.to_owned());
                Default::default()
            });
            tally.add(step);
            sequences.push(Value::integer(step.found.sequence as i64));
        }
        events.push(show(lane, step, account, &mut budget)?);
    }
    account.returned = events.len() as u64;
    for intent in Joined::of(&steps).answered(&steps) {
        tally.answered(intent);
        if let Some((tally, _)) = intent.text("run", "id").and_then(|run| runs.get_mut(run)) {
            tally.answered(intent);
        }
    }
    let mut record = Object::new();
    record.insert("thread_id", Value::string(thread_id.to_owned()));
    let mut whole = Object::new();
    tally.write(&mut whole);
    for name in ["started_at", "last_event_at", "usage", "counts", "open_intents"] {
        if let Some(value) = whole.remove(name) {
            record.insert(name, value);
        }
    }
    let runs = order.iter().filter_map(|run| {
        let (tally, sequences) = runs.remove(run)?;
        let mut shown = Object::new();
        shown.insert("run_id", Value::string(run.clone()));
        tally.write(&mut shown);
        if !Ledger::sees_apart(&lane.reading.caller) {
            shown.insert("sequences", Value::Array(sequences));
        }
        Some(Value::Object(shown))
    });
    record.insert("runs", Value::Array(runs.collect()));
    if tally.steps() > events.len() as u64 {
        record.insert("events_left_out", Value::integer((tally.steps() - events.len() as u64) as i64));
    }
    record.insert("events", Value::Array(events));
    Ok(Value::Object(record).to_verbatim())
}
