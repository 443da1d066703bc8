//! One way to ask either database. A statement is the same text for both wherever the dialects agree, which they do but for a few
//! statements that lie in `sqlite/` and `postgres/`; parameters are `?1`, `?2` and so on.
//!
//! What SQLite keeps as INTEGER, TEXT and BLOB is `bigint`, `text` and `bytea` or `uuid` in PostgreSQL, and is read alike. A connection
//! belongs to one thread at a time. Nothing here decides what is asked.

mod params;
mod row;

use std::ops::Deref;

pub(crate) use params::{AsParam, Param, Params, params};
pub(crate) use row::{Row, Rows, ValueRef};

use super::postgres::{self, Session};

/// Why a statement gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SqlError {
    /// SQLite said so.
    #[error(transparent)]
    Sqlite(rusqlite::Error),
    /// PostgreSQL said so, or it cannot be reached.
    #[error("{}", postgres::told(.0))]
    Postgres(tokio_postgres::Error),
    /// No answer came in time, or the connection is closed.
    #[error("{0}")]
    Unreachable(String),
    /// A row was asked for, and there is none.
    #[error("the query returned no rows")]
    NoRow,
    /// A value is not of the type that it should be: somebody else wrote it.
    #[error("column {0} is not {1}")]
    Unfit(usize, &'static str),
}

impl SqlError {
    /// Whether somebody else only holds what was asked for.
    pub(crate) fn is_busy(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
        matches!(self, Self::Sqlite(error) if matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked)))
    }
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::QueryReturnedNoRows => Self::NoRow,
            other => Self::Sqlite(other),
        }
    }
}

impl From<tokio_postgres::Error> for SqlError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

/// Result of a statement.
pub(crate) type SqlResult<T> = Result<T, SqlError>;

/// A row that need not be there.
pub(crate) trait OptionalExtension<T> {
    /// `None` where there is no row.
    fn optional(self) -> SqlResult<Option<T>>;
}

impl<T> OptionalExtension<T> for SqlResult<T> {
    fn optional(self) -> SqlResult<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(SqlError::NoRow) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A connection to a ledger's database.
pub(crate) enum Connection {
    /// To `ledger.db`.
    Sqlite(rusqlite::Connection),
    /// To the schema `audit`.
    Postgres(Box<Session>),
}

impl Connection {
    /// Prepares a statement, or takes the one that was prepared before.
    pub(crate) fn prepare<'c>(&'c self, sql: &str) -> SqlResult<Statement<'c>> {
        match self {
            Self::Sqlite(connection) => Ok(Statement::Sqlite(connection.prepare_cached(sql)?)),
            Self::Postgres(session) => Ok(Statement::Postgres(session, session.prepare(sql)?)),
        }
    }

    /// The same, of a statement that looks for events of `row = ?1`, or of `row > ?1` and perhaps `AND row <= ?2`: it looks only into the
    /// partitions that can have them. Not for verification, which believes nothing of where rows lie.
    pub(crate) fn prepare_by_row<'c>(&'c self, sql: &str) -> SqlResult<Statement<'c>> {
        match self {
            Self::Sqlite(_) => self.prepare(sql),
            Self::Postgres(session) => Ok(Statement::Postgres(session, session.prepare_by_row(sql)?)),
        }
    }

    /// The first row of what a statement gives.
    pub(crate) fn query_row<T>(&self, sql: &str, params: impl Params, read: impl FnOnce(&Row<'_>) -> SqlResult<T>) -> SqlResult<T> {
        self.prepare(sql)?.query_row(params, read)
    }

    /// Carries out a statement; how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> SqlResult<usize> {
        self.prepare(sql)?.execute(params)
    }

    /// Carries out statements without parameters.
    #[cfg(test)]
    pub(crate) fn execute_batch(&self, sql: &str) -> SqlResult<()> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
            Self::Postgres(session) => session.batch(sql),
        }
    }

    /// Sees the store as it is now, until [`Self::end`]; writes nothing meanwhile.
    pub(crate) fn begin_reading(&self) -> SqlResult<()> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch("BEGIN")?),
            Self::Postgres(session) => session.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
        }
    }

    /// Ends what [`Self::begin_reading`] began.
    pub(crate) fn end(&self) -> SqlResult<()> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch("COMMIT")?),
            Self::Postgres(session) => session.end("COMMIT"),
        }
    }

    /// Gives up what was begun.
    pub(crate) fn roll_back(&self) -> SqlResult<()> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch("ROLLBACK")?),
            Self::Postgres(session) => session.end("ROLLBACK"),
        }
    }

    /// Sees the store as it is now for as long as the moment lives.
    pub(crate) fn moment(&self) -> SqlResult<Moment<'_>> {
        self.begin_reading()?;
        Ok(Moment(self))
    }

    /// Whether no transaction is open, and the connection can be lent to somebody else.
    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Sqlite(connection) => connection.is_autocommit(),
            Self::Postgres(session) => session.is_idle(),
        }
    }

    /// Whether each question goes over a wire, so that a few great ones cost less than many small ones.
    pub(crate) const fn is_far(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// The connection, where it is to SQLite.
    pub(crate) const fn sqlite(&self) -> Option<&rusqlite::Connection> {
        match self {
            Self::Sqlite(connection) => Some(connection),
            Self::Postgres(_) => None,
        }
    }

    /// The session, where it is with PostgreSQL.
    pub(crate) fn postgres(&self) -> Option<&Session> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(session) => Some(session),
        }
    }

    /// What a retry is told by, beside the columns of its row: a table with the columns of `events` in SQLite.
    pub(crate) const fn submissions(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "events",
            Self::Postgres(_) => "submissions",
        }
    }
}

