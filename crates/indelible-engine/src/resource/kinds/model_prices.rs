//! Model prices: what a million tokens of a model cost, so that usage becomes spending.

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::limits::NAME_BYTES_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::MutateError;
use super::super::kind::{Actions, Admission, Kind, Level, Number, Rare, Spec, schema, strict};
use super::check_text;
use crate::access::Scope;

/// The price of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelPrice {
    /// Who sells it (`model.provider` of events).
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) provider: String,
    /// The model (`model.id` of events).
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) model: String,
    /// ISO 4217.
    #[schemars(regex(pattern = "^[A-Z]{3}$"))]
    pub(crate) currency: String,
    /// A million input tokens, millionths of the currency.
    pub(crate) input_micros_per_million: u64,
    /// A million output tokens.
    pub(crate) output_micros_per_million: u64,
    /// A million tokens read from a cache; as input if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cache_read_micros_per_million: Option<u64>,
    /// A million tokens of reasoning; as output if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_micros_per_million: Option<u64>,
}

/// A currency by its code in ISO 4217.
pub(super) fn check_currency(code: &str) -> Result<(), Fault> {
    if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(Fault::new(FaultKind::Invalid, "/currency", "is three capital letters, as in ISO 4217"))
}

impl Spec for ModelPrice {
    fn check(&self) -> Result<(), Fault> {
        check_text("provider", &self.provider, NAME_BYTES_MAX)?;
        check_text("model", &self.model, NAME_BYTES_MAX)?;
        check_currency(&self.currency)
    }
}

/// One price for one model at each owner.
fn admit(admission: &Admission<'_>) -> Result<(), MutateError> {
    let Some(after) = admission.after else { return Ok(()) };
    let Some(price) = after.typed::<ModelPrice>() else { return Ok(()) };
    let same = |other: &super::super::Kept| {
        other.owner == admission.owner
            && other.id != after.id
            && other.typed::<ModelPrice>().is_some_and(|other| (&other.provider, &other.model) == (&price.provider, &price.model))
    };
    if admission.registry.kept_after(&KIND, None, 1, &same).is_empty() {
        return Ok(());
    }
    Err(MutateError::Conflict("this model has a price already: change that one"))
}

pub(crate) static KIND: Kind = Kind {
    noun: "model_price",
    plural: "model_prices",
    doc: "What a million tokens of a model cost.",
    levels: &[Level::Organization, Level::Project],
    number: Number::Many,
    scope: Scope::ControlWrite,
    actions: Actions { create: Some("model_price.set"), update: Some("model_price.set"), delete: Some("model_price.delete") },
    schema: schema::<ModelPrice>,
    example: r#"{"provider":"example","model":"large-2","currency":"USD","input_micros_per_million":3000000,"output_micros_per_million":15000000}"#,
    read: strict::<ModelPrice>,
    admit: Some(admit),
    rare: Rare::NONE,
};
