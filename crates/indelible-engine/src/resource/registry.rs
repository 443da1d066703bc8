//! What is known without asking the store: organizations, projects and keys, as they are after the last commit.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use uuid::Uuid;

use super::document::{KeyDocument, OrganizationDocument};
use super::kept::{Kept, Shared};
use super::kind::Kind;
use super::{Owner, Project};

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
    projects: HashMap<Uuid, Known>,
    numbers: BTreeMap<i64, Uuid>,
    system_projects: HashMap<Uuid, Uuid>,
    organizations: HashMap<Uuid, OrganizationDocument>,
    keys: HashMap<Uuid, Arc<KeyDocument>>,
    /// Resources of every other kind, by noun and id.
    kept: BTreeMap<(&'static str, Uuid), Shared>,
    /// Changes of those, by what they belong to.
    changes: HashMap<Owner, u64>,
}

/// The map of everything known.
#[derive(Default)]
pub(crate) struct Registry {
    state: RwLock<State>,
}

impl Registry {
    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The small integer of a project.
    pub(crate) fn number_of(&self, project_id: Uuid) -> Option<i64> {
        self.read(|state| state.projects.get(&project_id).map(|known| known.number))
    }

    /// A project.
    pub(crate) fn project(&self, project_id: Uuid) -> Option<Arc<Project>> {
        self.read(|state| state.projects.get(&project_id).map(|known| Arc::clone(&known.project)))
    }

    /// All projects, in the order in which they were made.
    pub(crate) fn projects(&self) -> Vec<Known> {
        self.read(|state| state.numbers.values().filter_map(|id| state.projects.get(id)).cloned().collect())
    }

    /// The number for the next project.
    pub(crate) fn next_number(&self) -> i64 {
        self.read(|state| state.numbers.keys().next_back().map_or(1, |last| last + 1))
    }

    /// The system project of an organization, or of the instance (the nil UUID).
    pub(crate) fn system_project(&self, organization_id: Uuid) -> Option<Arc<Project>> {
        let id = self.read(|state| state.system_projects.get(&organization_id).copied())?;
        self.project(id)
    }

    /// Whether there is such an organization.
    pub(crate) fn has_organization(&self, id: Uuid) -> bool {
        self.read(|state| state.organizations.contains_key(&id))
    }

    /// A key.
    pub(crate) fn key(&self, id: Uuid) -> Option<Arc<KeyDocument>> {
        self.read(|state| state.keys.get(&id).cloned())
    }

    /// All keys, oldest first.
    pub(crate) fn keys(&self) -> Vec<Arc<KeyDocument>> {
        let mut keys: Vec<_> = self.read(|state| state.keys.values().cloned().collect());
        keys.sort_by_key(|key: &Arc<KeyDocument>| (key.created_at, key.id));
        keys
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

    /// A resource that has not ended.
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

    /// All who have a resource of a kind.
    pub(crate) fn owners_of(&self, kind: &Kind) -> HashSet<Owner> {
        self.kept_after(kind, None, usize::MAX, &|_| true).iter().map(|kept| kept.owner).collect()
    }

    /// Takes in a resource that is committed.
    pub(crate) fn keep(&self, kind: &'static Kind, kept: &Shared) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.kept.insert((kind.noun, kept.id), Arc::clone(kept));
        *state.changes.entry(kept.owner).or_default() += 1;
    }

    /// Lets go of a resource whose end is committed.
    pub(crate) fn end(&self, kind: &'static Kind, id: Uuid) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(ended) = state.kept.remove(&(kind.noun, id)) {
            *state.changes.entry(ended.owner).or_default() += 1;
        }
    }

    /// How often resources that belong to this were changed, as far as is known. What was read after this is asked is no older.
    pub(crate) fn changes_of(&self, owner: Owner) -> u64 {
        self.read(|state| state.changes.get(&owner).copied().unwrap_or_default())
    }

    /// Takes in an organization that is committed.
    pub(crate) fn put_organization(&self, organization: OrganizationDocument) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).organizations.insert(organization.id, organization);
    }

    /// Takes in a project that is committed.
    pub(crate) fn put_project(&self, project: Arc<Project>, number: i64) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if project.system {
            state.system_projects.insert(project.organization_id, project.id);
        }
        state.numbers.insert(number, project.id);
        state.projects.insert(project.id, Known { project, number });
    }

    /// Takes in a key that is committed.
    pub(crate) fn put_key(&self, key: KeyDocument) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).keys.insert(key.id, Arc::new(key));
    }
}
