//! Handing events in: the part that runs beside the caller (redaction, sealing, drafting), and what the writer answers.

mod clock;
mod desk;
mod foresee;
mod own;
mod rejections;
mod retry;
mod submit;

use std::fmt::{self, Formatter};
use std::sync::Arc;
use std::time::Duration;

use indelible_core::chain::Hash;
use indelible_core::entry::Draft;
use indelible_core::fault::Fault;
use indelible_core::key::ProjectKeys;
use indelible_core::seal::Wrapped;
use indelible_core::time::Timestamp;
use uuid::Uuid;

use crate::keystore::DataKey;
use crate::resource::schemabook::Breaches;

pub use desk::Rehearsed;
pub(crate) use desk::{Desk, Recorder};
pub use foresee::Foreseen;
pub(crate) use own::{DecryptMembers, EngineEvent, OwnId, ReadMembers, ResourceMembers, texts};
pub(crate) use rejections::reason;
pub use rejections::{Rejections, other_event};
pub(crate) use retry::Unknown;
pub(crate) use submit::reported;

/// An event that is ready for the writer: redacted, sealed, drafted. Made by [`crate::Ledger::prepare`] alone.
pub struct Prepared {
    /// `ledgers.project`
    pub(crate) project: i64,
    /// The project.
    pub(crate) project_id: Uuid,
    /// The id by which a retry is known.
    pub(crate) id: Uuid,
    /// All of the entry that is known before it has a place.
    pub(crate) draft: Draft,
    /// The project's keys under the ring id that the event is made under.
    pub(crate) keys: Arc<ProjectKeys>,
    /// The MAC of the submission under the same ring id.
    pub(crate) submission_mac: Hash,
    /// The same under the older ring ids, for retries across a rotation.
    pub(crate) older_macs: Vec<(u64, Hash)>,
    /// The sealed content, where there is any.
    pub(crate) content: Option<PreparedContent>,
    /// What event schemas say of it, where it breaks one.
    pub(crate) breaches: Option<Box<Breaches>>,
    /// How often what decides how events of its project are taken had changed when it was made ready; nothing for an event of the engine.
    pub(crate) rulings: Option<(u64, u64)>,
    /// Whether the id was drawn here, so that no earlier event can bear it.
    pub(crate) fresh_id: bool,
    /// Bytes it holds, roughly.
    pub(crate) bytes: usize,
}

/// Sealed content and the wrap of its key.
pub(crate) struct PreparedContent {
    pub(crate) stored: Vec<u8>,
    pub(crate) wrap: Wrapped,
    pub(crate) data_key: Arc<DataKey>,
}

impl Prepared {
    /// Bytes that this event holds in memory, roughly.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The event's id.
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// Why it is refused, unless it is there already: a retry gets its receipt whatever schema came meanwhile.
    pub(crate) fn refused(&self) -> Option<&Fault> {
        self.breaches.as_ref().and_then(|breaches| breaches.refused.as_ref())
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("id", &self.id).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// What a caller is told of an event that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The event.
    pub id: Uuid,
    /// Its place in the project's chain.
    pub sequence: u64,
    /// When, by the ledger's clock.
    pub recorded_at: Timestamp,
    /// Its row hash.
    pub row_hash: Hash,
    /// Its RFC 6962 leaf hash.
    pub leaf_hash: Hash,
    /// Whether this is the receipt of an earlier submission.
    pub duplicate: bool,
}

/// Why a batch was not acknowledged. Nothing of the batch is stored, except where the outcome is said to be unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The queue is full (429).
    #[error("the queue is full")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The event at `index` of the batch bears the id of another event (409).
    #[error("event {index}: another event has the id {id}")]
    Conflict {
        /// Position in the batch.
        index: usize,
        /// The id.
        id: Uuid,
    },
    /// The event at `index` cannot be an entry (422).
    #[error("event {index}: {fault}")]
    Fault {
        /// Position in the batch.
        index: usize,
        /// Why.
        fault: Fault,
    },
    /// The store does not take it now (503).
    #[error("{reason}")]
    Unavailable {
        /// One sentence: disk full, an I/O error, a clock that jumped, shutting down.
        reason: String,
        /// Whether writing had begun: then only a retry with the same ids tells what happened.
        outcome_unknown: bool,
    },
}
