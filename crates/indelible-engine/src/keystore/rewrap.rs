//! Renewing wraps: the content keys of an organization, wrapped anew under its current data key. No committed byte changes:
//! wraps lie outside of every hash, and contents stay sealed under the keys they have.
//!
//! Recorded before it begins. Each transaction renews some wraps; a crash in between leaves the rest under their old keys, which
//! open them as before, and the next call goes on.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

use indelible_core::seal::{unwrap_key, wrap_key};
use uuid::Uuid;

use super::rotation::TRIES;
use super::{DATA_KEY, DataKey, Rotation};
use crate::access::Caller;
use crate::append::{AppendError, EngineEvent, ResourceMembers};
use crate::ledger::Ledger;
use crate::resource::MutateError;
use crate::store::StoreError;
use crate::write::{Change, KEYS_CHANGED, Privilege, Work};

/// The event that tells of it.
const REWRAP: &str = "key.rewrap";
/// Wraps renewed in one transaction.
const BATCH_WRAPS: usize = 2_000;

/// What was renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewrapped {
    /// Wraps that are under the current data key now.
    pub renewed: u64,
    /// Wraps that do not open under the key they name, and were left as they are: verification says which.
    pub unopened: u64,
    /// The data key.
    pub data_key_id: u64,
}

/// Some wraps, in the order of their rows.
#[derive(Default)]
struct Wraps {
    changes: Vec<Change>,
    unopened: u64,
    /// The last row that was looked at; none at the end.
    last: Option<i64>,
}

impl Ledger {
    /// Renews every wrap of an organization (the default one if not named) that is under an older data key. For keys with
    /// `audit:admin`, of the instance or of the organization.
    pub async fn rewrap(&self, caller: &Caller, organization_id: Option<Uuid>) -> Result<Rewrapped, MutateError> {
        let control = self.control().await?;
        let caller = &self.caller_now(caller, (REWRAP, DATA_KEY, String::new())).await?;
        let home = match self.check_rotation(caller, &Rotation::Data(organization_id)) {
            Ok(home) => home,
            Err(error) => return Err(self.refuse(caller, None, (REWRAP, DATA_KEY, String::new()), error).await),
        };
        let unavailable = |reason: String| AppendError::Unavailable { reason, outcome_unknown: false };
        let current = self.inner.data_keys.current(home.organization_id, self.inner.clock.now());
        let current = current.map_err(|error| unavailable(error.to_string()))?;
        let mut event = EngineEvent::new(caller, &home, REWRAP, "allow");
        event.resource =
            Some(ResourceMembers { kind: DATA_KEY, id: current.id.to_string(), parent: Some(home.organization_id.to_string()) });
        self.record(vec![event]).await?;
        // It may take long, and changes nothing that others change.
        drop(control);
        let ledger = self.clone();
        let renewed = tokio::task::spawn_blocking(move || ledger.renew(current)).await;
        Ok(renewed.map_err(|error| unavailable(error.to_string()))??)
    }

    fn renew(&self, mut current: Arc<DataKey>) -> Result<Rewrapped, AppendError> {
        let failed = |error: &dyn Display| {
            tracing::error!(%error, "wraps could not be renewed");
            AppendError::Unavailable { reason: "the store cannot be read now".to_owned(), outcome_unknown: false }
        };
        let mut rewrapped = Rewrapped { data_key_id: current.id.unsigned_abs(), ..Rewrapped::default() };
        let older = |current: &DataKey| -> HashMap<i64, Arc<DataKey>> {
            self.inner.data_keys.older_than(current).into_iter().map(|key| (key.id, key)).collect()
        };
        let (mut under, mut after, mut tries) = (older(&current), 0, 0);
        loop {
            let next = self.next_wraps(&under, &current, after).map_err(|error| failed(&error))?;
            let Some(last) = next.last else { return Ok(rewrapped) };
            let renewed = next.changes.len() as u64;
            if renewed > 0 {
                match self.inner.writer.submit_blocking(Work::with_changes(Vec::new(), next.changes, Privilege::Engine)) {
                    // Its number is that of a key of another server by now, and it was never stored: the same wraps once more, under another.
                    Err(AppendError::Unavailable { reason, outcome_unknown: false }) if reason == KEYS_CHANGED && tries < TRIES => {
                        tries += 1;
                        let now = self.inner.clock.now();
                        current = self.inner.data_keys.current(current.organization_id, now).map_err(|error| failed(&error))?;
                        (under, rewrapped.data_key_id) = (older(&current), current.id.unsigned_abs());
                        continue;
                    }
                    written => drop(written?),
                }
            }
            rewrapped.renewed += renewed;
            rewrapped.unopened += next.unopened;
            after = last;
        }
    }

    /// The next wraps after a row, renewed.
    fn next_wraps(&self, older: &HashMap<i64, Arc<DataKey>>, current: &Arc<DataKey>, after: i64) -> Result<Wraps, StoreError> {
        let secret = current.secret.as_ref().ok_or_else(|| StoreError::Corrupt("the current data key does not open".to_owned()))?;
        let reader = self.inner.readers.get()?;
        let mut statement = reader.prepare("SELECT row, data_key_id, wrap FROM wraps WHERE row > ?1 ORDER BY row LIMIT ?2")?;
        let mut rows = statement.query((after, BATCH_WRAPS as i64))?;
        let mut wraps = Wraps::default();
        while let Some(found) = rows.next()? {
            let row: i64 = found.get(0)?;
            wraps.last = Some(row);
            let Some(key) = older.get(&found.get(1)?) else { continue };
            let wrap = found.bytes(2)?;
            match key.secret.as_ref().and_then(|older| unwrap_key(older, wrap)) {
                Some(content_key) => {
                    wraps.changes.push(Change::Rewrap { row, key: Arc::clone(current), wrap: wrap_key(secret, &content_key) });
                }
                None => wraps.unopened += 1,
            }
        }
        Ok(wraps)
    }
}
