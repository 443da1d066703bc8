//! Event schemas: what an application's own events of an action must look like (JSON Schema 2020-12), and whether one that does
//! not is refused or counted.

use indelible_core::event::action::is_engine_only;
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::limits::NAME_BYTES_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::kind::{Actions, Admission, Figure, Kind, Level, Number, Rare, Spec, schema, strict};
use super::super::{Kept, MutateError, json_schema};
use crate::access::Scope;

/// Schemas of one owner at most.
const SCHEMAS_MAX: usize = 100;

/// A schema.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventSchema {
    /// The action whose events it is for, such as `invoice.pay`.
    pub(crate) action: String,
    /// JSON Schema 2020-12, for the event as it is handed in, `id` included. References stay within it and do not recur; `unevaluatedItems` and `unevaluatedProperties` are not taken, for what they cost.
    #[schemars(extend("type" = "object"))]
    pub(crate) schema: serde_json::Value,
    /// What becomes of an event that breaks it.
    #[serde(default)]
    pub(crate) mode: Mode,
}

/// What becomes of an event that breaks a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// It is stored, and counted.
    #[default]
    ReportOnly,
    /// It is refused.
    Enforcing,
}

impl Spec for EventSchema {
    fn check(&self) -> Result<(), Fault> {
        let fault = |message: &str| Err(Fault::new(FaultKind::Invalid, "/action", message));
        let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if self.action.len() > NAME_BYTES_MAX || !self.action.contains('.') || !self.action.split('.').all(part) {
            return fault("is an action, `noun.verb` in lower case");
        }
        if is_engine_only(&self.action) {
            return fault("is an action of the engine, whose events need no schema");
        }
        json_schema::compile(&self.schema).map(drop).map_err(|fault| fault.within("schema"))
    }
}

/// One schema for an action at each owner.
fn admit(admission: &Admission<'_>) -> Result<(), MutateError> {
    let Some(after) = admission.after else { return Ok(()) };
    let Some(schema) = after.typed::<EventSchema>() else { return Ok(()) };
    let mut others = admission.registry.kept_of(&KIND, admission.owner);
    others.retain(|other| other.id != after.id);
    if others.len() >= SCHEMAS_MAX {
        return Err(MutateError::Conflict("there are 100 event schemas already"));
    }
    if others.iter().any(|other| Kept::typed::<EventSchema>(other).is_some_and(|other| other.action == schema.action)) {
        return Err(MutateError::Conflict("this action has a schema already: change that one"));
    }
    Ok(())
}

pub(crate) static KIND: Kind = Kind {
    noun: "event_schema",
    plural: "event_schemas",
    doc: "What events of an action must look like. An event that breaks a schema that is `enforcing` is refused with the place of its fault; where it is `report_only` it is stored and counted (`violations`), and once a minute an event `event_schema.violation` tells how many there were. Where organization and project have a schema for an action, both count. A check takes at most 20,000,000 steps: one for each value of the event and each subschema or listed value of the schema (references followed), and one for each pattern and 4 bytes of the event; an event that could take more is not checked, and is as one that breaks the schema.",
    levels: &[Level::Organization, Level::Project],
    number: Number::Many,
    scope: Scope::ControlWrite,
    actions: Actions { create: Some("event_schema.create"), update: Some("event_schema.update"), delete: Some("event_schema.delete") },
    schema: schema::<EventSchema>,
    example: r#"{"action":"invoice.pay","schema":{"properties":{"content":{"properties":{"arguments":{"properties":{"amount":{"minimum":1,"type":"integer"}},"required":["amount"],"type":"object"}},"required":["arguments"]}},"required":["content"]},"mode":"enforcing"}"#,
    read: strict::<EventSchema>,
    admit: Some(admit),
    rare: Rare { figures: &[Figure { name: "violations", doc: "Counted since the server was started.", is_time: false }], ..Rare::NONE },
};
