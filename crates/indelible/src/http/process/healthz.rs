//! `GET /healthz`: the process answers.

use std::future::ready;

use axum::http::StatusCode;
use serde_json::json;

use super::super::call;
use super::super::route::{Audit, Handler, Route, Verb, bodiless};

pub(in super::super) static ROUTE: Route = Route {
    name: "healthz",
    verb: Verb::Get,
    path: "/healthz",
    summary: "Whether the process answers",
    description: "Says nothing of the store; see `/readyz`.",
    variables: &[],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| vec![("application/json", json!({"type": "object", "properties": {"status": {"type": "string"}}}))],
    problems: &[],
    audit: Audit::Exempt("says nothing of anybody's data"),
    handler: Handler::Open(|_| Box::pin(ready(Ok(call::json(StatusCode::OK, &b"{\"status\":\"ok\"}"[..]))))),
};
