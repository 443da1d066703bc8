//! The keys that sign anchors and checkpoints, `signing-<id>.key`: an Ed25519 seed wrapped under the master key, or the name of a key
//! in KMS.
//!
//! One key signs for every tree of the instance, under each tree's origin as its name. Ids count from 1; a rotation adds
//! one. Which of them sign now is in the ledger (`signing_keys`), not here.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use indelible_core::key::Secret;
use indelible_core::note::{Algorithm, LocalSigner, Name, SignError, Signer, VerifierKey};

use super::kms_file::KmsFile;
use super::{KeyError, KeyStore, random_secret, read_private};
use crate::kms::{KeyArn, Kms, KmsError};

/// What a KMS key signs before it is taken: nothing that a note could say.
const TRIAL: &[u8] = b"indelible-signing-trial/v1\n";

/// A key that signs, and where its private half is.
#[derive(Clone)]
pub(super) enum SigningKey {
    /// Here.
    Local(Secret),
    /// In KMS.
    Kms {
        /// Which key.
        arn: KeyArn,
        /// Its public half, as it was when the key was taken.
        public_key: [u8; 32],
    },
}

impl SigningKey {
    fn public_key(&self) -> Option<[u8; 32]> {
        match self {
            Self::Local(seed) => {
                let signer = LocalSigner::from_seed(Name::new("key").ok()?, Algorithm::Ed25519, seed).ok()?;
                Some(*signer.verifier_key().public_key())
            }
            Self::Kms { public_key, .. } => Some(*public_key),
        }
    }

    /// The KMS key, if it is one.
    const fn arn(&self) -> Option<&KeyArn> {
        match self {
            Self::Local(_) => None,
            Self::Kms { arn, .. } => Some(arn),
        }
    }
}

/// An Ed25519 key in KMS.
struct KmsSigner {
    kms: Arc<Kms>,
    arn: KeyArn,
    key: VerifierKey,
}

impl Signer for KmsSigner {
    fn verifier_key(&self) -> &VerifierKey {
        &self.key
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        self.kms.sign(&self.arn, message).map_err(|error| SignError::Failed(error.to_string()))
    }
}

impl KeyStore {
    /// Makes a signing key with the first free number from `id` on, durable before this returns; its number and its public half.
    /// A key of that number that is there already, and is the same, was made by a rotation that was cut off: it is taken. `known` are
    /// the keys that the ledger names, of which none signs under two numbers.
    pub(crate) fn make_signing_key(&self, id: u64, kms_key: Option<&KeyArn>, known: &[[u8; 32]]) -> Result<(u64, [u8; 32]), KeyError> {
        let in_kms = kms_key.map(|arn| Ok::<_, KeyError>((arn.clone(), self.try_out(arn)?))).transpose()?;
        if let Some((arn, public_key)) = &in_kms
            && known.contains(public_key)
        {
            return Err(KeyError::Known(arn.clone()));
        }
        let mut id = id;
        while let Some(there) = self.signing_key(id) {
            let public_key = there.public_key();
            let is_wanted = there.arn() == kms_key && in_kms.as_ref().is_none_or(|(_, wanted)| public_key == Some(*wanted));
            match public_key {
                Some(public_key) if is_wanted => return Ok((id, public_key)),
                // Never written over: what cut that rotation off may not have kept its row out of the ledger.
                _ => id += 1,
            }
        }
        let path = self.folder.join(signing_file(id));
        let is_new = match in_kms {
            Some((arn, public_key)) => KmsFile::Signing { arn, public_key }.write_new(&path, self.master()?)?,
            None => self.write_new_wrapped(&path, &random_secret()?)?,
        };
        // As everybody else reads it.
        let key = self.read_signing(&path)?;
        let public_key = key.public_key().ok_or(KeyError::NotAKey(path, "it is no Ed25519 seed"))?;
        self.signing.write().unwrap_or_else(PoisonError::into_inner).insert(id, key);
        // Another server may have made it meanwhile, of another kind perhaps.
        if is_new { Ok((id, public_key)) } else { self.make_signing_key(id, kms_key, known) }
    }

