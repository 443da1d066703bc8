//! The redaction rules in force: those of every project and organization that has any, compiled once a change.
//!
//! A rule counts for every event that is made ready after it was acknowledged, whichever way it comes, for there is one desk. Rules are
//! only ever added to the standard ones ([`Rules::strengthened`]). Where nobody has a rule, an event costs one load of a flag.

use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use indelible_core::event::Submission;
use indelible_core::event::action::category;
use indelible_core::redact::{RuleError, Rules};
use uuid::Uuid;

use super::Project;
use super::kept::Kept;
use super::kinds::redaction_rules::{KIND, RedactionRule};
use super::registry::Registry;
use crate::access::Owner;

/// Rules that count in one project at most, those of its organization included.
const RULES_MAX: usize = 200;
/// Sets of narrow rules that are kept compiled for one owner; past it they are compiled anew.
const SETS_MAX: usize = 1_000;

/// Why rules cannot be in force together.
#[derive(Debug)]
pub(super) enum Refused {
    /// More than so many.
    TooMany(usize),
    /// One of them, or all together.
    Rule(RuleError),
}

/// The rules of one owner, with the standard ones.
pub(crate) struct Compiled {
    everywhere: Arc<Rules>,
    narrow: Vec<RedactionRule>,
    /// With all of the narrow ones.
    all: Arc<Rules>,
    /// With those of the narrow ones that count for some event, by their places in `narrow`.
    sets: RwLock<HashMap<Vec<usize>, Arc<Rules>>>,
}

impl Compiled {
    fn new(standard: &Rules, rules: Vec<RedactionRule>) -> Result<Self, RuleError> {
        let (narrow, wide): (Vec<_>, Vec<_>) = rules.into_iter().partition(RedactionRule::is_narrow);
        let everywhere = Arc::new(strengthened(standard, &wide.iter().collect::<Vec<_>>())?);
        // Any event gets fewer than all of them: if all fit together, so do those.
        let all = Arc::new(strengthened(&everywhere, &narrow.iter().collect::<Vec<_>>())?);
        Ok(Self { everywhere, narrow, all, sets: RwLock::default() })
    }

    /// Those that count for an event.
    fn of(&self, submission: &Submission<'_>) -> Arc<Rules> {
        let text = |name: &str| submission.envelope().get(name).and_then(indelible_core::json::Value::as_str).unwrap_or_default();
        let (action, stated) = (text("action"), text("action_category"));
        // The category that the catalogue gives counts as well as the one that was stated: nobody states a rule away.
        let counts = |rule: &RedactionRule| {
            rule.actions.iter().any(|named| named == action)
                || rule.categories.iter().any(|named| named == stated || named == category(action))
        };
        let set: Vec<usize> = self.narrow.iter().enumerate().filter(|(_, rule)| counts(rule)).map(|(at, _)| at).collect();
        if set.is_empty() {
            return Arc::clone(&self.everywhere);
        }
        if let Some(rules) = self.sets.read().unwrap_or_else(PoisonError::into_inner).get(&set) {
            return Arc::clone(rules);
        }
        let chosen: Vec<&RedactionRule> = set.iter().map(|at| &self.narrow[*at]).collect();
        let rules = Arc::new(strengthened(&self.everywhere, &chosen).expect("all of them were compiled together"));
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        if sets.len() >= SETS_MAX {
            sets.clear();
        }
        sets.insert(set, Arc::clone(&rules));
        rules
    }
}

fn strengthened(rules: &Rules, others: &[&RedactionRule]) -> Result<Rules, RuleError> {
    let places: Vec<_> = others.iter().map(|rule| (rule.place(), rule.action.strategy())).collect();
    rules.strengthened(places.iter().map(|(place, strategy)| (place.as_str(), *strategy)))
}

/// The rules for one event.
pub(crate) enum InForce<'a> {
    Standard(&'a Rules),
    Own(Arc<Rules>),
}

impl Deref for InForce<'_> {
    type Target = Rules;

    fn deref(&self) -> &Rules {
        match self {
            Self::Standard(rules) => rules,
            Self::Own(rules) => rules,
        }
    }
}

/// All rules.
pub(crate) struct Rulebook {
    standard: Rules,
    /// Whether anybody has a rule.
    any: AtomicBool,
    compiled: RwLock<HashMap<Owner, Arc<Compiled>>>,
}

impl Rulebook {
    /// Without rules of anybody.
    pub(crate) fn new() -> Self {
        Self { standard: Rules::standard(), any: AtomicBool::new(false), compiled: RwLock::default() }
    }

    /// Those that are built in.
    pub(crate) const fn standard(&self) -> &Rules {
        &self.standard
    }

