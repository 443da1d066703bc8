//! SCIM 2.0 filters (RFC 7644, section 3.4.2.2) over the members of an entry.

use crate::json::Value;
use crate::time::Timestamp;

/// A parsed filter: every attribute known, every value of the attribute's type.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    _private: (),
}

/// Why a filter is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// Byte offset in the filter.
    pub at: usize,
    /// One sentence.
    pub message: String,
    /// Whether it names an attribute that is not on the allowlist (the problem then lists the valid ones).
    pub unknown_attribute: bool,
}

/// One equality that the index can answer: attribute (its canonical dotted path) and value as text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term {
    /// Canonical dotted path, such as `actor.id` or `context.tool`.
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
    /// All of these.
    And(Vec<Plan>),
    /// One of these.
    Or(Vec<Plan>),
}

impl Filter {
    /// Parses, and checks attributes and types.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        unimplemented!("{text}")
    }

    /// Whether an entry matches. `entry` is the parsed entry.
    pub fn matches(&self, entry: &Value<'_>) -> bool {
        unimplemented!("{entry:?}")
    }

    /// Normalised text: what two filters of one meaning and one shape share; a cursor is bound to it.
    pub fn normalised(&self) -> String {
        unimplemented!()
    }

    /// The necessary condition that the index can answer.
    pub fn plan(&self) -> Plan {
        unimplemented!()
    }

    /// The bounds that the filter puts on `occurred_at`, inclusive.
    pub fn occurred_at_bounds(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        unimplemented!()
    }

    /// A string that the bytes of every matching entry contain (JSON-escaped), if there is one: a cheap test
    /// before an entry is parsed.
    pub fn necessary_bytes(&self) -> Option<Vec<u8>> {
        unimplemented!()
    }
}

/// The attributes that a filter may name, in their canonical dotted form, `context.<key>` aside.
pub fn attributes() -> Vec<String> {
    unimplemented!()
}

/// Every equality term of an entry that the index holds, handed to `each` as (canonical attribute, value).
pub fn terms(entry: &Value<'_>, each: &mut dyn FnMut(&str, &str)) {
    let _ = (entry, each);
    unimplemented!()
}
