//! Making, changing and ending resources of every kind: the one path, whatever the kind. Event and document are written in one
//! transaction; a refusal is an event of its own before it is answered.

use std::sync::Arc;

use indelible_core::fault::{Fault, FaultKind};
use uuid::Uuid;

use super::ahead::{self, Ahead};
use super::answers::Once;
use super::kept::Kept;
use super::kind::{Admission, Kind, Level, Number, Verb};
use super::kinds::{event_schemas, redaction_rules};
use super::mutate::Mutation;
use super::patch::merged;
use super::sealed::{self, Parted, Sealed, Shown};
use super::{MutateError, Project};
use crate::access::{Caller, Owner};
use crate::apart::apart;
use crate::ledger::Ledger;

/// A resource after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// As it is now; as it was last, where it ended.
    pub kept: Arc<Kept>,
    /// Whether this repeats the answer to a request that was made before, and nothing was changed.
    pub replayed: bool,
    /// Secrets that were made with it. They are shown this once.
    pub shown: Vec<Shown>,
}

/// What is done to a resource that is there.
#[derive(Clone, Copy)]
pub(super) enum Deed<'a> {
    /// A merge patch.
    Patch(&'a str),
    /// A verb of its kind, and what was said with it.
    Verb(&'static Verb, &'a str),
    End,
}

impl Deed<'_> {
    /// What the document becomes; `None` where it ends.
    pub(super) fn document(self, before: &str) -> Result<Option<String>, MutateError> {
        match self {
            Deed::Patch(patch) => Ok(Some(merged(before, patch)?)),
            Deed::Verb(verb, said) => (verb.apply)(before, said).map(Some),
            Deed::End => Ok(None),
        }
    }
}

impl Ledger {
    /// Makes a resource from a JSON object. It belongs to `owner`, or to what the caller's key belongs to.
    pub async fn create_resource(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        owner: Option<Owner>,
        document: &str,
        once: Option<&Once>,
    ) -> Result<Done, MutateError> {
        let Some(action) = kind.actions.create else { return Err(MutateError::NotFound(kind.noun)) };
        let document = ahead::read_new(caller, kind, document);
        let _control = self.inner.control.lock().await;
        let owner = owner.unwrap_or(caller.owner);
        let refusal = (action, kind.noun, String::new());
        let home = match self.check_owner(caller, kind, owner) {
            Ok(home) => home,
            Err(error) => return Err(self.refuse(caller, None, refusal, error).await),
        };
        // Before the document is looked at: what it made may be in its own way now.
        let asked = once.and_then(|once| self.asked(caller, &home, once));
        let before = asked.as_ref().map_or(Ok(None), |asked| self.made_before(asked, kind));
        let kept = match before {
            Ok(Some(kept)) => return Ok(Done { kept, replayed: true, shown: Vec::new() }),
            Ok(None) => self.check_new(caller, kind, &home, owner, document),
            Err(error) => Err(error),
        };
        let (kept, shown) = match kept {
            Ok(made) => made,
            Err(error) => return Err(self.refuse(caller, Some(home), refusal, error).await),
        };
        let mut changes = vec![kept.row(kind, home.id, false)];
        changes.extend(asked.map(|asked| asked.answered_with(kind, &kept, self.inner.clock.now())));
        self.mutate(Mutation {
            caller,
            home,
            action,
            kind: kind.noun,
            id: kept.id.to_string(),
            before: None,
            after: Some(kept.told()),
            changes,
        })
        .await?;
        let kept = Arc::new(kept);
        self.inner.registry.keep(kind, &kept);
        self.settle(kind, kept.owner);
        Ok(Done { kept, replayed: false, shown })
    }

    /// Whether the caller may make one of a kind there; returns the chain that will tell of it.
    fn check_owner(&self, caller: &Caller, kind: &'static Kind, owner: Owner) -> Result<Arc<Project>, MutateError> {
        check_scope(caller, kind)?;
        if !kind.levels.contains(&Level::of(owner)) {
            let levels: Vec<&str> = kind.levels.iter().map(|level| level.as_str()).collect();
            let message = format!("a {} belongs to: {}", kind.noun, levels.join(", "));
            return Err(Fault::new(FaultKind::Invalid, "/owner", message).into());
        }
        self.visible_home(caller, owner)
    }

