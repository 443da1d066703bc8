//! Looking at the ledger with SQL, offline or beside a running server: one statement that only reads, over the
//! view `audit_events`, which holds every event with its members as columns. Contents stay sealed.
//!
//! Refused: more than one statement, anything that writes, ATTACH, DETACH and PRAGMA. The connection is read-only, has
//! `query_only` set, and takes no lock that a writer would wait for.

use std::fmt;
use std::path::Path;

use indelible_core::event::members::{ENTRY, Member, Shape};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::store::open_read_only;

/// One value of a result.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL
    Null,
    /// An integer.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Integer(n) => write!(f, "{n}"),
            Self::Real(n) => write!(f, "{n}"),
            Self::Text(text) => f.write_str(text),
            Self::Blob(bytes) => f.write_str(&indelible_core::hex::encode(bytes)),
        }
    }
}

/// Why a statement gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// There is no ledger in the folder, or it cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The statement is not one that only reads.
    #[error("{0}")]
    Refused(&'static str),
    /// SQLite does not take it.
    #[error("{0}")]
    Sqlite(String),
    /// Whoever took the rows wants no more.
    #[error(transparent)]
    Taken(#[from] std::io::Error),
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error.to_string())
    }
}

/// Shorter names that a column has as well: (name, column or label of `context`).
const ALIASES: &[(&str, &str)] = &[
    ("request_id", "$.request.request_id"),
    ("input_tokens", "$.usage.input_tokens"),
    ("output_tokens", "$.usage.output_tokens"),
    ("cost_micros", "$.usage.cost_micros"),
    ("decision", "$.decision.decision"),
    ("tool", "$.context.tool"),
];

/// Columns of `audit_events` that are members of the entry, as (column, JSON path): every member in its canonical order, those of
/// objects by their path joined with `_`; lists and `context` as JSON text; then shorter names for some.
pub fn columns() -> Vec<(String, String)> {
    let mut columns = Vec::new();
    add(ENTRY, "", "$", &mut columns);
    columns.extend(ALIASES.iter().map(|(column, path)| ((*column).to_owned(), (*path).to_owned())));
    columns
}

fn add(members: &[Member], prefix: &str, path: &str, columns: &mut Vec<(String, String)>) {
    for member in members {
        let (column, path) = (format!("{prefix}{}", member.name), format!("{path}.{}", member.name));
        match member.shape {
            Shape::Object(inner) => add(inner, &format!("{column}_"), &path, columns),
            // A column of the table, which the view names itself.
            _ if path == "$.sequence" => {}
            _ => columns.push((column, path)),
        }
    }
}

/// Takes the names of the columns and the values of one row.
pub type TakeRow<'a> = dyn FnMut(&[String], Vec<Cell>) -> std::io::Result<()> + 'a;

/// A ledger that is being looked at.
pub struct SqlSession {
    connection: Connection,
}

impl SqlSession {
    /// Opens `ledger.db` of a data folder, read-only.
    pub fn open(data: &Path) -> Result<Self, SqlError> {
        let file = data.join("ledger.db");
        if !file.is_file() {
            return Err(SqlError::Unreadable(format!(
                "there is no ledger in {}: name its folder with --data; one that is kept in PostgreSQL is asked there, as \
                 audit.audit_events, with psql",
                data.display()
            )));
        }
        let connection = open_read_only(&file).map_err(|error| SqlError::Unreadable(error.to_string()))?;
        connection.execute_batch(&view())?;
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;")?;
        Ok(Self { connection })
    }

    /// Runs one statement that only reads. `row` gets the names of the columns and the values of each row, as they come.
    pub fn query(&self, sql: &str, row: &mut TakeRow<'_>) -> Result<Vec<String>, SqlError> {
        let first = first_word(sql);
        if !["select", "with", "values", "explain"].contains(&first.as_str()) {
            return Err(SqlError::Refused("only one SELECT, WITH, VALUES or EXPLAIN is taken"));
        }
        let mut statement = self.connection.prepare(sql).map_err(|error| match error {
            rusqlite::Error::MultipleStatement => SqlError::Refused("only one statement is taken at a time"),
            other => other.into(),
        })?;
        if !statement.readonly() {
            return Err(SqlError::Refused("only a statement that reads is taken"));
        }
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([])?;
        while let Some(found) = rows.next()? {
            let cells = (0..columns.len()).map(|n| found.get_ref(n).map(cell)).collect::<Result<Vec<_>, _>>()?;
            row(&columns, cells)?;
        }
        drop(rows);
        Ok(columns)
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(n) => Cell::Integer(n),
        ValueRef::Real(n) => Cell::Real(n),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    }
}

/// The first word after white space, comments and parentheses, in lower case.
fn first_word(sql: &str) -> String {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
        } else {
            return rest.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
        }
    }
}

