//! `GET /v1/api_keys`: the keys that belong to what the caller's key belongs to, without their secrets.

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
    name: "list_api_keys",
    verb: Verb::Get,
    path: "/v1/api_keys",
    summary: "List API keys",
    description: "Revoked and expired ones included. Appends `audit.read`.",
    variables: &[],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| {
        let keys = json!({"data": {"type": "array", "items": schema::reference("ApiKey")}});
        vec![("application/json", json!({"type": "object", "required": ["data"], "properties": keys}))]
    },
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::QueueFull],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let keys = call.app.ledger.api_keys(&call.caller).await?;
    Ok(call::json(StatusCode::OK, listing("data", keys.iter().map(|key| render(key, None)))))
}
