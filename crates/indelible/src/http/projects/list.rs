//! `GET /v1/projects`: the projects that the caller's key may see.

use std::future::ready;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;

use super::super::call::{self, Call};
use super::super::json::listing;
use super::super::problem::Kind;
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::super::schema;
use super::render;

pub(in super::super) static ROUTE: Route = Route {
    name: "list_projects",
    verb: Verb::Get,
    path: "/v1/projects",
    summary: "List projects",
    description: "Those that the key may see: its own, those of its organization, or all.",
    variable: None,
    parameters: &[],
    body: bodiless,
    status: 200,
    answer: || {
        let projects = json!({"data": {"type": "array", "items": schema::reference("Project")}});
        ("application/json", json!({"type": "object", "required": ["data"], "properties": projects}))
    },
    problems: &[Kind::InvalidQuery],
    audit: Audit::Exempt("names of projects only; nothing of the log is read"),
    handler: Handler::Keyed(|call, _| Box::pin(ready(Ok(answer(&call))))),
};

fn answer(call: &Call) -> Response<Body> {
    let projects = call.app.ledger.projects(&call.caller);
    call::json(StatusCode::OK, listing("data", projects.iter().map(Arc::as_ref).map(render)))
}
