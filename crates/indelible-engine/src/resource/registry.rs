//! What is known without asking the store: organizations, projects and keys, as they are after the last commit.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::kept::{Kept, Shared};
use super::kind::Kind;
use super::kinds::{api_keys, event_schemas, organizations, projects, redaction_rules};
use super::{ApiKey, Owner, Project};

/// A project and the small integer that stands for it in the store.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// The project.
    pub(crate) project: Arc<Project>,
    /// `ledgers.project`
    pub(crate) number: i64,
}

#[derive(Default)]
struct State {
    /// `ledgers.project` of every project.
    numbers: HashMap<Uuid, i64>,
    /// Projects by their numbers.
    projects: BTreeMap<i64, Arc<Project>>,
    system_projects: HashMap<Uuid, Uuid>,
    keys: HashMap<Uuid, Arc<ApiKey>>,
    /// When each key was last used, microseconds since 1970.
    uses: HashMap<Uuid, AtomicI64>,
    unwritten_uses: HashMap<Uuid, i64>,
    /// Resources of every kind, by noun and id.
    kept: BTreeMap<(&'static str, Uuid), Shared>,
    /// The newest version of each that is known, of those that ended too: an older one that is read later does not come back.
    versions: HashMap<(&'static str, Uuid), u64>,
    /// The same by what they belong to.
    by_owner: HashMap<Owner, BTreeSet<(&'static str, Uuid)>>,
    /// Changes of those, by what they belong to.
    changes: HashMap<Owner, u64>,
    /// Changes of what decides how events are taken, by what it belongs to: redaction rules, event schemas, and whether it was deleted.
    rulings: HashMap<Owner, u64>,
}

impl State {
    /// Takes note of a version; whether it is newer than what was known. Under one lock with what is made of it, so that none comes back.
    fn is_news(&mut self, name: (&'static str, Uuid), version: u64) -> bool {
        let known = self.versions.entry(name).or_default();
        let is_news = version > *known;
        *known = version.max(*known);
        is_news
    }

    fn put_project(&mut self, project: Arc<Project>, number: i64) {
        if project.system {
            self.system_projects.insert(project.organization_id, project.id);
        }
        self.numbers.insert(project.id, number);
        self.projects.insert(number, project);
    }

    /// Counts a change of a resource.
    fn changed(&mut self, kind: &Kind, kept: &Kept) {
        *self.changes.entry(kept.owner).or_default() += 1;
        let rules = [redaction_rules::KIND.noun, event_schemas::KIND.noun].contains(&kind.noun);
        let rules = if rules { Some(kept.owner) } else { kind.rare.holds.map(|_| kept.place(kind)) };
        if let Some(owner) = rules {
            *self.rulings.entry(owner).or_default() += 1;
        }
    }
}

/// The map of everything known.
#[derive(Default)]
pub(crate) struct Registry {
    state: RwLock<State>,
    /// What `turn.control_epoch` was when what others changed was taken in last.
    epoch: AtomicI64,
}

impl Registry {
    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Which changes of other servers are taken in; 0 where nobody else changes anything.
    pub(crate) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// All changes up to this epoch are taken in.
    pub(crate) fn came_to(&self, epoch: i64) {
        self.epoch.fetch_max(epoch, Ordering::AcqRel);
    }

    /// The small integer of a project.
    pub(crate) fn number_of(&self, project_id: Uuid) -> Option<i64> {
        self.read(|state| state.numbers.get(&project_id).copied())
    }

    /// A project.
    pub(crate) fn project(&self, project_id: Uuid) -> Option<Arc<Project>> {
        self.read(|state| state.projects.get(state.numbers.get(&project_id)?).cloned())
    }

    /// All projects, in the order in which they were made.
    pub(crate) fn projects(&self) -> Vec<Known> {
        self.read(|state| state.projects.iter().map(|(number, project)| Known { project: Arc::clone(project), number: *number }).collect())
    }

    /// The number for the next project.
    pub(crate) fn next_number(&self) -> i64 {
        self.read(|state| state.projects.keys().next_back().map_or(1, |last| last + 1))
    }

    /// The system project of an organization, or of the instance (the nil UUID).
    pub(crate) fn system_project(&self, organization_id: Uuid) -> Option<Arc<Project>> {
        let id = self.read(|state| state.system_projects.get(&organization_id).copied())?;
        self.project(id)
    }

    /// A key.
    pub(crate) fn key(&self, id: Uuid) -> Option<Arc<ApiKey>> {
        self.read(|state| state.keys.get(&id).cloned())
    }

    /// When a key was last used.
    pub(crate) fn last_use(&self, id: Uuid) -> Option<Timestamp> {
        let micros = self.read(|state| state.uses.get(&id).map(|used| used.load(Ordering::Relaxed)))?;
        Timestamp::from_micros(micros)
    }

    /// Notes that a key is used. What is news of more than `every` microseconds is to be written down.
    pub(crate) fn used(&self, id: Uuid, now: Timestamp, every: i64) {
        let now = now.as_micros();
        let is_news = self.read(|state| {
            let used = state.uses.get(&id)?;
            let before = used.load(Ordering::Relaxed);
            // Of those that come at once one writes it.
            Some(now - before >= every && used.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok())
        });
        if is_news == Some(false) {
            return;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.uses.entry(id).or_default().fetch_max(now, Ordering::Relaxed);
        state.unwritten_uses.insert(id, now);
    }

    /// Takes in when a key was last used, as it was written down.
    pub(crate) fn used_before(&self, id: Uuid, micros: i64) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.uses.entry(id).or_default().fetch_max(micros, Ordering::Relaxed);
    }

    /// What of that is to be written down now: keys, and microseconds since 1970.
    pub(crate) fn unwritten_uses(&self) -> Vec<(Uuid, i64)> {
        if self.read(|state| state.unwritten_uses.is_empty()) {
            return Vec::new();
        }
        self.state.write().unwrap_or_else(PoisonError::into_inner).unwritten_uses.drain().collect()
    }

    /// Whether an organization or a project was deleted.
    pub(crate) fn is_deleted(&self, owner: Owner) -> bool {
        let (kind, id): (&Kind, Uuid) = match owner {
            Owner::Instance => return false,
            Owner::Organization(id) => (&organizations::KIND, id),
            Owner::Project(id) => (&projects::KIND, id),
        };
        // The system project of an organization goes with it.
        let with_it = |kept: &Kept| matches!(owner, Owner::Project(_)) && self.is_deleted(kept.owner);
        self.kept(kind, id).is_some_and(|kept| kept.ended_at.is_some() || with_it(&kept))
    }

    /// Whether what belongs to `inner` lies within `outer`.
    pub(crate) fn is_within(&self, inner: Owner, outer: Owner) -> bool {
        match (inner, outer) {
            (_, Owner::Instance) => true,
            (Owner::Organization(a), Owner::Organization(b)) | (Owner::Project(a), Owner::Project(b)) => a == b,
            (Owner::Project(project), Owner::Organization(organization)) => {
                self.project(project).is_some_and(|project| project.organization_id == organization)
            }
            (Owner::Instance, _) | (Owner::Organization(_), Owner::Project(_)) => false,
        }
    }

    /// A resource: one that ended too, where its kind stays to be seen.
    pub(crate) fn kept(&self, kind: &Kind, id: Uuid) -> Option<Shared> {
        self.read(|state| state.kept.get(&(kind.noun, id)).cloned())
    }

    /// Resources of a kind in the order of their ids, from the one after `after`: the first `limit` that are `wanted`.
    pub(crate) fn kept_after(&self, kind: &Kind, after: Option<Uuid>, limit: usize, wanted: &dyn Fn(&Kept) -> bool) -> Vec<Shared> {
        let mut all: Vec<Shared> = self.read(|state| {
            let from = after.map_or(Bound::Included((kind.noun, Uuid::nil())), |after| Bound::Excluded((kind.noun, after)));
            state.kept.range((from, Bound::Included((kind.noun, Uuid::max())))).map(|(_, kept)| Arc::clone(kept)).collect()
        });
        all.retain(|kept| wanted(kept));
        all.truncate(limit);
        all
    }

    /// Resources of a kind that belong to an owner, in the order of their ids.
    pub(crate) fn kept_of(&self, kind: &Kind, owner: Owner) -> Vec<Shared> {
        self.read(|state| {
            let Some(names) = state.by_owner.get(&owner) else { return Vec::new() };
            let of_kind = names.range((kind.noun, Uuid::nil())..=(kind.noun, Uuid::max()));
            of_kind.filter_map(|name| state.kept.get(name).cloned()).collect()
        })
    }

    /// How often what decides how events of a project are taken was changed, in the project and in its organization.
    pub(crate) fn rulings(&self, project: &Project) -> (u64, u64) {
        let of = |owner| self.read(|state| state.rulings.get(&owner).copied().unwrap_or_default());
        (of(Owner::Project(project.id)), of(Owner::Organization(project.organization_id)))
    }

    /// All who have a resource of a kind.
    pub(crate) fn owners_of(&self, kind: &Kind) -> HashSet<Owner> {
        self.kept_after(kind, None, usize::MAX, &|_| true).iter().map(|kept| kept.owner).collect()
    }

    /// Takes in a resource that is committed, unless it is known already, or a newer version of it is.
    pub(crate) fn keep(&self, kind: &'static Kind, kept: &Shared) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !state.is_news((kind.noun, kept.id), kept.version) {
            return;
        }
        if kind.noun == projects::KIND.noun
            && let (Some(project), Some(number)) = (Project::of(kept), state.numbers.get(&kept.id).copied())
        {
            state.put_project(Arc::new(project), number);
        }
        if kind.noun == api_keys::KIND.noun {
            state.keys.extend(ApiKey::of(kept).map(|key| (key.id, Arc::new(key))));
        }
        state.kept.insert((kind.noun, kept.id), Arc::clone(kept));
        state.by_owner.entry(kept.owner).or_default().insert((kind.noun, kept.id));
        state.changed(kind, kept);
    }

    /// Lets go of a resource whose end, at this version, is committed.
    pub(crate) fn end(&self, kind: &'static Kind, id: Uuid, version: u64) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !state.is_news((kind.noun, id), version) {
            return;
        }
        if let Some(ended) = state.kept.remove(&(kind.noun, id)) {
            if let Some(names) = state.by_owner.get_mut(&ended.owner) {
                names.remove(&(kind.noun, id));
            }
            state.changed(kind, &ended);
        }
    }

    /// How often resources that belong to this were changed, as far as is known. What was read after this is asked is no older.
    pub(crate) fn changes_of(&self, owner: Owner) -> u64 {
        self.read(|state| state.changes.get(&owner).copied().unwrap_or_default())
    }

    /// Takes in the number of a project that is committed.
    pub(crate) fn number(&self, project_id: Uuid, number: i64) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).numbers.insert(project_id, number);
    }

    /// Takes in a project that is committed, in tests without its document.
    #[cfg(test)]
    pub(crate) fn put_project(&self, project: Arc<Project>, number: i64) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).put_project(project, number);
    }
}
