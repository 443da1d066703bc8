//! API keys: made, listed, revoked.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::hex;
use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::document::{Document, KeyDocument};
use super::mutate::{Mutation, check_name, row};
use super::{ApiKey, MutateError, NewApiKey, Project};
use crate::access::{Caller, Owner, Scope, credential, secret_digest};
use crate::append::{EngineEvent, ReadMembers, ResourceMembers};
use crate::keystore::{KeyError, random_bytes};
use crate::ledger::Ledger;
use crate::query::ReadError;

const CREATE: &str = "api_key.create";
const REVOKE: &str = "api_key.revoke";

/// A new key and its credential, which is nowhere stored.
pub(super) fn draw(new: &NewApiKey, id: Uuid, now: Timestamp) -> Result<(KeyDocument, String), KeyError> {
    let secret = URL_SAFE_NO_PAD.encode(random_bytes::<32>()?);
    let document = KeyDocument {
        id,
        name: new.name.clone(),
        owner: new.owner.into(),
        kind: new.kind.as_str().to_owned(),
        scopes: new.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        created_at: now,
        expires_at: new.expires_at,
        revoked_at: None,
        digest: hex::encode(&secret_digest(&secret)),
        version: 1,
    };
    Ok((document, credential(id, &secret)))
}

impl Ledger {
    /// Makes a key; returns it and its secret form, which is shown this once.
    pub async fn create_api_key(&self, caller: &Caller, mut new: NewApiKey) -> Result<(ApiKey, String), MutateError> {
        new.name = self.clean_name(caller, &new.name)?;
        let _control = self.inner.control.lock().await;
        let home = match self.check_new_key(caller, &new) {
            Ok(home) => home,
            Err(error) => return Err(self.refuse(caller, None, (CREATE, KeyDocument::TYPE, String::new()), error).await),
        };
        let (document, credential) = draw(&new, self.new_id(), self.inner.clock.now()).map_err(|error| unavailable(&error))?;
        self.mutate(Mutation {
            caller,
            action: CREATE,
            kind: KeyDocument::TYPE,
            id: document.id(),
            before: None,
            after: Some(document.state()),
            changes: vec![row(home.id, &document, document.version)],
            home,
        })
        .await?;
        let shown = document.to_api_key();
        self.inner.registry.put_key(document);
        Ok((shown, credential))
    }

    fn check_new_key(&self, caller: &Caller, new: &NewApiKey) -> Result<Arc<Project>, MutateError> {
        if !caller.has(Scope::ControlWrite) {
            return Err(MutateError::Forbidden(Scope::ControlWrite.as_str().to_owned()));
        }
        let registry = &self.inner.registry;
        if !registry.is_within(new.owner, caller.owner) {
            return Err(match new.owner {
                Owner::Instance => MutateError::Forbidden("the instance".to_owned()),
                Owner::Organization(_) => MutateError::NotFound("organization"),
                Owner::Project(_) => MutateError::NotFound("project"),
            });
        }
        if let Some(scope) = new.scopes.iter().find(|scope| !caller.has(**scope)) {
            return Err(MutateError::Forbidden(scope.as_str().to_owned()));
        }
        check_name(&new.name)?;
        if new.scopes.is_empty() {
            return Err(Fault::new(FaultKind::Invalid, "/scopes", "a key has at least one scope").into());
        }
        if new.expires_at.is_some_and(|end| end <= self.inner.clock.now()) {
            return Err(Fault::new(FaultKind::Invalid, "/expires_at", "the end of a key lies ahead").into());
        }
        self.home_of(new.owner).map_err(|_| match new.owner {
            Owner::Project(_) => MutateError::NotFound("project"),
            _ => MutateError::NotFound("organization"),
        })
    }

    /// The keys that belong to what the caller's key belongs to. Recorded as a read.
    pub async fn api_keys(&self, caller: &Caller) -> Result<Vec<ApiKey>, ReadError> {
        let home = self.home_of(caller.owner)?;
        let resource = ResourceMembers { kind: KeyDocument::TYPE, id: "*".to_owned(), parent: None };
        if !caller.has(Scope::ControlWrite) && !caller.has(Scope::AuditRead) {
            let refused = ReadError::Forbidden(Scope::ControlWrite.as_str().to_owned());
            let mut event = EngineEvent::new(caller, &home, "audit.read", "deny").because(refused.to_string());
            event.resource = Some(resource);
            self.record(vec![event]).await?;
            return Err(refused);
        }
        let registry = &self.inner.registry;
        let keys: Vec<ApiKey> =
            registry.keys().iter().map(|key| key.to_api_key()).filter(|key| registry.is_within(key.owner, caller.owner)).collect();
        let mut event = EngineEvent::new(caller, &home, "audit.read", "allow");
        event.resource = Some(resource);
        event.read = Some(ReadMembers { returned: keys.len() as u64, ..ReadMembers::default() });
        self.record(vec![event]).await?;
        Ok(keys)
    }

    /// Revokes a key. Revoking it again changes nothing and is not refused.
    pub async fn revoke_api_key(&self, caller: &Caller, id: Uuid) -> Result<ApiKey, MutateError> {
        let _control = self.inner.control.lock().await;
        let registry = &self.inner.registry;
        let visible = registry.key(id).filter(|key| registry.is_within(key.owner.into(), caller.owner));
        let refusal = (REVOKE, KeyDocument::TYPE, id.to_string());
        if !caller.has(Scope::ControlWrite) {
            let error = MutateError::Forbidden(Scope::ControlWrite.as_str().to_owned());
            return Err(self.refuse(caller, None, refusal, error).await);
        }
        let Some(key) = visible else { return Err(self.refuse(caller, None, refusal, MutateError::NotFound("API key")).await) };
        let home = self.home_of(key.owner.into())?;
        let mut document = KeyDocument::clone(&key);
        let mut changes = Vec::new();
        if document.revoked_at.is_none() {
            document.revoked_at = Some(self.inner.clock.now());
            document.version += 1;
            changes.push(row(home.id, &document, document.version));
        }
        self.mutate(Mutation {
            caller,
            action: REVOKE,
            kind: KeyDocument::TYPE,
            id: document.id(),
            before: Some(key.state()),
            after: Some(document.state()),
            changes,
            home,
        })
        .await?;
        let shown = document.to_api_key();
        registry.put_key(document);
        Ok(shown)
    }
}

/// Without random bytes there is no new key.
fn unavailable(error: &KeyError) -> MutateError {
    crate::append::AppendError::Unavailable { reason: error.to_string(), outcome_unknown: false }.into()
}
