//! A strict JSON reader and the two writers the ledger needs.
//!
//! Ours, because the bytes are the product: it refuses duplicate keys and lone surrogates, names the
//! place of a fault as a JSON Pointer, keeps every number as it was written, and borrows what it can from
//! the input. Its agreement with `serde_json` on what JSON is, is a property test and a fuzz target.

mod cut;
mod order;
mod parse;
mod plain;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;

pub use cut::{Cut, cut};
pub(crate) use order::word;
pub use parse::{check_array, parse, parse_item};
pub(crate) use plain::plain_length;
pub use write::{write_canonical, write_string, write_verbatim};

/// A JSON value that borrows from the text it was read from.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as its source text (RFC 8259 grammar).
    Number(Cow<'a, str>),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object, members in the order they were written.
    Object(Object<'a>),
}

/// The members of a JSON object, in order, each name once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object<'a> {
    members: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Object<'a> {
    /// An object without members.
    pub const fn new() -> Self {
        Self { members: Vec::new() }
    }

    /// The value of the member called `name`.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The value of the member called `name`, to change.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value<'a>> {
        self.members.iter_mut().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Sets a member, in its old place if it was there, else as the last.
    pub fn insert(&mut self, name: impl Into<Cow<'a, str>>, value: Value<'a>) -> Option<Value<'a>> {
        let name = name.into();
        if let Some(old) = self.get_mut(&name) {
            return Some(std::mem::replace(old, value));
        }
        self.members.push((name, value));
        None
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) -> Option<Value<'a>> {
        let at = self.members.iter().position(|(key, _)| key == name)?;
        Some(self.members.remove(at).1)
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.members.iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// Members in order, values to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Value<'a>)> {
        self.members.iter_mut().map(|member| (member.0.as_ref(), &mut member.1))
    }

    /// Keeps the members for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut Value<'a>) -> bool) {
        self.members.retain_mut(|(key, value)| keep(key, value));
    }

    /// Puts the members into the order of RFC 8785, section 3.2.3; not those of values inside.
    pub fn sort(&mut self) {
        let order = |a: &(Cow<'a, str>, Value<'a>), b: &(Cow<'a, str>, Value<'a>)| order::utf16_order(&a.0, &b.0);
        if !self.members.is_sorted_by(|a, b| order(a, b).is_le()) {
            self.members.sort_unstable_by(order);
        }
    }

    /// The members themselves.
    pub fn into_members(self) -> Vec<(Cow<'a, str>, Value<'a>)> {
        self.members
    }

    /// An object of members whose names the caller knows to be distinct.
    pub fn from_distinct(members: Vec<(Cow<'a, str>, Value<'a>)>) -> Self {
        debug_assert!(members.iter().enumerate().all(|(n, (key, _))| members[..n].iter().all(|(other, _)| other != key)));
        Self { members }
    }
}

impl<'a> Value<'a> {
    /// A string.
    pub fn string(text: impl Into<Cow<'a, str>>) -> Self {
        Self::String(text.into())
    }

    /// An integer.
    pub fn integer(number: i64) -> Self {
        Self::Number(Cow::Owned(number.to_string()))
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The members of an object.
    pub fn as_object(&self) -> Option<&Object<'a>> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The items of an array.
    pub fn as_array(&self) -> Option<&[Value<'a>]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// A number written as a plain integer (no fraction, no exponent, no `-0`) that fits an i64.
    pub fn as_integer(&self) -> Option<i64> {
        let Self::Number(text) = self else { return None };
        text.parse().ok().filter(|_| text != "-0")
    }

    /// The member of an object called `name`; `None` for anything but an object.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.as_object()?.get(name)
    }

    /// What kind of value this is, for messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The same value, borrowing nothing.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(b),
            Self::Number(text) => Value::Number(Cow::Owned(text.into_owned())),
            Self::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Self::Array(items) => Value::Array(items.into_iter().map(Value::into_owned).collect()),
            Self::Object(object) => Value::Object(Object {
                members: object.members.into_iter().map(|(key, value)| (Cow::Owned(key.into_owned()), value.into_owned())).collect(),
            }),
        }
    }

    /// This value as canonical JSON (see [`write_canonical`]).
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_canonical(self, &mut out);
        out
    }

    /// This value as JSON, members in their own order.
    pub fn to_verbatim(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_verbatim(self, &mut out);
        out
    }
}

/// Appends one reference token to a JSON Pointer, escaped as RFC 6901 section 3 says.
pub fn push_pointer(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}
