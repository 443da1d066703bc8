//! `GET /v1/audit/events/{id}`: one event, as it stands in a page.

use axum::body::Body;
use axum::http::{Response, StatusCode};

use super::super::call::{self, Call, INCLUDE, PROJECT_ID, PURPOSE};
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::super::schema;

pub(in super::super) static ROUTE: Route = Route {
    name: "show_event",
    verb: Verb::Get,
    path: "/v1/audit/events/{id}",
    summary: "Show one event",
    description: "The members of its entry, with `prev_hash` and `row_hash`, and `content` where it was opened. Appends `audit.read` before it \
                  answers, and `content.decrypt` where content is opened. Needs `audit:read`.",
    variables: &["The event's id."],
    parameters: &[INCLUDE, PURPOSE, PROJECT_ID],
    body: bodiless,
    status: 200,
    answers: |_| vec![("application/json", schema::reference("Record"))],
    problems: &[Kind::InvalidQuery, Kind::InvalidPurpose, Kind::Forbidden, Kind::NotFound, Kind::QueueFull],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let project = call.project().await?;
    let record = call.app.ledger.event(&call.caller, &project, call.id("event")?, call.opening()).await?;
    Ok(call::json(StatusCode::OK, record))
}
