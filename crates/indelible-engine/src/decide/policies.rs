//! The policies of a project, compiled, and the few of them that a question can touch.
//!
//! Cedar evaluates every policy of a set. So those whose scope cannot hold are left out before: each statement is found under the one
//! entity of its scope that the fewest share, or always, where its scope names none. What is left out could neither have been
//! satisfied nor have failed, for a scope that does not hold is all that Cedar looks at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy::{
    ActionConstraint, Authorizer, Decision, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint,
    ResourceConstraint, Response,
};
use uuid::Uuid;

use super::asked::{Asked, Reach};
use super::language;

/// Statements in the sets that are kept ready, each as often as it is in one.
const READY_MAX: usize = 65_536;

/// Bytes of the name of a statement that are told.
const NAME_BYTES: usize = 64;

/// One policy of a version, compiled.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) id: Uuid,
    pub(crate) version: u64,
    /// In the order of the text; `None` where this version cannot read what an earlier one took.
    pub(crate) statements: Option<Vec<Policy>>,
}

/// A statement.
struct Statement {
    policy: Policy,
    /// Its place in [`Policies::compiled`].
    of: usize,
    /// `@id("…")`, or its number in the text, counted from 1.
    name: String,
    scope: Scope,
}

/// Who, what and on what a statement is about; an empty list is anything.
struct Scope {
    principal: Constraint,
    action: Vec<EntityUid>,
    /// Whether the action is exactly that one.
    action_is: bool,
    resource: Constraint,
}

/// A constraint on a principal or a resource.
enum Constraint {
    Any,
    Is(EntityTypeName),
    Eq(EntityUid),
    In(Option<EntityTypeName>, EntityUid),
}

/// A statement as a decision tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `halt`, `budget`, `policy` or `default`.
    pub kind: &'static str,
    /// The resource; nil for a default.
    pub id: Uuid,
    /// Its version.
    pub version: u64,
    /// Which statement of a policy.
    pub statement: Option<String>,
}

/// What the policies say.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) permits: Vec<Rule>,
    pub(crate) forbids: Vec<Rule>,
    /// Those that could not be evaluated, with what went wrong.
    pub(crate) failed: Vec<(Rule, String)>,
}

/// The policies that count in a project.
pub(crate) struct Policies {
    compiled: Vec<Arc<Compiled>>,
    statements: Vec<Statement>,
    by_entity: HashMap<EntityUid, Vec<u32>>,
    unscoped: Vec<u32>,
    ready: Mutex<Ready>,
}

/// Sets made before, by the numbers of their statements.
#[derive(Default)]
struct Ready {
    sets: HashMap<Box<[u32]>, Arc<PolicySet>>,
    statements: usize,
}

impl Compiled {
    pub(crate) fn new(id: Uuid, version: u64, text: &str) -> Self {
        let statements = language::parse(text)
            .inspect_err(
                |fault| tracing::error!(policy = %id, version, %fault, "a policy cannot be read: every decision it counts in denies"),
            )
            .ok();
        Self { id, version, statements }
    }

    fn rule(&self, statement: Option<String>) -> Rule {
        Rule { kind: "policy", id: self.id, version: self.version, statement }
    }
}

impl Constraint {
    fn of_principal(policy: &Policy) -> Self {
        match policy.principal_constraint() {
            PrincipalConstraint::Any => Self::Any,
            PrincipalConstraint::Is(kind) => Self::Is(kind),
            PrincipalConstraint::Eq(uid) => Self::Eq(uid),
            PrincipalConstraint::In(uid) => Self::In(None, uid),
            PrincipalConstraint::IsIn(kind, uid) => Self::In(Some(kind), uid),
        }
    }

    fn of_resource(policy: &Policy) -> Self {
        match policy.resource_constraint() {
            ResourceConstraint::Any => Self::Any,
            ResourceConstraint::Is(kind) => Self::Is(kind),
            ResourceConstraint::Eq(uid) => Self::Eq(uid),
            ResourceConstraint::In(uid) => Self::In(None, uid),
            ResourceConstraint::IsIn(kind, uid) => Self::In(Some(kind), uid),
        }
    }

