//! Posting lists: a filter's plan as an FTS5 expression over tokens, and the rows that satisfy it, in either direction.

use indelible_core::filter::Plan;
use rusqlite::{Connection, params};

use super::token::{Token, TokenKey};

/// An FTS5 expression that every matching row of one project satisfies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Postings {
    expression: String,
    /// Whether it is no more than "a row of this project".
    pub(crate) every_row: bool,
}

/// Which way to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Oldest row first.
    Ascending,
    /// Newest row first.
    Descending,
}

impl Postings {
    /// The rows of `project` that may satisfy `plan`. Tokens hold the project, so no list names a row of another, but by
    /// collision.
    pub(crate) fn of(key: TokenKey, project: i64, plan: &Plan) -> Self {
        let mut expression = String::new();
        if write(key, project, plan, &mut expression) {
            return Self { expression, every_row: false };
        }
        Self::token(key.every_row(project)).with_every_row()
    }

    /// The rows that have this token.
    pub(crate) fn token(token: Token) -> Self {
        let mut expression = String::new();
        quote(token, &mut expression);
        Self { expression, every_row: false }
    }

    fn with_every_row(mut self) -> Self {
        self.every_row = true;
        self
    }

    /// Hands rows from `first` to `last` to `each`, until it says stop.
    pub(crate) fn read<E: From<rusqlite::Error>>(
        &self,
        index: &Connection,
        (first, last): (i64, i64),
        direction: Direction,
        mut each: impl FnMut(i64) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut statement = index.prepare_cached(match direction {
            Direction::Ascending => "SELECT rowid FROM terms WHERE terms MATCH ?1 AND rowid >= ?2 AND rowid <= ?3 ORDER BY rowid",
            Direction::Descending => "SELECT rowid FROM terms WHERE terms MATCH ?1 AND rowid >= ?2 AND rowid <= ?3 ORDER BY rowid DESC",
        })?;
        let mut rows = statement.query(params![self.expression, first, last])?;
        while let Some(row) = rows.next()? {
            if !each(row.get(0)?)? {
                break;
            }
        }
        Ok(())
    }
}

fn quote(token: Token, out: &mut String) {
    out.push('"');
    token.write(out);
    out.push('"');
}

/// Writes `plan`; says no, and writes nothing, where it excludes nothing.
fn write(key: TokenKey, project: i64, plan: &Plan, out: &mut String) -> bool {
    let (parts, word) = match plan {
        Plan::All => return false,
        Plan::Term(term) => {
            quote(key.token(project, &term.attribute, &term.value), out);
            return true;
        }
        Plan::And(parts) => (parts, " AND "),
        Plan::Or(parts) => (parts, " OR "),
    };
    let start = out.len();
    out.push('(');
    let mut written = 0;
    for part in parts {
        let before = out.len();
        if written > 0 {
            out.push_str(word);
        }
        if write(key, project, part, out) {
            written += 1;
        } else {
            out.truncate(before);
            if matches!(plan, Plan::Or(_)) {
                written = 0;
                break;
            }
        }
    }
    if written == 0 {
        out.truncate(start);
        return false;
    }
    out.push(')');
    true
}
