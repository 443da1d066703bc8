//! Projects: each one chain. A project that is deleted takes nothing more, and what belonged to it ends with it; its chain stays, is read and
//! verified as before.

use indelible_core::fault::Fault;
use indelible_core::limits::NAME_BYTES_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::kind::{Actions, Admission, Kind, Level, Number, Rare, Spec, schema, strict};
use super::super::{Kept, MutateError, Project};
use super::{check_text, legal_holds};
use crate::access::{Caller, Owner, Scope};
use crate::ledger::Ledger;

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectSpec {
    /// A name for people.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) name: String,
    /// Whether it holds the events of its organization, or of the instance, itself. Set by Indelible.
    #[serde(default)]
    #[schemars(extend("readOnly" = true))]
    pub(crate) system: bool,
}

impl Spec for ProjectSpec {
    fn check(&self) -> Result<(), Fault> {
        check_text("name", &self.name, NAME_BYTES_MAX)
    }
}

impl ProjectSpec {
    /// The document of a project that is made here.
    pub(in super::super) fn document(name: &str, system: bool) -> String {
        let spec = Self { name: name.to_owned(), system };
        serde_json::to_value(&spec).expect("a document has string keys").to_string()
    }
}

impl Project {
    /// The project that a resource of this kind is.
    pub(crate) fn of(kept: &Kept) -> Option<Self> {
        let spec: ProjectSpec = kept.typed()?;
        let organization_id = if let Owner::Organization(id) = kept.owner { id } else { Uuid::nil() };
        let (created_at, deleted_at) = (kept.created_at, kept.ended_at);
        Some(Self { id: kept.id, organization_id, name: spec.name, system: spec.system, created_at, deleted_at })
    }
}

/// Those of the system stay as they are, and none goes of which something is held.
fn admit(admission: &Admission<'_>) -> Result<(), MutateError> {
    let Some(before) = admission.before else { return Ok(()) };
    if before.typed::<ProjectSpec>().is_some_and(|spec| spec.system) {
        return Err(MutateError::Conflict("a system project stays as it is"));
    }
    match admission.after {
        Some(_) => Ok(()),
        None => legal_holds::check_free(admission.registry, Owner::Project(before.id)),
    }
}

pub(crate) static KIND: Kind = Kind {
    noun: "project",
    plural: "projects",
    doc: "A project: one chain of events. Deleting one ends its keys and what else belongs to it, in one transaction: `cascade_root_id` of all these events is its id. Retention policies and legal holds go on, since its events stay; a project of which something is held is not deleted.",
    levels: &[Level::Organization],
    number: Number::Many,
    scope: Scope::ControlWrite,
    actions: Actions { create: Some("project.create"), update: Some("project.update"), delete: Some("project.delete") },
    schema: schema::<ProjectSpec>,
    example: r#"{"name":"invoices"}"#,
    read: strict::<ProjectSpec>,
    admit: Some(admit),
    rare: Rare { holds: Some(Level::Project), own: &["system"], ended: Some("deleted_at"), ..Rare::NONE },
};

impl Ledger {
    /// Makes a project in an organization: the one named, or that of the caller's key, or the default one.
    pub async fn create_project(&self, caller: &Caller, organization_id: Option<Uuid>, name: &str) -> Result<Project, MutateError> {
        let document = serde_json::json!({ "name": name }).to_string();
        let done = self.create_resource(caller, &KIND, organization_id.map(Owner::Organization), &document, None).await?;
        Ok(Project::of(&done.kept).expect("a project that was just written"))
    }
}
