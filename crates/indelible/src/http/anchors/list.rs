//! `GET /v1/audit/anchors`: what was signed, oldest first.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_core::limits::INTEGER_MAX;
use indelible_engine::query::anchors::ANCHORS_MAX;
use serde_json::json;

use super::super::call::{self, Call, PROJECT_ID};
use super::super::problem::{Kind, Problem};
use super::super::query::{Parameter, Values};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::super::schema;
use super::render_page;

/// Anchors in a page whose limit nobody names.
const DEFAULT: u64 = 100;

pub(in super::super) static ROUTE: Route = Route {
    name: "list_anchors",
    verb: Verb::Get,
    path: "/v1/audit/anchors",
    summary: "List anchors",
    description: "What was signed of the project, by number, oldest first. Each anchor names the one before it by its SHA-256. Appends \
                  `audit.read`. Needs `audit:read`.",
    variables: &[],
    parameters: &[
        Parameter { name: "since", values: Values::Integer(0, INTEGER_MAX as u64), doc: "The first number; 0 if absent." },
        Parameter { name: "limit", values: Values::Integer(1, ANCHORS_MAX as u64), doc: "Anchors in the page; 100 if absent." },
        PROJECT_ID,
    ],
    body: bodiless,
    status: 200,
    answers: |_| {
        let schema = json!({
            "type": "object",
            "required": ["anchors", "next_since"],
            "properties": {
                "anchors": {"type": "array", "items": schema::reference("Anchor")},
                "next_since": {"type": ["integer", "null"], "description": "`since` of the next page, where there is one."},
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
    let (since, limit) = (call.query.integer("since").unwrap_or(0), call.query.integer("limit").unwrap_or(DEFAULT));
    let page = call.app.ledger.anchors(&call.caller, &project, since, limit as usize).await?;
    Ok(call::json(StatusCode::OK, render_page(&page)))
}
