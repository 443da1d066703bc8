//! `GET /tlog/{project}/checkpoint`: the newest signed checkpoint of a log.

use axum::body::Body;
use axum::http::Response;
use serde_json::json;

use super::super::call::{self, Call};
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::PROJECT;

pub(in super::super) static ROUTE: Route = Route {
    name: "read_checkpoint",
    verb: Verb::Get,
    path: "/tlog/{project}/checkpoint",
    summary: "Read the newest checkpoint",
    description: "A signed note (c2sp.org/tlog-checkpoint) over size and root of the project's tree, or of the instance tree: that one with the \
                  cosignatures of witnesses, and the newest that their quorum cosigned while it is to be had. Appends `audit.read`. Needs \
                  `audit:read`.",
    variables: &[PROJECT],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| vec![("text/plain", json!({"type": "string"}))],
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::NotAnchored, Kind::QueueFull, Kind::Unprovable],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let log = super::log(&call).await?;
    let checkpoint = call.app.ledger.log_checkpoint(&log).await?;
    Ok(call::of_type("text/plain; charset=utf-8", checkpoint))
}