    fn entity(&self) -> &[EntityUid] {
        match self {
            Self::Any | Self::Is(_) => &[],
            Self::Eq(uid) | Self::In(_, uid) => std::slice::from_ref(uid),
        }
    }

    fn may_hold(&self, reach: &[EntityUid]) -> bool {
        let is = |kind: &EntityTypeName| reach.first().is_some_and(|own| own.type_name() == kind);
        match self {
            Self::Any => true,
            Self::Is(kind) => is(kind),
            Self::Eq(uid) => reach.first() == Some(uid),
            Self::In(kind, uid) => kind.as_ref().is_none_or(is) && reach.contains(uid),
        }
    }
}

impl Scope {
    fn of(policy: &Policy) -> Self {
        let (action, action_is) = match policy.action_constraint() {
            ActionConstraint::Any => (Vec::new(), false),
            ActionConstraint::Eq(uid) => (vec![uid], true),
            ActionConstraint::In(uids) => (uids, false),
        };
        Self { principal: Constraint::of_principal(policy), action, action_is, resource: Constraint::of_resource(policy) }
    }

    /// The parts that name entities.
    fn parts(&self) -> impl Iterator<Item = &[EntityUid]> {
        [self.principal.entity(), self.resource.entity(), &self.action].into_iter().filter(|part| !part.is_empty())
    }

    fn may_hold(&self, reach: &Reach) -> bool {
        let action = match (&self.action[..], self.action_is) {
            ([], false) => true,
            ([only], true) => reach.action.first() == Some(only),
            (several, _) => several.iter().any(|uid| reach.action.contains(uid)),
        };
        action && self.principal.may_hold(&reach.principal) && self.resource.may_hold(&reach.resource)
    }
}

impl Policies {
    pub(crate) fn new(compiled: Vec<Arc<Compiled>>) -> Self {
        let mut statements = Vec::new();
        for (of, policy) in compiled.iter().enumerate() {
            for (n, statement) in policy.statements.iter().flatten().enumerate() {
                let id = PolicyId::new(statements.len().to_string());
                let name = statement.annotation("id").map(|name| &name[..name.floor_char_boundary(NAME_BYTES)]);
                let name = name.filter(|name| !name.is_empty()).map_or_else(|| (n + 1).to_string(), str::to_owned);
                statements.push(Statement { policy: statement.new_id(id), of, name, scope: Scope::of(statement) });
            }
        }
        let (by_entity, unscoped) = Self::index(&statements);
        Self { compiled, statements, by_entity, unscoped, ready: Mutex::default() }
    }

    fn index(statements: &[Statement]) -> (HashMap<EntityUid, Vec<u32>>, Vec<u32>) {
        let mut shared: HashMap<&EntityUid, usize> = HashMap::new();
        for uid in statements.iter().flat_map(|statement| statement.scope.parts().flatten()) {
            *shared.entry(uid).or_default() += 1;
        }
        let mut by_entity: HashMap<EntityUid, Vec<u32>> = HashMap::new();
        let mut unscoped = Vec::new();
        for (number, statement) in (0_u32..).zip(statements) {
            let cost = |part: &&[EntityUid]| part.iter().map(|uid| shared.get(uid).copied().unwrap_or_default()).sum::<usize>();
            match statement.scope.parts().min_by_key(cost) {
                Some(part) => part.iter().for_each(|uid| by_entity.entry(uid.clone()).or_default().push(number)),
                None => unscoped.push(number),
            }
        }
        (by_entity, unscoped)
    }

