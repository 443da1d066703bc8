//! What servers that share a database know of each other: what was changed of what they hold in memory, and how far the ledger has come.
//!
//! The truth is one row, [`Turn`](crate::store::postgres::Turn), which every commit moves. It is looked at for every authentication and
//! every decision ([`Sharing::look`]), once for all who ask at the same time, so that what one server acknowledged holds on all of them; and
//! now and then when nobody asks. A ledger that nobody shares has nothing to look at.

mod control;
mod lease;
mod look;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use control::{Control, ControlGuard, LOCK as CONTROL_LOCK};
pub(crate) use lease::{IS_HELD, Lease, Term};
pub(crate) use look::Look;

use tokio::sync::watch;

use crate::access::Owner;
use crate::append::{AppendError, Desk};
use crate::index::Index;
use crate::resource::load;
use crate::spending::Spending;
use crate::store::postgres::Turn;
use crate::store::sql::Connection;
use crate::store::{Source, StoreError};

/// What is brought up to date when others wrote.
pub(crate) struct Held {
    pub(crate) desk: Arc<Desk>,
    pub(crate) index: Arc<Index>,
    pub(crate) spending: Arc<Spending>,
    /// The last row that is known to be committed.
    pub(crate) committed: watch::Sender<i64>,
}

impl Held {
    /// The ledger has come to this row, whoever wrote it.
    pub(crate) fn has_come_to(&self, row: i64) {
        self.index.committed(row);
        self.spending.found(row);
        self.is_committed(row);
    }

    /// Rows up to this one are committed. Another server's later one may be known already.
    pub(crate) fn is_committed(&self, row: i64) {
        self.committed.send_if_modified(|known| std::mem::replace(known, row.max(*known)) < row);
    }

    /// Takes in what was changed since it was last taken in, up to this turn.
    pub(crate) fn take_in(&self, connection: &Connection, turn: &Turn) -> Result<(), StoreError> {
        let registry = &self.desk.registry;
        if registry.epoch() >= turn.control_epoch {
            return Ok(());
        }
        // A key is in the folder before anything tells of it.
        let keystore = &self.desk.keystore;
        keystore.load_newer().and_then(|()| keystore.load_serving(connection)).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        self.desk.data_keys.load_newer(connection, registry.epoch())?;
        let changed = load(connection, registry, Some(registry.epoch()))?;
        let mut settled: HashSet<(&str, Owner)> = HashSet::new();
        for (kind, owner) in changed {
            if settled.insert((kind.noun, owner)) {
                self.desk.settle(kind, owner);
            }
        }
        registry.came_to(turn.control_epoch);
        Ok(())
    }
}

/// How a server keeps up with the others.
pub(crate) struct Sharing {
    look: Option<Look>,
}

impl Sharing {
    /// Begins to look, where the ledger is shared: at least `every` so often.
    pub(crate) fn start(source: &Source, held: Held, every: Duration) -> Result<Self, StoreError> {
        let look = source.database().map(|database| Look::start(Arc::clone(database), held, every)).transpose()?;
        Ok(Self { look })
    }

    /// Returns once everything that any server acknowledged before this was called is known here. Nothing is answered by what is
    /// known where that cannot be told.
    pub(crate) async fn look(&self) -> Result<(), AppendError> {
        match &self.look {
            None => Ok(()),
            Some(look) => look.ask().await.map_err(AppendError::from),
        }
    }

    /// [`Self::look`] for threads outside the runtime.
    pub(crate) fn look_blocking(&self) -> Result<(), AppendError> {
        match &self.look {
            None => Ok(()),
            Some(look) => look.ask_blocking().map_err(AppendError::from),
        }
    }

    /// How far this server's clock is ahead of the database's, seconds, and whether that is too far; `None` where the ledger is not shared.
    pub(crate) fn clock_ahead(&self) -> Option<(f64, bool)> {
        let ahead = self.look.as_ref()?.clock_ahead_micros();
        Some((ahead as f64 / 1e6, look::is_apart(ahead)))
    }

    /// Stops looking.
    pub(crate) fn close(&self) {
        if let Some(look) = &self.look {
            look.close();
        }
    }
}
