//! Making, changing and ending resources of every kind: the one path, whatever the kind. Event and document are written in one
//! transaction; a refusal is an event of its own before it is answered.

use std::sync::Arc;

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::ahead::{self, Ahead};
use super::answers::{Asked, Once};
use super::credential::{Credential, renewed};
use super::kept::Kept;
use super::kind::{Admission, Kind, Level, Number, Verb};
use super::kinds::{audit_streams, event_schemas, organizations, projects, redaction_rules, sessions, webhook_signing_keys};
use super::mutate::Mutation;
use super::patch::merged;
use super::sealed::{self, Parted, Shown};
use super::tenancy::Falling;
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
    /// A verb of its kind, what was said with it, and whether it is to be done once.
    Verb(&'static Verb, &'a str, Option<&'a Once>),
    End,
}

/// A change that nothing stands against.
struct Intended<'a> {
    /// The chain that tells of it.
    home: Arc<Project>,
    before: Arc<Kept>,
    after: Kept,
    shown: Vec<Shown>,
    falling: Vec<Falling<'a>>,
}

impl Deed<'_> {
    /// What the document becomes; `None` where it ends.
    pub(super) fn document(self, before: &str) -> Result<Option<String>, MutateError> {
        match self {
            Deed::Patch(patch) => Ok(Some(merged(before, patch)?)),
            Deed::Verb(verb, said, _) => (verb.apply)(before, said).map(Some),
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
        let _control = self.control().await?;
        let caller = &self.caller_now(caller, (action, kind.noun, String::new())).await?;
        let (owner, is_given) = (owner.unwrap_or_else(|| self.usual_owner(caller, kind)), owner.is_some());
        let refusal = (action, kind.noun, String::new());
        let home = match self.check_owner(caller, kind, owner, is_given) {
            Ok(home) => home,
            Err(error) => return Err(self.refuse(caller, None, refusal, error).await),
        };
        // Before the document is looked at: what it made may be in its own way now.
        let asked = once.and_then(|once| self.asked(caller, &home, (action, None), once));
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
        let mut changes = vec![kept.row(kind, home.id)];
        changes.extend(asked.map(|asked| asked.answered_with(kind, &kept, self.inner.clock.now())));
        let (id, after) = (kept.id.to_string(), Some(kept.told(kind)));
        let own = Mutation { caller, home, action, kind: kind.noun, id, before: None, after, changes, root: None };
        let founded = self.found(caller, kind, &kept, own)?;
        self.mutate_all(founded.mutations, founded.project.as_ref().map(|(kept, number)| (kept.id, *number))).await?;
        let kept = Arc::new(kept);
        let mut all = founded.ended;
        all.push((kind, Arc::clone(&kept)));
        if let Some((project, number)) = founded.project {
            self.inner.registry.number(project.id, number);
            all.push((&projects::KIND, project));
        }
        self.take_in(&all);
        Ok(Done { kept, replayed: false, shown })
    }

    /// What a new one belongs to where nobody says: what the caller's key belongs to; the default organization for a key of the instance,
    /// where only organizations have such.
    fn usual_owner(&self, caller: &Caller, kind: &'static Kind) -> Owner {
        let of_organizations = caller.owner == Owner::Instance && kind.levels == [Level::Organization];
        if of_organizations { Owner::Organization(self.inner.instance.organization_id) } else { caller.owner }
    }

    /// Whether the caller may make one of a kind there; returns the chain that will tell of it.
    fn check_owner(&self, caller: &Caller, kind: &'static Kind, owner: Owner, is_given: bool) -> Result<Arc<Project>, MutateError> {
        if kind.rare.begin.is_none() {
            check_scope(caller, kind)?;
        }
        if !kind.levels.contains(&Level::of(owner)) {
            // A key of something narrower makes none, whatever it says.
            if let (false, [level]) = (is_given || caller.owner == Owner::Instance, kind.levels) {
                return Err(MutateError::Forbidden(format!("the {}", level.as_str())));
            }
            let levels: Vec<&str> = kind.levels.iter().map(|level| level.as_str()).collect();
            let message = format!("a {} belongs to: {}", kind.noun, levels.join(", "));
            return Err(Fault::new(FaultKind::Invalid, "/owner", message).into());
        }
        let home = self.visible_home(caller, owner)?;
        if !kind.rare.outlives && self.inner.registry.is_deleted(owner) {
            return Err(MutateError::Gone(Level::of(owner).as_str()));
        }
        Ok(home)
    }

    /// The caller as it is now that nothing else changes; who has ended since the request came is refused, and that is recorded.
    pub(crate) async fn caller_now(&self, caller: &Caller, subject: (&'static str, &'static str, String)) -> Result<Caller, MutateError> {
        match self.again(caller) {
            Ok(caller) => Ok(caller),
            Err(ended) => Err(self.refuse(caller, None, subject, MutateError::Ended(ended)).await),
        }
    }

    fn check_new(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        home: &Project,
        owner: Owner,
        document: Result<String, Fault>,
    ) -> Result<(Kept, Vec<Shown>), MutateError> {
        let (now, id) = (self.inner.clock.now(), self.new_id());
        let document = begun(kind, caller, now, document?)?;
        let (document, mut shown) = sealed::draw(kind, document)?;
        let Parted { document, secrets } = self.without_secrets(kind, home, document)?;
        let mut kept = Kept::first(id, owner, now, document);
        kept.sealed = sealed::seal_all(&self.inner.keystore, home.organization_id, (kind, id), secrets, None)?;
        let registry = &*self.inner.registry;
        admit(kind, &Admission { registry, caller, now, owner, verb: None, before: None, after: Some(&kept) })?;
        if let Some(member) = kind.rare.credential {
            let (credential, text) = Credential::draw(id).map_err(|error| sealed::unavailable(&error))?;
            kept.credentials.push(credential);
            shown.push(Shown { member, text });
        }
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
        once: Option<&Once>,
    ) -> Result<Done, MutateError> {
        self.change(caller, kind, (verb.action, id), expected, Deed::Verb(verb, said, once)).await
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
        let (_control, ahead) = self.locked(caller, kind, id, deed).await?;
        let caller = &self.caller_now(caller, (action, kind.noun, id.to_string())).await?;
        let looked = self.look_up(caller, kind, id);
        let home = looked.as_ref().ok().map(|(home, _)| Arc::clone(home));
        // Before anything is answered again: who asks may have been another when it was answered first.
        let looked = looked.and_then(|(home, before)| {
            if !sessions::is_own(kind, &before, caller) {
                check_scope(caller, kind)?;
            }
            Ok((home, before))
        });
        let asked = match (deed, &looked) {
            (Deed::Verb(_, _, Some(once)), Ok((home, _))) => self.asked(caller, home, (action, Some(id)), once),
            _ => None,
        };
        let earlier = asked.as_ref().map_or(Ok(None), |asked| self.made_before(asked, kind));
        let intended = match earlier {
            Ok(Some(kept)) => return Ok(Done { kept, replayed: true, shown: Vec::new() }),
            Ok(None) => looked.and_then(|(home, before)| {
                let (after, shown) = self.changed(caller, kind, (&home, &before), expected, (deed, ahead))?;
                let falling = self.falling(caller, kind, &after)?;
                Ok(Intended { home, before, after, shown, falling })
            }),
            Err(error) => Err(error),
        };
        match intended {
            Ok(intended) => self.carry_out(caller, kind, action, intended, asked).await,
            Err(error) => Err(self.refuse(caller, home, (action, kind.noun, id.to_string()), error).await),
        }
    }

    async fn carry_out(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        action: &'static str,
        intended: Intended<'_>,
        asked: Option<Asked>,
    ) -> Result<Done, MutateError> {
        let Intended { home, before, after, shown, falling } = intended;
        let mut changes = vec![after.row(kind, home.id)];
        changes.extend(asked.map(|asked| asked.answered_with(kind, &after, self.inner.clock.now())));
        let mut mutations = vec![Mutation {
            caller,
            action,
            kind: kind.noun,
            id: after.id.to_string(),
            before: Some(before.told(kind)),
            after: after.is_seen(kind).then(|| after.told(kind)),
            changes,
            home,
            root: kind.rare.holds.filter(|_| after.ended_at.is_some()).map(|_| after.id),
        }];
        let mut all = Vec::with_capacity(1 + falling.len());
        for Falling { resource, mutation } in falling {
            mutations.push(mutation);
            all.extend(resource);
        }
        self.mutate_all(mutations, None).await?;
        let after = Arc::new(after);
        all.push((kind, Arc::clone(&after)));
        self.take_in(&all);
        Ok(Done { kept: after, replayed: false, shown })
    }

    /// Takes in what is committed, and makes anew what is made of it, once for each owner and kind.
    pub(super) fn take_in(&self, all: &[(&'static Kind, Arc<Kept>)]) {
        let registry = &self.inner.registry;
        for (kind, kept) in all {
            if kept.is_seen(kind) { registry.keep(kind, kept) } else { registry.end(kind, kept.id, kept.version) }
        }
        let mut settled: Vec<(&str, Owner)> = Vec::new();
        for (kind, kept) in all {
            if !settled.contains(&(kind.noun, kept.owner)) {
                settled.push((kind.noun, kept.owner));
                self.settle(kind, kept.owner);
            }
        }
    }

    /// A resource, also one of which there is always one.
    pub(super) fn kept(&self, kind: &'static Kind, id: Uuid) -> Option<Arc<Kept>> {
        self.inner.registry.kept(kind, id).or_else(|| self.first_version(kind, id).map(Arc::new))
    }

    /// A resource that the caller may see, and the chain that tells of its changes.
    pub(super) fn look_up(&self, caller: &Caller, kind: &'static Kind, id: Uuid) -> Result<(Arc<Project>, Arc<Kept>), MutateError> {
        let registry = &self.inner.registry;
        let seen = self.kept(kind, id).filter(|kept| registry.is_within(kept.place(kind), caller.owner));
        let kept = seen.ok_or(MutateError::NotFound(kind.noun))?;
        // A project's key sees its project, which belongs to more than that.
        if !registry.is_within(kept.owner, caller.owner) {
            return Err(MutateError::Forbidden(format!("the {}", Level::of(kept.owner).as_str())));
        }
        Ok((self.home_of(kept.owner)?, kept))
    }

    /// What there is of a kind of which there is always one, before anybody changed it.
    fn first_version(&self, kind: &'static Kind, id: Uuid) -> Option<Kept> {
        let project = self.inner.registry.project(id).filter(|_| kind.number == Number::One)?;
        let document = (kind.read)("{}").ok()?;
        Some(Kept { version: 0, ..Kept::first(id, Owner::Project(id), project.created_at, document) })
    }

    fn changed(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        (home, before): (&Arc<Project>, &Kept),
        expected: Option<u64>,
        (deed, ahead): (Deed<'_>, Option<Ahead>),
    ) -> Result<(Kept, Vec<Shown>), MutateError> {
        if let Some(expected) = expected.filter(|expected| *expected != before.version) {
            return Err(MutateError::Stale { expected, current: before.version });
        }
        if before.ended_at.is_some() {
            return Err(MutateError::Conflict("it has ended already"));
        }
        if !kind.rare.outlives && self.inner.registry.is_deleted(before.owner) {
            return Err(MutateError::Gone(Level::of(before.owner).as_str()));
        }
        let now = self.inner.clock.now();
        let mut after = Kept { version: before.version + 1, updated_at: now, ..before.clone() };
        let (mut shown, mut verb) = (Vec::new(), None);
        match deed {
            Deed::Patch(patch) => check_own(kind, patch)?,
            Deed::Verb(done, said, _) => {
                verb = Some(done.name);
                if let (Some(grace), Some(member)) = (done.renews, kind.rare.credential) {
                    let grace = grace(said)?;
                    let (credential, text) = Credential::draw(after.id).map_err(|error| sealed::unavailable(&error))?;
                    after.credentials = renewed(credential, &before.credentials, now, grace);
                    shown.push(Shown { member, text });
                }
            }
            Deed::End => {
                after.ended_at = Some(now);
                after.credentials.clear();
            }
        }
        let document = deed.document(&before.document)?;
        if let Some(document) = &document {
            let read = ahead.and_then(|ahead| ahead.of(document)).unwrap_or_else(|| (kind.read)(document));
            let Parted { document, secrets } = self.without_secrets(kind, home, read?)?;
            after.document = document;
            after.sealed = sealed::seal_all(&self.inner.keystore, home.organization_id, (kind, after.id), secrets, Some(before))?;
        }
        let after_it = document.is_some().then_some(&after);
        let (registry, owner) = (&*self.inner.registry, before.owner);
        admit(kind, &Admission { registry, caller, now, owner, verb, before: Some(before), after: after_it })?;
        Ok((after, shown))
    }

    /// The chain of what `owner` is, if the caller's key reaches so far.
    fn visible_home(&self, caller: &Caller, owner: Owner) -> Result<Arc<Project>, MutateError> {
        let missing = match owner {
            Owner::Instance => return self.instance_home(caller),
            Owner::Organization(_) => MutateError::NotFound("organization"),
            Owner::Project(_) => MutateError::NotFound("project"),
        };
        let registry = &self.inner.registry;
        let is_there = !matches!(owner, Owner::Organization(id) if registry.kept(&organizations::KIND, id).is_none());
        if !is_there || !registry.is_within(owner, caller.owner) {
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
        if [audit_streams::KIND.noun, webhook_signing_keys::KIND.noun].contains(&kind.noun) {
            self.inner.streams.ring();
        }
        if [redaction_rules::KIND.noun, event_schemas::KIND.noun].contains(&kind.noun) {
            apart(true, || self.inner.desk.settle(kind, owner));
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

/// What Indelible sets itself, nobody else does.
pub(super) fn check_own(kind: &Kind, document: &str) -> Result<(), Fault> {
    if kind.rare.own.is_empty() {
        return Ok(());
    }
    let document: serde_json::Value =
        serde_json::from_str(document).map_err(|error| Fault::new(FaultKind::Invalid, "", error.to_string()))?;
    match kind.rare.own.iter().find(|own| document.get(**own).is_some()) {
        Some(own) => Err(Fault::new(FaultKind::Invalid, format!("/{own}"), "is set by Indelible, and not given")),
        None => Ok(()),
    }
}

/// A document with what Indelible sets of what somebody begins for itself.
fn begun(kind: &Kind, caller: &Caller, now: Timestamp, document: String) -> Result<String, MutateError> {
    let Some(begin) = kind.rare.begin else { return Ok(document) };
    let mut value: serde_json::Value =
        serde_json::from_str(&document).map_err(|error| Fault::new(FaultKind::Invalid, "", error.to_string()))?;
    if let Some(members) = value.as_object_mut() {
        begin(caller, now, members)?;
    }
    Ok(value.to_string())
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
