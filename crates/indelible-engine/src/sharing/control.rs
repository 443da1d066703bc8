//! One change of resources at a time, whichever server makes it: a lock of this process, and one of the database that goes with its
//! session. So what a change was checked against is what it is written over; and should a session be lost with its lock, the writer still
//! refuses what was made from what is no longer so.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use crate::append::AppendError;
use crate::store::postgres::Session;
use crate::store::{Database, Source, StoreError};

/// Key of the advisory lock: "indelctl".
pub(crate) const LOCK: i64 = 0x696e_6465_6c63_746c;
/// How long a change waits for those of other servers.
/// And how long the database waits for a server that stands still with the lock: what it then writes is refused as made from what is no longer
/// so.
const WAIT: &str = "SET lock_timeout TO '10s'; SET idle_session_timeout TO '60s'";

/// The lock.
pub(crate) struct Control {
    database: Option<Arc<Database>>,
    session: Mutex<Option<Session>>,
}

/// Held while a resource is read, changed and written.
pub(crate) struct ControlGuard<'c> {
    session: MutexGuard<'c, Option<Session>>,
    shared: bool,
}

impl Control {
    pub(crate) fn new(source: &Source) -> Self {
        Self { database: source.database().cloned(), session: Mutex::new(None) }
    }

    /// Waits for the turn to change something. Where other servers may change something too, whoever has the lock looks before it goes on.
    pub(crate) async fn lock(&self) -> Result<ControlGuard<'_>, AppendError> {
        let mut session = self.session.lock().await;
        let Some(database) = self.database.clone() else { return Ok(ControlGuard { session, shared: false }) };
        let held = session.take();
        let locked = tokio::task::spawn_blocking(move || acquire(held, &database)).await;
        match locked.map_err(|error| error.to_string()).and_then(|locked| locked.map_err(|error| error.to_string())) {
            Ok(locked) => {
                *session = Some(locked);
                Ok(ControlGuard { session, shared: true })
            }
            Err(error) => {
                tracing::warn!(error, "the lock for changes was not given");
                let reason = "another server is changing something, or the database cannot be reached; try again shortly".to_owned();
                Err(AppendError::Unavailable { reason, outcome_unknown: false })
            }
        }
    }
}

fn acquire(held: Option<Session>, database: &Database) -> Result<Session, StoreError> {
    let session = if let Some(session) = held.filter(Session::is_idle) {
        session
    } else {
        let session = Session::open(database)?;
        session.batch(WAIT)?;
        session
    };
    session.batch(&format!("SELECT pg_advisory_lock({LOCK})"))?;
    Ok(session)
}

impl Drop for ControlGuard<'_> {
    fn drop(&mut self) {
        if !self.shared {
            return;
        }
        // A session that cannot be told to let go is let go of, and its lock with it.
        if let Some(session) = self.session.take()
            && session.send_unlock(LOCK)
        {
            *self.session = Some(session);
        }
    }
}
