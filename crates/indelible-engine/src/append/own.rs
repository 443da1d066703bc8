//! The engine's own events: reads, refusals, changes of its resources. They go the way of every other: read as a
//! submission, redacted, sealed, drafted.

use std::sync::Arc;

use indelible_core::event::{Source, Submission};
use indelible_core::fault::Fault;
use indelible_core::json::{Object, Value};
use indelible_core::limits::{FILTER_BYTES_MAX, NAME_BYTES_MAX, PURPOSE_BYTES_MAX, TEXT_BYTES_MAX};
use indelible_core::redact;
use uuid::Uuid;

use super::desk::Recorder;
use super::{AppendError, Desk, Prepared};
use crate::access::Caller;
use crate::keystore::{DATA_KEY, DataKey, ROTATE};
use crate::ledger::Ledger;
use crate::resource::Project;
use crate::write::{Privilege, Work};

/// What was done to what.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResourceMembers {
    /// `resource.type`
    pub(crate) kind: &'static str,
    /// `resource.id`
    pub(crate) id: String,
    /// `resource.parent`
    pub(crate) parent: Option<String>,
}

/// The `read` member.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadMembers {
    /// As asked; cut where it is longer than an entry may hold.
    pub(crate) filter: Option<String>,
    /// Why.
    pub(crate) purpose: Option<String>,
    /// Events returned.
    pub(crate) returned: u64,
}

/// The `decrypt` member.
#[derive(Debug, Clone, Default)]
pub(crate) struct DecryptMembers {
    /// Why it was opened.
    pub(crate) purpose: String,
    /// What sort of record.
    pub(crate) record_type: &'static str,
    /// Which.
    pub(crate) record_id: String,
    /// Who opened it.
    pub(crate) user_id: String,
}

/// Under which id an event of the engine is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OwnId {
    /// One that is drawn for it.
    #[default]
    New,
    /// One that was drawn before and that nothing was recorded under.
    Drawn(Uuid),
    /// One under which something may be on record: it is looked for, and what is not the same again is refused as a conflict.
    Again(Uuid),
}

/// An event of the engine. Texts longer than a member may be are cut, never refused: a long filter must not keep
/// its own refusal from being recorded.
#[derive(Debug, Clone)]
pub(crate) struct EngineEvent {
    /// Its id.
    pub(crate) id: OwnId,
    /// The chain it belongs to.
    pub(crate) project: Arc<Project>,
    /// `audit.read` and the like.
    pub(crate) action: &'static str,
    /// One of [`indelible_core::event::members::OUTCOMES`].
    pub(crate) outcome: &'static str,
    /// Actor, key and request.
    pub(crate) caller: Caller,
    /// Why, in words.
    pub(crate) reason: Option<String>,
    /// What it was done to.
    pub(crate) resource: Option<ResourceMembers>,
    /// `operation_id` and `phase` of what is recorded before and after. An intent has no outcome: `outcome` is empty then.
    pub(crate) operation: Option<(Uuid, &'static str)>,
    /// For `audit.read`.
    pub(crate) read: Option<ReadMembers>,
    /// For `content.decrypt`.
    pub(crate) decrypt: Option<DecryptMembers>,
    /// String keys for `context`.
    pub(crate) context: Vec<(&'static str, String)>,
    /// Other members, as they are.
    pub(crate) members: Vec<(&'static str, Value<'static>)>,
    /// Members of `content` beside the states.
    pub(crate) content: Vec<(&'static str, Value<'static>)>,
    /// `content.before_state`
    pub(crate) before: Option<Value<'static>>,
    /// `content.after_state`
    pub(crate) after: Option<Value<'static>>,
}

impl EngineEvent {
    /// An event that says no more than who, what and how it ended.
    pub(crate) fn new(caller: &Caller, project: &Arc<Project>, action: &'static str, outcome: &'static str) -> Self {
        Self {
            id: OwnId::New,
            project: Arc::clone(project),
            action,
            outcome,
            caller: caller.clone(),
            reason: None,
            resource: None,
            operation: None,
            read: None,
            decrypt: None,
            context: Vec::new(),
            members: Vec::new(),
            content: Vec::new(),
            before: None,
            after: None,
        }
    }

    /// With a reason.
    pub(crate) fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    fn into_value(self) -> Value<'static> {
        let mut event = Object::new();
        let mut text = |name: &'static str, value: &str, max: usize| {
            if !value.is_empty() {
                event.insert(name, Value::string(clip(value, max)));
            }
        };
        text("action", self.action, TEXT_BYTES_MAX);
        text("outcome", self.outcome, TEXT_BYTES_MAX);
        text("reason", self.reason.as_deref().unwrap_or_default(), TEXT_BYTES_MAX);
        if let Some((id, phase)) = self.operation {
            text("operation_id", &id.hyphenated().to_string(), NAME_BYTES_MAX);
            text("phase", phase, NAME_BYTES_MAX);
        }
        event.insert("actor", Value::Object(self.caller.actor.clone()));
        let request = request(&self.caller);
        if !request.is_empty() {
            event.insert("request", Value::Object(request));
        }
        if let Some(resource) = &self.resource {
            // `*` stands for what has no id of its own, such as the events of a project as a whole.
            let id = if resource.id.is_empty() { "*" } else { resource.id.as_str() };
            let members = [("id", id), ("parent", resource.parent.as_deref().unwrap_or_default()), ("type", resource.kind)];
            event.insert("resource", texts(&members, NAME_BYTES_MAX));
        }
        if let Some(read) = &self.read {
            let mut members = Object::new();
            if let Some(filter) = read.filter.as_deref().filter(|filter| !filter.is_empty()) {
                members.insert("filter", Value::string(clip(filter, FILTER_BYTES_MAX)));
            }
            if let Some(purpose) = read.purpose.as_deref().filter(|purpose| !purpose.is_empty()) {
                members.insert("purpose", Value::string(clip(purpose, PURPOSE_BYTES_MAX)));
            }
            members.insert("returned", Value::integer(i64::try_from(read.returned).unwrap_or(i64::MAX)));
            event.insert("read", Value::Object(members));
        }
        if let Some(decrypt) = &self.decrypt {
            let members = [
                ("purpose", decrypt.purpose.as_str()),
                ("record_id", decrypt.record_id.as_str()),
                ("record_type", decrypt.record_type),
                ("user_id", decrypt.user_id.as_str()),
            ];
            event.insert("decrypt", texts(&members, PURPOSE_BYTES_MAX));
        }
        if !self.context.is_empty() {
            let members: Vec<_> = self.context.iter().map(|(name, value)| (*name, value.as_str())).collect();
            event.insert("context", texts(&members, indelible_core::limits::CONTEXT_VALUE_BYTES_MAX));
        }
        for (name, member) in self.members {
            event.insert(name, member);
        }
        let mut content = Object::new();
        for (name, part) in self.content {
            content.insert(name, part);
        }
        for (name, state) in [("after_state", self.after), ("before_state", self.before)] {
            if let Some(state) = state {
                content.insert(name, state);
            }
        }
        if !content.is_empty() {
            event.insert("content", Value::Object(content));
        }
        Value::Object(event)
    }
}

