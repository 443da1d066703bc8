//! The signatures of one pass. The newest key signs, or nothing is signed; the keys before it sign checkpoints beside it as far as they
//! are there and do: for those who have not taken the new key yet, and not at the price of everybody's anchors.

use std::collections::BTreeMap;

use indelible_core::anchor::Anchor;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::{KeyId, Name, Note, Signer, sign};
use indelible_core::time::Timestamp;

use super::keys::{SigningKey, SigningKeys};
use super::seal::SealError;
use crate::keystore::KeyStore;
use crate::store::StoreError;

/// Signs, at one moment.
pub(super) struct Signatures<'a> {
    pub(super) keys: &'a SigningKeys,
    keystore: &'a KeyStore,
    pub(super) now: Timestamp,
    /// Keys before the newest that were asked, and why they did not sign, where they did not: one such is not asked again.
    asked: BTreeMap<u64, Option<String>>,
}

impl<'a> Signatures<'a> {
    pub(super) const fn new(keys: &'a SigningKeys, keystore: &'a KeyStore, now: Timestamp) -> Self {
        Self { keys, keystore, now, asked: BTreeMap::new() }
    }

    /// The id of the key that signs anchors, under the name of a tree.
    pub(super) fn key_id(&self, origin: &Name) -> Result<KeyId, StoreError> {
        self.keys.verifier_keys(origin).pop().map(|key| key.id()).ok_or_else(no_key)
    }

    /// Signs an anchor: the newest key alone.
    pub(super) fn anchor(&self, anchor: &Anchor, origin: &Name) -> Result<Note, SealError> {
        Ok(anchor.sign(origin, self.newest(origin)?.as_ref())?)
    }

    /// Signs a checkpoint. The caller has made sure of what [`Checkpoint::sign`] asks for.
    pub(super) fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<Note, SealError> {
        let origin = &checkpoint.origin;
        let mut note = checkpoint.sign(&[self.newest(origin)?.as_ref()])?;
        for key in self.keys.beside(self.now) {
            if matches!(self.asked.get(&key.id), Some(Some(_))) {
                continue;
            }
            let outcome = self.signer(key, origin).and_then(|signer| Ok(sign(&mut note, signer.as_ref())?));
            self.asked.insert(key.id, outcome.err().map(|error| error.to_string()));
        }
        Ok(note)
    }

    /// What was found of the keys before the newest. Those that were not asked are not among them.
    pub(super) fn into_asked(self) -> BTreeMap<u64, Option<String>> {
        self.asked
    }

    fn newest(&self, origin: &Name) -> Result<Box<dyn Signer>, SealError> {
        self.signer(self.keys.serving().ok_or_else(no_key)?, origin)
    }

    fn signer(&self, key: &SigningKey, origin: &Name) -> Result<Box<dyn Signer>, SealError> {
        Ok(self.keystore.signer(key.id, &key.public_key, origin.clone())?)
    }
}

fn no_key() -> StoreError {
    StoreError::Corrupt("no key signs".to_owned())
}
