//! The keys that sign anchors and checkpoints: Ed25519 seeds, `signing-<id>.key`, wrapped under the master key.
//!
//! One key signs for every tree of the instance, under each tree's origin as its name. Ids count from 1; a rotation adds
//! one. Which of them sign now is in the ledger (`signing_keys`), not here.

use std::sync::PoisonError;

use indelible_core::note::{Algorithm, LocalSigner, Name, Signer};

use super::{KeyError, KeyStore, random_secret};

impl KeyStore {
    /// Makes a signing key, durable before this returns, and tells its public half. Keeps the one that is there.
    pub(crate) fn make_signing_key(&self, id: u64) -> Result<[u8; 32], KeyError> {
        if !self.signing.read().unwrap_or_else(PoisonError::into_inner).contains_key(&id) {
            let seed = random_secret()?;
            self.write_wrapped(&self.folder.join(signing_file(id)), &seed)?;
            self.signing.write().unwrap_or_else(PoisonError::into_inner).insert(id, seed);
        }
        let name = Name::new("key").map_err(|_| KeyError::NoRandomness)?;
        let signer = self.signer(id, name)?;
        Ok(*signer.verifier_key().public_key())
    }

    /// Public halves of the keys that are there, by id.
    pub(crate) fn public_signing_keys(&self) -> Vec<(u64, [u8; 32])> {
        let ids: Vec<u64> = self.signing.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
        let public = |id: u64| Some((id, *self.signer(id, Name::new("key").ok()?).ok()?.verifier_key().public_key()));
        ids.into_iter().filter_map(public).collect()
    }

    /// Signs under a name with key `id`.
    pub(crate) fn signer(&self, id: u64, name: Name) -> Result<LocalSigner, KeyError> {
        let path = || self.folder.join(signing_file(id));
        let seeds = self.signing.read().unwrap_or_else(PoisonError::into_inner);
        let seed = seeds.get(&id).ok_or_else(|| KeyError::Missing(path()))?;
        LocalSigner::from_seed(name, Algorithm::Ed25519, seed).map_err(|_| KeyError::NotAKey(path(), "it is no Ed25519 seed"))
    }
}

/// Name of a file in the key store.
pub(super) fn signing_file(id: u64) -> String {
    format!("signing-{id}.key")
}
