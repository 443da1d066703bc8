//! The one writer: a bounded queue, a thread that owns the only writing connection, group commit.
//!
//! What is waiting goes into one transaction; COMMIT fsyncs; then everybody is answered. A batch is written whole
//! or not at all. After anything failed, heads in memory are thrown away and read again; after a failed COMMIT
//! nothing is acknowledged until the database was reopened, its WAL checkpointed, and its tail verified. Opening a
//! ledger runs that same path.

mod disk;
mod group;
mod heads;
mod inbox;
mod insert;
mod plan;
mod queue;
mod recover;
mod streams;
mod thread;
mod time;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indelible_core::chain::Hash;
use indelible_core::seal::Wrapped;
use indelible_core::time::Timestamp;
use indelible_core::tree::Tile;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use crate::append::{AppendError, Prepared, Receipt};
use crate::clock::Clock;
use crate::keystore::DataKey;
use crate::ledger::Status;
use crate::sharing::Term;
use crate::store::postgres::bind::Purpose;
use crate::stream::StreamChange;
use disk::Disk;
use queue::Queue;
pub(crate) use thread::{Parts, start};
use time::Time;

/// What a group of batches may hold: past either, the next group begins.
const GROUP_EVENTS_MAX: usize = 10_000;
/// See [`GROUP_EVENTS_MAX`].
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Events waiting for the writer.
const QUEUE_EVENTS_MAX: usize = 100_000;
/// When a caller who found the queue full may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long a blocking caller waits for room.
const ROOM_WAIT: Duration = Duration::from_secs(30);

/// What anybody may be told of the store: never of whom its rows are, nor how many there are. The details are in the log.
const RECOVERING: &str = "the store is being recovered";
/// See [`RECOVERING`].
const NEARLY_FULL: &str = "the disk is nearly full";
/// See [`RECOVERING`].
const CLOCK_JUMPED: &str = "the clock jumped";
/// See [`RECOVERING`].
pub(crate) const STALE: &str = "another change of the same resource came first";
/// See [`RECOVERING`].
const DRAINED: &str = "another server has taken the row of the inbox";
/// See [`RECOVERING`].
pub(crate) const LEASE_LOST: &str = "another server has taken over";
/// See [`RECOVERING`].
const RULES_CHANGED: &str = "the rules of the project changed while the events came: send them again";
/// See [`RECOVERING`].
pub(crate) const KEYS_CHANGED: &str = "the keys changed while the events came: send them again";
/// See [`RECOVERING`].
const MOVED: &str = "ledger.db or its write-ahead log was moved or removed under the server: put it back, and restart";
/// See [`RECOVERING`].
const ROWS_LOST: &str = "rows that were committed are not in the store any more: bring them back, or restart to go on without";
/// See [`RECOVERING`].
const WRITE_FAILED: &str = "the store failed to write";
/// See [`RECOVERING`].
const RETRY_CHANGED: &str = "what is stored under this id was changed: whoever runs the ledger has to verify it";

const _: () = assert!(GROUP_EVENTS_MAX >= indelible_core::limits::BATCH_EVENTS_MAX);
const _: () = assert!(QUEUE_EVENTS_MAX >= 2 * GROUP_EVENTS_MAX);

/// For whom work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// A caller's events: refused when the disk is nearly full.
    Caller,
    /// The engine's own record of a read or of a change: may use the reserve.
    Engine,
    /// Takes the clock as it is for right.
    ConfirmClock,
}

