//! The only write of a resource: one transaction holds the event and the document.

use std::sync::Arc;

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::hex;
use indelible_core::json::Value;
use indelible_core::limits::NAME_BYTES_MAX;
use rusqlite::Connection;
use uuid::Uuid;

use super::document::{Document, KeyDocument, OrganizationDocument, ProjectDocument};
use super::kept::Kept;
use super::registry::Registry;
use super::{MutateError, Project};
use crate::access::Caller;
use crate::append::{AppendError, EngineEvent, ResourceMembers};
use crate::keystore::KeyStore;
use crate::ledger::Ledger;
use crate::store::StoreError;
use crate::write::{Change, Privilege, Work};

/// `context` member of the event about a resource: version of its document, ring id, and MAC
/// ([`indelible_core::key::ProjectKeys::document_mac`]), joined by colons. Verification holds the stored document against it.
pub(crate) const DOCUMENT: &str = "document";

/// A change of one resource by somebody, in the words of its event.
pub(crate) struct Mutation<'a> {
    pub(crate) caller: &'a Caller,
    /// The chain that tells of it.
    pub(crate) home: Arc<Project>,
    pub(crate) action: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    pub(crate) before: Option<Value<'static>>,
    pub(crate) after: Option<Value<'static>>,
    pub(crate) changes: Vec<Change>,
}

impl Mutation<'_> {
    /// The event that tells of it, and commits to the documents that are written with it.
    pub(crate) fn event(&mut self, keystore: &KeyStore) -> EngineEvent {
        let mut event = EngineEvent::new(self.caller, &self.home, self.action, "allow");
        event.resource = Some(ResourceMembers { kind: self.kind, id: self.id.clone(), parent: None });
        event.before = self.before.take();
        event.after = self.after.take();
        let own = self.changes.iter().find_map(|change| match change {
            Change::Resource { project_id, kind, id, version, body } if (*kind, id) == (self.kind, &self.id) => {
                Some((*project_id, *version, body))
            }
            _ => None,
        });
        if let Some((project_id, version, body)) = own {
            let keys = keystore.project_keys(project_id, keystore.newest_ring_id());
            event.context.extend(keys.map(|keys| {
                let mac = keys.document_mac(self.kind, &self.id, version.unsigned_abs(), body);
                (DOCUMENT, format!("{version}:{}:{}", keys.ring_id, hex::encode(&mac)))
            }));
        }
        event
    }
}

/// The row of a document.
pub(crate) fn row<D: Document>(project_id: Uuid, document: &D, version: i64) -> Change {
    Change::Resource { project_id, kind: D::TYPE, id: document.id(), version, body: document.body() }
}

/// A name that people give: 1 to [`NAME_BYTES_MAX`] bytes, no control characters.
pub(super) fn check_name(name: &str) -> Result<(), Fault> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let message = format!("a name has 1 to {NAME_BYTES_MAX} bytes and no control characters");
        return Err(Fault::new(FaultKind::Invalid, "/name", message));
    }
    Ok(())
}

impl Ledger {
    /// A name as it may be stored: documents lie in the ledger readable, so what is secret in it goes as it would from an event.
    pub(super) fn clean_name(&self, caller: &Caller, name: &str) -> Result<String, AppendError> {
        let home = self.home_of(caller.owner)?;
        let keystore = &self.inner.keystore;
        let keys = keystore
            .project_keys(home.id, keystore.newest_ring_id())
            .ok_or_else(|| AppendError::Unavailable { reason: "the ring has no key".to_owned(), outcome_unknown: false })?;
        Ok(self.inner.desk.rules.standard().line(name, &keys))
    }

    /// Appends the event and writes the documents in one transaction: both, or neither.
    pub(crate) async fn mutate(&self, mut mutation: Mutation<'_>) -> Result<(), MutateError> {
        let events = self.prepare_all(vec![mutation.event(&self.inner.keystore)])?;
        let work = Work::with_changes(events, std::mem::take(&mut mutation.changes), Privilege::Engine);
        // Where its outcome is unknown, recovery reads what is stored.
        self.inner.writer.submit(work).await?;
        Ok(())
    }

    /// Records that a change was refused, before the refusal is answered.
    pub(crate) async fn refuse(
        &self,
        caller: &Caller,
        home: Option<Arc<Project>>,
        (action, kind, id): (&'static str, &'static str, String),
        error: MutateError,
    ) -> MutateError {
        let (outcome, reason) = match &error {
            MutateError::Forbidden(_) | MutateError::NotFound(_) => ("deny", error.to_string()),
            MutateError::Stale { .. } | MutateError::Conflict(_) => ("error", error.to_string()),
            MutateError::Fault(fault) => ("error", format!("invalid at {}", fault.pointer)),
            // Could not be recorded a moment ago, will not be now.
            MutateError::Append(_) => return error,
        };
        let home = match home.map_or_else(|| self.home_of(caller.owner), Ok) {
            Ok(home) => home,
            Err(unavailable) => return unavailable.into(),
        };
        let mut event = EngineEvent::new(caller, &home, action, outcome).because(reason);
        event.resource = Some(ResourceMembers { kind, id: if id.is_empty() { "new".to_owned() } else { id }, parent: None });
        match self.record(vec![event]).await {
            Ok(()) => error,
            Err(unavailable) => unavailable.into(),
        }
    }
}

/// Reads every resource into the registry.
pub(crate) fn load(connection: &Connection, registry: &Registry) -> Result<(), StoreError> {
    let corrupt = |error: super::document::DocumentError| StoreError::Corrupt(error.to_string());
    let mut statement = connection.prepare("SELECT type, id, body, version FROM resources ORDER BY type = 'organization' DESC")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, id, body): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        match kind.as_str() {
            OrganizationDocument::TYPE => registry.put_organization(OrganizationDocument::from_body(&id, &body).map_err(corrupt)?),
            ProjectDocument::TYPE => {
                let project: Project = ProjectDocument::from_body(&id, &body).map_err(corrupt)?.into();
                let number = connection.query_row("SELECT project FROM ledgers WHERE project_id = ?1", [&id], |row| row.get(0))?;
                registry.put_project(Arc::new(project), number);
            }
            KeyDocument::TYPE => registry.put_key(KeyDocument::from_body(&id, &body).map_err(corrupt)?),
            noun => {
                let Some(kind) = super::kind(noun) else {
                    tracing::warn!(kind = noun, "a resource of a type that this version does not know");
                    continue;
                };
                if let Some(kept) = Kept::read(noun, &id, row.get(3)?, &body).map_err(corrupt)? {
                    registry.keep(kind, &Arc::new(kept));
                } else {
                    registry.end(kind, Uuid::try_parse(&id).unwrap_or_default());
                }
            }
        }
    }
    Ok(())
}
