//! Budgets: what may be spent in a period, in a project, by an agent or on a model. Spending is told by token usage and model
//! prices, or by the cost that an event names.

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::limits::NAME_BYTES_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::kind::{Actions, Kind, Level, Number, Rare, Spec, schema, strict};
use super::{check_text, model_prices};
use crate::access::Scope;

/// A budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    /// A name for people.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) name: String,
    /// Whose spending counts.
    pub(crate) subject: Spender,
    /// Over what time; periods begin at 00:00 UTC, weeks on Monday.
    pub(crate) period: Period,
    /// What may be spent in one period, millionths of the currency.
    pub(crate) limit_micros: u64,
    /// ISO 4217.
    #[schemars(regex(pattern = "^[A-Z]{3}$"))]
    pub(crate) currency: String,
    /// What happens once it is spent.
    #[serde(default)]
    pub(crate) on_exceed: OnExceed,
}

/// Whose spending counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spender {
    /// `project` is the one that the budget belongs to.
    #[serde(rename = "type")]
    pub(crate) kind: SpenderKind,
    /// The agent (`actor.id` of its events) or the model (`model.id`); absent for a project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
}

/// Sorts of spenders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SpenderKind {
    Project,
    Agent,
    Model,
}

/// Over what time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Period {
    Day,
    Week,
    Month,
    /// Everything since the first event of the project.
    Total,
}

/// What happens once it is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnExceed {
    /// Decisions deny.
    #[default]
    Deny,
    /// Decisions say so and go on.
    Warn,
}

impl Spec for Budget {
    fn check(&self) -> Result<(), Fault> {
        check_text("name", &self.name, NAME_BYTES_MAX)?;
        model_prices::check_currency(&self.currency)?;
        let named = self.subject.kind != SpenderKind::Project;
        let fault = match &self.subject.id {
            Some(id) if named => check_text("id", id, NAME_BYTES_MAX),
            None if named => Err(Fault::new(FaultKind::Invalid, "/id", "is required for an agent and for a model")),
            Some(_) => Err(Fault::new(FaultKind::Invalid, "/id", "is that of what the budget belongs to, and not given here")),
            None => Ok(()),
        };
        fault.map_err(|fault| fault.within("subject"))
    }
}

pub(crate) static KIND: Kind = Kind {
    noun: "budget",
    plural: "budgets",
    doc: "What may be spent in a period, in a project, by an agent or on a model.",
    levels: &[Level::Project],
    number: Number::Many,
    scope: Scope::ControlWrite,
    actions: Actions { create: Some("budget.create"), update: Some("budget.update"), delete: Some("budget.delete") },
    schema: schema::<Budget>,
    example: r#"{"name":"agent 7, a day","subject":{"type":"agent","id":"agent-7"},"period":"day","limit_micros":25000000,"currency":"USD","on_exceed":"deny"}"#,
    read: strict::<Budget>,
    admit: None,
    rare: Rare::NONE,
};