/// A row that is written in the transaction of the event about it.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A row of `instance`.
    Instance {
        /// Its key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// A row of `ledgers`.
    Ledger {
        /// The small integer.
        project: i64,
        /// The project.
        project_id: Uuid,
        /// Its organization.
        organization_id: Uuid,
    },
    /// A row of `resources`.
    Resource {
        /// The project in whose chain the event is.
        project_id: Uuid,
        /// Its type.
        kind: &'static str,
        /// Its id.
        id: String,
        /// Counted from 1.
        version: i64,
        /// JSON.
        body: String,
    },
    /// A row of `anchors`, and the leaf of the instance tree that commits to it.
    Anchor(Box<AnchorRow>),
    /// A tile of the instance tree that filled.
    InstanceTile(Tile),
    /// A level of the right edge of the instance tree.
    InstanceEdge {
        /// Its level.
        level: usize,
        /// Its hashes.
        hashes: Vec<Hash>,
    },
    /// A signed checkpoint of the instance tree.
    InstanceCheckpoint {
        /// Leaves.
        size: u64,
        /// The note.
        checkpoint: String,
    },
    /// A row of `cosignatures`; the one that is there stays.
    Cosignature {
        /// Leaves of the checkpoint.
        size: u64,
        /// The witness's verifier key.
        witness: String,
        /// Its signature line.
        line: String,
        /// When it came.
        received_at: Timestamp,
    },
    /// A row of `ring_keys`.
    RingKey {
        /// Its id.
        id: u64,
        /// Since when it serves.
        since: Timestamp,
    },
    /// A row of `data_keys`.
    DataKey(Arc<DataKey>),
    /// A wrap in the place of another, of the same content key.
    Rewrap {
        /// The row.
        row: i64,
        /// Under which it is wrapped.
        key: Arc<DataKey>,
        /// The wrap.
        wrap: Wrapped,
    },
    /// A row of `answers`; those that are no longer kept go.
    Answer(Box<AnswerRow>),
    /// A row of `signing_keys`.
    SigningKey {
        /// Its number in the key store.
        id: u64,
        /// Ed25519.
        public_key: [u8; 32],
        /// Since when it signs.
        since: Timestamp,
    },
    /// A row of `retired_signing_keys`.
    RetiredSigningKey {
        /// Its number.
        id: u64,
        /// Since when it signs no more.
        since: Timestamp,
    },
    /// Rows of `stream_cursors` and `webhook_deliveries`.
    Stream(StreamChange),
    /// A row of `inbox` goes: what it says is in the chain. It must still be there.
    Drained {
        /// Its number.
        n: i64,
    },
    /// A row of `inbox_keys`, in the place of another, if there is one.
    InboxKey {
        /// Whose it is.
        organization_id: Uuid,
        /// OpenPGP packets.
        public_key: Vec<u8>,
    },
    /// A row of `bindings` or `readers`.
    Binding {
        /// What for.
        purpose: Purpose,
        /// The role of the database.
        role: String,
        /// Whose events it appends or reads.
        project_id: Uuid,
        /// The project's organization.
        organization_id: Uuid,
    },
    /// A row of `bindings` or `readers` goes.
    Unbinding {
        /// What for.
        purpose: Purpose,
        /// The role of the database.
        role: String,
        /// To which it was bound.
        project_id: Uuid,
    },
}

/// A row of `anchors` and one of `instance_leaves`.
#[derive(Debug, Clone)]
pub(crate) struct AnchorRow {
    /// `ledgers.project`
    pub(crate) project: i64,
    /// Counted from 0.
    pub(crate) number: u64,
    /// Leaves of the project's tree.
    pub(crate) tree_size: u64,
    /// The row of the last event that it covers.
    pub(crate) last_row: i64,
    /// The bytes that are signed.
    pub(crate) anchor: String,
    /// The note that signs them.
    pub(crate) note: String,
    /// The checkpoint of the project's tree.
    pub(crate) checkpoint: String,
    /// Position in the instance tree.
    pub(crate) position: u64,
    /// The leaf there.
    pub(crate) leaf: String,
}

/// A row of `answers`.
#[derive(Debug, Clone)]
pub(crate) struct AnswerRow {
    /// The key that asked.
    pub(crate) caller: Uuid,
    /// MAC of the `Idempotency-Key`.
    pub(crate) key: [u8; 32],
    /// MAC of the request.
    pub(crate) request: [u8; 32],
    /// Type of the resource.
    pub(crate) kind: &'static str,
    /// Its id.
    pub(crate) id: Uuid,
    /// When.
    pub(crate) answered_at: Timestamp,
}

/// A batch for the writer.
pub(crate) struct Work {
    pub(crate) events: Vec<Prepared>,
    pub(crate) changes: Vec<Change>,
    pub(crate) privilege: Privilege,
    /// The epoch of what it was made from, where it changes what others may change.
    made_at: Option<i64>,
    /// The lease that it was made under.
    term: Option<Term>,
    bytes: usize,
    answer: Option<oneshot::Sender<Answer>>,
}

pub(crate) type Answer = Result<Vec<Receipt>, AppendError>;

impl Work {
    /// Events alone.
    pub(crate) fn new(events: Vec<Prepared>, privilege: Privilege) -> Self {
        Self::with_changes(events, Vec::new(), privilege)
    }

    /// Events, and the rows that they are about.
    pub(crate) fn with_changes(events: Vec<Prepared>, changes: Vec<Change>, privilege: Privilege) -> Self {
        let bytes = events.iter().map(Prepared::bytes).sum();
        Self { events, changes, privilege, made_at: None, term: None, bytes, answer: None }
    }

    /// It is refused where this server does not have the lease any more.
    pub(crate) const fn under(mut self, term: Term) -> Self {
        self.term = Some(term);
        self
    }

    /// It is refused where anything that servers share was changed since this epoch.
    pub(crate) const fn made_at(mut self, epoch: i64) -> Self {
        self.made_at = Some(epoch);
        self
    }

