//! API keys: what a client shows to be known. Made within what their maker's key belongs to and allows; rotated, with some grace for the old
//! credential; revoked, and then still to be seen.

use std::time::Duration;

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::limits::NAME_BYTES_MAX;
use indelible_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::kind::{Actions, Admission, Figure, Kind, Level, Number, Rare, Spec, Verb, schema, strict, typed};
use super::super::{ApiKey, Kept, MutateError, NewApiKey};
use super::{check_text, check_time};
use crate::access::{Caller, KeyKind, Scope};
use crate::ledger::Ledger;

/// The longest grace: 30 days.
const GRACE_SECONDS_MAX: u32 = 30 * 86_400;

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeySpec {
    /// A name for people.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) name: String,
    /// What it is for; it decides the assurance of what is handed in with it.
    #[serde(default)]
    pub(crate) kind: KeyKind,
    /// What it allows: no more than the key of whoever makes or changes it.
    #[schemars(length(min = 1))]
    pub(crate) scopes: Vec<Scope>,
    /// When it ends (RFC 3339); never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub(crate) expires_at: Option<String>,
}

impl Spec for KeySpec {
    fn check(&self) -> Result<(), Fault> {
        check_text("name", &self.name, NAME_BYTES_MAX)?;
        if self.scopes.is_empty() {
            return Err(Fault::new(FaultKind::Invalid, "/scopes", "a key has at least one scope"));
        }
        if let Some(at) = (1..self.scopes.len()).find(|at| self.scopes[..*at].contains(&self.scopes[*at])) {
            return Err(Fault::new(FaultKind::Invalid, format!("/scopes/{at}"), "stands there twice"));
        }
        self.expires_at.as_deref().map_or(Ok(()), |end| check_time("expires_at", end).map(drop))
    }
}

/// What is said when a key is rotated.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotate {
    /// How long the old credential works on, seconds; not at all if absent.
    #[serde(default)]
    #[schemars(range(max = 2_592_000))]
    grace_seconds: u32,
}

fn grace(said: &str) -> Result<Duration, Fault> {
    let Rotate { grace_seconds } = typed(said)?;
    if grace_seconds > GRACE_SECONDS_MAX {
        return Err(Fault::new(FaultKind::Invalid, "/grace_seconds", format!("is at most {GRACE_SECONDS_MAX}, 30 days")));
    }
    Ok(Duration::from_secs(u64::from(grace_seconds)))
}

/// No key makes one that may more, nor gets hold of one.
fn admit(admission: &Admission<'_>) -> Result<(), MutateError> {
    let Some(spec) = admission.after.and_then(Kept::typed::<KeySpec>) else { return Ok(()) };
    if let Some(scope) = spec.scopes.iter().find(|scope| !admission.caller.has(**scope)) {
        return Err(MutateError::Forbidden(scope.as_str().to_owned()));
    }
    let end_of = |spec: &KeySpec| spec.expires_at.as_deref().and_then(Timestamp::parse);
    let was = admission.before.and_then(Kept::typed::<KeySpec>);
    if was.as_ref().and_then(end_of).is_some_and(|end| end <= admission.now) {
        return Err(MutateError::Conflict("the key has ended: make another one"));
    }
    let end = end_of(&spec);
    if was.as_ref().is_some_and(|was| end_of(was) == end) && admission.verb.is_none() {
        return Ok(());
    }
    if end.is_some_and(|end| end <= admission.now) {
        return Err(Fault::new(FaultKind::Invalid, "/expires_at", "the end of a key lies ahead").into());
    }
    match admission.caller.expires_at {
        Some(own) if end.is_none_or(|end| end > own) => {
            let message = format!("a key ends no later than the one that makes it, {own}");
            Err(Fault::new(FaultKind::Invalid, "/expires_at", message).into())
        }
        _ => Ok(()),
    }
}

pub(crate) static KIND: Kind = Kind {
    noun: "api_key",
    plural: "api_keys",
    doc: "An API key. The key itself is shown in the answer that makes it, as `key`, and never again; its SHA-256 is what is stored. One that was revoked is refused from the next request on, and stays in the list.",
    levels: &[Level::Instance, Level::Organization, Level::Project],
    number: Number::Many,
    scope: Scope::ControlWrite,
    actions: Actions { create: Some("api_key.create"), update: Some("api_key.update"), delete: Some("api_key.revoke") },
    schema: schema::<KeySpec>,
    example: r#"{"name":"the gateway in Frankfurt","kind":"gateway","scopes":["events:append"],"expires_at":"2099-12-31T00:00:00Z"}"#,
    read: strict::<KeySpec>,
    admit: Some(admit),
    rare: Rare {
        verbs: &[Verb {
            name: "rotate",
            action: "api_key.rotate",
            doc: "Give a key a new credential, shown in the answer as `key` and never again; the old one works on for as long as is said.",
            schema: schema::<Rotate>,
            apply: |document, _| Ok(document.to_owned()),
            renews: Some(grace),
        }],
        figures: &[Figure { name: "last_used_at", doc: "When it was last used, to the minute; absent where it never was.", is_time: true }],
        ended: Some("revoked_at"),
        credential: Some("key"),
        ..Rare::NONE
    },
};

impl ApiKey {
    /// The key that a resource of this kind is.
    pub(crate) fn of(kept: &Kept) -> Option<Self> {
        let spec: KeySpec = kept.typed()?;
        Some(Self {
            id: kept.id,
            name: spec.name,
            owner: kept.owner,
            kind: spec.kind,
            scopes: spec.scopes,
            created_at: kept.created_at,
            expires_at: spec.expires_at.as_deref().and_then(Timestamp::parse),
            revoked_at: kept.ended_at,
            credentials: kept.credentials.clone(),
        })
    }
}

impl NewApiKey {
    /// Its document.
    pub(in super::super) fn document(&self) -> String {
        let (name, expires_at) = (self.name.clone(), self.expires_at.map(|end| end.to_string()));
        let spec = KeySpec { name, kind: self.kind, scopes: self.scopes.clone(), expires_at };
        serde_json::to_value(&spec).expect("a document has string keys").to_string()
    }
}

impl Ledger {
    /// Makes a key; returns it and its credential, which is shown this once.
    pub async fn create_api_key(&self, caller: &Caller, new: NewApiKey) -> Result<(ApiKey, String), MutateError> {
        let mut done = self.create_resource(caller, &KIND, Some(new.owner), &new.document(), None).await?;
        let shown = done.shown.pop().expect("a key is made with its credential");
        Ok((ApiKey::of(&done.kept).expect("a key that was just written"), shown.text))
    }

    /// Revokes a key.
    pub async fn revoke_api_key(&self, caller: &Caller, id: Uuid) -> Result<ApiKey, MutateError> {
        let done = self.delete_resource(caller, &KIND, id, None).await?;
        Ok(ApiKey::of(&done.kept).expect("a key that was just written"))
    }
}
