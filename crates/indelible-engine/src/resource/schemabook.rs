//! The event schemas in force: those of every project and organization that has any, compiled once a change; and how often those
//! that only report were broken.
//!
//! A submission is held against them as it came, before redaction, in memory alone. What broke is told by its place, never by a value.
//! Where nobody has a schema, an event costs one load of a flag.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use indelible_core::event::Submission;
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json;
use indelible_core::limits::SCHEMA_STEPS_MAX;
use uuid::Uuid;

use super::Project;
use super::json_schema;
use super::kinds::event_schemas::{EventSchema, KIND, Mode};
use super::registry::Registry;
use crate::access::{Caller, Owner};
use crate::append::{EngineEvent, Receipt, ResourceMembers};

/// How long violations are counted before they are told.
const MINUTE: Duration = Duration::from_mins(1);
/// Schemas that are counted apart at one time; past it, violations are counted in the figures alone.
const BUCKETS_MAX: usize = 10_000;
/// The event that tells of them.
const VIOLATION: &str = "event_schema.violation";

/// A schema, compiled.
pub(crate) struct Compiled {
    id: Uuid,
    version: u64,
    action: String,
    mode: Mode,
    schema: json_schema::Schema,
}

impl Compiled {
    /// Where an event breaks it, and what of it.
    fn breach(&self, event: &Event) -> Option<(String, String)> {
        if self.schema.steps(event.values, event.bytes) > SCHEMA_STEPS_MAX {
            return Some((String::new(), format!("cannot be checked in {SCHEMA_STEPS_MAX} steps, it has too many values, by")));
        }
        let error = self.schema.validator.validate(&event.value).err()?;
        let (pointer, keyword) = json_schema::place(&error);
        Some((pointer, format!("breaks `{keyword}` of")))
    }
}

/// An event as the library of schemas reads it.
struct Event {
    value: serde_json::Value,
    values: usize,
    bytes: usize,
}

impl Event {
    /// `None` where a number is beyond what the library can compare.
    fn read(submission: &Submission<'_>) -> Option<Self> {
        let text = submission.canonical();
        let value = plain(&json::parse(text).ok()?)?;
        Some(Self { values: json_schema::values(&value), value, bytes: text.len() })
    }
}

/// A schema that was broken, and where.
pub(crate) struct Breach {
    schema: Arc<Compiled>,
    pointer: String,
}

/// What the schemas say of a submission that breaks one.
#[derive(Default)]
pub(crate) struct Breaches {
    /// Why it is refused, unless it is there already.
    pub(crate) refused: Option<Fault>,
    /// Those that only report.
    reported: Vec<Breach>,
}

/// Violations of one minute.
struct Bucket {
    began: Duration,
    count: u64,
    version: u64,
    pointer: String,
}

/// All schemas.
pub(crate) struct Schemabook {
    any: AtomicBool,
    compiled: RwLock<HashMap<Owner, Vec<Arc<Compiled>>>>,
    total: AtomicU64,
    /// By schema, since the ledger was opened.
    figures: Mutex<HashMap<Uuid, u64>>,
    /// By project and schema.
    buckets: Mutex<HashMap<(Uuid, Uuid), Bucket>>,
}

impl Schemabook {
    /// Without schemas of anybody.
    pub(crate) fn new() -> Self {
        Self {
            any: AtomicBool::new(false),
            compiled: RwLock::default(),
            total: AtomicU64::new(0),
            figures: Mutex::default(),
            buckets: Mutex::default(),
        }
    }

    /// Holds a submission against the schemas for its action.
    pub(crate) fn check(&self, project: &Project, submission: &Submission<'_>) -> Option<Box<Breaches>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let action = submission.envelope().get("action").and_then(json::Value::as_str).unwrap_or_default();
        let schemas: Vec<Arc<Compiled>> = {
            let compiled = self.compiled.read().unwrap_or_else(PoisonError::into_inner);
            let owners = [Owner::Organization(project.organization_id), Owner::Project(project.id)];
            owners.iter().filter_map(|owner| compiled.get(owner)).flatten().filter(|schema| schema.action == action).cloned().collect()
        };
        if schemas.is_empty() {
            return None;
        }
        let mut breaches = Breaches::default();
        let event = Event::read(submission);
        for schema in schemas {
            let breach = match &event {
                // A number that no schema can compare with another.
                None => Some(("/content".to_owned(), "breaks `type` of".to_owned())),
                Some(event) => schema.breach(event),
            };
            let Some((pointer, what)) = breach else { continue };
            if schema.mode == Mode::Enforcing {
                let message = format!("{what} event schema {}, version {}", schema.id, schema.version);
                breaches.refused.get_or_insert_with(|| Fault::new(FaultKind::Invalid, pointer, message));
            } else {
                breaches.reported.push(Breach { schema, pointer });
            }
        }
        (breaches.refused.is_some() || !breaches.reported.is_empty()).then(|| Box::new(breaches))
    }

