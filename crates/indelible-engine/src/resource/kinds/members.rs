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
    #[schemars(length(min = 1, max = 256))]
    pub(crate) name: String,
    /// How the applications' events name this person: `actor.id`, `actor.on_behalf_of` or `principal.id`. Of no other member.
    #[schemars(length(min = 1, max = 256))]
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

fn is_member(kept: &Kept, organization: Owner) -> Option<Member> {
    kept.typed::<Member>().filter(|_| kept.owner == organization && kept.ended_at.is_none())
}

/// Whether this person is a member of an organization already.
pub(in super::super) fn check_new(registry: &Registry, organization: Owner, user_id: &str, but: Option<&Kept>) -> Result<(), MutateError> {
    let same = |kept: &Kept| {
        but.is_none_or(|but| but.id != kept.id) && is_member(kept, organization).is_some_and(|member| member.user_id == user_id)
    };
    if registry.kept_after(&KIND, None, 1, &same).is_empty() {
        return Ok(());
    }
    Err(MutateError::Conflict("a member has this user_id already"))
}

/// Owners are made and changed by owners, and by keys of the organization, which owners have made.
pub(super) fn check_role(caller: &Caller, role: Role) -> Result<(), MutateError> {
    let is_owner = caller.member.as_ref().is_none_or(|member| member.role == Role::Owner);
    if role == Role::Owner && !is_owner { Err(MutateError::Forbidden("the role owner".to_owned())) } else { Ok(()) }
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
    let Some(was) = admission.before.filter(|_| before.as_ref().is_some_and(|before| before.role == Role::Owner)) else { return Ok(()) };
    if after.is_some_and(|after| after.role == Role::Owner) {
        return Ok(());
    }
    let other = |kept: &Kept| kept.id != was.id && is_member(kept, admission.owner).is_some_and(|member| member.role == Role::Owner);
    if admission.registry.kept_after(&KIND, None, 1, &other).is_empty() {
        return Err(MutateError::Conflict("the organization keeps an owner: make another one first"));
    }
    Ok(())
}

pub(crate) static KIND: Kind = Kind {
    noun: "member",
    plural: "members",
    doc: "A member of an organization. `owner` may everything, `admin` everything but opening what was sealed, `auditor` reads all of the log and opens what was sealed, `member` reads the events that are its own (`user_id`) and those of what was shared with it. One that is made here has no key: an invitation brings one.",
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