impl From<rusqlite::Connection> for Connection {
    fn from(connection: rusqlite::Connection) -> Self {
        Self::Sqlite(connection)
    }
}

/// The store as it was at one moment. Keep it short: meanwhile nothing that was written since can be cleared away.
pub(crate) struct Moment<'c>(&'c Connection);

impl Deref for Moment<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0
    }
}

impl Drop for Moment<'_> {
    fn drop(&mut self) {
        // A connection on which this fails is not lent again.
        let _ = self.0.end();
    }
}

/// A prepared statement.
pub(crate) enum Statement<'c> {
    /// Goes back to the connection's cache.
    Sqlite(rusqlite::CachedStatement<'c>),
    /// Stays in the session's.
    Postgres(&'c Session, postgres::Prepared),
}

#[expect(clippy::needless_pass_by_value, reason = "parameters are written where they are handed in")]
impl Statement<'_> {
    /// The first row.
    pub(crate) fn query_row<T>(&mut self, params: impl Params, read: impl FnOnce(&Row<'_>) -> SqlResult<T>) -> SqlResult<T> {
        let params = params.list();
        match self {
            Self::Sqlite(statement) => {
                let mut rows = statement.query(rusqlite::params_from_iter(params))?;
                let row = rows.next()?.ok_or(SqlError::NoRow)?;
                read(&Row::Sqlite(row))
            }
            Self::Postgres(session, prepared) => {
                let rows = session.query(prepared, &params)?;
                read(&Row::Postgres(rows.first().ok_or(SqlError::NoRow)?))
            }
        }
    }

    /// Every row, read one after the other and held together: for what is known to be few.
    pub(crate) fn query_map<T>(
        &mut self,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> SqlResult<T>,
    ) -> SqlResult<std::vec::IntoIter<SqlResult<T>>> {
        let params = params.list();
        let mut read = read;
        let read: Vec<SqlResult<T>> = match self {
            Self::Sqlite(statement) => {
                let (mut rows, mut all) = (statement.query(rusqlite::params_from_iter(params))?, Vec::new());
                while let Some(row) = rows.next()? {
                    all.push(read(&Row::Sqlite(row)));
                }
                all
            }
            Self::Postgres(session, prepared) => session.query(prepared, &params)?.iter().map(|row| read(&Row::Postgres(row))).collect(),
        };
        Ok(read.into_iter())
    }

    /// The rows, as they are asked for. Within a moment any number of them: memory stays flat.
    pub(crate) fn query(&mut self, params: impl Params) -> SqlResult<Rows<'_>> {
        let params = params.list();
        match self {
            Self::Sqlite(statement) => Ok(Rows::Sqlite(statement.query(rusqlite::params_from_iter(params))?)),
            Self::Postgres(session, prepared) => Ok(Rows::Postgres(session.open_rows(prepared, &params)?)),
        }
    }

    /// How many rows it changed.
    pub(crate) fn execute(&mut self, params: impl Params) -> SqlResult<usize> {
        let params = params.list();
        match self {
            Self::Sqlite(statement) => Ok(statement.execute(rusqlite::params_from_iter(params))?),
            Self::Postgres(session, prepared) => session.execute(prepared, &params),
        }
    }
}
