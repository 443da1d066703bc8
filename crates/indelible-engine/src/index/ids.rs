//! Which rows may bear an id: the candidates of a retry.
//!
//! Candidates only: the writer reads the row and compares.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use rusqlite::Connection;
use uuid::Uuid;

/// Committed ids, by project.
pub(crate) struct IdIndex {
    rows: RwLock<HashMap<(i64, Uuid), i64>>,
}

impl IdIndex {
    /// Reads the ids of all committed rows.
    pub(crate) fn open(connection: &Connection) -> Result<Self, rusqlite::Error> {
        let mut statement = connection.prepare("SELECT project, id, row FROM events")?;
        let rows = statement
            .query_map([], |row| Ok(((row.get(0)?, Uuid::from_bytes(row.get(1)?)), row.get(2)?)))?
            .collect::<Result<_, rusqlite::Error>>()?;
        Ok(Self { rows: RwLock::new(rows) })
    }

    /// Rows that may bear this id.
    pub(crate) fn find(&self, project: i64, id: Uuid) -> Result<Vec<i64>, rusqlite::Error> {
        Ok(self.rows.read().unwrap_or_else(PoisonError::into_inner).get(&(project, id)).copied().into_iter().collect())
    }

    /// Takes note of a committed row.
    pub(crate) fn note(&self, project: i64, id: Uuid, row: i64) {
        self.rows.write().unwrap_or_else(PoisonError::into_inner).insert((project, id), row);
    }
}