/// The view. It is temporary: it belongs to the connection, and the ledger is not touched.
fn view() -> String {
    let members: Vec<String> = columns().iter().map(|(column, path)| format!("json_extract(entry, '{path}') AS \"{column}\"")).collect();
    format!(
        "CREATE TEMP VIEW audit_events AS SELECT sequence, {}, lower(hex(prev_hash)) AS prev_hash, lower(hex(row_hash)) AS row_hash, entry \
         FROM main.events",
        members.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a table of the columns that the view needs, and two entries in it.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let connection = Connection::open(folder.path().join("ledger.db")).expect("opens");
        connection
            .execute_batch(
                r#"PRAGMA journal_mode = WAL;
                CREATE TABLE events (row INTEGER PRIMARY KEY, sequence INTEGER, prev_hash BLOB, row_hash BLOB, entry TEXT);
                INSERT INTO events VALUES (1, 0, x'00', x'AB', '{"action":"tool.call","actor":{"id":"x"},"principal":{"id":"alice"},"context":{"tool":"t"}}');
                INSERT INTO events VALUES (2, 1, x'AB', x'CD', '{"action":"tool.call","actor":{"id":"y"},"principal":{"id":"bob"}}');"#,
            )
            .expect("made");
        folder
    }

    fn ask(sql: &str) -> Result<Vec<String>, SqlError> {
        let folder = folder();
        let mut out = Vec::new();
        SqlSession::open(folder.path())?.query(sql, &mut |_, cells| {
            out.push(cells.iter().map(ToString::to_string).collect::<Vec<_>>().join("|"));
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn members_are_columns() {
        let cases = [
            ("SELECT sequence, actor_id, tool, row_hash FROM audit_events WHERE principal_id = 'alice'", vec!["0|x|t|ab"]),
            ("select count(*) from audit_events", vec!["2"]),
            ("WITH a AS (SELECT * FROM audit_events) SELECT actor_id FROM a ORDER BY sequence DESC;", vec!["y", "x"]),
            ("-- a comment\n /* another */ VALUES (1, x'FF', 1.5, NULL)", vec!["1|ff|1.5|"]),
        ];
        for (sql, rows) in cases {
            assert_eq!(ask(sql).expect(sql), rows, "{sql}");
        }
    }

    /// Every scalar, by a walk of its own over a table of members.
    fn scalars(members: &'static [Member], path: &[&'static str], found: &mut Vec<Vec<&'static str>>) {
        for member in members {
            let path = [path, &[member.name]].concat();
            match member.shape {
                Shape::Object(inner) => scalars(inner, &path, found),
                Shape::Objects(..) | Shape::Texts(..) | Shape::Labels => {}
                _ => found.push(path),
            }
        }
    }

    #[test]
    fn every_scalar_member_has_a_column() {
        let folder = folder();
        let mut paths = Vec::new();
        scalars(ENTRY, &[], &mut paths);
        assert!(paths.len() > 60, "{}", paths.len());
        let connection = Connection::open(folder.path().join("ledger.db")).expect("opens");
        for (n, path) in paths.iter().enumerate() {
            let value = format!("value {n}");
            let entry = path.iter().rev().fold(format!("{value:?}"), |inner, name| format!("{{{name:?}:{inner}}}"));
            connection.execute("UPDATE events SET entry = ?1 WHERE row = 1", [entry]).expect("written");
            let column = path.join("_");
            let expected = if column == "sequence" { "0" } else { &value };
            let mut seen = String::new();
            let sql = format!("SELECT {column} FROM audit_events WHERE sequence = 0");
            let session = SqlSession::open(folder.path()).expect("opens");
            let asked = session.query(&sql, &mut |_, cells| {
                seen = cells[0].to_string();
                Ok(())
            });
            assert!(asked.is_ok() && seen == expected, "{column}: {asked:?}, {seen}");
        }
    }

    #[test]
    fn no_two_columns_have_one_name() {
        let mut names: Vec<String> = columns().into_iter().map(|(column, _)| column).collect();
        names.extend(["sequence", "prev_hash", "row_hash", "entry"].map(str::to_owned));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn only_one_statement_that_reads_is_taken() {
        for sql in [
            "",
            "DELETE FROM events",
            "UPDATE events SET entry = ''",
            "INSERT INTO events VALUES (9, 9, 'a', 'b', 'c')",
            "DROP VIEW audit_events",
            "ATTACH 'x.db' AS x",
            "PRAGMA query_only = OFF",
            "VACUUM INTO 'copy.db'",
            "SELECT 1; SELECT 2",
            "SELECT 1; DELETE FROM events",
            "WITH a AS (SELECT 1) DELETE FROM events",
            "WITH a AS (SELECT 1) INSERT INTO events (sequence) SELECT 1",
            "/* SELECT */ DELETE FROM events",
            "SELECT * FROM nothing",
        ] {
            assert!(ask(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn a_folder_without_a_ledger_is_refused_and_stays_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(SqlSession::open(folder.path()), Err(SqlError::Unreadable(_))));
        assert_eq!(std::fs::read_dir(folder.path()).expect("reads").count(), 0);
    }
}
