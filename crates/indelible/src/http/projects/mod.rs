//! `/v1/projects`: making and listing projects.

pub(super) mod create;
pub(super) mod list;

use indelible_engine::resource::Project;
use serde_json::{Value, json};

use super::json::Document;

pub(crate) fn render(project: &Project) -> Vec<u8> {
    Document::new()
        .uuid("id", project.id)
        .uuid("organization_id", project.organization_id)
        .text("name", &project.name)
        .flag("system", project.system)
        .time("created_at", project.created_at)
        .end()
}

/// The schema of a project.
pub(super) fn project_schema() -> Value {
    json!({
        "type": "object",
        "required": ["id", "organization_id", "name", "system", "created_at"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "organization_id": {"type": "string", "format": "uuid"},
            "name": {"type": "string"},
            "system": {"type": "boolean", "description": "Whether it holds the events of the organization, or of the instance, itself."},
            "created_at": {"type": "string", "format": "date-time"},
        },
    })
}
