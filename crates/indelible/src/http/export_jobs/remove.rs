//! `DELETE /v1/audit/export_jobs/{id}`: stops a job and removes its file.

use axum::body::Body;
use axum::http::{Response, StatusCode};

use super::super::call::Call;
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};

pub(in super::super) static ROUTE: Route = Route {
    name: "delete_export_job",
    verb: Verb::Delete,
    path: "/v1/audit/export_jobs/{id}",
    summary: "Remove an export job",
    description: "Stops it where it is not done, and removes it with its file. Appends `audit.export` before it answers, of its own `operation_id`. \
                  Needs `audit:read`, and of another key's job `audit:admin`.",
    variables: &["The job."],
    parameters: &[],
    body: bodiless,
    status: 204,
    answers: |_| Vec::new(),
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::QueueFull, Kind::OutcomeUnknown],
    audit: Audit::Action("audit.export"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    call.app.jobs.remove(&call.caller, call.id("export job")?).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
