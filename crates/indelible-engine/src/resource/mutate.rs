//! The only write of a resource: one transaction holds the event and the document.

use std::sync::Arc;

use indelible_core::hex;
use indelible_core::json::Value;
use uuid::Uuid;

use super::kept::Kept;
use super::kind::Kind;
use super::kinds::projects;
use super::registry::Registry;
use super::{MutateError, Owner, Project};
use crate::access::Caller;
use crate::append::{AppendError, EngineEvent, ResourceMembers};
use crate::keystore::{KeyStore, ended};
use crate::ledger::Ledger;
use crate::store::StoreError;
use crate::store::sql::{Connection, Param};
use crate::stream::StreamChange;
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
    /// The resource whose making or end brings this about (`cascade_root_id`), also in its own event.
    pub(crate) root: Option<Uuid>,
}

impl Mutation<'_> {
    /// The event that tells of it, and commits to the documents that are written with it.
    pub(crate) fn event(&mut self, keystore: &KeyStore) -> EngineEvent {
        let mut event = EngineEvent::new(self.caller, &self.home, self.action, "allow");
        let root = self.root.map(|root| root.to_string());
        let replay = self.changes.iter().find_map(|change| if let Change::Stream(change) = change { Some(change) } else { None });
        let stream = replay.and_then(StreamChange::stream).map(|stream| stream.to_string());
        let parent = root.clone().or(stream).filter(|root| *root != self.id);
        event.resource = Some(ResourceMembers { kind: self.kind, id: self.id.clone(), parent });
        event.members.extend(root.map(|root| ("cascade_root_id", Value::string(root))));
        event.context.extend(ended(&self.changes));
        event.context.extend(replay.map(StreamChange::replayed).unwrap_or_default());
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

impl Ledger {
    /// Appends the event and writes the documents in one transaction: both, or neither.
    pub(crate) async fn mutate(&self, mutation: Mutation<'_>) -> Result<(), MutateError> {
        self.mutate_all(vec![mutation], None).await
    }

    /// The same for several at once. `founded` is a project that comes into being with them, and its number.
    pub(crate) async fn mutate_all(&self, mutations: Vec<Mutation<'_>>, founded: Option<(Uuid, i64)>) -> Result<(), MutateError> {
        let (desk, mut events, mut changes) = (&self.inner.desk, Vec::with_capacity(mutations.len()), Vec::new());
        for (index, mut mutation) in mutations.into_iter().enumerate() {
            let event = mutation.event(&self.inner.keystore);
            let number = founded.filter(|(project, _)| *project == event.project.id).map(|(_, number)| number);
            let prepared = match number {
                Some(number) => desk.prepare_numbered(event, number),
                None => desk.prepare_own(event),
            };
            events.push(prepared.map_err(|fault| AppendError::Fault { index, fault })?);
            changes.append(&mut mutation.changes);
        }
        // Where its outcome is unknown, recovery reads what is stored.
        let work = Work::with_changes(events, changes, Privilege::Engine).made_at(self.inner.registry.epoch());
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
            MutateError::Forbidden(_) | MutateError::NotFound(_) | MutateError::Ended(_) => ("deny", error.to_string()),
            MutateError::Stale { .. } | MutateError::Gone(_) | MutateError::Conflict(_) => ("error", error.to_string()),
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

/// Reads every resource into the registry, or those that changed after an epoch; says what was read.
pub(crate) fn load(connection: &Connection, registry: &Registry, after: Option<i64>) -> Result<Vec<(&'static Kind, Owner)>, StoreError> {
    let corrupt = |error: super::document::DocumentError| StoreError::Corrupt(error.to_string());
    let params = after.map(Param::Integer);
    let mut statement = match after {
        Some(_) => connection.prepare("SELECT project_id, project FROM ledgers WHERE epoch > ?1")?,
        None => connection.prepare("SELECT project_id, project FROM ledgers")?,
    };
    let mut rows = statement.query(params.as_slice())?;
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        registry.number(Uuid::try_parse(&text).map_err(|_| StoreError::Corrupt(format!("{text} is no project's id")))?, row.get(1)?);
    }
    let mut changed = Vec::new();
    let mut statement = match after {
        Some(_) => connection.prepare("SELECT type, id, body, version FROM resources WHERE epoch > ?1")?,
        None => connection.prepare("SELECT type, id, body, version FROM resources")?,
    };
    let mut rows = statement.query(params.as_slice())?;
    while let Some(row) = rows.next()? {
        let (noun, id, body): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let Some(kind) = super::kind(&noun) else {
            tracing::warn!(kind = noun, "a resource of a type that this version does not know");
            continue;
        };
        let version: i64 = row.get(3)?;
        let before = Uuid::try_parse(&id).ok().and_then(|id| registry.kept(kind, id));
        changed.extend(before.map(|before| (kind, before.owner)));
        if let Some(kept) = Kept::read(&noun, &id, version, &body).map_err(corrupt)? {
            if kind.noun == projects::KIND.noun && registry.number_of(kept.id).is_none() {
                return Err(StoreError::Corrupt(format!("the project {id} has no row in ledgers: run `indelible verify`")));
            }
            changed.push((kind, kept.owner));
            registry.keep(kind, &Arc::new(kept));
        } else {
            registry.end(kind, Uuid::try_parse(&id).unwrap_or_default(), version.unsigned_abs());
        }
    }
    if after.is_some() {
        return Ok(changed);
    }
    let mut statement = connection.prepare("SELECT id, used_at FROM api_key_uses")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, used_at): ([u8; 16], i64) = (row.get(0)?, row.get(1)?);
        registry.used_before(Uuid::from_bytes(id), used_at);
    }
    Ok(changed)
}
