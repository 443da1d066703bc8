//! What a set of events of agent runs adds up to: times, outcomes, tokens, cost, intents that have no outcome yet.

use std::collections::{BTreeMap, BTreeSet};

use indelible_core::json::{Object, Value};
use indelible_core::time::Timestamp;

use super::scan::Found;

/// An event on its way into a record.
pub(crate) struct Step {
    /// The row.
    pub(crate) found: Found,
    /// Its entry.
    pub(crate) entry: Value<'static>,
}

impl Step {
    /// Reads the entry; `None` where it is none.
    pub(crate) fn read(found: Found) -> Option<Self> {
        let entry = indelible_core::json::parse(&found.entry).ok()?.into_owned();
        Some(Self { found, entry })
    }

    /// The text of a member of a member, or of a member where `inner` is empty.
    pub(crate) fn text(&self, outer: &str, inner: &str) -> Option<&str> {
        self.member(outer, inner)?.as_str()
    }

    /// The number of one.
    pub(crate) fn integer(&self, outer: &str, inner: &str) -> Option<i64> {
        self.member(outer, inner)?.as_integer()
    }

    fn member(&self, outer: &str, inner: &str) -> Option<&Value<'static>> {
        let value = self.entry.get(outer)?;
        if inner.is_empty() { Some(value) } else { value.get(inner) }
    }

    /// `action`
    pub(crate) fn action(&self) -> &str {
        self.text("action", "").unwrap_or_default()
    }
}

/// Events in the order in which they happened: by `run.step`, then time, then sequence. One without a step stands
/// with the step before it in time.
pub(crate) fn in_order(mut steps: Vec<Step>) -> Vec<Step> {
    steps.sort_by_key(|step| (step.found.key.occurred_at, step.found.sequence));
    let mut current = 0;
    let mut keyed: Vec<(i64, Step)> = steps
        .into_iter()
        .map(|step| {
            current = step.integer("run", "step").unwrap_or(current);
            (current, step)
        })
        .collect();
    keyed.sort_by_key(|(step, _)| *step);
    keyed.into_iter().map(|(_, step)| step).collect()
}

const TOKENS: [&str; 4] = ["cache_read_tokens", "input_tokens", "output_tokens", "reasoning_tokens"];

/// Tokens and cost of some events.
#[derive(Default, Clone)]
pub(super) struct Usage {
    tokens: [i64; 4],
    cost_micros: BTreeMap<String, i64>,
}

impl Usage {
    /// What one event says of it.
    pub(super) fn of(step: &Step) -> Self {
        let mut usage = Self::default();
        usage.add(step);
        usage
    }

    fn add(&mut self, step: &Step) {
        for (sum, name) in self.tokens.iter_mut().zip(TOKENS) {
            *sum = sum.saturating_add(step.integer("usage", name).unwrap_or(0));
        }
        if let Some(cost) = step.integer("usage", "cost_micros") {
            let currency = step.text("usage", "currency").unwrap_or_default().to_owned();
            let sum = self.cost_micros.entry(currency).or_default();
            *sum = sum.saturating_add(cost);
        }
    }

    fn join(&mut self, other: &Self) {
        for (sum, tokens) in self.tokens.iter_mut().zip(other.tokens) {
            *sum = sum.saturating_add(tokens);
        }
        for (currency, micros) in &other.cost_micros {
            let sum = self.cost_micros.entry(currency.clone()).or_default();
            *sum = sum.saturating_add(*micros);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tokens == [0; 4] && self.cost_micros.is_empty()
    }

    pub(super) fn value(&self) -> Value<'static> {
        let mut usage = Object::new();
        for (sum, name) in self.tokens.iter().zip(TOKENS) {
            usage.insert(name, Value::integer(*sum));
        }
        let cost = self.cost_micros.iter().map(|(currency, micros)| {
            let mut cost = Object::new();
            cost.insert("cost_micros", Value::integer(*micros));
            if !currency.is_empty() {
                cost.insert("currency", Value::string(currency.clone()));
            }
            Value::Object(cost)
        });
        usage.insert("cost", Value::Array(cost.collect()));
        Value::Object(usage)
    }
}

/// The sums.
#[derive(Default)]
pub(crate) struct Tally {
    steps: u64,
    actions: BTreeMap<String, u64>,
    outcomes: BTreeMap<String, u64>,
    first: Option<i64>,
    last: Option<i64>,
    started: Option<i64>,
    finished: Option<i64>,
    finish_outcome: Option<String>,
    finish_duration_ms: Option<i64>,
    verdict: Option<String>,
    thread_id: Option<String>,
    parent_id: Option<String>,
    procedure: (Option<String>, Option<String>),
    usage: Usage,
    /// What the end of each run says of the whole of it, its sub-agents included; counted only where the steps say nothing.
    whole: BTreeMap<String, Usage>,
    /// What is said of parts of the run that are not steps of it; counted only where its end says nothing either.
    parts: Usage,
    intents: BTreeMap<String, u64>,
    outcomes_of: BTreeSet<String>,
}

