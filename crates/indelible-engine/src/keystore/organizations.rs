//! Each organization's key-encryption key, `organization-<uuid>.key`: wrapped under the master key, or by a key in KMS.
//!
//! One that KMS wrapped is opened by KMS at the start, and where KMS does not open it nothing starts: the organization's contents
//! could be neither opened nor sealed. A new one is opened again before it is used, so that none is
//! taken which the next start could not open.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use indelible_core::key::Secret;
use indelible_core::seal;
use uuid::Uuid;

use super::kms_file::KmsFile;
use super::{KeyError, KeyStore, random_secret, read_private};
use crate::kms::{DataKey, KeyArn, KmsError, Purpose};

impl KeyStore {
    /// Whether the key-encryption key of an organization is there.
    pub(crate) fn has_organization_key(&self, organization_id: Uuid) -> bool {
        self.organizations.read().unwrap_or_else(PoisonError::into_inner).contains_key(&organization_id)
    }

    /// The file of an organization's key-encryption key.
    pub(crate) fn organization_key_file(&self, organization_id: Uuid) -> PathBuf {
        self.folder.join(format!("organization-{organization_id}.key"))
    }

    /// Makes the key-encryption key of an organization, durable before this returns. Keeps the one that is there. Where a KMS key
    /// is named, KMS makes and wraps it for the instance.
    pub(crate) fn make_organization_key(&self, organization_id: Uuid, instance: &str, kms_key: Option<&KeyArn>) -> Result<(), KeyError> {
        if self.has_organization_key(organization_id) {
            return Ok(());
        }
        let path = self.organization_key_file(organization_id);
        let key = match kms_key {
            None => {
                let key = random_secret()?;
                self.write_wrapped(&path, &key)?;
                key
            }
            Some(arn) => {
                let purpose = Purpose { instance, organization_id };
                let DataKey { secret, ciphertext } = self.kms.generate_data_key(arn, &purpose)?;
                if self.kms.decrypt(arn, &ciphertext, &purpose)? != secret {
                    let what = "it opens a key that it just made as another";
                    return Err(KmsError::Answer { operation: "Decrypt", key: arn.clone(), what }.into());
                }
                KmsFile::Organization { arn: arn.clone(), instance: instance.to_owned(), ciphertext }.write(&path, self.master()?)?;
                secret
            }
        };
        self.organizations.write().unwrap_or_else(PoisonError::into_inner).insert(organization_id, key);
        Ok(())
    }

    /// Opens the key in the file of an organization.
    pub(super) fn read_organization(&self, path: &Path, organization_id: Uuid) -> Result<Secret, KeyError> {
        let text = read_private(path)?;
        if !KmsFile::is_one(&text) {
            return self.unwrap(path, &text);
        }
        match KmsFile::read(path, &text, self.master()?)? {
            KmsFile::Organization { arn, instance, ciphertext } => {
                let purpose = Purpose { instance: &instance, organization_id };
                let opened = self.kms.decrypt(&arn, &ciphertext, &purpose);
                opened.map_err(|error| KeyError::Closed { path: path.to_owned(), organization_id, error: error.into() })
            }
            KmsFile::Signing { .. } => Err(KeyError::NotAKey(path.to_owned(), "it is a key that signs")),
        }
    }

    /// Wraps a data key under its organization's key.
    pub(crate) fn wrap_data_key(&self, organization_id: Uuid, key: &Secret) -> Result<seal::Wrapped, KeyError> {
        let organizations = self.organizations.read().unwrap_or_else(PoisonError::into_inner);
        let wrapping = organizations.get(&organization_id).ok_or(KeyError::NoOrganizationKey(organization_id))?;
        Ok(seal::wrap_key(wrapping, key))
    }

    /// Whether a wrapped data key opens; `None` where the organization's key is not there.
    pub(crate) fn opens_data_key(&self, organization_id: Uuid, wrapped: &[u8]) -> Option<bool> {
        self.has_organization_key(organization_id).then(|| self.unwrap_data_key(organization_id, wrapped).is_some())
    }

    /// Unwraps a data key; `None` where the organization's key is gone or another.
    pub(crate) fn unwrap_data_key(&self, organization_id: Uuid, wrapped: &[u8]) -> Option<Secret> {
        let organizations = self.organizations.read().unwrap_or_else(PoisonError::into_inner);
        seal::unwrap_key(organizations.get(&organization_id)?, wrapped)
    }
}
