//! Policies: what is permitted and what is forbidden, in the language Cedar. They are parsed and validated before they are kept, so
//! that what decides is known to hold together.

use indelible_core::fault::Fault;
use indelible_core::limits::NAME_BYTES_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::kind::{Actions, Kind, Level, Number, Rare, Spec, schema, strict};
use super::check_text;
use crate::access::Scope;
use crate::decide::language;

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// A name for people.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) name: String,
    /// One or more statements of Cedar, `permit` or `forbid`, at most 64.
    #[schemars(length(min = 1, max = 32768))]
    pub(crate) text: String,
    /// Whether it counts.
    #[serde(default = "enabled")]
    pub(crate) enabled: bool,
}

const fn enabled() -> bool {
    true
}

impl Spec for Policy {
    fn check(&self) -> Result<(), Fault> {
        check_text("name", &self.name, NAME_BYTES_MAX)?;
        language::check(&self.text).map_err(|fault| fault.within("text"))
    }
}

pub(crate) static KIND: Kind = Kind {
    noun: "policy",
    plural: "policies",
    doc: "What is permitted and what is forbidden, in the language Cedar.",
    levels: &[Level::Organization, Level::Project],
    number: Number::Many,
    scope: Scope::ControlWrite,
    actions: Actions { create: Some("policy.create"), update: Some("policy.update"), delete: Some("policy.delete") },
    schema: schema::<Policy>,
    example: r#"{"name":"agents read tickets","text":"permit (principal is Agent, action == Action::\"ticket.read\", resource in ResourceType::\"ticket\");","enabled":true}"#,
    read: strict::<Policy>,
    admit: None,
    rare: Rare::NONE,
};
