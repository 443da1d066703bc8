//! The pool of reading connections. Each is read-only and lent to one thread at a time; what is not lent waits here.
//!
//! Keep a read transaction short: while one is open, the WAL cannot be emptied.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::{StoreError, open_reader};

/// Idle connections kept.
const IDLE_MAX: usize = 8;

/// The pool.
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// A connection on loan; it goes back when dropped.
pub(crate) struct Reader {
    connection: Option<Connection>,
    pool: Arc<Readers>,
}

impl Readers {
    /// A pool over `ledger.db` at `path`.
    pub(crate) fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self { path, idle: Mutex::new(Vec::new()) })
    }

    /// Lends a connection; opens one where none waits.
    pub(crate) fn get(self: &Arc<Self>) -> Result<Reader, StoreError> {
        let waiting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = if let Some(connection) = waiting { connection } else { open_reader(&self.path)? };
        Ok(Reader { connection: Some(connection), pool: Arc::clone(self) })
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
        if connection.is_autocommit() && idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }
}
