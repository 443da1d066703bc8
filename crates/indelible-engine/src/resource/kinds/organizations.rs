//! Organizations: each with keys of its own and a system project, which holds the events that belong to none of its other projects.

use indelible_core::fault::Fault;
use indelible_core::limits::NAME_BYTES_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::MutateError;
use super::super::kind::{Actions, Admission, Kind, Level, Number, Rare, Spec, schema, strict};
use super::{check_text, legal_holds, projects};
use crate::access::{Owner, Scope};

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Organization {
    /// A name for people.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) name: String,
}

impl Spec for Organization {
    fn check(&self) -> Result<(), Fault> {
        check_text("name", &self.name, NAME_BYTES_MAX)
    }
}

/// One that has projects does not go, nor one of which something is held.
fn admit(admission: &Admission<'_>) -> Result<(), MutateError> {
    let (Some(organization), None) = (admission.before, admission.after) else { return Ok(()) };
    let registry = admission.registry;
    let within = Owner::Organization(organization.id);
    let lives = |project: &super::super::Kept| {
        project.owner == within && project.ended_at.is_none() && !project.typed::<projects::ProjectSpec>().is_some_and(|spec| spec.system)
    };
    if !registry.kept_after(&projects::KIND, None, 1, &lives).is_empty() {
        return Err(MutateError::Conflict("the organization has projects: delete them first"));
    }
    legal_holds::check_free(registry, within)
}

pub(crate) static KIND: Kind = Kind {
    noun: "organization",
    plural: "organizations",
    doc: "An organization. Its system project, made with it, holds the events that belong to none of its projects. Deleting one ends what belongs to it, in one transaction, and takes one that has no projects left; its events stay.",
    levels: &[Level::Instance],
    number: Number::Many,
    scope: Scope::ControlWrite,
    actions: Actions { create: Some("organization.create"), update: Some("organization.update"), delete: Some("organization.delete") },
    schema: schema::<Organization>,
    example: r#"{"name":"Example Ltd."}"#,
    read: strict::<Organization>,
    admit: Some(admit),
    rare: Rare { holds: Some(Level::Organization), ended: Some("deleted_at"), ..Rare::NONE },
};
