//! `GET /v1/audit_streams/{id}/status`: how a stream goes.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_engine::stream::{Position, StreamStatus};
use serde_json::json;

use super::super::call::{self, Call};
use super::super::json::{Document, array};
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::render_delivery;

pub(in super::super) static ROUTE: Route = Route {
    name: "stream_status",
    verb: Verb::Get,
    path: "/v1/audit_streams/{id}/status",
    summary: "Show how a stream goes",
    description: "How far it has come, how many events lie before it and how long the oldest of them has been recorded (those among them that are none of the \
                  stream's own are passed over once it comes to them), what it fails with, and how many dead letters and replays there are. Any \
                  server tells it. Appends `audit.read`. Needs `audit:read` or `audit:write`.",
    variables: &["The stream."],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| {
        let number = json!({"type": "integer", "minimum": 0});
        let maybe_text = json!({"type": ["string", "null"]});
        let position = json!({
            "type": "object",
            "required": ["project_id", "next_sequence", "events"],
            "properties": {"project_id": {"type": "string", "format": "uuid"}, "next_sequence": number, "events": number},
        });
        let mut pending = super::schema();
        pending["type"] = json!(["object", "null"]);
        let schema = json!({
            "type": "object",
            "required": ["running", "state_reason", "lag_events", "lag_seconds", "trouble", "pending", "dead_letters", "replays", "positions"],
            "properties": {
                "running": {"type": "boolean"},
                "state_reason": maybe_text,
                "lag_events": number,
                "lag_seconds": {"type": "number", "minimum": 0},
                "trouble": {"type": ["string", "null"], "description": "Why nothing is delivered now."},
                "pending": pending,
                "dead_letters": number,
                "replays": number,
                "positions": {"type": "array", "items": position},
            },
        });
        vec![("application/json", schema)]
    },
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::QueueFull],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let status = call.app.ledger.stream_status(&call.caller, call.id("audit_stream")?).await?;
    Ok(call::json(StatusCode::OK, render(&status)))
}

/// As it is shown.
pub(crate) fn render(status: &StreamStatus) -> Vec<u8> {
    let position = |position: &Position| {
        Document::new()
            .uuid("project_id", position.project_id)
            .number("next_sequence", position.next_sequence)
            .number("events", position.size)
            .end()
    };
    let mut positions = Vec::new();
    array(&mut positions, status.positions.iter().map(position));
    let pending = status.pending.as_ref().map(|(delivery, project)| render_delivery(delivery, *project));
    Document::new()
        .flag("running", status.is_running)
        .maybe_text("state_reason", status.state_reason.as_deref())
        .number("lag_events", status.lag_events)
        .json("lag_seconds", format!("{:.3}", status.lag.as_secs_f64()).as_bytes())
        .maybe_text("trouble", status.trouble.as_deref())
        .json("pending", pending.as_deref().unwrap_or(b"null"))
        .number("dead_letters", status.dead_letters)
        .number("replays", status.replays)
        .json("positions", &positions)
        .end()
}
