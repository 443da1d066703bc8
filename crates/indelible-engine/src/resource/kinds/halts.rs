//! Halts: nothing more is allowed to an agent, in a run, in a project or in an organization, until the halt is cleared.
//!
//! A halt ends by being cleared; it is never changed, so that the event of its issue says all there was.

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::limits::{NAME_BYTES_MAX, TEXT_BYTES_MAX};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::kind::{Actions, Admission, Kind, Level, Number, Rare, Spec, schema, strict};
use super::super::{Kept, MutateError};
use super::check_text;
use crate::access::{Owner, Scope};

/// A halt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Halt {
    /// What is halted.
    pub(crate) subject: Halted,
    /// Why, in words.
    #[schemars(length(min = 1, max = TEXT_BYTES_MAX))]
    pub(crate) reason: String,
}

/// What is halted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Halted {
    /// `project` and `organization` are those that the halt belongs to.
    #[serde(rename = "type")]
    pub(crate) kind: HaltedKind,
    /// The agent (`actor.id` of its events) or the run (`run.id`); absent for a project and an organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
}

/// Sorts of what is halted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HaltedKind {
    Agent,
    Run,
    Project,
    Organization,
}

impl Spec for Halt {
    fn check(&self) -> Result<(), Fault> {
        check_text("reason", &self.reason, TEXT_BYTES_MAX)?;
        let named = matches!(self.subject.kind, HaltedKind::Agent | HaltedKind::Run);
        let fault = match &self.subject.id {
            Some(id) if named => check_text("id", id, NAME_BYTES_MAX),
            None if named => Err(Fault::new(FaultKind::Invalid, "/id", "is required for an agent and for a run")),
            Some(_) => Err(Fault::new(FaultKind::Invalid, "/id", "is that of what the halt belongs to, and not given here")),
            None => Ok(()),
        };
        fault.map_err(|fault| fault.within("subject"))
    }
}

/// A project halts in itself, an organization in all of it.
fn admit(admission: &Admission<'_>) -> Result<(), MutateError> {
    let Some(halt) = admission.after.and_then(Kept::typed::<Halt>) else { return Ok(()) };
    let wrong = match (halt.subject.kind, admission.owner) {
        (HaltedKind::Project, Owner::Organization(_)) => Some("a project is halted by a halt that belongs to it"),
        (HaltedKind::Organization, Owner::Project(_)) => Some("an organization is halted by a halt that belongs to it"),
        _ => None,
    };
    wrong.map_or(Ok(()), |message| Err(Fault::new(FaultKind::Invalid, "/subject/type", message).into()))
}

pub(crate) static KIND: Kind = Kind {
    noun: "halt",
    plural: "halts",
    doc: "Nothing more is allowed to an agent, in a run, in a project or in an organization, until the halt is cleared.",
    levels: &[Level::Organization, Level::Project],
    number: Number::Many,
    scope: Scope::ControlWrite,
    actions: Actions { create: Some("halt.issue"), update: None, delete: Some("halt.clear") },
    schema: schema::<Halt>,
    example: r#"{"subject":{"type":"agent","id":"agent-7"},"reason":"It deletes what it should read."}"#,
    read: strict::<Halt>,
    admit: Some(admit),
    rare: Rare::NONE,
};
