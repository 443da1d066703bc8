//! A record as readers get it, read once for whatever it is to be sent as.
//!
//! Refused: what is not one JSON object on one line, and one without the members that every event has. Somebody who changed the
//! stored bytes puts no second line and no second object into what is sent. A member is taken where a form has a place for just
//! such a value; what is not taken is the rest, so nothing is lost on the way.

use std::borrow::Cow;

use crate::fault::{Fault, FaultKind};
use crate::json::{self, Object, Value};
use crate::time::Timestamp;

/// A record with its members.
#[derive(Debug, Clone)]
pub(crate) struct Record<'a> {
    /// The bytes it was read from.
    pub(crate) bytes: &'a [u8],
    /// `id`.
    pub(crate) id: Cow<'a, str>,
    /// `action`.
    pub(crate) action: Cow<'a, str>,
    /// `project_id`.
    pub(crate) project_id: Cow<'a, str>,
    /// `occurred_at`.
    pub(crate) occurred_at: Timestamp,
    members: Object<'a>,
}

impl<'a> Record<'a> {
    /// Reads a record.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        // The other control characters are refused by the reader, wherever they stand.
        if memchr::memchr3(b'\n', b'\r', b'\t', bytes).is_some() {
            return Err(Fault::new(FaultKind::Malformed, "", "a record of more than one line, or with tabs"));
        }
        let Value::Object(members) = json::parse(bytes)? else {
            return Err(Fault::new(FaultKind::Invalid, "", "a record is an object"));
        };
        let text = |name: &str| match members.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            _ => Err(Fault::new(FaultKind::Invalid, "", "every record has a text here").within(name)),
        };
        let (id, action, project_id) = (text("id")?, text("action")?, text("project_id")?);
        let occurred_at = Timestamp::parse(&text("occurred_at")?)
            .ok_or_else(|| Fault::new(FaultKind::Invalid, "", "not an RFC 3339 time with an offset").within("occurred_at"))?;
        Ok(Self { bytes, id, action, project_id, occurred_at, members })
    }

    /// The action up to its first dot.
    pub(crate) fn noun(&self) -> &str {
        self.action.split_once('.').map_or(&self.action, |(noun, _)| noun)
    }

    /// The member at this place.
    pub(crate) fn get(&self, path: &[&str]) -> Option<&Value<'a>> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.members.get(first)?, |value, name| value.get(name))
    }

    /// The text at this place, borrowed from the record where nothing in it was escaped.
    pub(crate) fn text(&self, path: &[&str]) -> Option<Cow<'a, str>> {
        if let Value::String(text) = self.get(path)? { Some(text.clone()) } else { None }
    }

    /// Takes out the member at this place, where it is such a value.
    pub(crate) fn take_if(&mut self, path: &[&str], is_such: impl Fn(&Value<'a>) -> bool) -> Option<Value<'a>> {
        let (last, way) = path.split_last()?;
        let mut object = &mut self.members;
        for name in way {
            let Value::Object(inner) = object.get_mut(name)? else { return None };
            object = inner;
        }
        if is_such(object.get(last)?) { object.remove(last) } else { None }
    }

    /// Takes out a text.
    pub(crate) fn take_text(&mut self, path: &[&str]) -> Option<Value<'a>> {
        self.take_if(path, |value| value.as_str().is_some())
    }

    /// Takes out a text that is a time.
    pub(crate) fn take_time(&mut self, path: &[&str]) -> Option<Value<'a>> {
        self.take_if(path, |value| value.as_str().and_then(Timestamp::parse).is_some())
    }

    /// Takes out an integer of 0 to `most`: a field that holds less must not get more.
    pub(crate) fn take_count(&mut self, path: &[&str], most: i64) -> Option<Value<'a>> {
        self.take_if(path, |value| value.as_integer().is_some_and(|number| (0..=most).contains(&number)))
    }

    /// Puts back what has no other place, in another shape.
    pub(crate) fn put(&mut self, name: &'static str, value: Value<'a>) {
        self.members.insert(name, value);
    }

    /// Everything.
    pub(crate) fn into_members(self) -> Object<'a> {
        self.members
    }

    /// What was not taken, without the objects of which all was.
    pub(crate) fn into_rest(mut self) -> Option<Value<'a>> {
        self.members.retain(|_, value| value.as_object().is_none_or(|object| !object.is_empty()));
        (!self.members.is_empty()).then_some(Value::Object(self.members))
    }
}

/// An object of those members that are there; `None` where none is.
pub(crate) fn object<'a>(members: impl IntoIterator<Item = (&'static str, Option<Value<'a>>)>) -> Option<Value<'a>> {
    let members: Vec<_> = members.into_iter().filter_map(|(name, value)| Some((Cow::Borrowed(name), value?))).collect();
    (!members.is_empty()).then(|| Value::Object(Object::from_distinct(members)))
}

/// An array of one item, where there is one.
pub(crate) fn list(item: Option<Value<'_>>) -> Option<Value<'_>> {
    item.map(|item| Value::Array(vec![item]))
}
