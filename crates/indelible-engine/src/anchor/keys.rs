//! The keys that sign now, and those that ever did.
//!
//! A new key signs at once. The one before it goes on signing checkpoints beside it for [`OVERLAP`], so that who has
//! pinned the old one has that long to take the new one.

use indelible_core::note::{Algorithm, Name, Signer, VerifierKey};
use indelible_core::time::Timestamp;
use rusqlite::Connection;

use crate::keystore::{KeyError, KeyStore};
use crate::query::anchors::PublishedKey;
use crate::store::StoreError;

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
        let mut statement = ledger.prepare_cached("SELECT id, public_key, since FROM signing_keys ORDER BY id")?;
        let mut rows = statement.query([])?;
        let mut keys: Vec<SigningKey> = Vec::new();
        while let Some(row) = rows.next()? {
            let since = Timestamp::from_micros(row.get(2)?).ok_or_else(|| StoreError::Corrupt("a time in signing_keys".to_owned()))?;
            if let Some(before) = keys.last_mut() {
                before.until = Some(since.saturating_add_micros(OVERLAP_MICROS));
            }
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

    /// Signers of a tree at a time, the newest first.
    pub(crate) fn signers(&self, keystore: &KeyStore, origin: &Name, now: Timestamp) -> Result<Vec<Box<dyn Signer>>, KeyError> {
        let signs = |key: &&SigningKey| key.until.is_none_or(|until| now < until);
        self.0.iter().rev().filter(signs).map(|key| keystore.signer(key.id, &key.public_key, origin.clone())).collect()
    }
}