    /// Has a KMS key sign something, and tells its public half: one that may be asked for that, and for nothing else, would stop
    /// sealing.
    fn try_out(&self, arn: &KeyArn) -> Result<[u8; 32], KeyError> {
        use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
        let public_key = self.kms.public_key(arn)?;
        let signature = self.kms.sign(arn, TRIAL)?;
        let holds = UnparsedPublicKey::new(&ED25519, public_key).verify(TRIAL, &signature);
        let what = "its public key does not verify the signature";
        holds.map_err(|_| KmsError::Answer { operation: "Sign", key: arn.clone(), what })?;
        Ok(public_key)
    }

    /// Reads the file of a signing key.
    pub(super) fn read_signing(&self, path: &Path) -> Result<SigningKey, KeyError> {
        let text = read_private(path)?;
        if !KmsFile::is_one(&text) {
            return self.unwrap(path, &text).map(SigningKey::Local);
        }
        match KmsFile::read(path, &text, self.master()?)? {
            KmsFile::Signing { arn, public_key } => Ok(SigningKey::Kms { arn, public_key }),
            KmsFile::Organization { .. } => Err(KeyError::NotAKey(path.to_owned(), "it is the key of an organization")),
        }
    }

    fn signing_key(&self, id: u64) -> Option<SigningKey> {
        self.signing.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Public halves of the keys that are there, by id.
    pub(crate) fn public_signing_keys(&self) -> Vec<(u64, [u8; 32])> {
        let signing = self.signing.read().unwrap_or_else(PoisonError::into_inner);
        signing.iter().filter_map(|(id, key)| Some((*id, key.public_key()?))).collect()
    }

    /// The KMS key that key `id` is, if it is one.
    pub(crate) fn kms_signing_key(&self, id: u64) -> Option<KeyArn> {
        self.signing_key(id)?.arn().cloned()
    }

    /// Refuses keys in KMS where the program was built without it: they could not sign.
    pub(crate) fn check_built(&self) -> Result<(), KeyError> {
        let signing = self.signing.read().unwrap_or_else(PoisonError::into_inner);
        match signing.iter().find(|(_, key)| key.arn().is_some()) {
            Some((id, _)) if !Kms::IS_BUILT => Err(KeyError::NotBuilt(self.folder.join(signing_file(*id)))),
            _ => Ok(()),
        }
    }

    /// Signs under a name with key `id`, whose public half the ledger says is `public_key`.
    pub(crate) fn signer(&self, id: u64, public_key: &[u8; 32], name: Name) -> Result<Box<dyn Signer>, KeyError> {
        let path = || self.folder.join(signing_file(id));
        let key = self.signing_key(id).ok_or_else(|| KeyError::Missing(path()))?;
        if key.public_key().as_ref() != Some(public_key) {
            return Err(KeyError::NotTheLedgers(path()));
        }
        match key {
            SigningKey::Local(seed) => {
                let signer = LocalSigner::from_seed(name, Algorithm::Ed25519, &seed);
                Ok(Box::new(signer.map_err(|_| KeyError::NotAKey(path(), "it is no Ed25519 seed"))?))
            }
            SigningKey::Kms { arn, public_key } => {
                self.recognise(&arn, &public_key)?;
                let key = VerifierKey::new(name, Algorithm::Ed25519, public_key);
                Ok(Box::new(KmsSigner { kms: Arc::clone(&self.kms), arn, key }))
            }
        }
    }

    /// Asks KMS, once a process, whether a key is still the one that was taken.
    fn recognise(&self, arn: &KeyArn, public_key: &[u8; 32]) -> Result<(), KeyError> {
        let recognised = |arn: &KeyArn| self.recognised.lock().unwrap_or_else(PoisonError::into_inner).contains(arn);
        if recognised(arn) {
            return Ok(());
        }
        if self.kms.public_key(arn)? != *public_key {
            return Err(KeyError::OtherKmsKey(arn.clone()));
        }
        self.recognised.lock().unwrap_or_else(PoisonError::into_inner).insert(arn.clone());
        Ok(())
    }
}

/// Name of a file in the key store.
fn signing_file(id: u64) -> String {
    format!("signing-{id}.key")
}
