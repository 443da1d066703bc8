//! `GET /v1/audit/verify`: whether a whole project stands as it was written.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_core::verify::Finding;
use serde_json::{Value, json};

use super::call::{self, Call, PROJECT_ID};
use super::json::{Document, array};
use super::problem::{Kind, Problem};
use super::route::{Audit, Handler, Route, Verb, bodiless};

pub(super) static ROUTE: Route = Route {
    name: "verify_project",
    verb: Verb::Get,
    path: "/v1/audit/verify",
    summary: "Verify a whole project",
    description: "Walks the whole chain as it stood when the call came: every row, content, tile and the head, and compares it with what was \
                  signed: anchors, the instance tree, the checkpoint store. A broken chain is an answer, not an error. It takes about three seconds for a million events. Appends `audit.read`. Needs `audit:read`.",
    variables: &[],
    parameters: &[PROJECT_ID],
    body: bodiless,
    status: 200,
    answers: |_| {
        let schema = json!({
            "type": "object",
            "required": ["project_id", "events", "unanchored", "verdict", "findings", "findings_total"],
            "properties": {
                "project_id": {"type": "string", "format": "uuid"},
                "events": {"type": "integer"},
                "unanchored": {"type": "integer", "description": "Events that no anchor covers yet."},
                "verdict": {"type": "string"},
                "findings": findings_schema(),
                "findings_total": {"type": "integer", "description": "Listed or not; at most 100 are."},
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
    let report = call.app.ledger.verify_project(&call.caller, &project).await?;
    let document = Document::new()
        .uuid("project_id", report.project_id)
        .number("events", report.events)
        .number("unanchored", report.unanchored)
        .text("verdict", report.verdict.as_str())
        .json("findings", &findings(&report.findings))
        .number("findings_total", report.findings_total);
    Ok(call::json(StatusCode::OK, document.end()))
}

/// Findings as a JSON array.
pub(super) fn findings(findings: &[Finding]) -> Vec<u8> {
    let finding = |finding: &Finding| {
        Document::new().text("kind", finding.kind.as_str()).maybe_number("sequence", finding.sequence).text("detail", &finding.detail).end()
    };
    let mut out = Vec::new();
    array(&mut out, findings.iter().map(finding));
    out
}

/// The schema of findings.
pub(super) fn findings_schema() -> Value {
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "required": ["kind", "sequence", "detail"],
            "properties": {
                "kind": {"type": "string"},
                "sequence": {"type": ["integer", "null"]},
                "detail": {"type": "string"},
            },
        },
    })
}
