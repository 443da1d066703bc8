//! The keys that sign now, and those that ever did.
//!
//! A new key signs at once. The one before it goes on signing checkpoints beside it for [`OVERLAP_MICROS`], so that who has
//! pinned the old one has that long to take the new one; or stops at once, where whoever rotated says so: it is lost, or somebody
//! else has it.

use indelible_core::note::{Algorithm, Name, VerifierKey};
use indelible_core::time::Timestamp;

use crate::query::anchors::PublishedKey;
use crate::store::StoreError;
use crate::store::sql::Connection;

/// How long an old key signs beside the new one, microseconds: 30 days.
const OVERLAP_MICROS: i64 = 30 * 24 * 3_600 * 1_000_000;

/// A key that signs, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SigningKey {
    pub(crate) id: u64,
    pub(crate) public_key: [u8; 32],
    pub(crate) since: Timestamp,
    /// When it stops signing; `None` for the newest.
    pub(crate) until: Option<Timestamp>,
}

/// All of them, oldest first; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SigningKeys(Vec<SigningKey>);

impl SigningKeys {
    /// Reads them.
    pub(crate) fn load(ledger: &Connection) -> Result<Self, StoreError> {
        let mut statement = ledger.prepare(
            "SELECT id, public_key, signing_keys.since, retired_signing_keys.since
             FROM signing_keys LEFT JOIN retired_signing_keys USING (id) ORDER BY id",
        )?;
        let mut rows = statement.query([])?;
        let (mut keys, mut retired) = (Vec::<SigningKey>::new(), None);
        while let Some(row) = rows.next()? {
            let time =
                |micros: i64| Timestamp::from_micros(micros).ok_or_else(|| StoreError::Corrupt("a time of a signing key".to_owned()));
            let since = time(row.get(2)?)?;
            if let Some(before) = keys.last_mut() {
                let until = since.saturating_add_micros(OVERLAP_MICROS);
                before.until = Some(retired.map_or(until, |retired| until.min(retired)));
            }
            retired = row.get::<_, Option<i64>>(3)?.map(time).transpose()?;
            keys.push(SigningKey { id: row.get::<_, i64>(0)?.unsigned_abs(), public_key: row.get(1)?, since, until: None });
        }
        if keys.is_empty() {
            return Err(StoreError::Corrupt("the ledger names no key that signs".to_owned()));
        }
        Ok(Self(keys))
    }

    /// Each under the name of a tree, oldest first.
    pub(crate) fn published(&self, origin: &Name) -> Vec<PublishedKey> {
        let keys = self.verifier_keys(origin).into_iter().zip(&self.0);
        keys.map(|(verifier_key, key)| PublishedKey { verifier_key, since: key.since, until: key.until }).collect()
    }

    /// The id of the newest.
    pub(crate) fn newest(&self) -> u64 {
        self.0.last().map_or(0, |key| key.id)
    }

    /// Their public halves.
    pub(crate) fn public_keys(&self) -> Vec<[u8; 32]> {
        self.0.iter().map(|key| key.public_key).collect()
    }

    /// The verifier keys of a tree.
    pub(crate) fn verifier_keys(&self, origin: &Name) -> Vec<VerifierKey> {
        self.0.iter().map(|key| VerifierKey::new(origin.clone(), Algorithm::Ed25519, key.public_key)).collect()
    }

    /// The one that signs whatever is signed.
    pub(super) fn serving(&self) -> Option<&SigningKey> {
        self.0.last()
    }

    /// The ids of all that sign at a time.
    pub(crate) fn signing(&self, now: Timestamp) -> Vec<u64> {
        self.beside(now).chain(self.serving()).map(|key| key.id).collect()
    }

    /// Those that sign beside it at a time, the newest first.
    pub(crate) fn beside(&self, now: Timestamp) -> impl Iterator<Item = &SigningKey> {
        self.0.iter().rev().skip(1).filter(move |key| key.until.is_some_and(|until| now < until))
    }
}
