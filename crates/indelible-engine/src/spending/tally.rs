//! Sums of what was used, for each project, agent and model, by day and in all.
//!
//! Tokens are summed as tokens, and priced when somebody asks. The sums follow from the rows alone. Each project has its own lock,
//! which is held for a moment: whoever asks takes the accounts along, and adds up by himself.
//!
//! What a project takes in memory is bounded: once its agents and models take [`NAMES_BYTES_MAX`], those that were idle for two months
//! are let go, and what is used under a name without an account is summed with that of others. It counts for every budget that it may
//! belong to, so a budget is never spent unnoticed by many names.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::period::{Day, day};
use super::usage::Usage;
use crate::resource::kinds::budgets::{Budget, SpenderKind};

/// What the agents and models of one project take at most, bytes, roughly.
const NAMES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What was used in each project, by its number in the store.
#[derive(Debug)]
pub(crate) struct Tallies {
    projects: RwLock<HashMap<i64, Project>>,
    names_bytes_max: usize,
}

type Project = Arc<Mutex<Arc<Spenders>>>;

/// The sums of all projects at one moment.
pub(crate) type Picture = BTreeMap<i64, Arc<Spenders>>;

/// What was used in one project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spenders {
    #[serde(with = "one")]
    project: Arc<Account>,
    agents: Names,
    models: Names,
    /// The latest day on which anything was used.
    newest: Day,
}

/// Agents, or models.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Names {
    #[serde(with = "many")]
    own: BTreeMap<String, Arc<Account>>,
    /// Those that have no account, or had none for a time.
    #[serde(with = "one")]
    others: Arc<Account>,
    /// What those of `own` take.
    bytes: usize,
}

/// The accounts that count for a budget.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken {
    pub(super) own: Option<Arc<Account>>,
    /// What others used, some of which may be this one's.
    pub(super) others: Option<Arc<Account>>,
}

impl Names {
    fn add(&mut self, name: &str, usage: &Usage, newest: Day, has_room: bool) {
        let others_are_none = *self.others == Account::default();
        match self.own.get_mut(name) {
            Some(account) if has_room || account.has_room_for(usage, newest) => {
                let account = Arc::make_mut(account);
                let before = account.bytes();
                account.add(usage, newest);
                self.bytes = self.bytes + account.bytes() - before;
            }
            None if has_room => {
                let mut account = Account { partial: !others_are_none, ..Account::default() };
                account.add(usage, newest);
                self.bytes += name.len() + account.bytes();
                self.own.insert(name.to_owned(), Arc::new(account));
            }
            without_room => {
                if let Some(account) = without_room {
                    Arc::make_mut(account).partial = true;
                }
                Arc::make_mut(&mut self.others).add(usage, newest);
            }
        }
    }

    /// A later day has come: days that are over long ago go, and, where it is getting narrow, the names that were idle since.
    fn forget(&mut self, newest: Day, is_narrow: bool) {
        let others = &mut self.others;
        for account in std::iter::once(&mut *others).chain(self.own.values_mut()) {
            if account.is_old(newest) {
                Arc::make_mut(account).forget_days(newest);
            }
        }
        if is_narrow {
            for (_, account) in self.own.extract_if(.., |_, account| account.days.is_empty()) {
                Arc::make_mut(others).total.merge(&account.total);
            }
        }
        self.bytes = self.own.iter().map(|(name, account)| name.len() + account.bytes()).sum();
    }

    fn taken(&self, name: &str) -> Taken {
        let own = self.own.get(name).cloned();
        let others = own.as_ref().is_none_or(|own| own.partial).then(|| Arc::clone(&self.others));
        Taken { own, others }
    }
}

impl Spenders {
    fn add(&mut self, usage: &Usage, names_bytes_max: usize) {
        let day = day(usage.at);
        if day > self.newest {
            self.newest = day;
            let is_narrow = self.names_bytes() > names_bytes_max / 2;
            if self.project.is_old(day) {
                Arc::make_mut(&mut self.project).forget_days(day);
            }
            self.agents.forget(day, is_narrow);
            self.models.forget(day, is_narrow);
        }
        let has_room = self.names_bytes() < names_bytes_max;
        Arc::make_mut(&mut self.project).add(usage, self.newest);
        if let Some(agent) = &usage.agent {
            self.agents.add(agent, usage, self.newest, has_room);
        }
        if let Some(model) = &usage.model {
            self.models.add(model, usage, self.newest, has_room);
        }
    }

    const fn names_bytes(&self) -> usize {
        self.agents.bytes + self.models.bytes
    }

    fn taken(&self, budget: &Budget) -> Taken {
        let id = budget.subject.id.as_deref().unwrap_or_default();
        match budget.subject.kind {
            SpenderKind::Project => Taken { own: Some(Arc::clone(&self.project)), others: None },
            SpenderKind::Agent => self.agents.taken(id),
            SpenderKind::Model => self.models.taken(id),
        }
    }
}

impl Default for Tallies {
    fn default() -> Self {
        Self { projects: RwLock::default(), names_bytes_max: NAMES_BYTES_MAX }
    }
}

impl Tallies {
    /// Takes in what was used in a project. One at a time: the sums follow from the order of the rows.
    pub(crate) fn add(&self, project: i64, usage: &Usage) {
        let known = self.project(project);
        let known =
            known.unwrap_or_else(|| Arc::clone(self.projects.write().unwrap_or_else(PoisonError::into_inner).entry(project).or_default()));
        let mut spenders = known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut spenders).add(usage, self.names_bytes_max);
    }

    /// The accounts that count for a budget of a project.
    pub(crate) fn taken(&self, project: i64, budget: &Budget) -> Taken {
        self.project(project).map(|known| known.lock().unwrap_or_else(PoisonError::into_inner).taken(budget)).unwrap_or_default()
    }

    fn project(&self, project: i64) -> Option<Project> {
        self.projects.read().unwrap_or_else(PoisonError::into_inner).get(&project).cloned()
    }

    /// The sums as they are; nobody adds meanwhile.
    pub(crate) fn picture(&self) -> Picture {
        let projects = self.projects.read().unwrap_or_else(PoisonError::into_inner);
        let one = |project: &Project| Arc::clone(&project.lock().unwrap_or_else(PoisonError::into_inner));
        projects.iter().map(|(number, project)| (*number, one(project))).collect()
    }

    /// Puts sums in the place of what there was.
    pub(crate) fn put(&self, picture: Picture) {
        let projects = picture.into_iter().map(|(number, spenders)| (number, Arc::new(Mutex::new(spenders)))).collect();
        *self.projects.write().unwrap_or_else(PoisonError::into_inner) = projects;
    }
}

/// An account as it is written.
mod one {
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::Account;

    pub(super) fn serialize<S: Serializer>(account: &Arc<Account>, to: S) -> Result<S::Ok, S::Error> {
        Account::serialize(account, to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Account>, D::Error> {
        Account::deserialize(from).map(Arc::new)
    }
}

/// Accounts by name as they are written.
mod many {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Account;

    pub(super) fn serialize<S: Serializer>(accounts: &BTreeMap<String, Arc<Account>>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(accounts.iter().map(|(name, account)| (name, &**account)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Arc<Account>>, D::Error> {
        let accounts = BTreeMap::<String, Account>::deserialize(from)?;
        Ok(accounts.into_iter().map(|(name, account)| (name, Arc::new(account))).collect())
    }
}

#[cfg(test)]
mod tests;
