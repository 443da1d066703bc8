//! `GET /v1/audit/events/{id}/proof`: that one event is in what was signed.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_engine::query::proofs::EventProof;
use serde_json::json;

use super::super::accept::takes_json;
use super::super::call::{self, Call, PROJECT_ID};
use super::super::json::Document;
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};

pub(in super::super) static ROUTE: Route = Route {
    name: "prove_event",
    verb: Verb::Get,
    path: "/v1/audit/events/{id}/proof",
    summary: "Prove one event",
    description: "The proof that the event is in the tree that the newest anchor signed, as `c2sp.org/tlog-proof@v1` text. With \
                  `Accept: application/json` also the entry it is a proof of, and the proof that the anchor is in the instance tree. While no \
                  anchor covers the event it is 409 with `Retry-After`. Appends `audit.read`. Needs `audit:read`.",
    variables: &["The event's id."],
    parameters: &[PROJECT_ID],
    body: bodiless,
    status: 200,
    answers: |_| {
        let text = |doc: &str| json!({"type": "string", "description": doc});
        let instance = json!({
            "type": ["object", "null"],
            "description": "Null while no checkpoint of the instance tree covers the anchor.",
            "required": ["leaf", "proof"],
            "properties": {"leaf": text("Canonical JSON."), "proof": text("c2sp.org/tlog-proof@v1")},
        });
        let schema = json!({
            "type": "object",
            "required": ["entry", "proof", "instance", "anchor"],
            "properties": {
                "entry": text("The exact bytes of the entry, whose leaf hash is SHA-256 over a zero byte and them."),
                "proof": text("c2sp.org/tlog-proof@v1"),
                "instance": instance,
                "anchor": {"type": "integer", "description": "The number of the anchor."},
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
    let proof = call.app.ledger.event_proof(&call.caller, &project, call.id("event")?).await?;
    if takes_json(&call.headers) {
        return Ok(call::json(StatusCode::OK, render_proof(&proof)));
    }
    Ok(call::of_type("text/plain; charset=utf-8", proof.proof))
}

/// The proof with what it is a proof of.
pub(crate) fn render_proof(proof: &EventProof) -> Vec<u8> {
    let instance = proof.instance.as_ref();
    let instance = instance.map(|instance| Document::new().text("leaf", &instance.leaf).text("proof", &instance.proof).end());
    Document::new()
        .text("entry", &String::from_utf8_lossy(&proof.entry))
        .text("proof", &proof.proof)
        .json("instance", instance.as_deref().unwrap_or(b"null"))
        .number("anchor", proof.anchor)
        .end()
}
