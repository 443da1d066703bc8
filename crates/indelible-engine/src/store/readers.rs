//! The pool of reading connections. Each is read-only and lent to one thread at a time; what is not lent waits here.
//!
//! Keep a moment short: while one is open, SQLite's WAL cannot be emptied, nor PostgreSQL's dead rows.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use super::sql::Connection;
use super::{Source, StoreError};

/// Idle connections kept.
const IDLE_MAX: usize = 8;

/// The pool.
pub(crate) struct Readers {
    source: Source,
    idle: Mutex<Vec<Connection>>,
}

/// A connection on loan; it goes back when dropped.
pub(crate) struct Reader {
    connection: Option<Connection>,
    pool: Arc<Readers>,
}

impl Readers {
    /// A pool over a ledger.
    pub(crate) fn new(source: Source) -> Arc<Self> {
        Arc::new(Self { source, idle: Mutex::new(Vec::new()) })
    }

    /// Lends a connection; opens one where none waits.
    pub(crate) fn get(self: &Arc<Self>) -> Result<Reader, StoreError> {
        let waiting = || self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // One that broke while it waited is let go.
        let connection = match std::iter::from_fn(waiting).find(Connection::is_idle) {
            Some(connection) => connection,
            None => self.source.open_reader()?,
        };
        Ok(Reader { connection: Some(connection), pool: Arc::clone(self) })
    }

    /// What it is over.
    pub(crate) const fn source(&self) -> &Source {
        &self.source
    }

    /// Closes what waits.
    pub(crate) fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a reader holds its connection until it is dropped")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.is_idle() && idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }
}
