//! `GET /v1/audit/anchors/latest`: how far what was signed reaches, and whether anything keeps it from going on.

use axum::body::Body;
use axum::http::{Response, StatusCode};

use super::super::call::{self, Call, PROJECT_ID};
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::{render_status, status_schema};

pub(in super::super) static ROUTE: Route = Route {
    name: "show_anchor_status",
    verb: Verb::Get,
    path: "/v1/audit/anchors/latest",
    summary: "Show the newest anchor",
    description: "The newest anchor, how many events none covers, and why the project's tree is not signed, if it is not. Appends \
                  `audit.read`. Needs `audit:read`.",
    variables: &[],
    parameters: &[PROJECT_ID],
    body: bodiless,
    status: 200,
    answers: |_| vec![("application/json", status_schema())],
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::QueueFull],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let project = call.project().await?;
    let status = call.app.ledger.anchor_status(&call.caller, &project).await?;
    Ok(call::json(StatusCode::OK, render_status(&status)))
}
