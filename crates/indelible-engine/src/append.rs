//! Handing events in: the part that runs beside the caller (redaction, sealing, drafting), and what the writer answers.

use std::time::Duration;

use indelible_core::chain::Hash;
use indelible_core::fault::Fault;
use indelible_core::time::Timestamp;
use uuid::Uuid;

/// An event that is ready for the writer: redacted, sealed, drafted. Made by [`crate::Ledger::prepare`] alone.
#[derive(Debug)]
pub struct Prepared {
    _private: (),
}

impl Prepared {
    /// Bytes that this event holds in memory, roughly.
    pub fn bytes(&self) -> usize {
        unimplemented!()
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