    /// Those of a project and its organization, if they have any.
    fn own(&self, project: &Project) -> Option<Arc<Compiled>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let compiled = self.compiled.read().unwrap_or_else(PoisonError::into_inner);
        compiled.get(&Owner::Project(project.id)).or_else(|| compiled.get(&Owner::Organization(project.organization_id))).cloned()
    }

    /// Those for an event of a project.
    pub(crate) fn for_event(&self, project: &Project, submission: &Submission<'_>) -> InForce<'_> {
        self.own(project).map_or(InForce::Standard(&self.standard), |own| InForce::Own(own.of(submission)))
    }

    /// Those for a question that is asked of a project: all there are, for it may be about any event.
    pub(crate) fn for_question(&self, project: &Project) -> InForce<'_> {
        self.own(project).map_or(InForce::Standard(&self.standard), |own| InForce::Own(Arc::clone(&own.all)))
    }

    /// Those for an event of a project, if it had this rule as well.
    pub(super) fn with_candidate(
        &self,
        registry: &Registry,
        project: &Project,
        submission: &Submission<'_>,
        candidate: RedactionRule,
    ) -> Result<Arc<Rules>, RuleError> {
        let mut rules: Vec<_> = counting(registry, project.id, project.organization_id).into_iter().map(|(_, rule)| rule).collect();
        rules.push(candidate);
        Ok(Compiled::new(&self.standard, rules)?.of(submission))
    }

    /// Takes in what is committed of the rules of an owner.
    pub(crate) fn settle(&self, registry: &Registry, owner: Owner) {
        match owner {
            Owner::Instance => {}
            Owner::Project(_) => self.compile(registry, owner),
            Owner::Organization(organization_id) => {
                self.compile(registry, owner);
                for project_id in projects_with_rules(registry, organization_id) {
                    self.compile(registry, Owner::Project(project_id));
                }
            }
        }
    }

    /// Takes in all that is committed.
    pub(crate) fn settle_all(&self, registry: &Registry) {
        let mut owners = registry.owners_of(&KIND);
        owners.extend(self.compiled.read().unwrap_or_else(PoisonError::into_inner).keys());
        for owner in owners {
            self.settle(registry, owner);
        }
    }

    fn compile(&self, registry: &Registry, owner: Owner) {
        let rules = match owner {
            Owner::Project(id) => match registry.project(id) {
                Some(project) => counting(registry, id, project.organization_id),
                None => Vec::new(),
            },
            Owner::Organization(id) => counting(registry, Uuid::nil(), id),
            Owner::Instance => Vec::new(),
        };
        // A project without rules of its own has those of its organization.
        let own = rules.iter().any(|(of, _)| *of == owner);
        let mut rules: Vec<RedactionRule> = rules.into_iter().map(|(_, rule)| rule).collect();
        let compiled = loop {
            match Compiled::new(&self.standard, rules.clone()) {
                Ok(compiled) => break compiled,
                // They were admitted together. Should they not fit after all, as many as do are better than none.
                Err(error) => {
                    tracing::error!(?owner, %error, "a redaction rule is not in force");
                    rules.pop();
                }
            }
        };
        let mut all = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
        if own {
            all.insert(owner, Arc::new(compiled));
        } else {
            all.remove(&owner);
        }
        self.any.store(!all.is_empty(), Ordering::Release);
    }
}

/// The rules that count in a project, and whose they are: its own and its organization's.
fn counting(registry: &Registry, project_id: Uuid, organization_id: Uuid) -> Vec<(Owner, RedactionRule)> {
    let owners = [Owner::Project(project_id), Owner::Organization(organization_id)];
    let kept = registry.kept_after(&KIND, None, usize::MAX, &|kept| owners.contains(&kept.owner));
    kept.iter().filter_map(|kept| Some((kept.owner, kept.typed()?))).collect()
}

fn projects_with_rules(registry: &Registry, organization_id: Uuid) -> BTreeSet<Uuid> {
    let kept = registry.kept_after(&KIND, None, usize::MAX, &|kept| {
        matches!(kept.owner, Owner::Project(_)) && registry.is_within(kept.owner, Owner::Organization(organization_id))
    });
    let ids = kept.iter().filter_map(|kept| if let Owner::Project(id) = kept.owner { Some(id) } else { None });
    ids.collect()
}

/// Whether the rules that count with `after` among them fit together, wherever it counts.
pub(super) fn check(registry: &Registry, after: &Kept) -> Result<(), Refused> {
    let (organization_id, projects) = match after.owner {
        Owner::Project(id) => (registry.project(id).map_or(Uuid::nil(), |project| project.organization_id), BTreeSet::from([id])),
        Owner::Organization(id) => {
            let mut projects = projects_with_rules(registry, id);
            projects.insert(Uuid::nil());
            (id, projects)
        }
        Owner::Instance => return Ok(()),
    };
    for project_id in projects {
        let owners = [Owner::Project(project_id), Owner::Organization(organization_id)];
        let others = registry.kept_after(&KIND, None, usize::MAX, &|kept| owners.contains(&kept.owner) && kept.id != after.id);
        let rules: Vec<RedactionRule> = others.iter().map(AsRef::as_ref).chain([after]).filter_map(Kept::typed).collect();
        if rules.len() > RULES_MAX {
            return Err(Refused::TooMany(RULES_MAX));
        }
        Compiled::new(&Rules::standard(), rules).map_err(Refused::Rule)?;
    }
    Ok(())
}
