//! What was spent of one budget, for whoever asks. A read, and recorded as one.

use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::{Spent, period};
use crate::access::{Caller, Owner, Scope};
use crate::append::{EngineEvent, ReadMembers, ResourceMembers};
use crate::ledger::Ledger;
use crate::query::ReadError;
use crate::resource::kinds::budgets::{self, Budget};

/// What was spent of a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spending {
    /// The budget.
    pub budget_id: Uuid,
    /// Its version.
    pub version: u64,
    /// ISO 4217.
    pub currency: String,
    /// What may be spent in the period, millionths of the currency.
    pub limit_micros: u64,
    /// What was, rounded up.
    pub spent_micros: u64,
    /// Whether nothing is left.
    pub exceeded: bool,
    /// Tokens of models that have no price in this currency, which count for nothing.
    pub unpriced_tokens: u64,
    /// Costs that events named in other currencies, millionths of each. They count for nothing.
    pub other_costs: Vec<(String, u64)>,
    /// Whether `spent_micros` is the most it can be: some of it was summed with what others used, for there were more agents, models or
    /// currencies than are kept apart.
    pub at_most: bool,
    /// When the period began, and when the next one does; a total has neither.
    pub period: Option<(Timestamp, Timestamp)>,
}

impl Ledger {
    /// What was spent of a budget in the period that goes on, every event included that was acknowledged before this was asked for.
    pub async fn budget_spending(&self, caller: &Caller, id: Uuid) -> Result<Spending, ReadError> {
        let allowed = caller.has(Scope::AuditRead) || caller.has(budgets::KIND.scope);
        let looked =
            if allowed { self.look_at_budget(caller, id).await } else { Err(ReadError::Forbidden(Scope::AuditRead.as_str().to_owned())) };
        let outcome = match &looked {
            Ok(_) => "allow",
            Err(ReadError::Forbidden(_)) => "deny",
            Err(_) => "error",
        };
        let mut event = EngineEvent::new(caller, &self.home_of(caller.owner)?, "audit.read", outcome);
        event.reason = looked.as_ref().err().map(ToString::to_string);
        event.resource = Some(ResourceMembers { kind: budgets::KIND.noun, id: id.to_string(), parent: None });
        event.read = Some(ReadMembers { returned: u64::from(looked.is_ok()), ..ReadMembers::default() });
        event.context.push(("of", "spending".to_owned()));
        self.record(vec![event]).await?;
        looked
    }

    async fn look_at_budget(&self, caller: &Caller, id: Uuid) -> Result<Spending, ReadError> {
        let missing = || ReadError::NotFound(budgets::KIND.noun);
        let registry = &self.inner.registry;
        let kept = registry.kept(&budgets::KIND, id).filter(|kept| registry.is_within(kept.owner, caller.owner)).ok_or_else(missing)?;
        let (Owner::Project(project), Some(budget)) = (kept.owner, kept.typed::<Budget>()) else { return Err(missing()) };
        let (project, number) = registry.project(project).zip(registry.number_of(project)).ok_or_else(missing)?;
        self.spending_is_current().await?;
        let book = self.inner.books.of(registry, &project);
        let now = self.inner.clock.now();
        let Spent { micros, unpriced_tokens, other_costs, at_most } = self.inner.spending.spent(number, &budget, &book.prices, now);
        let bounds = period::bounds(budget.period, period::day(now));
        Ok(Spending {
            budget_id: id,
            version: kept.version,
            exceeded: micros >= budget.limit_micros,
            currency: budget.currency,
            limit_micros: budget.limit_micros,
            spent_micros: micros,
            unpriced_tokens,
            other_costs: other_costs.into_iter().collect(),
            at_most,
            period: bounds.map(|(first, next)| (period::begin(first), period::begin(next))),
        })
    }

    /// Waits until what was acknowledged before now counts.
    pub(crate) async fn spending_is_current(&self) -> Result<(), ReadError> {
        let committed = self.inner.writer.committed_row();
        self.inner.spending.reached(committed).await.map_err(|behind| ReadError::Unavailable(behind.to_string()))
    }
}
