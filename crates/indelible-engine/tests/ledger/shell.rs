//! A shell: what somebody with SQL and every right sees of a stored ledger and does to it, past the ledger and past the guards.
//!
//! Statements are one text for both stores. Where these differ (bytes, ids, where the MACs of submissions lie, how guards are taken away) it
//! is said here and nowhere else. What is read comes as text: numbers in decimal, bytes in hex, NULL as nothing.

use std::path::Path;
use std::time::Duration;

use indelible_core::hex;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use uuid::Uuid;

use crate::bench;
use crate::databases::Session;

/// A session with the ledger of a folder.
pub(crate) enum Shell {
    File(Connection),
    Database(Session),
}

impl Shell {
    /// Of the ledger that a folder holds, whether it is open or not.
    pub(crate) fn over(folder: &Path) -> Self {
        if let Some(address) = bench::address(folder) {
            return Self::Database(Session::with(&address));
        }
        let connection = Connection::open(folder.join("data/ledger.db")).expect("it opens");
        connection.busy_timeout(Duration::from_secs(10)).expect("set");
        Self::File(connection)
    }

    /// Has a statement carried out as things are; how many rows it changed.
    pub(crate) fn run(&self, sql: &str) -> Result<u64, String> {
        match self {
            Self::File(connection) => {
                connection.execute_batch(sql).map_err(|error| error.to_string())?;
                Ok(connection.changes())
            }
            Self::Database(session) => session.run(sql),
        }
    }

    /// Takes the guards away, and changes rows; how many.
    pub(crate) fn force(&self, sql: &str) -> u64 {
        self.disarm();
        self.run(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Takes every guard away that stands between a superuser and the rows.
    fn disarm(&self) {
        let find = match self {
            Self::File(_) => "SELECT 'DROP TRIGGER IF EXISTS ' || name FROM sqlite_schema WHERE type = 'trigger'",
            Self::Database(session) => {
                session.breaks();
                session.run("SET synchronous_commit TO off").expect("set");
                DISARM
            }
        };
        for statement in self.column(find) {
            self.run(&statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }

    /// Rows as text.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        match self {
            Self::File(connection) => {
                let mut select = connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
                let width = select.column_count();
                let rows = select.query_map([], |row| (0..width).map(|at| Ok(text(row.get_ref(at)?))).collect()).expect("rows");
                rows.collect::<Result<_, _>>().expect("rows")
            }
            Self::Database(session) => {
                let bytes = |value: String| value.strip_prefix("\\x").map(str::to_owned).unwrap_or(value);
                session.rows(sql).into_iter().map(|row| row.into_iter().map(bytes).collect()).collect()
            }
        }
    }

    /// The one column of all rows.
    pub(crate) fn column(&self, sql: &str) -> Vec<String> {
        self.rows(sql).into_iter().map(|row| <[String; 1]>::try_from(row).expect("one column")).map(|[value]| value).collect()
    }

    /// The one value of the one row.
    pub(crate) fn value(&self, sql: &str) -> String {
        let mut rows = self.column(sql);
        assert_eq!(rows.len(), 1, "{sql}");
        rows.remove(0)
    }

    /// A number, by its statement.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.value(sql).parse().expect("a number")
    }

    /// Bytes as a statement has them.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> String {
        match self {
            Self::File(_) => format!("x'{}'", hex::encode(bytes)),
            Self::Database(_) => format!("'\\x{}'::bytea", hex::encode(bytes)),
        }
    }

    /// An id of an event as a statement has it.
    pub(crate) fn id(&self, id: Uuid) -> String {
        match self {
            Self::File(_) => self.bytes(id.as_bytes()),
            Self::Database(_) => format!("'{id}'"),
        }
    }

    /// The table with the MACs of submissions.
    pub(crate) const fn submissions(&self) -> &'static str {
        match self {
            Self::File(_) => "events",
            Self::Database(_) => "ids",
        }
    }

    /// Whether a text is anywhere in any table, also within bytes.
    pub(crate) fn holds(&self, wanted: &str) -> bool {
        let (tables, in_hex) = (self.tables(), hex::encode(wanted.as_bytes()));
        assert!(tables.len() > 15, "{tables:?}");
        let rows = tables.iter().flat_map(|table| self.rows(&format!("SELECT * FROM {table}")));
        let mut values = rows.flatten();
        values.any(|value| value.contains(wanted) || value.contains(&in_hex))
    }

    /// Every table, by its name.
    pub(crate) fn tables(&self) -> Vec<String> {
        self.column(match self {
            Self::File(_) => "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
            Self::Database(_) => {
                "SELECT relname FROM pg_class WHERE relnamespace = 'audit'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
            }
        })
    }
}

/// What disables everything that refuses, the guards of guards first. What fills in a column of its own goes on.
const DISARM: &str = "
    SELECT format('ALTER EVENT TRIGGER %I DISABLE', evtname) FROM pg_event_trigger WHERE evtenabled <> 'D'
    UNION ALL
    SELECT format('ALTER TABLE %s %s', tgrelid::regclass, string_agg(format('DISABLE TRIGGER %I', tgname), ', ')) FROM pg_trigger
    WHERE tgenabled <> 'D' AND starts_with(tgname, 'refuse_') GROUP BY tgrelid";

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8(text.to_vec()).expect("UTF-8"),
        ValueRef::Blob(bytes) => hex::encode(bytes),
    }
}
