//! The one choke point: nothing is stored that has not passed here.
//!
//! [`Rules::redact`] takes an event as it was submitted and gives back one without secrets: by name ([`Rules`]), in headers, in
//! URLs, and in strings that are JSON, forms or text that shows them. Then bodies are cut to size, and the diff of the two states is
//! made. What changed is named (`changes`) before anything but what a name itself shows is taken away; values never appear there.
//!
//! Refused is only what is too large afterwards. Invariant: redacting what was redacted changes nothing.

mod body;
mod question;
mod rule;
mod scan;
mod span;
mod text;
mod told;
mod walk;

#[cfg(test)]
mod tests;

use std::cell::Cell;

use uuid::Uuid;

pub use rule::{RuleError, Rules, Strategy};
pub use told::told;
pub(crate) use told::told_pointer;

use crate::diff::{self, Changes};
use crate::event::Submission;
use crate::fault::{Fault, FaultKind};
use crate::json::{Object, Value, write_string, write_verbatim};
use crate::key::ProjectKeys;
use crate::limits::{CONTENT_PLAIN_BYTES_MAX, JSON_DEPTH_MAX, JSON_VALUES_MAX};
use crate::time::Timestamp;
use walk::{Own, Place, Redactor, SEALED};

/// Members of the envelope that hold no text of anybody's: they are not looked into.
const FIXED: &[&str] = &["action", "action_category", "id", "occurred_at", "outcome", "outcome_detail", "phase", "duration_ms", "usage"];

/// What was before, and what is after.
const STATES: [&str; 2] = ["before_state", "after_state"];

impl Rules {
    /// Redacts one submission for the project whose keys these are; strips headers and URL secrets, bounds bodies, lists what changed
    /// and makes the diff. Fails only where the content, or JSON inside a string, is too large.
    ///
    /// `changes` and `changes_total` are there if the content has a state, the latter even if it is 0; a state that is absent or null
    /// counts as an object without members. `diff` is there if both states are.
    pub fn redact<'a>(&self, submission: Submission<'a>, keys: &ProjectKeys) -> Result<Redacted<'a>, Fault> {
        self.run(submission, keys, None)
    }

    /// [`Self::redact`] for an event of the engine. `spared` is the key of its `context` that no rule takes away, for verification
    /// needs it. What a state marks as sealed (`[SEALED:…]`, where what follows tells one from another) stays, as `[SEALED]`. The states
    /// are redacted by the rules `states` alone: who is spoken of in them must not be able to make them tell nothing.
    pub fn redact_own<'a>(
        &self,
        submission: Submission<'a>,
        keys: &ProjectKeys,
        spared: &str,
        states: &Self,
    ) -> Result<Redacted<'a>, Fault> {
        self.run(submission, keys, Some(Own { spared, states }))
    }

    fn run<'a>(&self, submission: Submission<'a>, keys: &ProjectKeys, own: Option<Own<'_>>) -> Result<Redacted<'a>, Fault> {
        let unread = Cell::new(false);
        let redactor = Redactor { rules: self, keys: Some(keys), unread: &unread, own };
        let Submission { mut envelope, content, id, occurred_at, .. } = submission;
        redactor.envelope(&mut envelope);
        let content = match content {
            Some(content) => redactor.content(content, &mut envelope)?,
            None => None,
        };
        if unread.get() {
            let message =
                format!("a string holds JSON too large to be looked into: at most {JSON_VALUES_MAX} values, {JSON_DEPTH_MAX} levels");
            return Err(Fault::new(FaultKind::TooLarge, "", message));
        }
        Ok(Redacted { id, occurred_at, envelope, content })
    }

    /// A text that is stored outside of events, such as the name of a resource, as it would stand in an event of the project whose
    /// keys these are.
    pub fn line(&self, text: &str, keys: &ProjectKeys) -> String {
        Redactor { rules: self, keys: Some(keys), unread: &Cell::default(), own: None }
            .text(text, Place::default())
            .unwrap_or_else(|| text.to_owned())
    }
}

