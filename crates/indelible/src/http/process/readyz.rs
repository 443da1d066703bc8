//! `GET /readyz`: whether appends are taken, and if not, why.

use std::future::ready;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;

use super::super::app::App;
use super::super::call;
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};

pub(in super::super) static ROUTE: Route = Route {
    name: "readyz",
    verb: Verb::Get,
    path: "/readyz",
    summary: "Whether appends are taken",
    description: "503 with the reason while they are refused: a full disk, a failed write, a clock that jumped.",
    variable: None,
    parameters: &[],
    body: bodiless,
    status: 200,
    answer: || ("application/json", json!({"type": "object", "properties": {"status": {"type": "string"}}})),
    problems: &[Kind::NotReady],
    audit: Audit::Exempt("says nothing of anybody's data"),
    handler: Handler::Open(|app| Box::pin(ready(answer(&app)))),
};

fn answer(app: &Arc<App>) -> Result<Response<Body>, Problem> {
    match app.ledger.status().refusing {
        Some(reason) => Err(Problem::new(Kind::NotReady, reason)),
        None => Ok(call::json(StatusCode::OK, &b"{\"status\":\"ready\"}"[..])),
    }
}
