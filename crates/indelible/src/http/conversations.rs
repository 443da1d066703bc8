//! `GET /v1/audit/conversations/{thread_id}`: everything of one conversation.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;

use super::call::{self, Call, INCLUDE, PROJECT_ID, PURPOSE};
use super::problem::{Kind, Problem};
use super::route::{Audit, Handler, Route, Verb, bodiless};

pub(super) static ROUTE: Route = Route {
    name: "show_conversation",
    verb: Verb::Get,
    path: "/v1/audit/conversations/{thread_id}",
    summary: "Show everything of one conversation",
    description: "All events of the thread, oldest first, whatever run they belong to. Appends `audit.read` before it answers. Needs `audit:read`.",
    variables: &["`run.thread_id` of its events, percent-encoded."],
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
    let conversation = call.app.ledger.conversation(&call.caller, &project, call.variable(0), call.opening()).await?;
    Ok(call::json(StatusCode::OK, conversation))
}
