//! Tables that somebody dropped: verification goes on over empty ones in their place, and names them.

use std::path::Path;

use rusqlite::Connection;

use super::open_reader;
use crate::store::StoreError;

/// What the statement of each table of the schema begins with.
const CREATE: &str = "CREATE TABLE ";

/// Opens `ledger.db` for verification: in the place of each table that is not there is an empty one, of this connection alone.
pub(crate) fn open_verifier(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_reader(path)?;
    let there = names(&connection, "SELECT name FROM main.sqlite_schema WHERE type = 'table'")?;
    let absent: Vec<&str> = tables().filter(|(name, _)| !there.iter().any(|there| there == name)).map(|(_, columns)| columns).collect();
    if !absent.is_empty() {
        connection.execute_batch("PRAGMA temp_store = memory; PRAGMA query_only = OFF")?;
        for columns in absent {
            connection.execute_batch(&format!("CREATE TEMP TABLE {columns}"))?;
        }
        connection.execute_batch("PRAGMA query_only = ON")?;
    }
    Ok(connection)
}

/// The tables in whose place an empty one is.
pub(crate) fn absent_tables(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    names(connection, "SELECT name FROM temp.sqlite_schema WHERE type = 'table' ORDER BY name")
}

fn names(connection: &Connection, sql: &str) -> Result<Vec<String>, rusqlite::Error> {
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// Each table of the schema: its name, and what follows `CREATE TABLE`.
pub(crate) fn tables() -> impl Iterator<Item = (&'static str, &'static str)> {
    let statements = include_str!("schema.sql").split(CREATE).skip(1).filter_map(|rest| rest.split(';').next());
    statements.filter_map(|statement| Some((statement.split_whitespace().next()?, statement)))
}