/// The request envelope of a caller, as an entry has it. Trace ids that are not hex are left out: they are the
/// stranger's words.
fn request(caller: &Caller) -> Object<'static> {
    let envelope = caller.envelope();
    let key = caller.known_by().map(|id| id.hyphenated().to_string());
    let hex = |text: &Option<String>, digits: usize| {
        text.clone().filter(|text| text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
    };
    let members = [
        ("api_key_id", key, NAME_BYTES_MAX),
        ("auth_method", caller.proof.method().map(str::to_owned), NAME_BYTES_MAX),
        ("request_id", Some(envelope.request_id.clone()), NAME_BYTES_MAX),
        ("source_ip", envelope.source_ip.clone(), NAME_BYTES_MAX),
        ("span_id", hex(&envelope.span_id, 16), NAME_BYTES_MAX),
        ("trace_id", hex(&envelope.trace_id, 32), NAME_BYTES_MAX),
        ("user_agent", envelope.user_agent.clone(), TEXT_BYTES_MAX),
    ];
    let mut object = Object::new();
    for (name, text, max) in members {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            object.insert(name, Value::string(clip(&text, max)));
        }
    }
    object
}

/// An object of those texts that are not empty, cut to so many bytes.
pub(crate) fn texts(members: &[(&'static str, &str)], max: usize) -> Value<'static> {
    let mut object = Object::new();
    for (name, text) in members.iter().filter(|(_, text)| !text.is_empty()) {
        object.insert(*name, Value::string(clip(text, max)));
    }
    Value::Object(object)
}

/// The longest beginning of `text` of at most `max` bytes that ends at a character boundary. What is cut is redacted before: half of a
/// URL no longer shows that it holds a password.
fn clip(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let told = redact::told(text);
    told[..told.floor_char_boundary(max)].to_owned()
}

impl Desk {
    /// Makes an event of the engine ready.
    pub(crate) fn prepare_own(&self, event: EngineEvent) -> Result<Prepared, Fault> {
        let number = self.registry.number_of(event.project.id).unwrap_or_default();
        self.prepare_numbered(event, number)
    }

    /// The same for a project that is not committed yet.
    pub(crate) fn prepare_numbered(&self, event: EngineEvent, number: i64) -> Result<Prepared, Fault> {
        let project = Arc::clone(&event.project);
        let recorder = Recorder { assurance: "transactional", api_key_id: event.caller.known_by(), path: "engine" };
        let (id, fresh_id) = match event.id {
            OwnId::New => (self.new_id().map_err(|error| super::desk::no_key(&error))?, true),
            OwnId::Drawn(id) => (id, true),
            OwnId::Again(id) => (id, false),
        };
        let submission = Submission::read(event.into_value(), Source::Engine, id)?;
        Ok(Prepared { fresh_id, ..self.prepare(&project, number, recorder, submission, true)? })
    }
}

impl Desk {
    /// The event about a data key that took the place of another by itself. The first of an organization needs none: the
    /// organization's own event tells of it.
    pub(crate) fn tell_of_data_key(&self, key: &DataKey) -> Result<Option<Prepared>, Fault> {
        let home = self.registry.system_project(key.organization_id).filter(|_| key.replaces);
        let Some(home) = home else { return Ok(None) };
        let mut event = EngineEvent::new(&Caller::engine(), &home, ROTATE, "allow").because("the one before it served for 30 days");
        event.resource = Some(ResourceMembers { kind: DATA_KEY, id: key.id.to_string(), parent: Some(key.organization_id.to_string()) });
        self.prepare_own(event).map(Some)
    }
}

impl Ledger {
    /// Records what the engine did, before it is answered. May use the disk space that is kept free for reads.
    pub(crate) async fn record(&self, events: Vec<EngineEvent>) -> Result<(), AppendError> {
        let batch = self.prepare_all(events)?;
        self.inner.writer.submit(Work::new(batch, Privilege::Engine)).await.map(|_| ())
    }

    pub(crate) fn prepare_all(&self, events: Vec<EngineEvent>) -> Result<Vec<Prepared>, AppendError> {
        let prepare = |(index, event)| self.inner.desk.prepare_own(event).map_err(|fault| AppendError::Fault { index, fault });
        events.into_iter().enumerate().map(prepare).collect()
    }
}
