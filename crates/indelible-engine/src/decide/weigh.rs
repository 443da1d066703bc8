//! Weighing one question: everything that speaks against it is looked at, whatever decides, so that the change that would turn the
//! decision is the whole of it.

use cedar_policy::Authorizer;
use indelible_core::fault::Fault;
use uuid::Uuid;

use super::Decision;
use super::asked::Asked;
use super::book::{Book, Ruling};
use super::change::Change;
use super::policies::{Rule, Said};
use super::question::Question;
use crate::resource::kinds::budgets::{Budget, OnExceed};
use crate::resource::kinds::project_settings::DefaultDecision;
use crate::spending::Spent;

/// Permits that are disabled one by one to turn a decision; where there are more, a forbid is the smaller change.
const PERMITS_MAX: usize = 3;
/// Rules that a reason names; the others are in `rules`.
const TOLD_MAX: usize = 10;
/// Bytes of the reason of a halt that are repeated.
const HALT_REASON_BYTES: usize = 256;

/// What a question comes to.
pub(super) struct Weighed {
    allow: bool,
    error: bool,
    engine: &'static str,
    rules: Vec<Rule>,
    why: String,
    why_user: &'static str,
    warnings: Vec<String>,
    changes: Vec<Change>,
    pub(super) fault: Option<Fault>,
}

/// What speaks against, in the order in which it decides.
#[derive(Default)]
struct Against {
    halts: Vec<(Rule, String)>,
    budgets: Vec<(Rule, String)>,
    changes: Vec<Change>,
    warnings: Vec<String>,
}

/// Weighs a question by a book; `spent` tells what counts for a budget.
pub(super) fn weigh(
    book: &Book,
    authorizer: &Authorizer,
    question: &Question,
    asked: &Asked,
    spent: &dyn Fn(&Ruling<Budget>) -> Spent,
) -> Weighed {
    let against = against(book, question, spent);
    let said = book.policies.ask(authorizer, asked);
    let default = book.settings.default_decision == DefaultDecision::Allow;
    let stopped = !against.halts.is_empty() || !against.budgets.is_empty();
    let refuses = !said.forbids.is_empty() || !said.failed.is_empty();
    let allows = !refuses && (!said.permits.is_empty() || default);
    let mut changes = against.changes;
    if stopped || !allows {
        changes.extend(towards_allow(book, authorizer, (question, asked), &said, default));
    } else {
        changes.extend(towards_deny(question, &said, default));
    }
    let (engine, rules, why, why_user, error) = if !against.halts.is_empty() {
        let (rules, why) = against.halts.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        ("halt", rules, some(&why, "; "), "This is halted.", false)
    } else if !against.budgets.is_empty() {
        let (rules, why) = against.budgets.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        ("budget", rules, some(&why, "; "), "The budget is spent.", false)
    } else {
        by_policies(said, default)
    };
    Weighed { allow: !stopped && allows, error, engine, rules, why, why_user, warnings: against.warnings, changes, fault: None }
}

fn against(book: &Book, question: &Question, spent: &dyn Fn(&Ruling<Budget>) -> Spent) -> Against {
    let mut against = Against::default();
    for halt in book.halts(question.agent(), question.run()) {
        let reason = &halt.document.reason;
        let reason = &reason[..reason.floor_char_boundary(HALT_REASON_BYTES)];
        let rule = Rule { kind: "halt", id: halt.id, version: halt.version, statement: None };
        against.halts.push((rule, format!("halt {} is in force: {reason}", halt.id)));
        against.changes.push(Change::clear(halt.id));
    }
    for budget in book.budgets(question.agent(), question.model()) {
        let Spent { micros, unpriced_tokens, other_costs, at_most } = spent(budget);
        let Budget { limit_micros, currency, on_exceed, .. } = &budget.document;
        if unpriced_tokens > 0 {
            let warning = format!("{unpriced_tokens} tokens have no price in {currency} and do not count for budget {}", budget.id);
            against.warnings.push(warning);
        }
        for (other, micros) in other_costs.iter().filter(|(_, micros)| **micros > 0).take(TOLD_MAX) {
            let warning = format!("{micros} millionths of {other} do not count for budget {}, which is in {currency}", budget.id);
            against.warnings.push(warning);
        }
        if at_most {
            against.warnings.push(format!("what counts for budget {} holds what others used, for not all are kept apart", budget.id));
        }
        if micros < *limit_micros {
            continue;
        }
        let what = format!("budget {} of {limit_micros} millionths of {currency} is spent: {micros}", budget.id);
        match on_exceed {
            OnExceed::Warn => against.warnings.push(what),
            OnExceed::Deny => {
                let rule = Rule { kind: "budget", id: budget.id, version: budget.version, statement: None };
                against.budgets.push((rule, what));
                against.changes.push(Change::raise(budget.id, micros, currency));
            }
        }
    }
    against
}

