//! What appending would say of a batch, without writing it: which events are there already, and which cannot be.
//!
//! For whoever takes many batches as one, such as a file that is imported: each is asked about before the first is appended.
//! An answer holds for the ledger as it is now; what others append meanwhile only appending sees. Nothing is revealed
//! that handing in the same events would not reveal.

use std::collections::HashMap;

use indelible_core::chain::Hash;
use indelible_core::entry::Stamp;
use indelible_core::fault::Fault;

use super::{AppendError, Prepared};
use crate::ledger::Ledger;
use crate::store::sql::{Connection, OptionalExtension, SqlError};

/// What would become of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foreseen {
    /// A new event.
    New,
    /// It is there already, or earlier in the batch: its first receipt would be given.
    Duplicate,
    /// Its id is another event's (409).
    Conflict,
    /// It cannot be an entry (422).
    Fault(Fault),
}

impl Prepared {
    /// Whether this is the submission that has this MAC under this ring id; `None` where that key came after this was made ready.
    pub(crate) fn is_submission(&self, ring_id: u64, stored: &Hash) -> Option<bool> {
        let own = if ring_id == self.keys.ring_id {
            Some(&self.submission_mac)
        } else {
            self.older_macs.iter().find(|(id, _)| *id == ring_id).map(|(_, mac)| mac)
        };
        own.map(|mac| mac == stored)
    }
}

impl Ledger {
    /// Says of each event of a batch what [`Self::append_blocking`] would, and writes nothing. `ahead` events of the same project are
    /// thought to be appended before. Blocks while the index has not come far enough to tell.
    pub fn foresee_blocking(&self, batch: &[Prepared], ahead: u64) -> Result<Vec<Foreseen>, AppendError> {
        let not_now = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "what is in the ledger cannot be told");
            AppendError::Unavailable { reason: "what is in the ledger cannot be told now".to_owned(), outcome_unknown: false }
        };
        let reader = self.inner.readers.get().map_err(|error| not_now(&error))?;
        let mut places: HashMap<(i64, uuid::Uuid), usize> = HashMap::with_capacity(batch.len());
        let mut sizes: Vec<(i64, u64)> = Vec::new();
        let mut foreseen = Vec::with_capacity(batch.len());
        for (at, event) in batch.iter().enumerate() {
            let first = *places.entry((event.project, event.id)).or_insert(at);
            let stored = if first < at {
                Some(batch[first].submission_mac == event.submission_mac)
            } else {
                self.stored(&reader, event).map_err(|error| not_now(&error))?
            };
            foreseen.push(match stored {
                Some(true) => Foreseen::Duplicate,
                Some(false) => Foreseen::Conflict,
                None => match self.place(&reader, event, ahead, &mut sizes).map_err(|error| not_now(&error))? {
                    Ok(()) => Foreseen::New,
                    Err(fault) => Foreseen::Fault(fault),
                },
            });
        }
        Ok(foreseen)
    }

    /// Whether an event with this id is in the ledger, and then whether it is this one. A key that came meanwhile tells nothing: then
    /// appending does.
    fn stored(&self, reader: &Connection, event: &Prepared) -> Result<Option<bool>, Box<dyn std::error::Error>> {
        if event.fresh_id {
            return Ok(None);
        }
        for row in self.inner.index.find(event.project, event.id)? {
            if let Some(earlier) = event.earlier(reader, &self.inner.keystore, row)? {
                return Ok(Some(event.is_submission(earlier.ring_id, &earlier.submission_mac).unwrap_or(true)));
            }
        }
        Ok(None)
    }

    /// Stamps an event as if it were appended next, since the digits of its place count for its size.
    fn place(&self, reader: &Connection, event: &Prepared, ahead: u64, sizes: &mut Vec<(i64, u64)>) -> Result<Result<(), Fault>, SqlError> {
        if let Some(fault) = event.refused() {
            return Ok(Err(fault.clone()));
        }
        let at = if let Some(at) = sizes.iter().position(|(project, _)| *project == event.project) {
            at
        } else {
            let size: Option<i64> =
                reader.prepare("SELECT size FROM heads WHERE project = ?1")?.query_row([event.project], |found| found.get(0)).optional()?;
            sizes.push((event.project, size.unwrap_or(0).unsigned_abs() + ahead));
            sizes.len() - 1
        };
        let stamp = Stamp { sequence: sizes[at].1, recorded_at: self.inner.clock.now(), hmac_key_id: event.keys.ring_id };
        let stamped = event.draft.stamp(&stamp).map(drop);
        sizes[at].1 += u64::from(stamped.is_ok());
        Ok(stamped)
    }
}
