//! A filter as a tree, and the one way in which it is written.
//!
//! Invariant: an `and` holds no `and` and an `or` no `or`, each has two parts or more, so filters that differ in
//! parentheses alone are one tree.

use super::attribute::{Attribute, LABELS, Name};
use super::lex;
use crate::json;
use crate::time::Timestamp;

/// A filter or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// One of these.
    Or(Vec<Node>),
    /// All of these.
    And(Vec<Node>),
    /// Not this.
    Not(Box<Node>),
    /// `name[…]`: one element satisfies the whole of it.
    Element(&'static Attribute, Box<Node>),
    /// A comparison.
    Test(Test),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Test {
    /// The attribute.
    pub(super) name: Name,
    /// How many members of its path the brackets around it have walked already.
    pub(super) skip: usize,
    /// The operator.
    pub(super) operator: Operator,
    /// The value, of the attribute's kind.
    pub(super) operand: Operand,
}

/// RFC 7644, table 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Pr,
    Gt,
    Ge,
    Lt,
    Le,
}

/// What an attribute is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    /// `pr` takes none.
    Nothing,
    Text(String),
    Integer(i64),
    Bool(bool),
    /// An instant, and its written form.
    Time(Timestamp, String),
}

const OPERATORS: &[(&str, Operator)] = &[
    ("eq", Operator::Eq),
    ("ne", Operator::Ne),
    ("co", Operator::Co),
    ("sw", Operator::Sw),
    ("ew", Operator::Ew),
    ("pr", Operator::Pr),
    ("gt", Operator::Gt),
    ("ge", Operator::Ge),
    ("lt", Operator::Lt),
    ("le", Operator::Le),
];

impl Operator {
    /// Reads one, in any case.
    pub(super) fn read(word: &str) -> Option<Self> {
        OPERATORS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, operator)| *operator)
    }

    fn written(self) -> &'static str {
        OPERATORS.iter().find(|(_, operator)| *operator == self).map_or("", |(name, _)| name)
    }

    /// Whether it looks inside a text.
    pub(super) const fn is_textual(self) -> bool {
        matches!(self, Self::Co | Self::Sw | Self::Ew)
    }

    /// Whether it compares order.
    pub(super) const fn is_ordering(self) -> bool {
        matches!(self, Self::Gt | Self::Ge | Self::Lt | Self::Le)
    }
}

impl Node {
    /// All of `parts`, of which there is one at least.
    pub(super) fn and(parts: Vec<Self>) -> Self {
        Self::join(parts, Self::And, |part| if let Self::And(inner) = part { Ok(inner) } else { Err(part) })
    }

    /// One of `parts`, of which there is one at least.
    pub(super) fn or(parts: Vec<Self>) -> Self {
        Self::join(parts, Self::Or, |part| if let Self::Or(inner) = part { Ok(inner) } else { Err(part) })
    }

    fn join(parts: Vec<Self>, whole: fn(Vec<Self>) -> Self, open: fn(Self) -> Result<Vec<Self>, Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match open(part) {
                Ok(inner) => flat.extend(inner),
                Err(part) => flat.push(part),
            }
        }
        if flat.len() == 1 { flat.swap_remove(0) } else { whole(flat) }
    }

    /// Appends the normalised text: canonical names, lower-case operators, one space, no parenthesis too many.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Or(parts) => Self::write_joined(parts, " or ", out),
            Self::And(parts) => Self::write_joined(parts, " and ", out),
            Self::Not(inner) => {
                out.push_str("not (");
                inner.write(out);
                out.push(')');
            }
            Self::Element(attribute, inner) => {
                out.push_str(&attribute.dotted);
                out.push('[');
                inner.write(out);
                out.push(']');
            }
            Self::Test(test) => test.write(out),
        }
    }

    fn write_joined(parts: &[Self], between: &str, out: &mut String) {
        for (n, part) in parts.iter().enumerate() {
            if n > 0 {
                out.push_str(between);
            }
            // Inside `or` there is no `or`, and `and` binds tighter: only an `or` inside an `and` needs them.
            if matches!(part, Self::Or(_)) {
                out.push('(');
                part.write(out);
                out.push(')');
            } else {
                part.write(out);
            }
        }
    }
}

impl Test {
    fn write(&self, out: &mut String) {
        match &self.name {
            Name::Known(attribute) if self.skip > 0 => out.push_str(&attribute.relative(self.skip)),
            Name::Known(attribute) => out.push_str(&attribute.dotted),
            Name::Label(key) if key.bytes().all(lex::is_word) && !key.is_empty() => {
                out.push_str(LABELS);
                out.push('.');
                out.push_str(key);
            }
            Name::Label(key) => {
                out.push_str(LABELS);
                out.push('[');
                out.push_str(&quoted(key));
                out.push(']');
            }
        }
        out.push(' ');
        out.push_str(self.operator.written());
        match &self.operand {
            Operand::Nothing => (),
            Operand::Text(text) | Operand::Time(_, text) => {
                out.push(' ');
                out.push_str(&quoted(text));
            }
            Operand::Integer(number) => {
                out.push(' ');
                out.push_str(&number.to_string());
            }
            Operand::Bool(value) => out.push_str(if *value { " true" } else { " false" }),
        }
    }
}

/// `text` as a JSON string, escaped as in an entry.
pub(super) fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::write_string(text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}
