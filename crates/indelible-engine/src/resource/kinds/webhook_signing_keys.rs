//! Keys that sign what streams deliver (Standard Webhooks): made here, shown once, sealed from then on. Several may be there at
//! once, so that a receiver can be taught the new one before the old one is revoked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indelible_core::fault::Fault;
use indelible_core::limits::NAME_BYTES_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::MutateError;
use super::super::kind::{Actions, Admission, Drawn, Kind, Level, Number, Rare, Spec, schema, strict};
use super::audit_streams::{self, AuditStream};
use super::check_text;
use crate::access::Scope;

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookSigningKey {
    /// A name for people.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) name: String,
    /// Whether streams that name no key are signed with it; with all of these, where there are several.
    #[serde(default)]
    pub(crate) primary: bool,
    /// `whsec_` and the base64 of 32 random bytes. Made by Indelible, shown when the key is made and never again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
}

impl Spec for WebhookSigningKey {
    fn check(&self) -> Result<(), Fault> {
        check_text("name", &self.name, NAME_BYTES_MAX)
    }
}

/// A key by which a stream is signed stays.
fn admit(admission: &Admission<'_>) -> Result<(), MutateError> {
    let (Some(before), None) = (admission.before, admission.after) else { return Ok(()) };
    let id = before.id.to_string();
    let names = |kept: &super::super::Kept| kept.typed::<AuditStream>().is_some_and(|stream| stream.signing_key_id.as_ref() == Some(&id));
    if admission.registry.kept_after(&audit_streams::KIND, None, 1, &names).is_empty() {
        return Ok(());
    }
    Err(MutateError::Conflict("a stream is signed with this key: give it another first"))
}

pub(crate) static KIND: Kind = Kind {
    noun: "webhook_signing_key",
    plural: "webhook_signing_keys",
    doc: "A key that signs what streams deliver, made by Indelible and shown once.",
    levels: &[Level::Organization, Level::Project],
    number: Number::Many,
    scope: Scope::AuditWrite,
    actions: Actions { create: Some("webhook_signing_key.create"), update: None, delete: Some("webhook_signing_key.revoke") },
    schema: schema::<WebhookSigningKey>,
    example: r#"{"name":"receiver, since November","primary":true}"#,
    read: strict::<WebhookSigningKey>,
    admit: Some(admit),
    rare: Rare {
        secrets: &["/secret"],
        drawn: &[Drawn { member: "secret", make: |random| format!("whsec_{}", STANDARD.encode(random)) }],
        ..Rare::NONE
    },
};