impl Tally {
    /// Takes in one event.
    pub(crate) fn add(&mut self, step: &Step) {
        let at = step.found.key.occurred_at;
        self.steps += 1;
        *self.actions.entry(step.action().to_owned()).or_default() += 1;
        if let Some(outcome) = step.text("outcome", "") {
            *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
        }
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        match step.action() {
            // The last one that says anything: it is a total already.
            "run.finish" => {
                let said = Usage::of(step);
                if !said.is_empty() {
                    self.whole.insert(step.text("run", "id").unwrap_or_default().to_owned(), said);
                }
            }
            "run.start" | "subagent.start" | "subagent.finish" => self.parts.add(step),
            _ => self.usage.add(step),
        }
        match step.action() {
            "run.start" => self.started = Some(self.started.map_or(at, |started| started.min(at))),
            "run.finish" => {
                self.finished = self.finished.max(Some(at));
                self.finish_outcome = step.text("outcome", "").map(str::to_owned);
                self.finish_duration_ms = step.integer("duration_ms", "");
            }
            _ => {}
        }
        let keep = |slot: &mut Option<String>, name: &str| {
            if let Some(text) = step.text("run", name) {
                *slot = Some(text.to_owned());
            }
        };
        keep(&mut self.verdict, "verdict");
        keep(&mut self.thread_id, "thread_id");
        keep(&mut self.parent_id, "parent_id");
        keep(&mut self.procedure.0, "procedure_id");
        keep(&mut self.procedure.1, "procedure_version");
        if let Some(operation) = step.text("operation_id", "") {
            match step.text("phase", "") {
                Some("intent") => {
                    self.intents.entry(operation.to_owned()).or_insert(step.found.sequence);
                }
                _ => {
                    self.outcomes_of.insert(operation.to_owned());
                }
            }
        }
    }

    /// An intent has its outcome, though no event says so under its `operation_id`.
    pub(crate) fn answered(&mut self, intent: &Step) {
        if let Some(operation) = intent.text("operation_id", "") {
            self.outcomes_of.insert(operation.to_owned());
        }
    }

    /// Tokens and cost of all of it.
    pub(super) fn usage(&self) -> Usage {
        if !self.usage.is_empty() {
            return self.usage.clone();
        }
        if self.whole.is_empty() {
            return self.parts.clone();
        }
        let mut whole = Usage::default();
        self.whole.values().for_each(|usage| whole.join(usage));
        whole
    }

    /// Events taken in.
    pub(crate) const fn steps(&self) -> u64 {
        self.steps
    }

    /// Writes the sums into a record.
    pub(crate) fn write(&self, record: &mut Object<'static>) {
        let mut text = |name: &'static str, value: &Option<String>| {
            if let Some(value) = value {
                record.insert(name, Value::string(value.clone()));
            }
        };
        text("thread_id", &self.thread_id);
        text("parent_id", &self.parent_id);
        let mut procedure = Object::new();
        for (name, value) in [("id", &self.procedure.0), ("version", &self.procedure.1)] {
            if let Some(value) = value {
                procedure.insert(name, Value::string(value.clone()));
            }
        }
        if !procedure.is_empty() {
            record.insert("procedure", Value::Object(procedure));
        }
        record.insert("status", Value::string(if self.finished.is_some() { "finished" } else { "open" }));
        for (name, value) in [("outcome", &self.finish_outcome), ("verdict", &self.verdict)] {
            if let Some(value) = value {
                record.insert(name, Value::string(value.clone()));
            }
        }
        let started = self.started.or(self.first);
        for (name, at) in [("started_at", started), ("finished_at", self.finished), ("last_event_at", self.last)] {
            if let Some(time) = at.and_then(Timestamp::from_micros) {
                record.insert(name, Value::string(time.to_string()));
            }
        }
        let between = self.finished.or(self.last).zip(started).map(|(to, from)| (to - from).max(0) / 1_000);
        if let Some(duration) = self.finish_duration_ms.or(between) {
            record.insert("duration_ms", Value::integer(duration));
        }
        record.insert("usage", self.usage().value());
        record.insert("counts", self.counts());
        let open = self.intents.iter().filter(|(operation, _)| !self.outcomes_of.contains(*operation)).map(|(operation, sequence)| {
            let mut intent = Object::new();
            intent.insert("operation_id", Value::string(operation.clone()));
            intent.insert("sequence", Value::integer(*sequence as i64));
            Value::Object(intent)
        });
        record.insert("open_intents", Value::Array(open.collect()));
    }

    fn counts(&self) -> Value<'static> {
        let numbers = |counts: &BTreeMap<String, u64>| {
            Value::Object(Object::from_distinct(
                counts.iter().map(|(name, count)| (name.clone().into(), Value::integer(*count as i64))).collect(),
            ))
        };
        let mut all = Object::new();
        all.insert("events", Value::integer(self.steps as i64));
        all.insert("actions", numbers(&self.actions));
        all.insert("outcomes", numbers(&self.outcomes));
        Value::Object(all)
    }
}
