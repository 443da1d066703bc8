//! Sessions: a member signs in with its key and works with a token that ends by itself.

use indelible_core::fault::Fault;
use indelible_core::limits::NAME_BYTES_MAX;
use indelible_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::kind::{Actions, Admission, Kind, Level, Number, Rare, Spec, schema, strict};
use super::super::{Kept, MutateError};
use super::check_text;
use crate::access::{Caller, Proof, Scope};

/// How long a session lasts, microseconds: eight hours.
const LASTS_MICROS: i64 = 8 * 3_600 * 1_000_000;

/// Sessions of one member at one time.
const SESSIONS_MAX: usize = 50;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Session {
    /// Whose it is. Set by Indelible.
    #[serde(default)]
    #[schemars(extend("readOnly" = true))]
    pub(crate) member_id: String,
    /// When it ends, eight hours after it began. Set by Indelible.
    #[serde(default)]
    #[schemars(extend("readOnly" = true, "format" = "date-time"))]
    pub(crate) expires_at: String,
    /// A name for people: the device, the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) name: Option<String>,
}

impl Spec for Session {
    fn check(&self) -> Result<(), Fault> {
        self.name.as_deref().map_or(Ok(()), |name| check_text("name", name, NAME_BYTES_MAX))
    }
}

/// A session is begun with the key of a member, not with another session, so that none outlasts its eight hours.
fn begin(caller: &Caller, now: Timestamp, members: &mut Map<String, Value>) -> Result<(), MutateError> {
    let Proof::Member(id) = caller.proof else { return Err(MutateError::Forbidden("the key of a member".to_owned())) };
    members.insert("member_id".to_owned(), Value::String(id.to_string()));
    members.insert("expires_at".to_owned(), Value::String(now.saturating_add_micros(LASTS_MICROS).to_string()));
    Ok(())
}

fn is_past(kept: &Kept, now: Timestamp) -> bool {
    kept.typed::<Session>().and_then(|session| Timestamp::parse(&session.expires_at)).is_none_or(|end| end <= now)
}

fn admit(admission: &Admission<'_>) -> Result<(), MutateError> {
    let Some(new) = admission.after.and_then(Kept::typed::<Session>) else { return Ok(()) };
    let all = admission.registry.kept_of(&KIND, admission.owner);
    let own = all.iter().filter(|kept| !is_past(kept, admission.now)).filter_map(|kept| kept.typed::<Session>());
    if own.filter(|session| session.member_id == new.member_id).count() >= SESSIONS_MAX {
        return Err(MutateError::Conflict("the member has 50 sessions: end some of them first"));
    }
    Ok(())
}

/// Whether a resource is a session of the caller, which it ends whatever else it may.
pub(in super::super) fn is_own(kind: &Kind, kept: &Kept, caller: &Caller) -> bool {
    let Some(member) = caller.member.as_ref().filter(|_| kind.noun == KIND.noun) else { return false };
    kept.typed::<Session>().is_some_and(|session| session.member_id == member.id.to_string())
}

pub(crate) static KIND: Kind = Kind {
    noun: "session",
    plural: "sessions",
    doc: "A member who signed in. Begun with the member's own key; its `token` is shown in the answer that begins it, and never again, and stands for the member for eight hours. A member ends its own, whatever its role, others with `control:write` those of everybody; a member has at most 50.",
    levels: &[Level::Organization],
    number: Number::Many,
    scope: Scope::ControlWrite,
    actions: Actions { create: Some("session.create"), update: None, delete: Some("session.end") },
    schema: schema::<Session>,
    example: r#"{"name":"laptop"}"#,
    read: strict::<Session>,
    admit: Some(admit),
    rare: Rare { own: &["member_id", "expires_at"], credential: Some("token"), is_past: Some(is_past), begin: Some(begin), ..Rare::NONE },
};
