//! Shares: what belongs to one thing, such as a conversation, is seen by some members or by all. Owners, admins and auditors see it without.

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::limits::NAME_BYTES_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::kind::{Actions, Admission, Kind, Level, Number, Rare, Spec, schema, strict};
use super::super::{Kept, MutateError};
use super::{check_text, members};
use crate::access::{Owner, Scope};

/// Members that one share names.
const MEMBERS_MAX: usize = 100;
/// Shares of one project, and of an organization, at most: they are part of what is asked for a member.
const SHARES_MAX: usize = 1_000;

/// A share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Share {
    /// The thing: the `scope` of the events that belong to it.
    pub(crate) scope: Shared,
    /// Ids of the members who see them; all members if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub(crate) member_ids: Option<Vec<String>>,
}

/// What is shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shared {
    /// `scope.type`
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) kind: String,
    /// `scope.id`
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) id: String,
}

impl Spec for Share {
    fn check(&self) -> Result<(), Fault> {
        check_text("type", &self.scope.kind, NAME_BYTES_MAX).map_err(|fault| fault.within("scope"))?;
        check_text("id", &self.scope.id, NAME_BYTES_MAX).map_err(|fault| fault.within("scope"))?;
        let Some(ids) = &self.member_ids else { return Ok(()) };
        if ids.is_empty() || ids.len() > MEMBERS_MAX {
            return Err(Fault::new(FaultKind::Invalid, "/member_ids", format!("names 1 to {MEMBERS_MAX} members")));
        }
        match ids.iter().position(|id| Uuid::try_parse(id).is_err()) {
            Some(at) => Err(Fault::new(FaultKind::Invalid, format!("/member_ids/{at}"), "is not a UUID")),
            None => Ok(()),
        }
    }
}

impl Share {
    /// Whether a member sees what is shared.
    pub(crate) fn is_with(&self, member: Uuid) -> bool {
        self.member_ids.as_ref().is_none_or(|ids| ids.iter().any(|id| Uuid::try_parse(id).is_ok_and(|id| id == member)))
    }
}

/// Those whom it names are members of the organization.
fn admit(admission: &Admission<'_>) -> Result<(), MutateError> {
    let (Some(share), registry) = (admission.after.and_then(Kept::typed::<Share>), admission.registry) else { return Ok(()) };
    // Who shows something to others may see it.
    if !admission.caller.has(Scope::AuditRead) {
        return Err(MutateError::Forbidden(Scope::AuditRead.as_str().to_owned()));
    }
    if registry.kept_of(&KIND, admission.owner).len() >= SHARES_MAX {
        return Err(MutateError::Conflict("there are 1,000 shares already"));
    }
    let organization = match admission.owner {
        Owner::Project(id) => registry.project(id).map(|project| Owner::Organization(project.organization_id)),
        owner => Some(owner),
    };
    let is_member = |id: &String| {
        let kept = Uuid::try_parse(id).ok().and_then(|id| registry.kept(&members::KIND, id));
        kept.is_some_and(|kept| Some(kept.owner) == organization && kept.ended_at.is_none())
    };
    match share.member_ids.iter().flatten().position(|id| !is_member(id)) {
        Some(at) => Err(Fault::new(FaultKind::Invalid, format!("/member_ids/{at}"), "is no member of the organization").into()),
        None => Ok(()),
    }
}

pub(crate) static KIND: Kind = Kind {
    noun: "share",
    plural: "shares",
    doc: "What belongs to one thing (the `scope` of its events), such as a conversation, is seen by the members that are named, or by all. Of a project, or of all projects of the organization. Owners, admins and auditors see it without. Making one needs `audit:read` too; an owner has at most 1,000.",
    levels: &[Level::Organization, Level::Project],
    number: Number::Many,
    scope: Scope::ControlWrite,
    actions: Actions { create: Some("share.grant"), update: None, delete: Some("share.revoke") },
    schema: schema::<Share>,
    example: r#"{"scope":{"type":"conversation","id":"thread-1"}}"#,
    read: strict::<Share>,
    admit: Some(admit),
    rare: Rare::NONE,
};
