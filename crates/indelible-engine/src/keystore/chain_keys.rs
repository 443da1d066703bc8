//! Handing one project's chain keys to an auditor: with them, and without any other secret, every HMAC link of that project
//! can be checked. Recorded before they are shown. Who has them could also forge links: what then shows it is what was signed.

use indelible_core::chain::Hash;
use indelible_core::key::{chain_key, verified_mac};
use uuid::Uuid;

use super::KeyStore;
use crate::access::{Caller, Scope};
use crate::append::{EngineEvent, ResourceMembers};
use crate::ledger::Ledger;
use crate::resource::{MutateError, Project};

/// The event that tells of it.
const EXPORT: &str = "key.export";
/// `resource.type` of that event.
const CHAIN_KEY: &str = "chain_key";

/// A chain key of one project.
#[derive(Clone, PartialEq, Eq)]
pub struct ChainKey {
    /// `hmac_key_id` of the rows that it authenticates.
    pub hmac_key_id: u64,
    /// The key: `K` of `formats.md`, Chain.
    pub key: [u8; 32],
}

impl KeyStore {
    /// The MAC of the note of a complete verification, under this ring key or the newest, and its ring id; `None` where there is no such
    /// key.
    pub(crate) fn verified_mac(&self, ring_id: Option<u64>, text: &str) -> Option<(u64, Hash)> {
        let ring = self.ring.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (id, key) = match ring_id {
            Some(id) => (id, ring.get(&id)?),
            None => ring.last_key_value().map(|(id, key)| (*id, key))?,
        };
        Some((id, verified_mac(key, text)))
    }

    fn chain_keys(&self, project_id: Uuid) -> Vec<ChainKey> {
        let ring = self.ring.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        ring.iter().map(|(id, ring_key)| ChainKey { hmac_key_id: *id, key: chain_key(ring_key, project_id) }).collect()
    }
}

impl Ledger {
    /// The chain keys of a project, oldest first. For keys with `audit:admin`.
    pub async fn export_chain_keys(&self, caller: &Caller, project: &Project) -> Result<Vec<ChainKey>, MutateError> {
        let home = self.inner.registry.project(project.id);
        let subject = (EXPORT, CHAIN_KEY, project.id.to_string());
        if !caller.has(Scope::AuditAdmin) {
            let error = MutateError::Forbidden(Scope::AuditAdmin.as_str().to_owned());
            return Err(self.refuse(caller, home, subject, error).await);
        }
        let Some(home) = home.filter(|_| self.sees(caller, project)) else {
            return Err(self.refuse(caller, None, subject, MutateError::NotFound("project")).await);
        };
        let mut event = EngineEvent::new(caller, &home, EXPORT, "allow");
        event.resource = Some(ResourceMembers { kind: CHAIN_KEY, id: project.id.to_string(), parent: None });
        self.record(vec![event]).await?;
        Ok(self.inner.keystore.chain_keys(project.id))
    }
}
