//! `POST /v1/audit/anchors`: seals now.

use axum::body::Body;
use axum::http::{Response, StatusCode};

use super::super::call::{self, Call, PROJECT_ID};
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::{render_status, status_schema};

pub(in super::super) static ROUTE: Route = Route {
    name: "seal",
    verb: Verb::Post,
    path: "/v1/audit/anchors",
    summary: "Seal now",
    description: "Anchors what is committed, without waiting for the interval, and answers as `/v1/audit/anchors/latest` does: look at \
                  `unanchored`, `refusal` and `failing`. It takes no body. Appends `audit.anchor` first, which is sealed with the rest. Needs \
                  `audit:admin`.",
    variables: &[],
    parameters: &[PROJECT_ID],
    body: bodiless,
    status: 200,
    answers: |_| vec![("application/json", status_schema())],
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::QueueFull, Kind::OutcomeUnknown],
    audit: Audit::Action("audit.anchor"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let project = call.project().await?;
    let status = call.app.ledger.seal(&call.caller, &project).await?;
    Ok(call::json(StatusCode::OK, render_status(&status)))
}
