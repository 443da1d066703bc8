//! What comes into being with an organization, and what ends with an organization or a project: all of it in the one transaction of the
//! change that brings it about, each with an event of its own, whose `cascade_root_id` is the id of what it came or went with.

use std::sync::Arc;

use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::kept::{Kept, Shared};
use super::kind::{KINDS, Kind, Level};
use super::kinds::projects;
use super::mutate::Mutation;
use super::{MutateError, Project};
use crate::access::{Caller, Owner};
use crate::append::AppendError;
use crate::ledger::Ledger;
use crate::write::Change;

/// Resources that end in one transaction at most, so that it stays one that the writer takes.
const FALLING_MAX: usize = 10_000;
/// Bytes of their documents.
const FALLING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Resources that are past their end and are ended when a new one is made.
const PAST_MAX: usize = 100;

/// What a new resource brings with it.
pub(super) struct Founded<'a> {
    /// Its own mutation, and those of what comes with it.
    pub(super) mutations: Vec<Mutation<'a>>,
    /// The project that comes into being, and the number that stands for it in the store.
    pub(super) project: Option<(Shared, i64)>,
    /// What is past its end and is ended on the way.
    pub(super) ended: Vec<(&'static Kind, Shared)>,
}

/// What ends with something else.
pub(super) struct Falling<'a> {
    /// The resource as it is after its end; `None` for what is none.
    pub(super) resource: Option<(&'static Kind, Shared)>,
    pub(super) mutation: Mutation<'a>,
}

/// The row that gives a project its number.
pub(super) fn numbered(project: &Project, number: i64) -> Change {
    Change::Ledger { project: number, project_id: project.id, organization_id: project.organization_id }
}

impl Ledger {
    /// What comes into being with `kept`, whose own mutation is `own`.
    pub(super) fn found<'a>(
        &self,
        caller: &'a Caller,
        kind: &'static Kind,
        kept: &Kept,
        mut own: Mutation<'a>,
    ) -> Result<Founded<'a>, MutateError> {
        let number = self.inner.registry.next_number();
        match kind.rare.holds {
            Some(Level::Project) => {
                let project = Project::of(kept).expect("a project that was just read");
                own.changes.push(numbered(&project, number));
                Ok(Founded { mutations: vec![own], project: Some((Arc::new(kept.clone()), number)), ended: Vec::new() })
            }
            Some(Level::Organization) => {
                let keystore = &self.inner.keystore;
                let made = keystore.make_organization_key(kept.id, &self.inner.instance.name, self.inner.organization_kms.as_ref());
                made.map_err(|error| AppendError::Unavailable { reason: error.to_string(), outcome_unknown: false })?;
                let document = projects::ProjectSpec::document("system", true);
                let system = Kept::first(self.new_id(), Owner::Organization(kept.id), kept.created_at, document);
                let home = Arc::new(Project::of(&system).expect("a project that was just made"));
                let made = Mutation {
                    caller,
                    action: "project.create",
                    kind: projects::KIND.noun,
                    id: system.id.to_string(),
                    before: None,
                    after: Some(system.told(&projects::KIND)),
                    changes: vec![numbered(&home, number), system.row(&projects::KIND, home.id)],
                    home,
                    root: Some(kept.id),
                };
                own.root = Some(kept.id);
                Ok(Founded { mutations: vec![own, made], project: Some((Arc::new(system), number)), ended: Vec::new() })
            }
            Some(Level::Instance) | None => {
                let past = self.past(caller, kind, kept);
                let ended = past.iter().filter_map(|falling| falling.resource.clone()).collect();
                own.root = past.first().map(|_| kept.id);
                let mutations = std::iter::once(own).chain(past.into_iter().map(|falling| falling.mutation)).collect();
                Ok(Founded { mutations, project: None, ended })
            }
        }
    }

    /// Resources of the kind of a new one, and of its owner, that are past their end.
    fn past<'a>(&self, caller: &'a Caller, kind: &'static Kind, new: &Kept) -> Vec<Falling<'a>> {
        let (Some(is_past), Some(action)) = (kind.rare.is_past, kind.actions.delete) else { return Vec::new() };
        let Ok(home) = self.home_of(new.owner) else { return Vec::new() };
        let all = self.inner.registry.kept_of(kind, new.owner);
        let past = all.iter().filter(|kept| is_past(kept, new.created_at)).take(PAST_MAX);
        past.map(|before| fall(caller, kind, action, &home, before, (new.id, new.created_at))).collect()
    }

    /// What ends with `ended`, if it did: everything that belongs to it and can end, but what says how long its events are kept; and the
    /// bindings of roles that append to it.
    pub(super) fn falling<'a>(&self, caller: &'a Caller, kind: &'static Kind, ended: &Kept) -> Result<Vec<Falling<'a>>, MutateError> {
        let owners = match kind.rare.holds.filter(|_| ended.ended_at.is_some()) {
            Some(Level::Project) => vec![Owner::Project(ended.id)],
            Some(Level::Organization) => {
                let system = self.inner.registry.system_project(ended.id);
                std::iter::once(Owner::Organization(ended.id)).chain(system.map(|system| Owner::Project(system.id))).collect()
            }
            Some(Level::Instance) | None => return Ok(Vec::new()),
        };
        // The system project of an organization is the chain of what belongs to either.
        let home = self.home_of(owners[0])?;
        let end = (ended.id, ended.updated_at);
        let unbound = self.unbound(caller, owners[0], &home, ended.id)?;
        let (mut before, mut bytes) = (Vec::new(), 0);
        for kind in KINDS.iter().copied().filter(|kind| !kind.rare.outlives && kind.rare.holds.is_none()) {
            let Some(action) = kind.actions.delete else { continue };
            let there = owners.iter().flat_map(|owner| self.inner.registry.kept_of(kind, *owner)).filter(|kept| kept.ended_at.is_none());
            for kept in there {
                bytes += kept.document.len();
                before.push((kind, action, kept));
            }
            if before.len() + unbound.len() > FALLING_MAX || bytes > FALLING_BYTES_MAX {
                return Err(MutateError::Conflict(
                    "more than 10,000 resources, or 16 MiB of them, would end with it: end some of them first",
                ));
            }
        }
        let resources = before.into_iter().map(|(kind, action, kept)| fall(caller, kind, action, &home, &kept, end));
        Ok(resources.chain(unbound.into_iter().map(|mutation| Falling { resource: None, mutation })).collect())
    }
}

fn fall<'a>(
    caller: &'a Caller,
    kind: &'static Kind,
    action: &'static str,
    home: &Arc<Project>,
    before: &Kept,
    (root, now): (Uuid, Timestamp),
) -> Falling<'a> {
    let (version, ended_at) = (before.version + 1, Some(now));
    let after = Kept { version, updated_at: now, ended_at, credentials: Vec::new(), ..before.clone() };
    let mutation = Mutation {
        caller,
        home: Arc::clone(home),
        action,
        kind: kind.noun,
        id: before.id.to_string(),
        before: Some(before.told(kind)),
        after: after.is_seen(kind).then(|| after.told(kind)),
        changes: vec![after.row(kind, home.id)],
        root: Some(root),
    };
    Falling { resource: Some((kind, Arc::new(after))), mutation }
}
