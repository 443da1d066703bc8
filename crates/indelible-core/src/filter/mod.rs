//! SCIM 2.0 filters (RFC 7644, section 3.4.2.2) over the members of an entry.
//!
//! Accepted: eq ne gt ge lt le co sw ew pr; and, or, not (…), parentheses, `name[…]` for one element of several. Names
//! and operators in any case, values exact. `docs/filter.md` is the user's reference.
//! Refused, with the place: unknown attributes, values of another type than their attribute, null, and what exceeds
//! the limits. Parsing, matching and printing never recurse deeper than a filter may be nested.

mod attribute;
#[cfg(test)]
mod cases;
mod evaluate;
mod expression;
#[cfg(test)]
mod laws;
mod lex;
mod parse;
mod plan;
mod scan;
mod terms;

use uuid::Uuid;

use crate::json::Value;
use crate::time::Timestamp;

/// A parsed filter: every attribute known, every value of the attribute's type.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    root: expression::Node,
}

/// Why a filter is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {message}")]
pub struct FilterError {
    /// Byte offset in the filter.
    pub at: usize,
    /// One sentence. It names attributes, never values.
    pub message: String,
    /// Whether it names an attribute that is not on the allowlist (the problem then lists the valid ones).
    pub unknown_attribute: bool,
}

/// One equality that the index can answer: attribute (its canonical dotted path) and value as text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term {
    /// Canonical dotted path, such as `actor.id` or `context.tool`; keys of `context` in lower case.
    pub attribute: String,
    /// The value: strings as they are, integers in decimal, booleans as `true` and `false`.
    pub value: String,
}

/// A necessary condition in terms of the index: whatever matches the filter satisfies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// The index knows nothing; every row is a candidate.
    All,
    /// This equality.
    Term(Term),
    /// All of these, two or more, none of them [`Plan::All`] or [`Plan::And`].
    And(Vec<Plan>),
    /// One of these, two or more, none of them [`Plan::All`] or [`Plan::Or`].
    Or(Vec<Plan>),
}

impl Filter {
    /// Parses, and checks attributes and types.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parse::parse(text).map(|root| Self { root })
    }

    /// What satisfies all of these, of which there is one at least.
    pub fn all_of(filters: impl IntoIterator<Item = Self>) -> Self {
        Self { root: expression::Node::and(filters.into_iter().map(|filter| filter.root).collect()) }
    }

    /// What satisfies one of these, of which there is one at least.
    pub fn any_of(filters: impl IntoIterator<Item = Self>) -> Self {
        Self { root: expression::Node::or(filters.into_iter().map(|filter| filter.root).collect()) }
    }

    /// Whether an entry matches. `entry` is the parsed entry; what is no object has no attributes.
    pub fn matches(&self, entry: &Value<'_>) -> bool {
        evaluate::matches(&self.root, if entry.as_object().is_some() { entry } else { &Value::Null })
    }

    /// Normalised text: what two filters of one meaning and one shape share; a cursor is bound to it.
    ///
    /// Canonical dotted names, lower-case operators, single spaces, no parenthesis too many, strings in their shortest
    /// escapes, times in UTC. It parses to the same filter, unless long names made it exceed
    /// [`crate::limits::FILTER_BYTES_MAX`].
    pub fn normalised(&self) -> String {
        let mut out = String::new();
        self.root.write(&mut out);
        out
    }

    /// The necessary condition that the index can answer.
    pub fn plan(&self) -> Plan {
        plan::plan(&self.root, false)
    }

    /// The bounds that the filter puts on `occurred_at`, inclusive. Only comparisons joined by `and` count; where they
    /// contradict each other the lower bound lies above the upper one.
    pub fn occurred_at_bounds(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        plan::time_bounds(&self.root, "occurred_at")
    }

    /// The bounds that the filter puts on `recorded_at`, as [`Filter::occurred_at_bounds`].
    pub fn recorded_at_bounds(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        plan::time_bounds(&self.root, "recorded_at")
    }

    /// The bounds that the filter puts on `sequence`, as [`Filter::occurred_at_bounds`]; they may lie below 0.
    pub fn sequence_bounds(&self) -> (Option<i64>, Option<i64>) {
        plan::integer_bounds(&self.root, "sequence")
    }

    /// The one `id` that a matching entry can have, where the filter asks for one.
    pub fn id_equals(&self) -> Option<Uuid> {
        plan::id_equals(&self.root)
    }

    /// A string that the bytes of every matching entry contain (JSON-escaped), if there is one: a cheap test
    /// before an entry is parsed. The longest that is known.
    pub fn necessary_bytes(&self) -> Option<Vec<u8>> {
        plan::necessary_bytes(&self.root)
    }
}

/// The attributes that a filter may name, in their canonical dotted form, `context.<key>` aside. Those with parts
/// (`actor`, `actor.chain`) take only `pr` and brackets.
pub fn attributes() -> Vec<String> {
    attribute::all().iter().map(|attribute| attribute.dotted.clone()).collect()
}

/// Every equality term of an entry that the index holds, handed to `each` as (canonical attribute, value): a superset
/// of what [`Filter::plan`] asks of a match. A value that an entry holds twice is handed over twice.
pub fn terms(entry: &Value<'_>, each: &mut dyn FnMut(&str, &str)) {
    terms::terms(entry, each);
}

/// [`terms()`] straight from the bytes of a stored entry, at less than half the cost of parsing it first. False where the bytes
/// are not canonical JSON; the terms handed over by then are not all.
pub fn terms_of_bytes(entry: &[u8], each: &mut dyn FnMut(&str, &str)) -> bool {
    scan::terms(entry, each).is_some()
}
