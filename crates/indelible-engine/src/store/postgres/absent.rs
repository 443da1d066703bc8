//! Tables that somebody dropped: verification goes on over empty ones in their place, and names them.

use super::{Database, Session};
use crate::store::sql::SqlResult;

/// What the statement of each table of the schema begins with.
const CREATE: &str = "CREATE TABLE audit.";

/// Opens a session for verification: in the place of each table that is not there is an empty one, of this session alone.
pub(crate) fn open_verifier(database: &Database) -> SqlResult<crate::store::sql::Connection> {
    let session = Session::open(database)?;
    let there = names(&session, "SELECT relname FROM pg_class WHERE relnamespace = 'audit'::regnamespace AND relkind IN ('r', 'p')")?;
    for (name, columns) in tables() {
        if !there.iter().any(|there| there == name) {
            session.batch(&format!("CREATE TEMP TABLE {columns}"))?;
        }
    }
    Ok(crate::store::sql::Connection::Postgres(Box::new(session)))
}

/// The tables in whose place an empty one is.
pub(crate) fn absent_tables(session: &Session) -> SqlResult<Vec<String>> {
    names(session, "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r' ORDER BY relname")
}

fn names(session: &Session, sql: &str) -> SqlResult<Vec<String>> {
    let prepared = session.prepare(sql)?;
    session.query(&prepared, &[])?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Each table of the schema: its name, and its name and columns without how it is partitioned.
fn tables() -> impl Iterator<Item = (&'static str, &'static str)> {
    let statements = include_str!("schema.sql").split(CREATE).skip(1).filter_map(|rest| rest.split(';').next());
    statements
        .filter_map(|statement| Some((statement.split_whitespace().next()?, statement.split(" PARTITION BY ").next().unwrap_or(statement))))
}
