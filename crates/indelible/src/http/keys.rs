//! `GET /v1/audit/keys`: the public keys by which what was signed is verified.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_engine::query::anchors::PublishedKey;
use serde_json::json;

use super::call::{self, Call, PROJECT_ID};
use super::json::{Document, listing};
use super::problem::{Kind, Problem};
use super::route::{Audit, Handler, Route, Verb, bodiless};

pub(super) static ROUTE: Route = Route {
    name: "list_verifier_keys",
    verb: Verb::Get,
    path: "/v1/audit/keys",
    summary: "List verifier keys",
    description: "The keys that sign, and signed, the project's tree, then those of the instance tree; oldest first. Get them once from somebody \
                  you trust and keep them: keys that came with a proof prove nothing. Appends `audit.read`. Needs `audit:read`.",
    variables: &[],
    parameters: &[PROJECT_ID],
    body: bodiless,
    status: 200,
    answers: |_| {
        let time = |doc: &str| json!({"type": ["string", "null"], "format": "date-time", "description": doc});
        let key = json!({
            "type": "object",
            "required": ["verifier_key", "since", "until"],
            "properties": {
                "verifier_key": {"type": "string", "description": "`<name>+<key id>+<base64>` (c2sp.org/signed-note)."},
                "since": time("Since when it signs."),
                "until": time("When it stops signing, once another has taken its place."),
            },
        });
        let keys = json!({"keys": {"type": "array", "items": key}});
        vec![("application/json", json!({"type": "object", "required": ["keys"], "properties": keys}))]
    },
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::QueueFull],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let project = call.project().await?;
    let keys = call.app.ledger.verifier_keys(&call.caller, &project).await?;
    Ok(call::json(StatusCode::OK, listing("keys", keys.iter().map(render))))
}

fn render(key: &PublishedKey) -> Vec<u8> {
    Document::new().text("verifier_key", &key.verifier_key.to_string()).time("since", key.since).maybe_time("until", key.until).end()
}
