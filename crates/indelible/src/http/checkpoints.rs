//! `POST /v1/audit/checkpoints/adopt`: after a deliberate restore, the ledger as it is becomes what is signed from now on.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;

use super::call::{self, Call};
use super::json::{Document, array};
use super::problem::{Kind, Problem};
use super::route::{Audit, Handler, Route, Verb, bodiless};

pub(super) static ROUTE: Route = Route {
    name: "adopt_checkpoints",
    verb: Verb::Post,
    path: "/v1/audit/checkpoints/adopt",
    summary: "Adopt a restored ledger",
    description: "Trees that did not grow out of what was signed before (an older copy put back on purpose, a checkpoint store that was lost) are \
                  not signed until somebody with `audit:admin` and a key of the instance says so here. Each is an event that names what was \
                  signed before; who kept an older checkpoint still sees the break. It takes no body.",
    variables: &[],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| {
        let adopted = json!({"adopted": {"type": "array", "items": {"type": "string"}, "description": "Origins."}});
        vec![("application/json", json!({"type": "object", "required": ["adopted"], "properties": adopted}))]
    },
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::QueueFull, Kind::OutcomeUnknown],
    audit: Audit::Action("checkpoint.adopt"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let adopted = call.app.ledger.adopt_checkpoints(&call.caller).await?;
    Ok(call::json(StatusCode::OK, render(&adopted)))
}

/// The origins as JSON.
pub(crate) fn render(adopted: &[String]) -> Vec<u8> {
    let mut list = Vec::new();
    array(&mut list, adopted.iter().map(|origin| serde_json::Value::from(origin.as_str()).to_string().into_bytes()));
    Document::new().json("adopted", &list).end()
}
