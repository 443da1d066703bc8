//! `GET /v1/audit/export_jobs/{id}`: how far a job is.

use axum::body::Body;
use axum::http::{Response, StatusCode};

use super::super::call::{self, Call};
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::super::schema;

pub(in super::super) static ROUTE: Route = Route {
    name: "read_export_job",
    verb: Verb::Get,
    path: "/v1/audit/export_jobs/{id}",
    summary: "Show an export job",
    description: "How far it is: `rows` of `rows_all` were gone through; `entries` and `bytes` are in the file (of a bundle, it is read twice: `bytes` grows the second time); once it is `done`, what it holds \
                  (`manifest`). Needs `audit:read`.",
    variables: &["The job."],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| vec![("application/json", schema::reference("ExportJob"))],
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::QueueFull],
    audit: Audit::Refusal("audit.read", super::NO_EVENT),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let job = call.app.jobs.show(&call.caller, call.id("export job")?).await?;
    Ok(call::json(StatusCode::OK, super::render(&job)))
}
