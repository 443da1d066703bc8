//! `GET /v1/audit/runs/{run_id}`: one agent run as one record.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;

use super::call::{self, Call, INCLUDE, PROJECT_ID, PURPOSE};
use super::problem::{Kind, Problem};
use super::route::{Audit, Handler, Route, Verb, bodiless};

pub(super) static ROUTE: Route = Route {
    name: "show_run",
    verb: Verb::Get,
    path: "/v1/audit/runs/{run_id}",
    summary: "Show an agent run as one record",
    description: "Its steps in order, tool calls with their results, approvals, sub-agents, timing, token totals and verdict. Appends `audit.read` \
                  before it answers. Needs `audit:read`.",
    variables: &["`run.id` of its events, percent-encoded."],
    parameters: &[INCLUDE, PURPOSE, PROJECT_ID],
    body: bodiless,
    status: 200,
    answers: |_| vec![("application/json", json!({"type": "object"}))],
    problems: &[Kind::InvalidQuery, Kind::InvalidPurpose, Kind::Forbidden, Kind::NotFound, Kind::QueueFull],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let project = call.project().await?;
    let run = call.app.ledger.run(&call.caller, &project, call.variable(0), call.opening()).await?;
    Ok(call::json(StatusCode::OK, run))
}
