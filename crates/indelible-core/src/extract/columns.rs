//! The columns of a CSV extract: members of an entry by their dotted path, keys of `context`, and what stands beside the entry in a record.
//!
//! Refused: a name that is none of these, and one that is named twice.

use std::sync::LazyLock;

use super::csv;
use crate::event::members::{ENTRY, Member, Shape};
use crate::json::Value;

/// What an event is looked at for first; all other members come after.
const LEADING: &[&str] = &[
    "sequence",
    "occurred_at",
    "actor.type",
    "actor.id",
    "actor.display",
    "actor.on_behalf_of",
    "action",
    "outcome",
    "reason",
    "resource.type",
    "resource.id",
    "principal.type",
    "principal.id",
    "id",
];
/// What a record has beside its entry.
const BESIDE: &[&str] = &["prev_hash", "row_hash", "content", "content_error"];
/// What a record has only where contents are opened.
const OPENED: &[&str] = &["content", "content_error"];
/// The application's own keys.
const CONTEXT: &str = "context";

/// Every member that is no object of members, by its dotted path, in canonical order.
static MEMBERS: LazyLock<Vec<String>> = LazyLock::new(|| {
    fn add(members: &'static [Member], prefix: &str, all: &mut Vec<String>) {
        for member in members {
            let path = format!("{prefix}{}", member.name);
            match member.shape {
                Shape::Object(inner) => add(inner, &format!("{path}."), all),
                _ => all.push(path),
            }
        }
    }
    let mut all = Vec::new();
    add(ENTRY, "", &mut all);
    all
});

/// The columns of an extract, in their order; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<String>);

impl Columns {
    /// All there are: first what an event is looked at for, then every other member, and the content where that is opened.
    pub fn all(content: bool) -> Self {
        let leading = LEADING.iter().map(|name| (*name).to_owned());
        let others = MEMBERS.iter().filter(|name| !LEADING.contains(&name.as_str())).cloned();
        let beside = BESIDE.iter().filter(|name| content || !OPENED.contains(name)).map(|name| (*name).to_owned());
        Self(leading.chain(others).chain(beside).collect())
    }

    /// Reads names; the first that is wrong, and why.
    pub fn read<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, String> {
        let mut columns: Vec<String> = Vec::new();
        for name in names {
            let is_label = name.strip_prefix(CONTEXT).and_then(|rest| rest.strip_prefix('.')).is_some_and(|key| !key.is_empty());
            if !is_label && !BESIDE.contains(&name) && !MEMBERS.iter().any(|known| known == name) {
                let known = MEMBERS.iter().map(String::as_str).chain(BESIDE.iter().copied()).collect::<Vec<_>>().join(", ");
                return Err(format!("there is no such column; known are context.<key> and: {known}"));
            }
            if columns.iter().any(|other| other == name) {
                return Err(format!("the column {name} is named twice"));
            }
            columns.push(name.to_owned());
        }
        if columns.is_empty() { Err("at least one column is needed".to_owned()) } else { Ok(Self(columns)) }
    }

    /// Their names.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The line of names.
    pub(super) fn header(&self, out: &mut Vec<u8>) {
        csv::line(self.0.iter().map(|name| Some(Value::string(name.as_str()))), out);
    }

    /// The line of a record.
    pub(super) fn line(&self, record: &Value<'_>, out: &mut Vec<u8>) {
        csv::line(self.0.iter().map(|name| find(record, name).cloned()), out);
    }
}

/// The value at a dotted path. A key of `context` may have dots itself.
fn find<'v, 'a>(record: &'v Value<'a>, path: &str) -> Option<&'v Value<'a>> {
    match path.split_once('.') {
        None => record.get(path),
        Some((CONTEXT, key)) => record.get(CONTEXT)?.get(key),
        Some((name, rest)) => find(record.get(name)?, rest),
    }
}
