//! What the workers of all streams share: the ledger, how requests are sent, how far projects have come, and how much may be in memory.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use uuid::Uuid;

use super::READERS;
use super::board::Board;
use super::gather::{Chunk, Unread, gather};
use super::patience::Patience;
use super::rooms::Rooms;
use super::row::{Cursor, StreamChange};
use super::target::Target;
use super::transport::Transport;
use super::worker::Bell;
use crate::append::AppendError;
use crate::ledger::Ledger;
use crate::query::reading::HeadMark;
use crate::resource::Kept;
use crate::resource::kinds::audit_streams;
use crate::sharing::Term;
use crate::write::{Privilege, Work};

/// An index that was built anew within so long is not doubted.
const REBUILT_LATELY: Duration = Duration::from_hours(1);

/// Who is woken, and for which projects.
struct Listener {
    bell: Arc<Bell>,
    projects: HashSet<i64>,
}

/// What workers share.
pub(super) struct Shared {
    pub(super) ledger: Ledger,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) patience: Patience,
    /// Of projects that were written to since this server delivers; `ledgers.project`.
    heads: Mutex<HashMap<i64, HeadMark>>,
    /// Who is woken when a project was written to.
    listeners: Mutex<HashMap<Uuid, Listener>>,
    /// Under which lease it delivers.
    term: Mutex<Option<Term>>,
    /// The id that was given last.
    last_id: Mutex<Uuid>,
    /// Whether this server delivers.
    delivers: AtomicBool,
    /// How often the index was built anew because it hid a row, and when last.
    rebuilt: Mutex<(u64, Option<Instant>)>,
    /// Threads that read.
    readers: Semaphore,
    pub(super) rooms: Rooms,
}

impl Shared {
    pub(super) fn new(ledger: Ledger, transport: Arc<dyn Transport>, patience: Patience) -> Self {
        Self {
            ledger,
            transport,
            patience,
            heads: Mutex::default(),
            listeners: Mutex::default(),
            term: Mutex::default(),
            last_id: Mutex::default(),
            delivers: AtomicBool::default(),
            rebuilt: Mutex::default(),
            readers: Semaphore::new(READERS),
            rooms: Rooms::default(),
        }
    }

    /// An id greater than every one before it: deliveries are listed by it, and are more than one a millisecond.
    pub(super) fn new_id(&self) -> Uuid {
        let mut last = self.last_id.lock().unwrap_or_else(PoisonError::into_inner);
        *last = self.ledger.new_id().max(Uuid::from_u128(last.as_u128().wrapping_add(1)));
        *last
    }

    pub(super) fn heads(&self) -> MutexGuard<'_, HashMap<i64, HeadMark>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under which lease what is delivered is recorded from now on.
    pub(super) fn set_term(&self, term: Option<Term>) {
        *self.term.lock().unwrap_or_else(PoisonError::into_inner) = term;
    }

    pub(super) fn set_delivers(&self, delivers: bool) {
        self.delivers.store(delivers, Ordering::Relaxed);
    }

    pub(super) fn delivers(&self) -> bool {
        self.delivers.load(Ordering::Relaxed)
    }

    fn rebuilt(&self) -> MutexGuard<'_, (u64, Option<Instant>)> {
        self.rebuilt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the index was built anew so far.
    pub(super) fn rebuilds(&self) -> u64 {
        self.rebuilt().0
    }

    /// Has the index built anew, of which a row was missing when so many times had been; whether it is worth to read again. It is not where the
    /// row is missing in one that was built of late: then the ledger has lost it.
    pub(super) fn mend_index(&self, rebuilds: u64) -> bool {
        let mut rebuilt = self.rebuilt();
        if rebuilt.0 != rebuilds {
            return true;
        }
        if rebuilt.1.is_some_and(|at| at.elapsed() < REBUILT_LATELY) {
            return false;
        }
        *rebuilt = (rebuilds + 1, Some(Instant::now()));
        self.ledger.inner.index.rebuild();
        true
    }

    /// How far these projects have come, at least.
    pub(super) fn know(&self, found: Vec<(i64, HeadMark)>) {
        let mut heads = self.heads();
        for (project, head) in found {
            let known = heads.entry(project).or_default();
            if head.size > known.size {
                *known = head;
            }
        }
    }

    /// A stream wants to be woken when one of these projects was written to.
    pub(super) fn listen(&self, stream: Uuid, bell: &Arc<Bell>, projects: HashSet<i64>) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).insert(stream, Listener { bell: Arc::clone(bell), projects });
    }

    /// These projects were written to.
    pub(super) fn wake(&self, projects: &[i64]) {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        for listener in listeners.values() {
            if projects.iter().any(|project| listener.projects.contains(project)) {
                listener.bell.wake.notify_one();
            }
        }
    }

    /// The stream as it is now; `None` where there is none any more.
    pub(super) fn kept(&self, stream: Uuid) -> Option<Arc<Kept>> {
        self.ledger.inner.registry.kept(&audit_streams::KIND, stream)
    }

    /// This server delivers a stream no more.
    pub(super) fn leave(&self, stream: Uuid) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream);
        self.transport.forget(stream);
        self.board().forget(stream);
    }

    /// Whether a stream is still what it was.
    pub(super) fn is_as(&self, target: &Target) -> bool {
        self.kept(target.id).is_some_and(|kept| kept.version == target.version)
    }

    /// Where it is seen how streams go.
    pub(super) fn board(&self) -> &Board {
        &self.ledger.inner.streams
    }

    /// [`gather`], beside the runtime.
    pub(super) async fn read(
        self: &Arc<Self>,
        target: &Arc<Target>,
        cursor: &Cursor,
        project_id: Uuid,
        events_max: usize,
    ) -> Result<Chunk, Unread> {
        let (shared, target, cursor) = (Arc::clone(self), Arc::clone(target), cursor.clone());
        self.apart(move || gather(&shared.ledger, &target, &cursor, project_id, events_max)).await
    }

    /// Runs what may block.
    pub(super) async fn apart<T: Send + 'static, E: From<crate::store::StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let _thread = self.readers.acquire().await.expect("nobody closes it");
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
            // One that is cancelled is one of a server that ends.
            if error.is_panic() {
                tracing::error!(%error, "reading for a stream panicked");
            }
            Err(crate::store::StoreError::Corrupt("reading failed".to_owned()).into())
        })
    }

    /// Has rows of streams written. Refused where another server delivers by now.
    pub(super) async fn store(&self, changes: Vec<StreamChange>) -> Result<(), AppendError> {
        let changes = changes.into_iter().map(crate::write::Change::Stream).collect();
        let work = Work::with_changes(Vec::new(), changes, Privilege::Engine);
        let term = *self.term.lock().unwrap_or_else(PoisonError::into_inner);
        let work = if let Some(term) = term { work.under(term) } else { work };
        self.ledger.inner.writer.submit(work).await.map(drop)
    }
}
