//! `GET /v1/audit/events/{id}/verify`: whether one event stands as it was written.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;

use super::super::call::{self, Call, PROJECT_ID};
use super::super::json::Document;
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::super::verify::{findings, findings_schema};

pub(in super::super) static ROUTE: Route = Route {
    name: "verify_event",
    verb: Verb::Get,
    path: "/v1/audit/events/{id}/verify",
    summary: "Verify one event",
    description: "Checks its row hash, its neighbours, its sealed content, its leaf in the tree, and that leaf under the first anchor that covers it. A \
                  broken chain is an answer, not an error: look at `valid` and `verdict`. Appends `audit.read`. Needs `audit:read`.",
    variables: &["The event's id."],
    parameters: &[PROJECT_ID],
    body: bodiless,
    status: 200,
    answers: |_| {
        let schema = json!({
            "type": "object",
            "required": ["id", "sequence", "valid", "verdict", "anchored", "anchor", "findings"],
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "sequence": {"type": "integer"},
                "valid": {"type": "boolean"},
                "verdict": {"type": "string"},
                "anchored": {"type": "boolean"},
                "anchor": {"type": ["integer", "null"], "description": "Number of the first anchor that covers it."},
                "findings": findings_schema(),
            },
        });
        vec![("application/json", schema)]
    },
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::QueueFull],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let project = call.project().await?;
    let verification = call.app.ledger.verify_event(&call.caller, &project, call.id("event")?).await?;
    let document = Document::new()
        .uuid("id", verification.id)
        .number("sequence", verification.sequence)
        .flag("valid", verification.valid)
        .text("verdict", verification.verdict.as_str())
        .flag("anchored", verification.anchored)
        .maybe_number("anchor", verification.anchor)
        .json("findings", &findings(&verification.findings));
    Ok(call::json(StatusCode::OK, document.end()))
}
