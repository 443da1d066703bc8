//! `DELETE /v1/api_keys/{id}`: revokes a key; it is refused from the next request on.

use axum::body::Body;
use axum::http::{Response, StatusCode};

use super::super::call::{self, Call};
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::super::schema;
use super::render;

pub(in super::super) static ROUTE: Route = Route {
    name: "revoke_api_key",
    verb: Verb::Delete,
    path: "/v1/api_keys/{id}",
    summary: "Revoke an API key",
    description: "It is refused from the next request on, and stays in the list. Answers the key as it is now. Needs `control:write`.",
    variables: &["The key's id."],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| vec![("application/json", schema::reference("ApiKey"))],
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::QueueFull, Kind::OutcomeUnknown],
    audit: Audit::Action("api_key.revoke"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let key = call.app.ledger.revoke_api_key(&call.caller, call.id("key")?).await?;
    Ok(call::json(StatusCode::OK, render(&key, None)))
}
