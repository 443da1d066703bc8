//! Settings of a project: there is always one document of them, under the project's id.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::kind::{Actions, Kind, Level, Number, Rare, Spec, schema, strict};
use crate::access::Scope;

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProjectSettings {
    /// What a decision is where no policy says anything.
    pub(crate) default_decision: DefaultDecision,
    /// Whether decisions count, or only say what they would have been.
    pub(crate) enforcement: Enforcement,
}

/// What a decision is where no policy says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DefaultDecision {
    /// Not allowed.
    #[default]
    Deny,
    /// Allowed.
    Allow,
}

/// Whether decisions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Enforcement {
    /// The answer is the decision.
    #[default]
    Enforce,
    /// The answer allows; the record says what the decision would have been.
    Shadow,
}

impl Spec for ProjectSettings {}

pub(crate) static KIND: Kind = Kind {
    noun: "project_settings",
    plural: "project_settings",
    doc: "Settings of a project, under the project's id.",
    levels: &[Level::Project],
    number: Number::One,
    scope: Scope::ControlWrite,
    actions: Actions { create: None, update: Some("project_settings.update"), delete: None },
    schema: schema::<ProjectSettings>,
    example: r#"{"default_decision":"deny","enforcement":"shadow"}"#,
    read: strict::<ProjectSettings>,
    admit: None,
    rare: Rare::NONE,
};