    fn check_new(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        home: &Project,
        owner: Owner,
        document: Result<String, Fault>,
    ) -> Result<(Kept, Vec<Shown>), MutateError> {
        let (document, shown) = sealed::draw(kind, document?)?;
        let Parted { document, secrets } = self.without_secrets(kind, home, document)?;
        let (now, id) = (self.inner.clock.now(), self.new_id());
        let sealed = sealed::seal_all(&self.inner.keystore, home.organization_id, (kind, id), secrets, None)?;
        let kept = Kept { id, owner, version: 1, created_at: now, updated_at: now, document, sealed };
        admit(kind, &Admission { registry: &self.inner.registry, caller, owner, verb: None, before: None, after: Some(&kept) })?;
        Ok((kept, shown))
    }

    /// Changes a resource by a merge patch (RFC 7396), if it is still at the version `expected`, where one is given.
    pub async fn update_resource(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        id: Uuid,
        expected: Option<u64>,
        patch: &str,
    ) -> Result<Done, MutateError> {
        let Some(action) = kind.actions.update else { return Err(MutateError::NotFound(kind.noun)) };
        self.change(caller, kind, (action, id), expected, Deed::Patch(patch)).await
    }

    /// Does to a resource what a verb of its kind says, if it is still at the version `expected`, where one is given. `said` is a JSON
    /// object.
    pub async fn act_on_resource(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        verb: &'static Verb,
        (id, expected): (Uuid, Option<u64>),
        said: &str,
    ) -> Result<Done, MutateError> {
        self.change(caller, kind, (verb.action, id), expected, Deed::Verb(verb, said)).await
    }

    /// Ends a resource, if it is still at the version `expected`, where one is given.
    pub async fn delete_resource(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        id: Uuid,
        expected: Option<u64>,
    ) -> Result<Done, MutateError> {
        let Some(action) = kind.actions.delete else { return Err(MutateError::NotFound(kind.noun)) };
        self.change(caller, kind, (action, id), expected, Deed::End).await
    }

