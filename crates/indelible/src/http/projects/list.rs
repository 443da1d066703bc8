//! `GET /v1/projects`: the projects that the caller's key may see.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;

use super::super::call::{self, Call};
use super::super::json::listing;
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::super::schema;
use super::render;

pub(in super::super) static ROUTE: Route = Route {
    name: "list_projects",
    verb: Verb::Get,
    path: "/v1/projects",
    summary: "List projects",
    description: "Those that the key may see: its own, those of its organization, or all. Needs `audit:read` or `control:write`. Appends `audit.read`.",
    variables: &[],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| {
        let projects = json!({"data": {"type": "array", "items": schema::reference("Project")}});
        vec![("application/json", json!({"type": "object", "required": ["data"], "properties": projects}))]
    },
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::QueueFull],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let projects = call.app.ledger.projects(&call.caller).await?;
    Ok(call::json(StatusCode::OK, listing("data", projects.iter().map(Arc::as_ref).map(render))))
}