impl Redactor<'_> {
    fn envelope(&self, envelope: &mut Object<'_>) {
        let mut emptied = false;
        for (name, value) in envelope.iter_mut() {
            if let ("context", Value::Object(context)) = (name, &mut *value) {
                let spared = self.own.and_then(|own| Some((own.spared.to_owned(), context.remove(own.spared)?)));
                let changed = self.object(context, Place { node: self.rules.top("context"), ..Place::default() });
                if changed || spared.is_some() {
                    spared.map(|(name, value)| context.insert(name, value));
                    context.sort();
                }
                emptied = context.is_empty();
            } else if !FIXED.contains(&name) {
                self.texts(value);
            }
        }
        if emptied {
            envelope.remove("context");
        }
    }

    /// Looks into every string; names here are Indelible's own.
    fn texts(&self, value: &mut Value<'_>) {
        match value {
            Value::Object(object) => object.iter_mut().for_each(|(_, value)| self.texts(value)),
            Value::Array(items) => items.iter_mut().for_each(|item| self.texts(item)),
            scalar => {
                self.value(scalar, Place::default());
            }
        }
    }

    fn content<'a>(&self, mut content: Object<'a>, envelope: &mut Object<'a>) -> Result<Option<Vec<u8>>, Fault> {
        let of_states = Redactor { rules: self.own.map_or(self.rules, |own| own.states), ..*self };
        for state in STATES {
            if let Some(state) = content.get_mut(state) {
                of_states.all_names(state);
            }
        }
        if let Some(changes) = changes(&content) {
            note_changes(envelope, changes);
        }
        let mut own_states = Object::new();
        if self.own.is_some() {
            for name in STATES {
                if let Some(mut state) = content.remove(name) {
                    unmark(&mut state);
                    own_states.insert(name, state);
                }
            }
            of_states.members(&mut own_states, of_states.rules.top("content"));
        }
        let node = self.rules.top("content");
        let mut measures = [("request_bytes", "request_truncated", None), ("response_bytes", "response_truncated", None)];
        for (name, (.., measure)) in ["request", "response"].into_iter().zip(&mut measures) {
            if let Some(Value::Object(message)) = content.get_mut(name) {
                let node = node.and_then(|node| node.child(name));
                *measure = body::fold(self, message, node);
            }
        }
        self.members(&mut content, node);
        for (name, state) in own_states.into_members() {
            content.insert(name, state);
        }
        for (bytes, truncated, measure) in measures {
            if let Some(measure) = measure {
                let http = member(envelope, "http");
                set(http, bytes, Value::integer(measure.bytes as i64));
                set(http, truncated, Value::Bool(measure.truncated));
            }
        }
        let present = |name: &str| content.get(name).filter(|value| **value != Value::Null);
        if let (Some(before), Some(after)) = (present("before_state"), present("after_state")) {
            let operations = diff::operations(before, after);
            content.insert("diff", operations);
        }
        if content.is_empty() { Ok(None) } else { write(content).map(Some) }
    }

    /// Redacts the members of content; a body that was folded is done.
    fn members(&self, content: &mut Object<'_>, node: Option<&rule::Node>) {
        let mut bodies = ["request", "response"].map(|name| match content.get_mut(name) {
            Some(Value::Object(message)) => message.get_mut("body").map(|body| std::mem::replace(body, Value::Null)),
            _ => None,
        });
        self.object(content, Place { node, ..Place::default() });
        for (name, body) in ["request", "response"].into_iter().zip(&mut bodies) {
            if let (Some(Value::Object(message)), Some(body)) = (content.get_mut(name), body.take())
                && let Some(place) = message.get_mut("body")
            {
                *place = body;
            }
        }
    }
}

/// The pointers of what changed between the states, values as they came; `None` without any state.
fn changes(content: &Object<'_>) -> Option<Changes> {
    let present = |name: &str| content.get(name).filter(|value| **value != Value::Null);
    let nothing = Value::Object(Object::new());
    match (present("before_state"), present("after_state")) {
        (None, None) => None,
        (before, after) => Some(diff::changes(before.unwrap_or(&nothing), after.unwrap_or(&nothing))),
    }
}

/// Takes away by which one sealed value is told from another, once it is known what changed.
fn unmark(value: &mut Value<'_>) {
    match value {
        Value::Object(object) => object.iter_mut().for_each(|(_, value)| unmark(value)),
        Value::Array(items) => items.iter_mut().for_each(unmark),
        Value::String(text) if text.starts_with("[SEALED:") => *value = Value::string(SEALED),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

fn note_changes(envelope: &mut Object<'_>, changes: Changes) {
    if !changes.listed.is_empty() {
        set(envelope, "changes", Value::Array(changes.listed.into_iter().map(Value::string).collect()));
    }
    set(envelope, "changes_total", Value::integer(changes.total as i64));
}

/// Sets a member of an object in canonical order at its place. Names of an envelope are ASCII, so bytes order them.
fn set<'a>(object: &mut Object<'a>, name: &'static str, value: Value<'a>) {
    if object.insert(name, value).is_none() {
        let mut members = std::mem::take(object).into_members();
        members.sort_by(|a, b| a.0.cmp(&b.0));
        *object = Object::from_distinct(members);
    }
}

/// The object that is the member called `name`, made if it is not there.
fn member<'o, 'a>(object: &'o mut Object<'a>, name: &'static str) -> &'o mut Object<'a> {
    if object.get(name).is_none() {
        set(object, name, Value::Object(Object::new()));
    }
    match object.get_mut(name) {
        Some(Value::Object(inner)) => inner,
        _ => unreachable!("the envelope was read: its members have their shapes"),
    }
}

/// Content as JSON: its own members in canonical order, those further in as they came.
fn write(content: Object<'_>) -> Result<Vec<u8>, Fault> {
    let mut members = content.into_members();
    members.sort_by(|a, b| a.0.cmp(&b.0));
    let mut out = Vec::with_capacity(2_048);
    for (name, value) in &members {
        out.push(if out.is_empty() { b'{' } else { b',' });
        write_string(name, &mut out);
        out.push(b':');
        write_verbatim(value, &mut out);
    }
    out.push(b'}');
    if out.len() > CONTENT_PLAIN_BYTES_MAX {
        let message =
            format!("content has {} bytes after redaction, its diff included; at most {CONTENT_PLAIN_BYTES_MAX} are kept", out.len());
        return Err(Fault::new(FaultKind::TooLarge, "/content", message));
    }
    Ok(out)
}

/// An event from which secrets are gone. Only [`Rules::redact`] makes one.
#[derive(Debug)]
pub struct Redacted<'a> {
    pub(crate) id: Uuid,
    pub(crate) occurred_at: Option<Timestamp>,
    /// Canonical order at every level, `changes` and `changes_total` and `http.*_bytes` included.
    pub(crate) envelope: Object<'a>,
    /// Serialised content (before_state, after_state, diff, request, …), or none.
    pub(crate) content: Option<Vec<u8>>,
}

impl Redacted<'_> {
    /// The event's id.
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// Everything but the content.
    pub const fn envelope(&self) -> &Object<'_> {
        &self.envelope
    }

    /// The content as JSON, to be sealed.
    pub fn content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }
}
