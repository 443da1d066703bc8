//! `POST /v1/audit/clock`: an operator takes the clock for right, after a jump stopped appends.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;

use super::call::{self, Call};
use super::json::Document;
use super::problem::{Kind, Problem};
use super::route::{Audit, Handler, Route, Verb, bodiless};

pub(super) static ROUTE: Route = Route {
    name: "confirm_clock",
    verb: Verb::Post,
    path: "/v1/audit/clock",
    summary: "Confirm the clock",
    description: "After the system clock jumped forward by more than an hour, appends are refused until somebody with `audit:admin` says that the \
                  clock is right. It takes no body and answers the time that was confirmed.",
    variables: &[],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| {
        let confirmed = json!({"confirmed_at": {"type": "string", "format": "date-time"}});
        vec![("application/json", json!({"type": "object", "required": ["confirmed_at"], "properties": confirmed}))]
    },
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::QueueFull, Kind::OutcomeUnknown],
    audit: Audit::Action("clock.confirm"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let confirmed = call.app.ledger.confirm_clock(&call.caller).await?;
    Ok(call::json(StatusCode::OK, Document::new().time("confirmed_at", confirmed).end()))
}
