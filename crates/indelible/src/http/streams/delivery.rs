//! `GET /v1/audit_streams/{id}/deliveries/{delivery_id}`: one delivery.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use uuid::Uuid;

use super::super::call::{self, Call};
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::render_delivery;

pub(in super::super) static ROUTE: Route = Route {
    name: "show_delivery",
    verb: Verb::Get,
    path: "/v1/audit_streams/{id}/deliveries/{delivery_id}",
    summary: "Show a delivery",
    description: "Appends `audit.read`. Needs `audit:read` or `audit:write`.",
    variables: &["The stream.", "The delivery."],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| vec![("application/json", super::schema())],
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::QueueFull],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let stream = call.id("audit_stream")?;
    let id = Uuid::try_parse(call.variable(1)).map_err(|_| Problem::new(Kind::NotFound, "there is no such webhook_delivery"))?;
    let (delivery, project) = call.app.ledger.delivery(&call.caller, stream, id).await?;
    Ok(call::json(StatusCode::OK, render_delivery(&delivery, project)))
}
