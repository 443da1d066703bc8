//! What was spent, from the usage that committed events tell of: in memory, and exactly what the rows say.
//!
//! The writer hands in what each transaction used, before it answers anybody, so a decision sees what was acknowledged before it was
//! asked for. Rows that came another way (those before the start, those that a failed COMMIT left after all) are read from the
//! ledger by a thread; while it has not come far enough, whoever needs the sums waits, for a while.

mod account;
mod ask;
mod follow;
mod period;
mod price;
mod snapshot;
mod tally;
mod usage;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indelible_core::time::Timestamp;
use tokio::sync::watch;

use crate::keystore::KeyStore;
use crate::resource::kinds::budgets::Budget;
use crate::store::Source;
pub use ask::Spending as BudgetSpending;
pub(crate) use price::{Prices, Spent};
use tally::Tallies;
pub(crate) use usage::Usage;

/// How long somebody waits for the sums to come far enough.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The sums of an open ledger.
pub(crate) struct Spending {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread and everybody else share.
struct Shared {
    path: PathBuf,
    ledger: Source,
    keystore: Arc<KeyStore>,
    /// How far they have come. Whoever adds to the sums holds it, so they are added to in the order of the rows.
    state: Mutex<State>,
    tallies: Tallies,
    bell: Condvar,
    through: watch::Sender<i64>,
}

struct State {
    /// Every row up to this one is in the sums; -1 until the snapshot was looked for.
    through: i64,
    /// The last row that is known to be committed.
    committed: i64,
    /// The row of the snapshot that lies in the file.
    saved: i64,
    stop: bool,
}

/// The sums have not come far enough (503).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what was spent is being read from the ledger; try again shortly")]
pub(crate) struct Behind;

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what the rows after `after` up to `last` used, if the sums end there. The writer and the thread that follows may both come with the
    /// same rows, for a row is seen as soon as it is committed: whoever is second finds that the sums have gone on.
    fn count(&self, state: &mut State, after: i64, last: i64, used: &[(i64, Usage)]) -> bool {
        if !state.goes_on(after, last) {
            return false;
        }
        for (project, usage) in used {
            self.tallies.add(*project, usage);
        }
        self.through.send_replace(last);
        true
    }
}

impl State {
    /// From `after` to `last`, if they end at `after`.
    fn goes_on(&mut self, after: i64, last: i64) -> bool {
        let ends_there = self.through == after;
        if ends_there {
            self.through = last;
        }
        ends_there
    }
}

impl Spending {
    /// Begins with the snapshot in the data folder, where there is one that holds, and reads what it lacks.
    pub(crate) fn open(data: &Path, ledger: &Source, keystore: &Arc<KeyStore>) -> Self {
        let shared = Arc::new(Shared {
            path: snapshot::path(data),
            ledger: ledger.clone(),
            keystore: Arc::clone(keystore),
            state: Mutex::new(State { through: -1, committed: 0, saved: 0, stop: false }),
            tallies: Tallies::default(),
            bell: Condvar::new(),
            through: watch::Sender::new(-1),
        });
        let follower = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("spending".to_owned()).spawn(move || follow::run(&follower));
        if let Err(error) = &thread {
            tracing::error!(%error, "what is spent cannot be followed: decisions that need it are refused");
        }
        Self { shared, thread: Mutex::new(thread.ok()) }
    }

    /// The writer committed the rows from `first` to `last`, which used this. Called before anybody is answered.
    pub(crate) fn committed(&self, first: i64, last: i64, used: &[(i64, Usage)]) {
        let mut state = self.shared.lock();
        state.committed = state.committed.max(last);
        if !self.shared.count(&mut state, first - 1, last, used) {
            self.shared.bell.notify_all();
        }
    }

    /// Rows up to this one are in the ledger, whoever wrote them.
    pub(crate) fn found(&self, last: i64) {
        let mut state = self.shared.lock();
        state.committed = state.committed.max(last);
        self.shared.bell.notify_all();
    }

    /// Waits until the sums hold every row up to this one.
    pub(crate) async fn reached(&self, row: i64) -> Result<(), Behind> {
        let mut through = self.shared.through.subscribe();
        if *through.borrow_and_update() >= row {
            return Ok(());
        }
        match tokio::time::timeout(WAIT_MAX, through.wait_for(|through| *through >= row)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Behind),
        }
    }

    /// What counts for a budget of a project now.
    pub(crate) fn spent(&self, project: i64, budget: &Budget, prices: &Prices, now: Timestamp) -> Spent {
        self.shared.tallies.taken(project, budget).spent(budget, prices, period::day(now))
    }

    /// Stops following, and leaves a snapshot. After the writer was closed.
    pub(crate) fn close(&self) {
        self.shared.lock().stop = true;
        self.shared.bell.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that follows what is spent panicked");
        }
    }
}

impl Drop for Spending {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
