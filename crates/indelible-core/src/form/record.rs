//! A record as readers get it, read once for whatever it is to be sent as.
//!
//! Refused: what is not one JSON object on one line, and one without the members that every event has. Somebody who changed the
//! stored bytes puts no second line and no second object into what is sent.

use std::borrow::Cow;

use crate::fault::{Fault, FaultKind};
use crate::json::{self, Object, Value};
use crate::time::Timestamp;

/// A record with its members.
#[derive(Debug, Clone)]
pub(crate) struct Record<'a> {
    /// The bytes it was read from.
    pub(crate) bytes: &'a [u8],
    /// When it happened, by `occurred_at`.
    pub(crate) occurred_at: Timestamp,
    members: Object<'a>,
}

/// Members that are texts and are there in every event.
const TEXTS: [&str; 4] = ["action", "id", "occurred_at", "project_id"];

impl<'a> Record<'a> {
    /// Reads a record.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        if bytes.iter().any(|byte| *byte < b' ') {
            return Err(Fault::new(FaultKind::Malformed, "", "a control character in a record"));
        }
        let Value::Object(members) = json::parse(bytes)? else {
            return Err(Fault::new(FaultKind::Invalid, "", "a record that is no object"));
        };
        for name in TEXTS {
            if members.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
                return Err(Fault::new(FaultKind::Invalid, "", "no text where every event has one").within(name));
            }
        }
        let occurred_at = members.get("occurred_at").and_then(Value::as_str).and_then(Timestamp::parse);
        let occurred_at = occurred_at.ok_or_else(|| Fault::new(FaultKind::Invalid, "", "not an RFC 3339 time").within("occurred_at"))?;
        Ok(Self { bytes, occurred_at, members })
    }

    /// A member.
    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.members.get(name)
    }

    /// A member of a member.
    pub(crate) fn get_in(&self, outer: &str, name: &str) -> Option<&Value<'a>> {
        self.members.get(outer)?.get(name)
    }

    /// A member that is a text, borrowed as the record is where nothing in it was escaped.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        text(self.get(name)?)
    }

    /// A text in a member.
    pub(crate) fn text_in(&self, outer: &str, name: &str) -> Option<Cow<'a, str>> {
        text(self.get_in(outer, name)?)
    }

    /// Takes a member out, so that it is not carried twice.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value<'a>> {
        self.members.remove(name)
    }

    /// Takes a member out of a member.
    pub(crate) fn take_in(&mut self, outer: &str, name: &str) -> Option<Value<'a>> {
        match self.members.get_mut(outer)? {
            Value::Object(object) => object.remove(name),
            _ => None,
        }
    }

    /// What was not taken, without objects from which all was.
    pub(crate) fn into_rest(mut self) -> Object<'a> {
        self.members.retain(|_, value| value.as_object().is_none_or(|object| !object.is_empty()));
        self.members
    }
}

fn text<'a>(value: &Value<'a>) -> Option<Cow<'a, str>> {
    if let Value::String(text) = value { Some(text.clone()) } else { None }
}
