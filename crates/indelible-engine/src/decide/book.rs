//! Everything that decides in one project, put together from its resources and its organization's, and kept until one of them
//! changes. A change counts from the moment it is acknowledged: before a book is used, it is held against how often there were any.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use cedar_policy::Authorizer;
use uuid::Uuid;

use super::policies::{Compiled, Policies};
use crate::access::Owner;
use crate::apart::apart;
use crate::resource::kinds::budgets::{self, Budget, SpenderKind};
use crate::resource::kinds::halts::{self, Halt, HaltedKind};
use crate::resource::kinds::model_prices::{self, ModelPrice};
use crate::resource::kinds::policies::{self, Policy};
use crate::resource::kinds::project_settings::{self, ProjectSettings};
use crate::resource::registry::Registry;
use crate::resource::{Kept, Kind, Project};
use crate::spending::Prices;

/// A resource that decides.
#[derive(Debug)]
pub(crate) struct Ruling<T> {
    pub(crate) id: Uuid,
    pub(crate) version: u64,
    pub(crate) document: T,
}

/// What decides in a project.
pub(crate) struct Book {
    /// Changes of the project's resources and of its organization's that it knows of.
    stamp: (u64, u64),
    pub(crate) settings: ProjectSettings,
    /// Those of the project and of the organization as a whole.
    halts_of_all: Vec<Arc<Ruling<Halt>>>,
    halts_of_agents: HashMap<String, Vec<Arc<Ruling<Halt>>>>,
    halts_of_runs: HashMap<String, Vec<Arc<Ruling<Halt>>>>,
    pub(crate) budgets: Vec<Ruling<Budget>>,
    pub(crate) prices: Prices,
    pub(crate) policies: Policies,
}

/// The books of all projects that were asked about.
pub(crate) struct Books {
    pub(crate) authorizer: Authorizer,
    by_project: RwLock<HashMap<Uuid, Arc<Book>>>,
    /// Policies that some book holds, so that a change of one does not compile the others again.
    compiled: Mutex<HashMap<(Uuid, u64), Weak<Compiled>>>,
}

impl Default for Books {
    fn default() -> Self {
        Self { authorizer: Authorizer::new(), by_project: RwLock::default(), compiled: Mutex::default() }
    }
}

impl Books {
    /// The book of a project, as of now.
    pub(crate) fn of(&self, registry: &Registry, project: &Project) -> Arc<Book> {
        let owners = (Owner::Project(project.id), Owner::Organization(project.organization_id));
        let stamp = (registry.changes_of(owners.0), registry.changes_of(owners.1));
        let known = self.by_project.read().unwrap_or_else(PoisonError::into_inner).get(&project.id).cloned();
        if let Some(book) = known.filter(|book| book.stamp == stamp) {
            return book;
        }
        // One at a time: who waited finds the book of who came first.
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.by_project.read().unwrap_or_else(PoisonError::into_inner).get(&project.id).cloned();
        if let Some(book) = known.filter(|book| book.stamp.0 >= stamp.0 && book.stamp.1 >= stamp.1) {
            return book;
        }
        let book = Arc::new(apart(true, || Book::read(registry, project, stamp, &mut compiled)));
        self.by_project.write().unwrap_or_else(PoisonError::into_inner).insert(project.id, Arc::clone(&book));
        book
    }
}

impl Book {
    fn read(registry: &Registry, project: &Project, stamp: (u64, u64), compiled: &mut HashMap<(Uuid, u64), Weak<Compiled>>) -> Self {
        let (own, organization) = (Owner::Project(project.id), Owner::Organization(project.organization_id));
        let all = |kind: &Kind| [registry.kept_of(kind, own), registry.kept_of(kind, organization)].concat();
        let settings = registry.kept(&project_settings::KIND, project.id).and_then(|kept| kept.typed()).unwrap_or_default();
        let mut book = Self {
            stamp,
            settings,
            halts_of_all: Vec::new(),
            halts_of_agents: HashMap::new(),
            halts_of_runs: HashMap::new(),
            budgets: all(&budgets::KIND).iter().filter_map(known).collect(),
            prices: Prices::default(),
            policies: Policies::new(read_policies(&all(&policies::KIND), compiled)),
        };
        for halt in all(&halts::KIND).iter().filter_map(known::<Halt>).map(Arc::new) {
            let id = halt.document.subject.id.clone().unwrap_or_default();
            match halt.document.subject.kind {
                HaltedKind::Project | HaltedKind::Organization => book.halts_of_all.push(halt),
                HaltedKind::Agent => book.halts_of_agents.entry(id).or_default().push(halt),
                HaltedKind::Run => book.halts_of_runs.entry(id).or_default().push(halt),
            }
        }
        // The project's own price of a model comes before its organization's.
        for kept in all(&model_prices::KIND) {
            if let Some(price) = kept.typed::<ModelPrice>() {
                book.prices.set(price, kept.owner == own);
            }
        }
        book
    }

    /// The halts that an agent and a run are under.
    pub(crate) fn halts(&self, agent: Option<&str>, run: Option<&str>) -> impl Iterator<Item = &Ruling<Halt>> {
        let of_agent = agent.and_then(|agent| self.halts_of_agents.get(agent));
        let of_run = run.and_then(|run| self.halts_of_runs.get(run));
        [of_agent, of_run, Some(&self.halts_of_all)].into_iter().flatten().flatten().map(AsRef::as_ref)
    }

    /// The budgets that an agent and a model spend.
    pub(crate) fn budgets(&self, agent: Option<&str>, model: Option<&str>) -> impl Iterator<Item = &Ruling<Budget>> {
        self.budgets.iter().filter(move |budget| {
            let subject = &budget.document.subject;
            match subject.kind {
                SpenderKind::Project => true,
                SpenderKind::Agent => agent.is_some() && subject.id.as_deref() == agent,
                SpenderKind::Model => model.is_some() && subject.id.as_deref() == model,
            }
        })
    }
}

fn known<T: serde::de::DeserializeOwned>(kept: &Arc<Kept>) -> Option<Ruling<T>> {
    Some(Ruling { id: kept.id, version: kept.version, document: kept.typed()? })
}

fn read_policies(all: &[Arc<Kept>], compiled: &mut HashMap<(Uuid, u64), Weak<Compiled>>) -> Vec<Arc<Compiled>> {
    let mut policies = Vec::new();
    for kept in all {
        let key = (kept.id, kept.version);
        let before = compiled.get(&key).and_then(Weak::upgrade);
        let policy = match before {
            Some(policy) => policy,
            None => match kept.typed::<Policy>() {
                Some(Policy { enabled: false, .. }) => continue,
                Some(policy) => Arc::new(Compiled::new(kept.id, kept.version, &policy.text)),
                None => Arc::new(Compiled::new(kept.id, kept.version, "")),
            },
        };
        compiled.insert(key, Arc::downgrade(&policy));
        policies.push(policy);
    }
    compiled.retain(|_, policy| policy.strong_count() > 0);
    policies
}
