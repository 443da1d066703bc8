//! What something belongs to, as JSON: `{"type":"instance"}`, `{"type":"organization","id":…}`, `{"type":"project","id":…}`.

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::Value;
use indelible_engine::access::Owner;
use serde_json::json;

use super::json::{Document, members, missing, string, uuid};

/// Reads one.
pub(super) fn read(value: &Value<'_>) -> Result<Owner, Fault> {
    let object = members(value, &["type", "id"])?;
    let id = uuid(object, "id")?;
    match (string(object, "type")?, id) {
        (Some("instance"), None) => Ok(Owner::Instance),
        (Some("instance"), Some(_)) => Err(Fault::new(FaultKind::Invalid, "/id", "the instance has no id here")),
        (Some("organization"), Some(id)) => Ok(Owner::Organization(id)),
        (Some("project"), Some(id)) => Ok(Owner::Project(id)),
        (Some("organization" | "project"), None) => Err(missing("id")),
        (Some(_), _) => Err(Fault::new(FaultKind::Invalid, "/type", "must be one of: instance, organization, project")),
        (None, _) => Err(missing("type")),
    }
}

/// Writes one.
pub(crate) fn render(owner: Owner) -> Vec<u8> {
    let document = match owner {
        Owner::Instance => Document::new().text("type", "instance"),
        Owner::Organization(id) => Document::new().text("type", "organization").uuid("id", id),
        Owner::Project(id) => Document::new().text("type", "project").uuid("id", id),
    };
    document.end()
}

/// Its schema.
pub(super) fn schema() -> serde_json::Value {
    json!({
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"type": "string", "enum": ["instance", "organization", "project"]},
            "id": {"type": "string", "format": "uuid", "description": "Absent for the instance."},
        },
    })
}
