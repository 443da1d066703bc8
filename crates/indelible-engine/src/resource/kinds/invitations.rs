//! Invitations: whoever has the token becomes a member, with a key that nobody else has seen.

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::limits::NAME_BYTES_MAX;
use indelible_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::kind::{Actions, Admission, Kind, Level, Number, Rare, Spec, schema, strict};
use super::super::{Kept, MutateError};
use super::{check_text, check_time, members};
use crate::access::{Role, Scope};

/// How long an invitation is good unless it says so, microseconds: seven days.
const GOOD_MICROS: i64 = 7 * 86_400 * 1_000_000;

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invitation {
    /// The name of the member to be.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) name: String,
    /// Its `user_id`.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) user_id: String,
    /// Its role.
    pub(crate) role: Role,
    /// Until when it is good (RFC 3339); for seven days if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub(crate) expires_at: Option<String>,
}

impl Spec for Invitation {
    fn check(&self) -> Result<(), Fault> {
        check_text("name", &self.name, NAME_BYTES_MAX)?;
        check_text("user_id", &self.user_id, NAME_BYTES_MAX)?;
        self.expires_at.as_deref().map_or(Ok(()), |end| check_time("expires_at", end).map(drop))
    }
}

impl Invitation {
    /// Whether it is still good.
    pub(crate) fn is_good(&self, kept: &Kept, now: Timestamp) -> bool {
        let end = self.expires_at.as_deref().and_then(Timestamp::parse);
        now < end.unwrap_or_else(|| kept.created_at.saturating_add_micros(GOOD_MICROS))
    }
}

fn is_past(kept: &Kept, now: Timestamp) -> bool {
    kept.typed::<Invitation>().is_none_or(|invitation| !invitation.is_good(kept, now))
}

fn admit(admission: &Admission<'_>) -> Result<(), MutateError> {
    let Some(after) = admission.after else { return Ok(()) };
    let Some(invitation) = after.typed::<Invitation>() else { return Ok(()) };
    if !invitation.is_good(after, admission.now) {
        return Err(Fault::new(FaultKind::Invalid, "/expires_at", "the end of an invitation lies ahead").into());
    }
    members::check_role(admission.caller, invitation.role)?;
    members::check_new(admission.registry, admission.owner, &invitation.user_id, None)
}

pub(crate) static KIND: Kind = Kind {
    noun: "invitation",
    plural: "invitations",
    doc: "An invitation to become a member. Its `token` is shown in the answer that makes it, and never again; `POST /v1/invitations/accept`, with the token for a key, makes the member and shows the member's own key (`invitation.accept`). Nobody invites to a role that allows more than his own key or role.",
    levels: &[Level::Organization],
    number: Number::Many,
    scope: Scope::ControlWrite,
    actions: Actions { create: Some("invitation.create"), update: None, delete: Some("invitation.revoke") },
    schema: schema::<Invitation>,
    example: r#"{"name":"Grace Hopper","user_id":"grace@example.com","role":"member"}"#,
    read: strict::<Invitation>,
    admit: Some(admit),
    rare: Rare { credential: Some("token"), is_past: Some(is_past), ..Rare::NONE },
};
