//! What a retry is compared with, as it lies in the ledger. It is believed only where its MAC holds: otherwise somebody changed it, and the
//! same event would be called another one, or another one the same.

use indelible_core::chain::Hash;
use indelible_core::entry::Outline;
use indelible_core::verify::Retry;

use super::Prepared;
use crate::keystore::KeyStore;
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, SqlError};

/// A row that bears the id of an event that was handed in.
pub(crate) struct Earlier {
    pub(crate) sequence: u64,
    /// Ring id of the MAC.
    pub(crate) ring_id: u64,
    /// MAC of the submission that it was made of.
    pub(crate) submission_mac: Hash,
    pub(crate) row_hash: Hash,
    pub(crate) entry: String,
    /// What the entry says of itself.
    pub(crate) outline: Outline,
}

/// Why it cannot be told whether an event is there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unknown {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored is not what was written.
    #[error("row {0}: what a retry is compared with was changed: run `indelible verify`")]
    Changed(i64),
}

impl From<SqlError> for Unknown {
    fn from(error: SqlError) -> Self {
        Self::Store(error.into())
    }
}

impl Prepared {
    /// The row, if it bears the id of this event; `None` where it is another event's.
    pub(crate) fn earlier(&self, ledger: &Connection, keystore: &KeyStore, row: i64) -> Result<Option<Earlier>, Unknown> {
        let mut statement = ledger.prepare(&format!(
            "SELECT sequence, submission_key_id, submission_mac, retry_mac, row_hash, entry FROM {}
             WHERE row = ?1 AND project = ?2 AND id = ?3",
            ledger.submissions()
        ))?;
        let found = statement
            .query_row((row, self.project, self.id.as_bytes()), |found| {
                let numbers = (found.get::<_, i64>(0)? as u64, found.get::<_, i64>(1)? as u64);
                let macs: (Vec<u8>, Vec<u8>) = (found.get(2)?, found.get(3)?);
                Ok((numbers, macs, found.get(4)?, found.get::<_, String>(5)?))
            })
            .optional()?;
        let Some(((sequence, ring_id), (submission_mac, retry_mac), row_hash, entry)) = found else { return Ok(None) };
        let changed = || Unknown::Changed(row);
        let outline = Outline::read(entry.as_bytes()).ok_or_else(changed)?;
        let keys = keystore.project_keys(self.project_id, outline.hmac_key_id).ok_or_else(changed)?;
        let retry = Retry { submission_key_id: ring_id, submission_mac: &submission_mac, retry_mac: &retry_mac };
        let submission_mac = Hash::try_from(submission_mac.as_slice()).ok().filter(|_| retry.holds(sequence, &keys));
        let submission_mac = submission_mac.ok_or_else(changed)?;
        Ok(Some(Earlier { sequence, ring_id, submission_mac, row_hash, entry, outline }))
    }
}
