//! Who delivers: the thread that starts a worker for each stream, and tells workers that their projects were written to.
//!
//! Of servers that share a ledger one delivers, under a lease; the others look every few seconds whether it still does. What is recorded under
//! a lease that was lost is refused, so that the cursor is moved by one alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::row::StreamChange;
use super::shared::Shared;
use super::stored;
use super::worker::{Bell, Worker};
use crate::query::reading::HeadMark;
use crate::resource::kinds::audit_streams;
use crate::sharing::Lease;
use crate::store::StoreError;
use crate::store::sql::SqlResult;

/// How often it is looked what streams there are, unless the bell rings.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the lease is renewed, or looked at.
const LEASE_EVERY: Duration = Duration::from_secs(3);
/// How long the lease lasts, if it is not renewed: until another server delivers.
pub(crate) const LEASE_LASTS: Duration = Duration::from_secs(15);
/// Commits are looked at together, those of so long.
const COMMITS_FOR: Duration = Duration::from_millis(5);
/// How long closing waits for what is being read.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

struct Running {
    bell: Arc<Bell>,
    task: JoinHandle<()>,
}

/// The state of the thread.
pub(super) struct Deliverer {
    shared: Arc<Shared>,
    runtime: Runtime,
    lease: Option<Lease>,
    workers: HashMap<Uuid, Running>,
    /// Projects that there were when it was looked last.
    projects: i64,
    /// Whether what is stored of streams that are no more was looked for.
    is_swept: bool,
}

impl Deliverer {
    pub(super) fn new(shared: Arc<Shared>, runtime: Runtime, lease: Option<Lease>) -> Self {
        Self { shared, runtime, lease, workers: HashMap::new(), projects: 0, is_swept: false }
    }

    pub(super) fn run(mut self) {
        let clock = Arc::clone(&self.shared.ledger.inner.clock);
        let (mut heard, mut leased): (u64, Option<Duration>) = (0, None);
        let mut delivers = self.lease.is_none();
        loop {
            let now = clock.monotonic();
            if self.lease.is_some() && leased.is_none_or(|at| now.saturating_sub(at) >= LEASE_EVERY) {
                leased = Some(now);
                delivers = self.hold();
            }
            self.shared.set_delivers(delivers);
            if delivers {
                self.look();
            } else {
                self.stop();
            }
            match self.shared.board().wait(heard, LOOK_EVERY) {
                Some(rung) => heard = rung,
                None => break,
            }
        }
        self.stop();
        if let Some(lease) = &mut self.lease {
            lease.let_go(true);
        }
        self.runtime.shutdown_timeout(CLOSE_WAIT);
    }

    /// Takes the lease, or keeps it; whether this server delivers.
    fn hold(&mut self) -> bool {
        let Some(lease) = &mut self.lease else { return true };
        let held = lease.hold(false);
        lease.let_go(false);
        match held {
            Ok(held) => {
                let (term, is_new) = held.map_or((None, false), |(term, is_new)| (Some(term), is_new));
                if is_new {
                    tracing::info!("this server delivers streams");
                    // Another may have delivered meanwhile: what workers know of cursors is of no use.
                    self.stop();
                }
                // One that was lost stays: what is recorded under it is refused.
                if term.is_some() {
                    self.shared.set_term(term);
                }
                term.is_some()
            }
            Err(error) => {
                tracing::warn!(%error, "the lease of streams cannot be told");
                false
            }
        }
    }

    fn stop(&mut self) {
        for (id, running) in self.workers.drain() {
            running.task.abort();
            self.shared.leave(id);
        }
    }

    /// Starts what is to run and does not, and wakes what changed.
    fn look(&mut self) {
        let registry = &self.shared.ledger.inner.registry;
        let streams = registry.kept_after(&audit_streams::KIND, None, usize::MAX, &|kept| kept.ended_at.is_none());
        self.workers.retain(|_, running| !running.task.is_finished());
        for stream in &streams {
            if !self.workers.contains_key(&stream.id) {
                let bell = Arc::<Bell>::default();
                let worker = Worker::new(Arc::clone(&self.shared), stream.id, Arc::clone(&bell));
                let task = self.runtime.spawn(worker.run());
                self.workers.insert(stream.id, Running { bell, task });
            }
        }
        let projects = registry.next_number();
        let more = std::mem::replace(&mut self.projects, projects) != projects;
        let replayed = self.replayed().unwrap_or_else(|error| {
            tracing::debug!(%error, "replays cannot be looked for");
            HashMap::new()
        });
        for (id, running) in &self.workers {
            // Those that a worker knows are all stored, until they are over: where there are as many, they are the same.
            let stored = replayed.get(id).map_or(0, |count| (*count).min(u64::from(stored::REPLAYS_MAX)));
            if more || stored > running.bell.replays.load(Ordering::Acquire) as u64 {
                running.bell.reload.store(true, Ordering::Release);
            }
            running.bell.wake.notify_one();
        }
        if !self.is_swept {
            let there: HashSet<Uuid> = streams.iter().map(|stream| stream.id).collect();
            self.is_swept = self.sweep(&there);
        }
    }

    fn replayed(&self) -> Result<HashMap<Uuid, u64>, StoreError> {
        let reader = self.shared.ledger.inner.readers.get()?;
        Ok(stored::replayed(&reader)?.into_iter().collect())
    }

    /// What is stored of streams that ended while nobody delivered goes.
    fn sweep(&self, there: &HashSet<Uuid>) -> bool {
        let read = || -> Result<Vec<Uuid>, StoreError> { stored::streams(&*self.shared.ledger.inner.readers.get()?) };
        let gone = match read() {
            Ok(stored) => stored.into_iter().filter(|stream| !there.contains(stream)),
            Err(error) => {
                tracing::debug!(%error, "streams that ended cannot be looked for");
                return false;
            }
        };
        let changes: Vec<StreamChange> = gone.map(|stream| StreamChange::Forget { stream }).collect();
        changes.is_empty() || self.runtime.block_on(self.shared.store(changes)).is_ok()
    }
}

/// Tells workers of commits, until the ledger is closed: reads which projects were written to.
pub(super) async fn follow(shared: Arc<Shared>, mut committed: watch::Receiver<i64>) {
    let mut seen = *committed.borrow_and_update();
    while committed.changed().await.is_ok() {
        tokio::time::sleep(COMMITS_FOR).await;
        let row = *committed.borrow_and_update();
        let (from, own) = (seen, Arc::clone(&shared));
        let read = shared.apart(move || -> Result<Vec<(i64, HeadMark)>, StoreError> {
            let reader = own.ledger.inner.readers.get()?;
            let mut statement = reader.prepare("SELECT project, size, last_row FROM heads WHERE last_row > ?1")?;
            let heads = statement.query_map([from], |row| {
                Ok((row.get(0)?, HeadMark { size: row.get::<_, i64>(1)?.unsigned_abs(), last_row: row.get(2)? }))
            })?;
            Ok(heads.collect::<SqlResult<_>>()?)
        });
        match read.await {
            Ok(heads) => {
                seen = row;
                let projects: Vec<i64> = heads.iter().map(|(project, _)| *project).collect();
                shared.know(heads);
                shared.wake(&projects);
            }
            Err(error) => {
                tracing::debug!(%error, "what was written to cannot be told yet");
                tokio::time::sleep(LOOK_EVERY).await;
                committed.mark_changed();
            }
        }
    }
}
