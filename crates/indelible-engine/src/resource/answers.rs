//! Answers to requests that carry an `Idempotency-Key`: kept in the transaction of what they did, so that asking again does
//! nothing and is answered alike. What is kept holds no secret: a key that was shown once is not shown again.
//!
//! Kept for a day; after that the same key is a new request.

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::kept::{Kept, Shared};
use super::kind::Kind;
use super::{MutateError, Project};
use crate::access::Caller;
use crate::append::AppendError;
use crate::ledger::Ledger;
use crate::store::sql::OptionalExtension;
use crate::write::{AnswerRow, Change};

/// Bytes of an `Idempotency-Key` at most.
const KEY_BYTES_MAX: usize = 255;
/// How long an answer is kept, microseconds: a day.
pub(crate) const KEPT_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// A request that is to have its effect once.
#[derive(Debug, Clone)]
pub struct Once {
    key: String,
    request: String,
}

impl Once {
    /// The `Idempotency-Key` of a request, and the request itself: whatever has to be the same for it to be the same request.
    pub fn new(key: &str, request: String) -> Result<Self, Fault> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            let message = format!("an Idempotency-Key has 1 to {KEY_BYTES_MAX} printable ASCII characters");
            return Err(Fault::new(FaultKind::Invalid, "", message));
        }
        Ok(Self { key: key.to_owned(), request })
    }
}

/// A request as it is remembered: by MACs, for neither keys nor requests of clients are anybody's to read.
pub(super) struct Asked {
    caller: Uuid,
    key: [u8; 32],
    request: [u8; 32],
}

impl Asked {
    /// The row that remembers that it was answered.
    pub(super) fn answered_with(&self, kind: &Kind, kept: &Kept, now: Timestamp) -> Change {
        Change::Answer(Box::new(AnswerRow {
            caller: self.caller,
            key: self.key,
            request: self.request,
            kind: kind.noun,
            id: kept.id,
            answered_at: now,
        }))
    }
}

impl Ledger {
    /// How a request to do something, to the resource `id` where there is one, is remembered; nothing for whoever came without a credential.
    pub(super) fn asked(&self, caller: &Caller, home: &Project, (action, id): (&str, Option<Uuid>), once: &Once) -> Option<Asked> {
        let caller = caller.known_by()?;
        // Always the first: a rotation must not make one request two.
        let keys = self.inner.keystore.project_keys(home.id, 1)?;
        let mac = |what: &str, text: &str| keys.document_mac("answer", what, 0, text);
        let request = format!("{action} {}\n{}", id.unwrap_or_default(), once.request);
        Some(Asked { caller, key: mac("key", &once.key), request: mac("request", &request) })
    }

    /// The resource that the request made, as it is now, if it was made before.
    pub(super) fn made_before(&self, asked: &Asked, kind: &'static Kind) -> Result<Option<Shared>, MutateError> {
        let unavailable = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "answers could not be read");
            AppendError::Unavailable { reason: "the store cannot be read now".to_owned(), outcome_unknown: false }
        };
        let reader = self.inner.readers.get().map_err(|error| unavailable(&error))?;
        let oldest = self.inner.clock.now().as_micros() - KEPT_MICROS;
        let found = reader
            .prepare("SELECT request, type, id FROM answers WHERE caller = ?1 AND key = ?2 AND answered_at > ?3")
            .and_then(|mut select| {
                let row = (asked.caller.as_bytes(), &asked.key, oldest);
                select
                    .query_row(row, |row| Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, String>(1)?, row.get::<_, [u8; 16]>(2)?)))
                    .optional()
            })
            .map_err(|error| unavailable(&error))?;
        let Some((request, noun, id)) = found else { return Ok(None) };
        if request != asked.request || noun != kind.noun {
            return Err(MutateError::Conflict("the Idempotency-Key belongs to another request"));
        }
        let kept = self.inner.registry.kept(kind, Uuid::from_bytes(id));
        kept.map(Some).ok_or(MutateError::Conflict("what this request made has ended since"))
    }
}