    /// Counts what events broke that are stored now: those whose receipts are no first one's.
    pub(crate) fn count(&self, broken: Vec<(usize, Uuid, Box<Breaches>)>, receipts: &[Receipt], now: Duration) {
        let stored = broken.into_iter().filter(|(at, ..)| receipts.get(*at).is_some_and(|receipt| !receipt.duplicate));
        for (_, project_id, breaches) in stored {
            for Breach { schema, pointer } in breaches.reported {
                self.total.fetch_add(1, Ordering::Relaxed);
                *self.figures.lock().unwrap_or_else(PoisonError::into_inner).entry(schema.id).or_default() += 1;
                let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
                let key = (project_id, schema.id);
                if buckets.len() < BUCKETS_MAX || buckets.contains_key(&key) {
                    let first = || Bucket { began: now, count: 0, version: schema.version, pointer };
                    buckets.entry(key).or_insert_with(first).count += 1;
                }
            }
        }
    }

    /// Violations of all schemas since the ledger was opened.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Violations of one.
    pub(crate) fn violations(&self, id: Uuid) -> u64 {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied().unwrap_or(0)
    }

    /// When to look for minutes that are over: what is counted next, nobody tells the writer of. `None` where there is no schema.
    pub(crate) fn due_in(&self, now: Duration) -> Option<Duration> {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let first = buckets.values().map(|bucket| (bucket.began + MINUTE).saturating_sub(now)).min();
        first.or_else(|| self.any.load(Ordering::Acquire).then_some(MINUTE))
    }

    /// The events of the minutes that are over.
    pub(crate) fn due(&self, registry: &Registry, now: Duration) -> Vec<EngineEvent> {
        self.take(registry, |bucket| bucket.began + MINUTE <= now)
    }

    /// The events of all minutes, over or not; at closing.
    pub(crate) fn all(&self, registry: &Registry) -> Vec<EngineEvent> {
        self.take(registry, |_| true)
    }

    fn take(&self, registry: &Registry, over: impl Fn(&Bucket) -> bool) -> Vec<EngineEvent> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<_> = buckets.extract_if(|_, bucket| over(bucket)).collect();
        drop(buckets);
        let event = |((project_id, schema_id), bucket): ((Uuid, Uuid), Bucket)| {
            let home = registry.project(project_id)?;
            let mut event =
                EngineEvent::new(&Caller::engine(), &home, VIOLATION, "error").because("events that break the schema were stored");
            event.resource = Some(ResourceMembers { kind: KIND.noun, id: schema_id.to_string(), parent: None });
            event.context.push(("pointer", bucket.pointer));
            event.context.push(("schema_version", bucket.version.to_string()));
            event.context.push(("violations", bucket.count.to_string()));
            Some(event)
        };
        gone.into_iter().filter_map(event).collect()
    }

    /// Takes in what is committed of the schemas of an owner.
    pub(crate) fn settle(&self, registry: &Registry, owner: Owner) {
        let kept = registry.kept_of(&KIND, owner);
        let before = self.compiled.read().unwrap_or_else(PoisonError::into_inner).get(&owner).cloned().unwrap_or_default();
        let compiled = kept.iter().filter_map(|kept| {
            // A change of one compiles no other.
            if let Some(same) = before.iter().find(|schema| (schema.id, schema.version) == (kept.id, kept.version)) {
                return Some(Arc::clone(same));
            }
            let EventSchema { action, schema, mode } = kept.typed()?;
            // It was compiled when it was written.
            let schema = json_schema::compile(&schema)
                .inspect_err(|fault| tracing::error!(id = %kept.id, %fault, "an event schema is not in force"))
                .ok()?;
            Some(Arc::new(Compiled { id: kept.id, version: kept.version, action, mode, schema }))
        });
        let compiled: Vec<_> = compiled.collect();
        let mut all = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
        if compiled.is_empty() {
            all.remove(&owner);
        } else {
            all.insert(owner, compiled);
        }
        self.any.store(!all.is_empty(), Ordering::Release);
    }

    /// Takes in all that is committed.
    pub(crate) fn settle_all(&self, registry: &Registry) {
        let mut owners = registry.owners_of(&KIND);
        owners.extend(self.compiled.read().unwrap_or_else(PoisonError::into_inner).keys());
        for owner in owners {
            self.settle(registry, owner);
        }
    }
}

/// An event as the library of schemas reads it; `None` where a number is beyond what it can compare.
fn plain(value: &json::Value<'_>) -> Option<serde_json::Value> {
    Some(match value {
        json::Value::Null => serde_json::Value::Null,
        json::Value::Bool(flag) => serde_json::Value::Bool(*flag),
        json::Value::Number(text) => serde_json::Value::Number(text.parse().ok()?),
        json::Value::String(text) => serde_json::Value::String(text.to_string()),
        json::Value::Array(items) => serde_json::Value::Array(items.iter().map(plain).collect::<Option<_>>()?),
        json::Value::Object(members) => {
            let members = members.iter().map(|(name, value)| Some((name.to_owned(), plain(value)?)));
            serde_json::Value::Object(members.collect::<Option<_>>()?)
        }
    })
}
