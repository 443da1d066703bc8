//! Renewing wraps: the content keys of an organization, wrapped anew under its current data key. No committed byte changes:
//! wraps lie outside of every hash, and contents stay sealed under the keys they have.
//!
//! Recorded before it begins. Each transaction renews some wraps; a crash in between leaves the rest under their old keys, which
//! open them as before, and the next call goes on.

use std::collections::HashMap;
use std::sync::Arc;

use indelible_core::seal::{unwrap_key, wrap_key};
use uuid::Uuid;

use super::{DATA_KEY, DataKey, Rotation};
use crate::access::Caller;
use crate::append::{AppendError, EngineEvent, ResourceMembers};
use crate::ledger::Ledger;
use crate::resource::MutateError;
use crate::store::StoreError;
use crate::write::{Change, Privilege, Work};

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
        let renewed = tokio::task::spawn_blocking(move || ledger.renew(&current)).await;
        Ok(renewed.map_err(|error| unavailable(error.to_string()))??)
    }

    fn renew(&self, current: &Arc<DataKey>) -> Result<Rewrapped, AppendError> {
        let failed = |error: StoreError| {
            tracing::error!(%error, "wraps could not be read");
            AppendError::Unavailable { reason: "the store cannot be read now".to_owned(), outcome_unknown: false }
        };
        let mut rewrapped = Rewrapped { data_key_id: current.id.unsigned_abs(), ..Rewrapped::default() };
        let older: HashMap<i64, Arc<DataKey>> = self.inner.data_keys.older_than(current).into_iter().map(|key| (key.id, key)).collect();
        let mut after = 0;
        loop {
            let (changes, last) = self.next_wraps(&older, current, after, &mut rewrapped).map_err(failed)?;
            let Some(last) = last else { return Ok(rewrapped) };
            after = last;
            let renewed = changes.len() as u64;
            if renewed > 0 {
                self.inner.writer.submit_blocking(Work::with_changes(Vec::new(), changes, Privilege::Engine))?;
                rewrapped.renewed += renewed;
            }
        }
    }

    /// The next wraps after a row, renewed, and the last row that was looked at; none at the end.
    fn next_wraps(
        &self,
        older: &HashMap<i64, Arc<DataKey>>,
        current: &Arc<DataKey>,
        after: i64,
        rewrapped: &mut Rewrapped,
    ) -> Result<(Vec<Change>, Option<i64>), StoreError> {
        let secret = current.secret.as_ref().ok_or_else(|| StoreError::Corrupt("the current data key does not open".to_owned()))?;
        let reader = self.inner.readers.get()?;
        let mut statement = reader.prepare("SELECT row, data_key_id, wrap FROM wraps WHERE row > ?1 ORDER BY row LIMIT ?2")?;
        let mut rows = statement.query((after, BATCH_WRAPS as i64))?;
        let (mut changes, mut last) = (Vec::new(), None);
        while let Some(found) = rows.next()? {
            let row: i64 = found.get(0)?;
            last = Some(row);
            let Some(key) = older.get(&found.get(1)?) else { continue };
            let wrap = found.bytes(2)?;
            match key.secret.as_ref().and_then(|older| unwrap_key(older, wrap)) {
                Some(content_key) => changes.push(Change::Rewrap { row, key: Arc::clone(current), wrap: wrap_key(secret, &content_key) }),
                None => rewrapped.unopened += 1,
            }
        }
        Ok((changes, last))
    }
}