fn by_policies(said: Said, default: bool) -> (&'static str, Vec<Rule>, String, &'static str, bool) {
    let names = |rules: &[Rule]| some(&rules.iter().map(Rule::to_string).collect::<Vec<_>>(), ", ");
    if !said.failed.is_empty() {
        let why: Vec<String> = said.failed.iter().map(|(rule, what)| format!("{rule} failed: {what}")).collect();
        let rules = said.failed.into_iter().map(|(rule, _)| rule).collect();
        return ("cedar", rules, some(&why, "; "), "A policy could not be evaluated.", true);
    }
    if !said.forbids.is_empty() {
        let why = format!("forbidden by {}", names(&said.forbids));
        return ("cedar", said.forbids, why, "A policy forbids this.", false);
    }
    if !said.permits.is_empty() {
        let why = format!("permitted by {}", names(&said.permits));
        return ("cedar", said.permits, why, "A policy permits this.", false);
    }
    let rule = Rule { kind: "default", id: Uuid::nil(), version: 0, statement: Some(if default { "allow" } else { "deny" }.to_owned()) };
    let (why, why_user) = if default {
        ("no policy says anything, and the project allows by default", "Nothing forbids this.")
    } else {
        ("no policy says anything, and the project denies by default", "No policy permits this.")
    };
    ("default", vec![rule], why.to_owned(), why_user, false)
}

/// The first few of many texts, and how many more there are.
fn some(texts: &[String], between: &str) -> String {
    let few = &texts[..texts.len().min(TOLD_MAX)];
    match texts.len() - few.len() {
        0 => few.join(between),
        more => format!("{} and {more} more", few.join(between)),
    }
}

/// What the policies would have to be for them to allow it.
fn towards_allow(book: &Book, authorizer: &Authorizer, (question, asked): (&Question, &Asked), said: &Said, default: bool) -> Vec<Change> {
    let failed = said.failed.iter().map(|(rule, _)| rule);
    let mut wrong: Vec<Uuid> = said.forbids.iter().chain(failed).map(|rule| rule.id).collect();
    wrong.sort_unstable();
    wrong.dedup();
    let mut changes: Vec<Change> = wrong.iter().map(|policy| Change::disable(*policy)).collect();
    // A policy that is disabled takes its permits with it.
    let permitted =
        if wrong.is_empty() { !said.permits.is_empty() } else { !book.policies.ask_without(authorizer, asked, &wrong).permits.is_empty() };
    if !permitted && !default {
        changes.push(Change::add("permit", question));
    }
    changes
}

/// What the policies would have to be for them to deny it, which they allow.
fn towards_deny(question: &Question, said: &Said, default: bool) -> Vec<Change> {
    let mut permitting: Vec<Uuid> = said.permits.iter().map(|rule| rule.id).collect();
    permitting.sort_unstable();
    permitting.dedup();
    if default || permitting.is_empty() || permitting.len() > PERMITS_MAX {
        return vec![Change::add("forbid", question)];
    }
    permitting.into_iter().map(Change::disable).collect()
}

impl std::fmt::Display for Rule {
    /// `policy:<id>@<version>#<statement>`, `halt:<id>@<version>`, `default:deny`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.kind, &self.statement) {
            ("default", Some(word)) => write!(f, "default:{word}"),
            (kind, None) => write!(f, "{kind}:{}@{}", self.id, self.version),
            (kind, Some(statement)) => write!(f, "{kind}:{}@{}#{statement}", self.id, self.version),
        }
    }
}

impl Weighed {
    /// What is no question is denied.
    pub(super) fn faulty(fault: Fault) -> Self {
        Self {
            allow: false,
            error: true,
            engine: "question",
            rules: Vec::new(),
            why: format!("invalid at {}", fault.pointer),
            why_user: "The question is not valid.",
            warnings: Vec::new(),
            changes: Vec::new(),
            fault: Some(fault),
        }
    }

    /// The decision; its id comes with its record.
    pub(super) fn into_decision(self, shadow: bool) -> Decision {
        let decision = self.allow || shadow;
        let outcome = match (self.error, decision) {
            (true, _) => "error",
            (false, true) => "allow",
            (false, false) => "deny",
        };
        Decision {
            id: Uuid::nil(),
            decision,
            would_be: self.allow,
            shadow,
            outcome,
            engine: self.engine,
            rules: self.rules,
            reason: self.why,
            reason_user: self.why_user,
            warnings: self.warnings,
            changes: self.changes,
            fault: self.fault,
        }
    }
}
