//! `POST /v1/audit/checkpoints/adopt`: after a deliberate restore, the ledger as it is becomes what is signed from now on.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_engine::anchor::Adopted;
use serde_json::{Value, json};

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
                  not signed until somebody with `audit:admin` and a key of the instance says so here. Each is an event with what was \
                  signed before, its note included, and what is signed in its place; who kept an older checkpoint still sees the break. A \
                  tree that contradicts itself is not adopted, and its event says `deny`. Where there is none to adopt, the one event says so. \
                  It takes no body.",
    variables: &[],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| {
        let refused = json!({
            "type": "object",
            "required": ["origin", "kind", "detail"],
            "properties": {"origin": {"type": "string"}, "kind": {"type": "string"}, "detail": {"type": "string"}},
        });
        let properties = json!({
            "adopted": {"type": "array", "items": {"type": "string"}, "description": "Origins."},
            "refused": {"type": "array", "items": refused, "description": "Trees that contradict themselves: they stay unsigned."},
        });
        vec![("application/json", json!({"type": "object", "required": ["adopted", "refused"], "properties": properties}))]
    },
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::QueueFull, Kind::OutcomeUnknown],
    audit: Audit::Action("checkpoint.adopt"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let adopted = call.app.ledger.adopt_checkpoints(&call.caller).await?;
    Ok(call::json(StatusCode::OK, render(&adopted)))
}

/// What was adopted, and what was not, as JSON.
pub(crate) fn render(adopted: &Adopted) -> Vec<u8> {
    let (mut origins, mut refused) = (Vec::new(), Vec::new());
    array(&mut origins, adopted.adopted.iter().map(|origin| Value::from(origin.as_str()).to_string().into_bytes()));
    array(
        &mut refused,
        adopted.refused.iter().map(|(origin, refusal)| {
            Document::new().text("origin", origin).text("kind", refusal.kind.as_str()).text("detail", &refusal.detail).end()
        }),
    );
    Document::new().json("adopted", &origins).json("refused", &refused).end()
}
