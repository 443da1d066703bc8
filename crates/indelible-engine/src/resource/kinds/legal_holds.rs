//! Legal holds: nothing that a hold covers is deleted while it lasts, whatever a retention policy says.

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::limits::{NAME_BYTES_MAX, TEXT_BYTES_MAX};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::kind::{Actions, Kind, Level, Number, Rare, Spec, schema, strict};
use super::super::registry::Registry;
use super::super::{Kept, MutateError};
use super::{check_text, check_time};
use crate::access::{Owner, Scope};

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LegalHold {
    /// A name for people: the matter.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) name: String,
    /// Why, in words.
    #[schemars(length(min = 1, max = TEXT_BYTES_MAX))]
    pub(crate) reason: String,
    /// Events from this time on (RFC 3339); all earlier ones too if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub(crate) from: Option<String>,
    /// Events up to this time; all later ones too if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub(crate) until: Option<String>,
}

impl Spec for LegalHold {
    fn check(&self) -> Result<(), Fault> {
        check_text("name", &self.name, NAME_BYTES_MAX)?;
        check_text("reason", &self.reason, TEXT_BYTES_MAX)?;
        let from = self.from.as_deref().map(|from| check_time("from", from)).transpose()?;
        let until = self.until.as_deref().map(|until| check_time("until", until)).transpose()?;
        if from.zip(until).is_some_and(|(from, until)| until <= from) {
            return Err(Fault::new(FaultKind::Invalid, "/until", "lies after from"));
        }
        Ok(())
    }
}

pub(crate) static KIND: Kind = Kind {
    noun: "legal_hold",
    plural: "legal_holds",
    doc: "Nothing that a hold covers is deleted while it lasts.",
    levels: &[Level::Organization, Level::Project],
    number: Number::Many,
    scope: Scope::AuditAdmin,
    actions: Actions { create: Some("legal_hold.create"), update: Some("legal_hold.update"), delete: Some("legal_hold.delete") },
    schema: schema::<LegalHold>,
    example: r#"{"name":"Case 2026-17","reason":"Litigation over the October orders.","from":"2026-10-01T00:00:00Z"}"#,
    read: strict::<LegalHold>,
    admit: None,
    rare: Rare { outlives: true, ..Rare::NONE },
};

/// Refuses the end of what a hold covers: a hold on it, on what it lies in, or on something in it.
pub(super) fn check_free(registry: &Registry, ending: Owner) -> Result<(), MutateError> {
    let covers = |hold: &Kept| registry.is_within(ending, hold.owner) || registry.is_within(hold.owner, ending);
    if registry.kept_after(&KIND, None, 1, &covers).is_empty() {
        return Ok(());
    }
    Err(MutateError::Conflict("a legal hold covers it: nothing of it is deleted while the hold lasts"))
}
