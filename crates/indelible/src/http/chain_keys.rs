//! `POST /v1/audit/keys/chain`: one project's chain keys, for its auditor.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_engine::ChainKey;
use serde_json::json;
use uuid::Uuid;

use super::call::{self, Call, PROJECT_ID};
use super::json::{Document, array};
use super::problem::{Kind, Problem};
use super::route::{Audit, Handler, Route, Verb, bodiless};

pub(super) static ROUTE: Route = Route {
    name: "export_chain_keys",
    verb: Verb::Post,
    path: "/v1/audit/keys/chain",
    summary: "Hand out a project's chain keys",
    description: "With them an auditor checks every HMAC link of that project, and opens nothing. Who holds them could forge links as well: what \
                  was signed shows it. Appends `key.export`. Needs `audit:admin`.",
    variables: &[],
    parameters: &[PROJECT_ID],
    body: bodiless,
    status: 200,
    answers: |_| {
        let key = json!({
            "type": "object",
            "required": ["hmac_key_id", "key"],
            "properties": {
                "hmac_key_id": {"type": "integer"},
                "key": {"type": "string", "description": "32 bytes in hex: HMAC-SHA256(ring key, \"indelible/chain/v1\" and the project's id)."},
            },
        });
        let properties = json!({"project_id": {"type": "string", "format": "uuid"}, "keys": {"type": "array", "items": key}});
        vec![("application/json", json!({"type": "object", "required": ["project_id", "keys"], "properties": properties}))]
    },
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::QueueFull, Kind::OutcomeUnknown],
    audit: Audit::Action("key.export"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let project = call.project().await?;
    let keys = call.app.ledger.export_chain_keys(&call.caller, &project).await?;
    Ok(call::json(StatusCode::OK, render(project.id, &keys)))
}

/// The keys as JSON.
pub(crate) fn render(project_id: Uuid, keys: &[ChainKey]) -> Vec<u8> {
    let mut list = Vec::new();
    array(&mut list, keys.iter().map(|key| Document::new().number("hmac_key_id", key.hmac_key_id).hex("key", &key.key).end()));
    Document::new().uuid("project_id", project_id).json("keys", &list).end()
}
