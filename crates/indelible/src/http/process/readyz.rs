//! `GET /readyz`: whether appends are taken, and if not, why.

use std::future::ready;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_engine::Status;
use indelible_engine::anchor::SealingFailure;
use serde_json::{Value, json};

use super::super::app::App;
use super::super::call;
use super::super::json::Document;
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};

pub(in super::super) static ROUTE: Route = Route {
    name: "readyz",
    verb: Verb::Get,
    path: "/readyz",
    summary: "Whether appends are taken",
    description: "503 with the reason while they are refused: a full disk, a failed write, a clock that jumped. Otherwise 200: `ready`, or \
                  `degraded` with a `detail` where appends are taken, and verification found something, or what is appended cannot be \
                  sealed. Not 503: to stop recording would help nobody.",
    variables: &[],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| vec![("application/json", schema())],
    problems: &[Kind::NotReady],
    audit: Audit::Exempt("says nothing of anybody's data"),
    handler: Handler::Open(|app| Box::pin(ready(answer(&app)))),
};

fn schema() -> Value {
    let members = json!({"status": {"type": "string", "enum": ["ready", "degraded"]}, "detail": {"type": "string"}});
    json!({"type": "object", "required": ["status"], "properties": members})
}

fn answer(app: &Arc<App>) -> Result<Response<Body>, Problem> {
    let status = app.ledger.status();
    if let Some(reason) = status.refusing {
        return Err(Problem::new(Kind::NotReady, reason));
    }
    let document = match degraded(&status) {
        Some(detail) => Document::new().text("status", "degraded").text("detail", detail),
        None => Document::new().text("status", "ready"),
    };
    Ok(call::json(StatusCode::OK, document.end()))
}

/// What somebody should look at, in words that anybody may read.
fn degraded(status: &Status) -> Option<&'static str> {
    let sealing = &status.sealing;
    if status.patrol.as_ref().is_some_and(|patrol| patrol.findings > 0) {
        return Some("verification found something: /v1/audit/status says what");
    }
    if status.clock_ahead.is_some_and(|(_, is_apart)| is_apart) {
        return Some("the clock of this server and the database's are apart: the metrics say how far");
    }
    match (sealing.failing, sealing.refused) {
        (Some(SealingFailure::CheckpointStore), _) => {
            Some("sealing fails at the checkpoint store and is tried again: the log of the server says why")
        }
        (Some(SealingFailure::Key), _) => Some("sealing fails at a key and is tried again: the log of the server says why"),
        (Some(SealingFailure::Ledger), _) => Some("sealing fails and is tried again: the log of the server says why"),
        (None, 0) if sealing.keys_failing > 0 => {
            Some("a signing key before the newest does not sign, and checkpoints go without it: the log of the server says why")
        }
        (None, 0) => None,
        (None, _) => Some("a tree is not signed: /v1/audit/anchors/latest of its project says why"),
    }
}
