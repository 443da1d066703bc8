//! What a batch will do, found out before any of it is written: which of its events are new and become entries,
//! which are retries, and which cannot be. So a batch that is refused leaves no trace in the transaction that it
//! shares with others.

use std::collections::HashMap;

use indelible_core::chain::Hash;
use indelible_core::entry::{Entry, Stamp};
use indelible_core::fault::Fault;
use indelible_core::time::Timestamp;
use indelible_core::tree::leaf_hash;
use uuid::Uuid;

use super::RETRY_CHANGED;
use super::heads::Heads;
use crate::append::{AppendError, Prepared, Receipt, Unknown};
use crate::index::{Index, IndexError};
use crate::keystore::KeyStore;
use crate::store::StoreError;
use crate::store::sql::{Connection, SqlError};

/// What becomes of one event.
pub(super) enum Slot {
    /// A new row.
    New { sequence: u64, entry: Entry },
    /// It is there already.
    Repeat(Receipt),
    /// The same as the event at this place of the batch.
    Twin(usize),
}

/// Why there is no plan.
pub(super) enum Refusal {
    /// The batch cannot be; others of its group go on.
    Batch(AppendError),
    /// The store failed; the whole group does.
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SqlError> for Refusal {
    fn from(error: SqlError) -> Self {
        Self::Store(error.into())
    }
}

/// An event that was written earlier in the same transaction.
pub(super) struct Pending {
    pub(super) ring_id: u64,
    pub(super) submission_mac: Hash,
    pub(super) receipt: Receipt,
}

/// Where ids are looked for.
pub(super) enum Ids<'a> {
    /// In the index, which tells of each what it knows.
    Index(&'a Index),
    /// Those of the group that are there: they were looked for once the turn had come.
    There(HashMap<(i64, Uuid), i64>),
}

impl Ids<'_> {
    /// The rows that may bear an id.
    fn find(&self, project: i64, id: Uuid) -> Result<Vec<i64>, IndexError> {
        match self {
            Self::Index(index) => index.find(project, id),
            Self::There(rows) => Ok(rows.get(&(project, id)).copied().into_iter().collect()),
        }
    }
}

/// What planning looks at.
pub(super) struct Planner<'a> {
    pub(super) connection: &'a Connection,
    pub(super) keystore: &'a KeyStore,
    /// Where the ids are that are there already.
    pub(super) ids: &'a Ids<'a>,
    pub(super) heads: &'a mut Heads,
    pub(super) pending: &'a HashMap<(i64, Uuid), Pending>,
    pub(super) recorded_at: Timestamp,
}

impl Planner<'_> {
    /// Finds a slot for each event of a batch.
    pub(super) fn plan(&mut self, events: &[Prepared]) -> Result<Vec<Slot>, Refusal> {
        let mut slots = Vec::with_capacity(events.len());
        let mut places: HashMap<(i64, Uuid), usize> = HashMap::with_capacity(if events.len() > 1 { events.len() } else { 0 });
        // Sequences that this batch has taken, by project; most batches have one project.
        let mut taken: Vec<(i64, u64)> = Vec::new();
        for (index, event) in events.iter().enumerate() {
            let slot = match places.get(&(event.project, event.id)) {
                Some(first) if events[*first].submission_mac == event.submission_mac => Slot::Twin(*first),
                Some(_) => return Err(conflict(index, event)),
                None => match self.find(index, event)? {
                    Some(receipt) => Slot::Repeat(receipt),
                    None => self.stamp(index, event, &mut taken)?,
                },
            };
            if events.len() > 1 && !matches!(slot, Slot::Twin(_)) {
                places.insert((event.project, event.id), index);
            }
            slots.push(slot);
        }
        Ok(slots)
    }

    fn stamp(&mut self, index: usize, event: &Prepared, taken: &mut Vec<(i64, u64)>) -> Result<Slot, Refusal> {
        let head = self.heads.get(self.connection, self.keystore, event.project, event.project_id)?;
        if event.keys.ring_id < head.hmac_key_id {
            return Err(Refusal::Batch(rotated()));
        }
        let at = if let Some(at) = taken.iter().position(|(project, _)| *project == event.project) {
            at
        } else {
            taken.push((event.project, 0));
            taken.len() - 1
        };
        if let Some(fault) = event.refused() {
            return Err(Refusal::Batch(AppendError::Fault { index, fault: fault.clone() }));
        }
        let sequence = head.size + taken[at].1;
        let stamp = Stamp { sequence, recorded_at: self.recorded_at, hmac_key_id: event.keys.ring_id };
        let entry = event.draft.stamp(&stamp).map_err(|fault: Fault| Refusal::Batch(AppendError::Fault { index, fault }))?;
        taken[at].1 += 1;
        Ok(Slot::New { sequence, entry })
    }

    /// The first receipt of an event that is there already, in this transaction or committed.
    fn find(&self, index: usize, event: &Prepared) -> Result<Option<Receipt>, Refusal> {
        if event.fresh_id {
            return Ok(None);
        }
        if let Some(pending) = self.pending.get(&(event.project, event.id)) {
            check(index, event, pending.ring_id, &pending.submission_mac)?;
            return Ok(Some(Receipt { duplicate: true, ..pending.receipt.clone() }));
        }
        // Without the index it cannot be told whether this is a retry; the next attempt may find it.
        let candidates = self.ids.find(event.project, event.id).map_err(|error| {
            tracing::error!(%error, "retries cannot be told");
            Refusal::Batch(AppendError::Unavailable { reason: "retries cannot be told now".to_owned(), outcome_unknown: false })
        })?;
        for row in candidates {
            let earlier = event.earlier(self.connection, self.keystore, row).map_err(|unknown| match unknown {
                Unknown::Store(error) => Refusal::Store(error),
                changed @ Unknown::Changed(_) => {
                    tracing::error!(%changed, "a retry cannot be told");
                    Refusal::Batch(AppendError::Unavailable { reason: RETRY_CHANGED.to_owned(), outcome_unknown: false })
                }
            })?;
            if let Some(earlier) = earlier {
                check(index, event, earlier.ring_id, &earlier.submission_mac)?;
                return Ok(Some(Receipt {
                    id: event.id,
                    sequence: earlier.sequence,
                    recorded_at: earlier.outline.recorded_at,
                    row_hash: earlier.row_hash,
                    leaf_hash: leaf_hash(earlier.entry.as_bytes()),
                    duplicate: true,
                }));
            }
        }
        Ok(None)
    }
}

/// Whether an event is the one that was stored under its id.
fn check(index: usize, event: &Prepared, ring_id: u64, stored: &Hash) -> Result<(), Refusal> {
    match event.is_submission(ring_id, stored) {
        Some(true) => Ok(()),
        Some(false) => Err(conflict(index, event)),
        None => Err(Refusal::Batch(rotated())),
    }
}

fn conflict(index: usize, event: &Prepared) -> Refusal {
    Refusal::Batch(AppendError::Conflict { index, id: event.id })
}

/// The ring was rotated between preparing and writing; the next try is made ready under the new key.
fn rotated() -> AppendError {
    AppendError::Unavailable { reason: "the keys were rotated meanwhile: try again".to_owned(), outcome_unknown: false }
}
