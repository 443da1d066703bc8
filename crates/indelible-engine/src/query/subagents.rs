//! The sub-agents of a run: runs that name it as their parent, each with what it adds up to, and those that its own steps tell of
//! (`subagent.start`, `subagent.finish`). One that is both is shown once. What is left out is counted.

use std::collections::HashSet;

use indelible_core::filter::Filter;
use indelible_core::json::{Object, Value};

use super::ReadError;
use super::feed::each_ascending;
use super::joined::{Joined, Subagent};
use super::reading::{HeadMark, Lane};
use super::run::equals;
use super::tally::{Step, Tally, in_order};

/// Sub-agents below one run, at any depth, beside those that its own steps tell of.
const SUBAGENTS_MAX: usize = 1_000;
/// Sub-agents below each other.
const SUBAGENT_DEPTH_MAX: usize = 16;
/// Runs that are left out are counted up to here.
const LEFT_OUT_MAX: usize = 10_000;

/// What is below one run.
pub(super) struct Subagents<'l, 'a> {
    lane: &'l Lane<'a>,
    head: HeadMark,
    /// Runs that are shown.
    seen: HashSet<String>,
    room: usize,
    left_out: HashSet<String>,
    /// Sub-agents of a sub-agent's steps that there was no room for.
    told_left_out: u64,
}

/// A run below, and what its steps tell of its own sub-agents.
struct Child {
    tally: Tally,
    told: Vec<Subagent>,
}

impl<'l, 'a> Subagents<'l, 'a> {
    pub(super) fn below(lane: &'l Lane<'a>, head: HeadMark, run_id: &str) -> Self {
        let seen = HashSet::from([run_id.to_owned()]);
        Self { lane, head, seen, room: SUBAGENTS_MAX, left_out: HashSet::new(), told_left_out: 0 }
    }

    /// How many are known of and not shown.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.len() as u64 + self.told_left_out
    }

    /// The sub-agents of a run, of which its steps tell `told`.
    pub(super) fn of(&mut self, run_id: &str, mut told: Vec<Subagent>, depth: usize) -> Result<Value<'static>, ReadError> {
        let mut records = Vec::new();
        for run in self.children(run_id, depth)? {
            let mut record = Object::new();
            record.insert("run_id", Value::string(run.clone()));
            let child = self.child(&run)?;
            child.tally.write(&mut record);
            let silent = child.tally.usage().is_empty();
            let below = self.of(&run, child.told, depth + 1)?;
            record.insert("subagents", below);
            if let Some(at) = told.iter().position(|subagent| subagent.is_run(&run)) {
                // What its own events say of the run goes before what the steps above it say.
                for (name, value) in told.remove(at).record.into_members() {
                    if record.get(&name).is_none() || (name == "usage" && silent) {
                        record.insert(name, value);
                    }
                }
            }
            records.push(Value::Object(record));
        }
        records.extend(told.into_iter().map(|subagent| Value::Object(subagent.record)));
        Ok(Value::Array(records))
    }

    /// The runs that name `run_id` as their parent, as far as there is room.
    fn children(&mut self, run_id: &str, depth: usize) -> Result<Vec<String>, ReadError> {
        let mut children = Vec::new();
        let (lane, head) = (self.lane, self.head);
        each(lane, head, "run.parent_id", run_id, &mut |step| {
            let Some(child) = step.text("run", "id").filter(|child| !self.seen.contains(*child)) else { return };
            if depth < SUBAGENT_DEPTH_MAX && self.room > 0 {
                self.room -= 1;
                self.seen.insert(child.to_owned());
                children.push(child.to_owned());
            } else if self.left_out.len() < LEFT_OUT_MAX {
                self.left_out.insert(child.to_owned());
            }
        })?;
        Ok(children)
    }

    fn child(&mut self, run_id: &str) -> Result<Child, ReadError> {
        let (mut tally, mut steps) = (Tally::default(), Vec::new());
        each(self.lane, self.head, "run.id", run_id, &mut |step| {
            tally.add(&step);
            if step.action().starts_with("subagent.") && steps.len() < 2 * SUBAGENTS_MAX {
                steps.push(step);
            }
        })?;
        let steps = in_order(steps);
        let joined = Joined::of(&steps);
        joined.answered(&steps).for_each(|intent| tally.answered(intent));
        let shown: Vec<Value<'static>> = steps.iter().map(|step| step.entry.clone()).collect();
        let mut told = joined.subagents(&steps, &shown);
        self.told_left_out += told.len().saturating_sub(self.room) as u64;
        told.truncate(self.room);
        self.room -= told.len();
        Ok(Child { tally, told })
    }
}

/// Hands on every event of which `attribute` is `value`.
fn each(lane: &Lane<'_>, head: HeadMark, attribute: &str, value: &str, take: &mut dyn FnMut(Step)) -> Result<(), ReadError> {
    let filter = Filter::parse(&equals(attribute, value)).map_err(ReadError::Filter)?;
    lane.scan(head, Some(&filter), |scan| {
        each_ascending(scan, 0, &mut |found| {
            if let Some(step) = Step::read(found) {
                take(step);
            }
            Ok(true)
        })
    })
}
