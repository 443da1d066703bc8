//! `GET /openapi.json`: this API, described.

use std::future::ready;

use axum::http::StatusCode;
use serde_json::json;

use super::super::call;
use super::super::route::{Audit, Handler, Route, Verb, bodiless};

pub(in super::super) static ROUTE: Route = Route {
    name: "openapi",
    verb: Verb::Get,
    path: "/openapi.json",
    summary: "This document",
    description: "OpenAPI 3.1.",
    variables: &[],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| vec![("application/json", json!({"type": "object"}))],
    problems: &[],
    audit: Audit::Exempt("the same for everybody"),
    handler: Handler::Open(|app| Box::pin(ready(Ok(call::json(StatusCode::OK, app.openapi.clone()))))),
};