    fn answer(self, answer: Answer) {
        if let Some(sender) = self.answer {
            // Nobody waits any more: the caller went away, and learns by a retry.
            let _ = sender.send(answer);
        }
    }
}

/// Counted since start.
#[derive(Default)]
pub(crate) struct Figures {
    commits: AtomicU64,
    commit_failures: AtomicU64,
    commit_micros: AtomicU64,
    duplicates: AtomicU64,
    refusing: Mutex<Option<&'static str>>,
    /// The writer's watch over the clock as its last group left it: the next one would be judged by it.
    time: Mutex<Option<Time>>,
}

impl Figures {
    /// The store is broken, or no longer.
    fn refuse(&self, reason: Option<&'static str>) {
        *self.refusing.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

/// The handle of the writer.
pub(crate) struct Writer {
    queue: Arc<Queue>,
    figures: Arc<Figures>,
    committed: watch::Receiver<i64>,
    clock: Arc<dyn Clock>,
    disk: Mutex<Disk>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Hands work in, and waits until it is durable.
    pub(crate) async fn submit(&self, mut work: Work) -> Answer {
        let (sender, receiver) = oneshot::channel();
        work.answer = Some(sender);
        self.queue.push(work)?;
        receiver.await.unwrap_or_else(|_| Err(gone()))
    }

    /// [`Self::submit`] for threads outside the runtime; waits for room in the queue.
    pub(crate) fn submit_blocking(&self, mut work: Work) -> Answer {
        let (sender, receiver) = oneshot::channel();
        work.answer = Some(sender);
        self.queue.push_waiting(vec![work], ROOM_WAIT)?;
        receiver.blocking_recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Hands works in together and in their order, and waits for the answer to each: they share as few transactions as they fit into. For
    /// threads outside the runtime.
    pub(crate) fn submit_each(&self, mut works: Vec<Work>) -> Vec<Answer> {
        let answered = |work: &mut Work| {
            let (sender, receiver) = oneshot::channel();
            work.answer = Some(sender);
            receiver
        };
        let receivers: Vec<_> = works.iter_mut().map(answered).collect();
        if works.is_empty() {
            return Vec::new();
        }
        if let Err(error) = self.queue.push_waiting(works, ROOM_WAIT) {
            return receivers.iter().map(|_| Err(error.clone())).collect();
        }
        receivers.into_iter().map(|receiver| receiver.blocking_recv().unwrap_or_else(|_| Err(gone()))).collect()
    }

    /// Hands work in without waiting for an answer; for what is written at closing.
    pub(crate) fn submit_unanswered(&self, work: Work) -> Result<(), AppendError> {
        self.queue.push(work)
    }

    /// The last row that is committed.
    pub(crate) fn committed_row(&self) -> i64 {
        *self.committed.borrow()
    }

    /// Tells of each row that is committed, whoever wrote it.
    pub(crate) fn committed(&self) -> watch::Receiver<i64> {
        self.committed.clone()
    }

    /// Fills in what the writer knows.
    pub(crate) fn report(&self, status: &mut Status) {
        status.refusing = self.refusing();
        status.rows = u64::try_from(*self.committed.borrow()).unwrap_or(0);
        (status.queue_events, status.queue_bytes) = self.queue.waiting();
        status.commits_total = self.figures.commits.load(Relaxed);
        status.commit_failures_total = self.figures.commit_failures.load(Relaxed);
        status.commit_micros_total = self.figures.commit_micros.load(Relaxed);
        status.duplicates_total = self.figures.duplicates.load(Relaxed);
    }

    /// What the next caller's group would be told, if it is not taken. Looked at now: nobody may be handing anything in, for as long as
    /// this says so.
    fn refusing(&self) -> Option<&'static str> {
        let broken = *self.figures.refusing.lock().unwrap_or_else(PoisonError::into_inner);
        let jumped = || {
            let mut time = self.figures.time.lock().unwrap_or_else(PoisonError::into_inner).clone();
            time.as_mut().is_some_and(|time| time.now(self.clock.as_ref()).is_err()).then_some(CLOCK_JUMPED)
        };
        let full = || self.disk.lock().unwrap_or_else(PoisonError::into_inner).is_short(0).then_some(NEARLY_FULL);
        broken.or_else(jumped).or_else(full)
    }

    /// Takes no more work, does what is queued, empties the WAL. Returns once the connection is closed.
    pub(crate) fn close(&self) {
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the writer panicked");
        }
    }
}

/// The writer died with the answer: what it had begun may be there.
fn gone() -> AppendError {
    AppendError::Unavailable { reason: "the writer stopped".to_owned(), outcome_unknown: true }
}

#[cfg(test)]
mod tests;