    /// Numbers of the statements whose scope may hold, in order.
    fn touched(&self, reach: &Reach) -> Vec<u32> {
        let entities = reach.principal.iter().chain(&reach.action).chain(&reach.resource);
        let found = entities.filter_map(|uid| self.by_entity.get(uid)).flatten().chain(&self.unscoped).copied();
        let mut numbers: Vec<u32> = found.filter(|number| self.statements[*number as usize].scope.may_hold(reach)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    fn set(&self, numbers: Vec<u32>) -> Arc<PolicySet> {
        let ready = || self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = ready().sets.get(numbers.as_slice()) {
            return Arc::clone(set);
        }
        let policies = numbers.iter().map(|number| self.statements[*number as usize].policy.clone());
        let set = Arc::new(PolicySet::from_policies(policies).expect("every statement has a number of its own"));
        let mut ready = ready();
        if ready.statements + numbers.len() > READY_MAX {
            *ready = Ready::default();
        }
        ready.statements += numbers.len();
        ready.sets.insert(numbers.into_boxed_slice(), Arc::clone(&set));
        set
    }

    /// What the policies say to a question.
    pub(crate) fn ask(&self, authorizer: &Authorizer, asked: &Asked) -> Said {
        self.told(&self.answer(authorizer, asked, self.touched(&asked.reach)), &|_| true)
    }

    /// The same without some policies.
    pub(crate) fn ask_without(&self, authorizer: &Authorizer, asked: &Asked, without: &[Uuid]) -> Said {
        let stays = |number: &u32| !without.contains(&self.compiled[self.statements[*number as usize].of].id);
        let numbers = self.touched(&asked.reach).into_iter().filter(stays).collect();
        self.told(&self.answer(authorizer, asked, numbers), &|id| !without.contains(&id))
    }

    fn answer(&self, authorizer: &Authorizer, asked: &Asked, numbers: Vec<u32>) -> Response {
        authorizer.is_authorized(&asked.request, &self.set(numbers), &asked.entities)
    }

    fn told(&self, response: &Response, counts: &dyn Fn(Uuid) -> bool) -> Said {
        let rule = |id: &PolicyId| {
            let number: usize = AsRef::<str>::as_ref(id).parse().ok()?;
            let statement = self.statements.get(number)?;
            Some((number, self.compiled[statement.of].rule(Some(statement.name.clone()))))
        };
        let mut reasons: Vec<(usize, Rule)> = response.diagnostics().reason().filter_map(rule).collect();
        reasons.sort_by_key(|(number, _)| *number);
        let reasons = reasons.into_iter().map(|(_, rule)| rule).collect();
        let mut said = Said::default();
        match response.decision() {
            Decision::Allow => said.permits = reasons,
            Decision::Deny => said.forbids = reasons,
        }
        for error in response.diagnostics().errors() {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            // The message may hold values of the question.
            let what = language::without_values(&error.inner().to_string());
            said.failed.extend(rule(error.policy_id()).map(|(_, rule)| (rule, what)));
        }
        said.failed.sort_by(|a, b| (a.0.id, &a.0.statement).cmp(&(b.0.id, &b.0.statement)));
        let unreadable = self.compiled.iter().filter(|policy| policy.statements.is_none() && counts(policy.id));
        said.failed.extend(unreadable.map(|policy| (policy.rule(None), "it cannot be read".to_owned())));
        said
    }
}

#[cfg(test)]
mod tests {
    use indelible_core::json;
    use indelible_core::time::Timestamp;
    use proptest::prelude::*;

    use super::super::question::Questions;
    use super::*;

    impl Policies {
        /// Asks every statement, whatever its scope.
        fn ask_all(&self, authorizer: &Authorizer, asked: &Asked) -> Said {
            self.told(&self.answer(authorizer, asked, (0..self.statements.len() as u32).collect()), &|_| true)
        }
    }

    fn asked(subject: (&str, &str), groups: &[&str], action: &str, resource: (&str, &str), parent: Option<(&str, &str)>) -> Asked {
        let properties = match parent {
            Some((kind, id)) => format!(r#","properties":{{"parent":{{"type":"{kind}","id":"{id}"}}}}"#),
            None => String::new(),
        };
        let text = format!(
            r#"{{"subject":{{"type":"{}","id":"{}","properties":{{"groups":{groups:?},"n":3}}}},"action":{{"name":"{action}"}},
                "resource":{{"type":"{}","id":"{}"{properties}}},"context":{{"amount":9223372036854775807}}}}"#,
            subject.0, subject.1, resource.0, resource.1
        );
        let questions = Questions::one(&json::parse(text.as_bytes()).expect("JSON")).expect(&text);
        let question = questions.asked[0].clone().expect("one");
        Asked::of(&question, Timestamp::MIN).expect("one for Cedar")
    }

    fn policies(texts: &[String]) -> Policies {
        let compiled = texts.iter().enumerate().map(|(n, text)| Arc::new(Compiled::new(Uuid::from_u128(n as u128), 1, text)));
        Policies::new(compiled.collect())
    }

    const SUBJECTS: &[(&str, &str)] = &[("agent", "a"), ("agent", "b"), ("user", "a"), ("device", "7")];
    const GROUPS: &[&str] = &["ops", "dev"];
    const ACTIONS: &[&str] = &["tool.call", "tool.list", "read"];
    const RESOURCES: &[(&str, &str)] = &[("doc", "1"), ("doc", "2"), ("project", "9")];

    /// Statements of every form of scope, some of which fail when they are evaluated.
    fn statement() -> impl Strategy<Value = String> {
        let principal = prop::sample::select(vec![
            "principal",
            "principal == Agent::\"a\"",
            "principal == User::\"a\"",
            "principal in Group::\"ops\"",
            "principal in Agent::\"b\"",
            "principal is Agent",
            "principal is Agent in Group::\"dev\"",
            "principal == Subject::\"device/7\"",
        ]);
        let action = prop::sample::select(vec![
            "action",
            "action == Action::\"tool.call\"",
            "action in Action::\"tool\"",
            "action == Action::\"tool\"",
            "action in [Action::\"read\", Action::\"tool.list\"]",
            "action in []",
        ]);
        let resource = prop::sample::select(vec![
            "resource",
            "resource == Resource::\"doc/1\"",
            "resource in ResourceType::\"doc\"",
            "resource in Resource::\"project/9\"",
            "resource is Resource",
            "resource is Resource in ResourceType::\"project\"",
            "resource is User",
        ]);
        let condition = prop::sample::select(vec![
            "",
            "when { principal.numbers.getTag(\"n\") > 2 }",
            "when { context.numbers.getTag(\"amount\") + 1 > 0 }",
            "when { principal.missing }",
            "unless { resource.type == \"doc\" }",
        ]);
        (prop::sample::select(vec!["permit", "forbid"]), principal, action, resource, condition)
            .prop_map(|(effect, p, a, r, condition)| format!("{effect} ({p}, {a}, {r}) {condition};"))
    }

    proptest! {
        #[test]
        fn pre_selection_never_changes_what_is_said(
            texts in prop::collection::vec(prop::collection::vec(statement(), 1..3), 0..24),
            subject in prop::sample::select(SUBJECTS),
            groups in prop::sample::subsequence(GROUPS, 0..=2),
            action in prop::sample::select(ACTIONS),
            resource in prop::sample::select(RESOURCES),
            in_project: bool,
        ) {
            let texts: Vec<String> = texts.into_iter().map(|statements| statements.join("\n")).collect();
            let policies = policies(&texts);
            let asked = asked(subject, &groups, action, resource, in_project.then_some(("project", "9")));
            let authorizer = Authorizer::new();
            let (few, all) = (policies.ask(&authorizer, &asked), policies.ask_all(&authorizer, &asked));
            prop_assert_eq!((few.permits, few.forbids, few.failed), (all.permits, all.forbids, all.failed));
        }
    }

    #[test]
    fn few_are_evaluated_of_many() {
        let texts: Vec<String> = (0..1_000)
            .map(|n| format!("permit (principal == Agent::\"agent-{n}\", action in Action::\"tool\", resource in ResourceType::\"doc\");"))
            .collect();
        let policies = policies(&texts);
        let asked = asked(("agent", "agent-7"), &[], "tool.call", ("doc", "1"), None);
        assert_eq!(policies.touched(&asked.reach), [7]);
        assert_eq!(policies.ask(&Authorizer::new(), &asked).permits, [policies.compiled[7].rule(Some("1".to_owned()))]);
        assert!(policies.ask_without(&Authorizer::new(), &asked, &[Uuid::from_u128(7)]).permits.is_empty());
    }

    #[test]
    fn what_cannot_be_read_fails_every_question() {
        let policies = policies(&["permit (principal, action, resource);".to_owned(), "no Cedar".to_owned()]);
        let asked = asked(("agent", "a"), &[], "read", ("doc", "1"), None);
        let said = policies.ask(&Authorizer::new(), &asked);
        assert_eq!((said.permits.len(), said.failed.len()), (1, 1));
        assert!(policies.ask_without(&Authorizer::new(), &asked, &[Uuid::from_u128(1)]).failed.is_empty());
    }
}
