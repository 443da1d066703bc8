//! `/v1/audit/export_jobs`: exports in the background, one file an endpoint; and how a job is shown.

pub(super) mod create;
pub(super) mod file;
pub(super) mod list;
pub(super) mod remove;
pub(super) mod show;

use indelible_engine::export::jobs::{Job, JobError};
use serde_json::json;

use super::exports;
use super::json::Document;
use super::problem::{Kind, Problem};

/// Why reading how a job stands leaves no event.
const NO_EVENT: &str = "it shows no event of the log: the request, the end and each download of a job are events";

/// The schema of a job.
pub(super) fn schema() -> serde_json::Value {
    let number = |doc: &str| json!({"type": ["integer", "null"], "description": doc});
    let text = json!({"type": ["string", "null"]});
    json!({
        "type": "object",
        "required": ["id", "project_id", "state", "format", "content", "created_at", "rows", "entries", "bytes"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "project_id": {"type": "string", "format": "uuid"},
            "made_by": {"type": ["string", "null"], "description": "The key that asked for it."},
            "operation_id": {"type": "string", "description": "Of the events that tell of it."},
            "state": {"type": "string", "enum": ["queued", "running", "done", "failed"]},
            "reason": text,
            "format": {"type": "string", "enum": ["bundle", "ndjson", "csv"]},
            "filter": text,
            "content": {"type": "boolean"},
            "created_at": {"type": "string", "format": "date-time"},
            "finished_at": {"type": ["string", "null"], "format": "date-time"},
            "rows": {"type": "integer", "description": "Events of the range that were gone through."},
            "rows_all": number("Events of the range, once it is known."),
            "entries": {"type": "integer", "description": "Events in the file; of a bundle, once it is done."},
            "bytes": {"type": "integer", "description": "Bytes of the file."},
            "events_after": number("Events after the checkpoint, once it is done: they are not in the file."),
            "sha256": {"type": ["string", "null"], "description": "Of the file, once it is done."},
            "manifest": {"type": ["object", "null"], "description": "Once it is done; of a bundle the one that is in it."},
        },
    })
}

/// A job as JSON.
fn render(job: &Job) -> Vec<u8> {
    let made_by = job.made_by.map(|id| id.to_string());
    let document = Document::new()
        .uuid("id", job.id)
        .uuid("project_id", job.project_id)
        .maybe_text("made_by", made_by.as_deref())
        .uuid("operation_id", job.operation_id)
        .text("state", job.state.as_str())
        .maybe_text("reason", job.reason.as_deref())
        .text("format", &job.format)
        .maybe_text("filter", job.filter.as_deref())
        .flag("content", job.content)
        .time("created_at", job.created_at)
        .maybe_time("finished_at", job.finished_at)
        .number("rows", job.rows)
        .maybe_number("rows_all", job.rows_all)
        .number("entries", job.entries)
        .number("bytes", job.bytes)
        .maybe_number("events_after", job.events_after)
        .maybe_text("sha256", job.sha256.as_deref());
    document.json("manifest", job.manifest.as_deref().unwrap_or("null").as_bytes()).end()
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Read(error) => exports::refused(error),
            JobError::Conflict(detail) => Self::new(Kind::Conflict, detail).recorded(),
        }
    }
}
