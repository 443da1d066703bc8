//! `GET /v1/audit/export_jobs`: the jobs of a project, the newest first.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;

use super::super::call::{self, Call, PROJECT_ID};
use super::super::json::listing;
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::super::schema;

pub(in super::super) static ROUTE: Route = Route {
    name: "list_export_jobs",
    verb: Verb::Get,
    path: "/v1/audit/export_jobs",
    summary: "List export jobs",
    description: "Those of the project on this server, the newest first. Needs `audit:read`.",
    variables: &[],
    parameters: &[PROJECT_ID],
    body: bodiless,
    status: 200,
    answers: |_| {
        let data = json!({"type": "array", "items": schema::reference("ExportJob")});
        vec![("application/json", json!({"type": "object", "required": ["data"], "properties": {"data": data}}))]
    },
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::QueueFull],
    audit: Audit::Refusal("audit.read", super::NO_EVENT),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let project = call.project().await?;
    let jobs = call.app.jobs.list(&call.caller, &project).await?;
    Ok(call::json(StatusCode::OK, listing("data", jobs.iter().map(super::render))))
}
