//! Reading a submission: each member known, of its shape, and the caller's to set.
//!
//! Beyond the table in [`super::members`], these rules join members: an actor that is not anonymous has an `id`;
//! `outcome` is there unless `phase` is `intent`; whatever has a `phase` has an `operation_id`, or its intent and
//! outcome would never meet; `run` has an `id` or a `thread_id`. The first fault in the order of the text is
//! reported, with its JSON Pointer; what is missing is reported at the place where it should be.

use std::borrow::Cow;

use uuid::Uuid;

use super::members::ENTRY;
use super::shape::{self, check_members, invalid};
use super::{action, content};
use crate::fault::{Fault, FaultKind};
use crate::json::{Object, Value, write_canonical};
use crate::time::Timestamp;

/// On whose word an event is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A caller: server-owned members and engine-only actions are refused.
    Caller,
    /// The engine itself: it may set `read`, `decrypt`, and write its own actions. What the stamp makes is refused here too.
    Engine,
}

/// An event as somebody submitted it: well formed, not redacted, not stamped.
#[derive(Debug, Clone)]
pub struct Submission<'a> {
    /// Members of the entry in canonical order at each level, normalised (UUIDs in lower case, times in UTC with
    /// six digits, `id` and `action_category` always there).
    pub(crate) envelope: Object<'a>,
    /// The `content` member: only names of [`super::members::CONTENT`], values as they came. An empty one is none.
    pub(crate) content: Option<Object<'a>>,
    /// The canonical submission, over which the submission MAC is taken.
    pub(crate) canonical: Vec<u8>,
    pub(crate) id: Uuid,
    pub(crate) occurred_at: Option<Timestamp>,
}

impl<'a> Submission<'a> {
    /// Checks a parsed event. `new_id` becomes its id if the caller gave none.
    pub fn read(value: Value<'a>, source: Source, new_id: Uuid) -> Result<Self, Fault> {
        let Value::Object(mut event) = value else { return Err(shape::wrong_kind("an object", &value)) };
        let id = identify(&mut event, new_id);
        // Before anything is normalised: a retry is known by what the caller said.
        let whole = Value::Object(event);
        let mut canonical = Vec::with_capacity(1_024);
        write_canonical(&whole, &mut canonical);
        let Value::Object(mut envelope) = whole else { return Err(invalid("an event is an object")) };

        let content = match envelope.remove("content") {
            Some(value) => content::check(value).map_err(|fault| fault.within("content"))?,
            None => None,
        };
        if envelope.get("personal").is_some() {
            return Err(Fault::new(FaultKind::Invalid, "/personal", "`personal` is reserved for a later version"));
        }
        categorise(&mut envelope);
        check_members(&mut envelope, ENTRY, source)?;
        check_joint(&envelope)?;
        let occurred_at = envelope.get("occurred_at").and_then(Value::as_str).and_then(Timestamp::parse);
        Ok(Self { envelope, content, canonical, id, occurred_at })
    }

    /// Parses and checks one event.
    pub fn parse(bytes: &'a [u8], source: Source, new_id: Uuid) -> Result<Self, Fault> {
        Self::read(crate::json::parse(bytes)?, source, new_id)
    }

    /// The event's id.
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// The caller's time.
    pub const fn occurred_at(&self) -> Option<Timestamp> {
        self.occurred_at
    }

    /// With a time where the caller gave none: when it was received, where that was long before it is recorded. It is no part of what
    /// the caller said, so a retry is known whenever it comes.
    #[must_use]
    pub fn received_at(mut self, at: Timestamp) -> Self {
        self.occurred_at = self.occurred_at.or(Some(at));
        self
    }

    /// The canonical submission (`formats.md`, Chain): the caller's members as parsed, `id` included, keys
    /// sorted as in RFC 8785, numbers as their source text.
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// The validated envelope.
    pub const fn envelope(&self) -> &Object<'a> {
        &self.envelope
    }

    /// The content, where there is any.
    pub const fn content(&self) -> Option<&Object<'a>> {
        self.content.as_ref()
    }
}

/// The id in lower case, in its place; `new_id` where there is none. What is not a UUID stays, for the table to refuse.
fn identify(event: &mut Object<'_>, new_id: Uuid) -> Uuid {
    let Some(given) = event.get_mut("id") else {
        event.insert("id", Value::string(new_id.to_string()));
        return new_id;
    };
    let Some(id) = given.as_str().and_then(shape::parse_uuid) else { return new_id };
    if let Value::String(text) = given
        && text.bytes().any(|b| b.is_ascii_uppercase())
    {
        text.to_mut().make_ascii_lowercase();
    }
    id
}

/// Adds the category that the catalogue gives, where the caller gave none. Comes after the members of the caller, so
/// a malformed action is refused as the action.
fn categorise(envelope: &mut Object<'_>) {
    if envelope.get("action_category").is_some() {
        return;
    }
    let category = match envelope.get("action") {
        Some(Value::String(Cow::Borrowed(text))) => Cow::Borrowed(action::category(text)),
        Some(Value::String(Cow::Owned(text))) => Cow::Owned(action::category(text).to_owned()),
        _ => return,
    };
    envelope.insert("action_category", Value::String(category));
}

/// The rules that join several members.
fn check_joint(envelope: &Object<'_>) -> Result<(), Fault> {
    let missing = |pointer: &str, message: &str| Err(Fault::new(FaultKind::Invalid, pointer, message));
    let actor = envelope.get("actor");
    let anonymous = actor.and_then(|actor| actor.get("type")).and_then(Value::as_str) == Some("anonymous");
    if !anonymous && actor.and_then(|actor| actor.get("id")).is_none() {
        return missing("/actor/id", "an actor that is not anonymous needs an id");
    }
    let phase = envelope.get("phase").and_then(Value::as_str);
    if phase != Some("intent") && envelope.get("outcome").is_none() {
        return missing("/outcome", "an event that is not an intent needs an outcome");
    }
    if phase.is_some() && envelope.get("operation_id").is_none() {
        return missing("/operation_id", "intent and outcome are joined by an operation_id");
    }
    if let Some(run) = envelope.get("run")
        && run.get("id").is_none()
        && run.get("thread_id").is_none()
    {
        return missing("/run/id", "a run needs an id or a thread_id");
    }
    Ok(())
}
