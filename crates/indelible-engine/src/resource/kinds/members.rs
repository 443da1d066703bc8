//! Members of an organization: people who read its log, and configure what is recorded, each by the role that they have.
//!
//! A member signs in with a key of its own, which nobody but whoever accepted the invitation ever sees; one that is made without an
//! invitation has none.

use indelible_core::fault::Fault;
use indelible_core::limits::NAME_BYTES_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::kind::{Actions, Admission, Kind, Level, Number, Rare, Spec, schema, strict};
use super::super::registry::Registry;
use super::super::{Kept, MutateError};
use super::check_text;
use crate::access::{Caller, Owner, Role, Scope};

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    /// A name for people.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) name: String,
    /// How the applications' events name this person: `actor.id`, `actor.on_behalf_of` or `principal.id`. Of no other member.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) user_id: String,
    /// What the member may do.
    pub(crate) role: Role,
}

impl Spec for Member {
    fn check(&self) -> Result<(), Fault> {
        check_text("name", &self.name, NAME_BYTES_MAX)?;
        check_text("user_id", &self.user_id, NAME_BYTES_MAX)
    }
}

/// The members of an organization, but this one.
fn others(registry: &Registry, organization: Owner, but: Option<&Kept>) -> Vec<Member> {
    let mut kept = registry.kept_of(&KIND, organization);
    kept.retain(|kept| kept.ended_at.is_none() && but.is_none_or(|but| but.id != kept.id));
    kept.iter().filter_map(|kept| kept.typed()).collect()
}

/// Whether this person is a member of an organization already.
pub(in super::super) fn check_new(registry: &Registry, organization: Owner, user_id: &str, but: Option<&Kept>) -> Result<(), MutateError> {
    if others(registry, organization, but).iter().any(|other| other.user_id == user_id) {
        return Err(MutateError::Conflict("a member has this user_id already"));
    }
    Ok(())
}

/// Nobody gives a role, nor takes one, that allows more than its own key or role does. Every member reads something of the log, so that
/// takes `audit:read` too.
pub(super) fn check_role(caller: &Caller, role: Role) -> Result<(), MutateError> {
    let needed = role.scopes().into_iter().chain([Scope::AuditRead]);
    let lacks = needed.into_iter().find(|scope| !caller.has(*scope));
    lacks.map_or(Ok(()), |scope| Err(MutateError::Forbidden(format!("{}, which the role {} has", scope.as_str(), role.as_str()))))
}

/// An organization that has an owner keeps one.
fn admit(admission: &Admission<'_>) -> Result<(), MutateError> {
    let (before, after) = (admission.before.and_then(Kept::typed::<Member>), admission.after.and_then(Kept::typed::<Member>));
    for member in before.iter().chain(&after) {
        check_role(admission.caller, member.role)?;
    }
    if let Some(after) = &after {
        check_new(admission.registry, admission.owner, &after.user_id, admission.before)?;
    }
    let was_owner = before.is_some_and(|before| before.role == Role::Owner);
    if !was_owner || after.is_some_and(|after| after.role == Role::Owner) {
        return Ok(());
    }
    if others(admission.registry, admission.owner, admission.before).iter().any(|other| other.role == Role::Owner) {
        return Ok(());
    }
    Err(MutateError::Conflict("the organization keeps an owner: make another one first"))
}

pub(crate) static KIND: Kind = Kind {
    noun: "member",
    plural: "members",
    doc: "A member of an organization. `owner` may everything, `admin` everything but opening what was sealed, `auditor` reads all of the log and opens what was sealed (so that an admin makes none), `member` reads the events that are its own (`user_id`) and those of what was shared with it. One that is made here has no key: an invitation brings one.",
    levels: &[Level::Organization],
    number: Number::Many,
    scope: Scope::ControlWrite,
    actions: Actions { create: Some("member.add"), update: Some("member.update"), delete: Some("member.remove") },
    schema: schema::<Member>,
    example: r#"{"name":"Ada Lovelace","user_id":"ada@example.com","role":"auditor"}"#,
    read: strict::<Member>,
    admit: Some(admit),
    rare: Rare { ended: Some("removed_at"), ..Rare::NONE },
};