    async fn change(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        (action, id): (&'static str, Uuid),
        expected: Option<u64>,
        deed: Deed<'_>,
    ) -> Result<Done, MutateError> {
        let (_control, ahead) = self.locked(caller, kind, id, deed).await;
        let looked = self.look_up(caller, kind, id);
        let home = looked.as_ref().ok().map(|(home, _)| Arc::clone(home));
        let changed = looked.and_then(|(home, before)| {
            let after = self.changed(caller, kind, (&home, &before), expected, (deed, ahead))?;
            Ok((home, before, after))
        });
        let (home, before, after) = match changed {
            Ok(changed) => changed,
            Err(error) => return Err(self.refuse(caller, home, (action, kind.noun, id.to_string()), error).await),
        };
        let ended = matches!(deed, Deed::End);
        self.mutate(Mutation {
            caller,
            action,
            kind: kind.noun,
            id: id.to_string(),
            before: Some(before.told()),
            after: (!ended).then(|| after.told()),
            changes: vec![after.row(kind, home.id, ended)],
            home,
        })
        .await?;
        let after = Arc::new(after);
        if ended {
            self.inner.registry.end(kind, id);
            self.settle(kind, after.owner);
            return Ok(Done { kept: before, replayed: false, shown: Vec::new() });
        }
        self.inner.registry.keep(kind, &after);
        self.settle(kind, after.owner);
        Ok(Done { kept: after, replayed: false, shown: Vec::new() })
    }

    /// A resource that the caller may see, and the chain that tells of it.
    pub(super) fn look_up(&self, caller: &Caller, kind: &'static Kind, id: Uuid) -> Result<(Arc<Project>, Arc<Kept>), MutateError> {
        let registry = &self.inner.registry;
        let kept = match registry.kept(kind, id) {
            Some(kept) => kept,
            None => Arc::new(self.first_version(kind, id).ok_or(MutateError::NotFound(kind.noun))?),
        };
        let home = self.visible_home(caller, kept.owner).map_err(|_| MutateError::NotFound(kind.noun))?;
        Ok((home, kept))
    }

    /// What there is of a kind of which there is always one, before anybody changed it.
    fn first_version(&self, kind: &'static Kind, id: Uuid) -> Option<Kept> {
        let project = self.inner.registry.project(id).filter(|_| kind.number == Number::One)?;
        let document = (kind.read)("{}").ok()?;
        let (created_at, owner) = (project.created_at, Owner::Project(id));
        Some(Kept { id, owner, version: 0, created_at, updated_at: created_at, document, sealed: Sealed::new() })
    }

    fn changed(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        (home, before): (&Arc<Project>, &Kept),
        expected: Option<u64>,
        (deed, ahead): (Deed<'_>, Option<Ahead>),
    ) -> Result<Kept, MutateError> {
        check_scope(caller, kind)?;
        if let Some(expected) = expected.filter(|expected| *expected != before.version) {
            return Err(MutateError::Stale { expected, current: before.version });
        }
        let mut after = Kept { version: before.version + 1, updated_at: self.inner.clock.now(), ..before.clone() };
        let document = deed.document(&before.document)?;
        if let Some(document) = &document {
            let read = ahead.and_then(|ahead| ahead.of(document)).unwrap_or_else(|| (kind.read)(document));
            let Parted { document, secrets } = self.without_secrets(kind, home, read?)?;
            after.document = document;
            after.sealed = sealed::seal_all(&self.inner.keystore, home.organization_id, (kind, after.id), secrets, Some(before))?;
        }
        let verb = if let Deed::Verb(verb, _) = deed { Some(verb.name) } else { None };
        let after_it = document.is_some().then_some(&after);
        let (registry, owner) = (&*self.inner.registry, before.owner);
        admit(kind, &Admission { registry, caller, owner, verb, before: Some(before), after: after_it })?;
        Ok(after)
    }

    /// The chain of what `owner` is, if the caller's key reaches so far.
    fn visible_home(&self, caller: &Caller, owner: Owner) -> Result<Arc<Project>, MutateError> {
        let missing = match owner {
            Owner::Instance => return self.instance_home(caller),
            Owner::Organization(_) => MutateError::NotFound("organization"),
            Owner::Project(_) => MutateError::NotFound("project"),
        };
        if !self.inner.registry.is_within(owner, caller.owner) {
            return Err(missing);
        }
        self.home_of(owner).map_err(|_| missing)
    }

    fn instance_home(&self, caller: &Caller) -> Result<Arc<Project>, MutateError> {
        if caller.owner != Owner::Instance {
            return Err(MutateError::Forbidden("the instance".to_owned()));
        }
        Ok(self.home_of(Owner::Instance)?)
    }

    /// What is made of resources of a kind is made anew, before the change is acknowledged.
    pub(super) fn settle(&self, kind: &'static Kind, owner: Owner) {
        let (desk, registry) = (&self.inner.desk, &self.inner.registry);
        if kind.noun == redaction_rules::KIND.noun {
            apart(true, || desk.rules.settle(registry, owner));
        } else if kind.noun == event_schemas::KIND.noun {
            apart(true, || desk.schemas.settle(registry, owner));
        }
    }

    /// A document without its secrets. Documents lie in the ledger readable, so one that holds a credential elsewhere is refused rather
    /// than stored without it.
    fn without_secrets(&self, kind: &'static Kind, home: &Project, document: String) -> Result<Parted, MutateError> {
        let parted = sealed::part(kind, document)?;
        let value: serde_json::Value = serde_json::from_str(&parted.document)
            .map_err(|error| MutateError::Fault(Fault::new(FaultKind::Invalid, "", error.to_string())))?;
        let keystore = &self.inner.keystore;
        let Some(keys) = keystore.project_keys(home.id, keystore.newest_ring_id()) else { return Ok(parted) };
        let rules = self.inner.desk.rules.standard();
        match secret_in(&value, &|text| rules.line(text, &keys) != text) {
            Some(fault) => Err(fault.into()),
            None => Ok(parted),
        }
    }
}

fn admit(kind: &Kind, admission: &Admission<'_>) -> Result<(), MutateError> {
    // Rules of an organization are compiled with those of each of its projects.
    kind.admit.map_or(Ok(()), |admit| apart(true, || admit(admission)))
}

fn check_scope(caller: &Caller, kind: &Kind) -> Result<(), MutateError> {
    if caller.has(kind.scope) { Ok(()) } else { Err(MutateError::Forbidden(kind.scope.as_str().to_owned())) }
}

/// The first string that redaction would change.
fn secret_in(value: &serde_json::Value, changes: &dyn Fn(&str) -> bool) -> Option<Fault> {
    match value {
        serde_json::Value::String(text) if changes(text) => {
            Some(Fault::new(FaultKind::Invalid, "", "holds what looks like a credential, which is stored nowhere"))
        }
        serde_json::Value::Array(items) => {
            items.iter().enumerate().find_map(|(n, item)| secret_in(item, changes).map(|fault| fault.within(&n.to_string())))
        }
        serde_json::Value::Object(members) => {
            members.iter().find_map(|(name, value)| secret_in(value, changes).map(|fault| fault.within(name)))
        }
        _ => None,
    }
}
