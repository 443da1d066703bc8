//! `GET /v1/KIND/{id}`: one resource.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_engine::resource::Kind;

use super::super::call::Call;
use super::super::problem::{self, Problem};
use super::super::route::{Audit, Route, Verb, bodiless};
use super::{answer, handler, item, kept, own_schema};

pub(super) fn route(kind: &'static Kind) -> Route {
    Route {
        name: kept(format!("get_{}", kind.noun)),
        verb: Verb::Get,
        path: item(kind),
        summary: kept(format!("Show a {}", kind.noun.replace('_', " "))),
        description: "With its version as `ETag`, by which it can be changed. Appends `audit.read`.",
        variables: &["Its id."],
        parameters: &[],
        body: bodiless,
        status: 200,
        answers: |route| vec![("application/json", own_schema(route))],
        problems: &[problem::Kind::InvalidQuery, problem::Kind::Forbidden, problem::Kind::NotFound, problem::Kind::QueueFull],
        audit: Audit::Action("audit.read"),
        handler: handler(kind, |kind, call, _| Box::pin(handle(kind, call))),
    }
}

async fn handle(kind: &'static Kind, call: Call) -> Result<Response<Body>, Problem> {
    let id = call.id(kind.noun)?;
    let kept = call.app.ledger.resource(&call.caller, kind, id).await?;
    Ok(answer(StatusCode::OK, &call, kind, &kept))
}
