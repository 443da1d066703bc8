//! `GET /v1/audit/consistency`: that a project's tree begins with what it was before.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_core::hex;
use indelible_core::limits::INTEGER_MAX;
use indelible_engine::query::proofs::Consistency;
use serde_json::json;

use super::accept::takes_json;
use super::call::{self, Call, PROJECT_ID};
use super::json::{Document, array};
use super::problem::{Kind, Problem};
use super::query::{Parameter, Values};
use super::route::{Audit, Handler, Route, Verb, bodiless};

const SIZE: Values = Values::Integer(0, INTEGER_MAX as u64);

pub(super) static ROUTE: Route = Route {
    name: "prove_consistency",
    verb: Verb::Get,
    path: "/v1/audit/consistency",
    summary: "Prove that nothing before was changed",
    description: "The proof (RFC 6962, section 2.1.2) that the project's tree of `to` events begins with that of `from`: compare it with the roots \
                  of two checkpoints. Text, or JSON where `Accept` asks for it. Appends `audit.read`. Needs `audit:read`.",
    variables: &[],
    parameters: &[
        Parameter { name: "from", values: Values::Needed(0, INTEGER_MAX as u64), doc: "Size of the older tree." },
        Parameter { name: "to", values: SIZE, doc: "Size of the newer one; that of the newest checkpoint if absent." },
        PROJECT_ID,
    ],
    body: bodiless,
    status: 200,
    answers: |_| {
        let schema = json!({
            "type": "object",
            "required": ["from", "to", "hashes", "proof", "checkpoint"],
            "properties": {
                "from": {"type": "integer"},
                "to": {"type": "integer"},
                "hashes": {"type": "array", "items": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
                "proof": {"type": "string", "description": "The text."},
                "checkpoint": {"type": ["string", "null"], "description": "The newest checkpoint, where `to` is its size."},
            },
        });
        vec![("text/plain", json!({"type": "string"})), ("application/json", schema)]
    },
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::NotAnchored, Kind::QueueFull, Kind::Unprovable],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let project = call.project().await?;
    let from =
        call.query.integer("from").ok_or_else(|| Problem::new(Kind::InvalidQuery, "from must be given: the size of the older tree"))?;
    let consistency = call.app.ledger.consistency(&call.caller, &project, from, call.query.integer("to")).await?;
    if takes_json(&call.headers) {
        return Ok(call::json(StatusCode::OK, render(&consistency)));
    }
    Ok(call::of_type("text/plain; charset=utf-8", consistency.proof.to_string()))
}

fn render(consistency: &Consistency) -> Vec<u8> {
    let proof = &consistency.proof;
    let mut hashes = Vec::new();
    array(&mut hashes, proof.hashes.iter().map(|hash| format!("\"{}\"", hex::encode(hash)).into_bytes()));
    Document::new()
        .number("from", proof.old)
        .number("to", proof.new)
        .json("hashes", &hashes)
        .text("proof", &proof.to_string())
        .maybe_text("checkpoint", consistency.checkpoint.as_deref())
        .end()
}
