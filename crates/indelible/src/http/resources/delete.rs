//! `DELETE /v1/KIND/{id}`: ends a resource. Its events stay.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_engine::resource::Kind;

use super::super::call::Call;
use super::super::problem::{self, Problem};
use super::super::route::{Audit, Route, Verb, bodiless};
use super::{IfMatch, handler, item, kept};

pub(super) fn route(kind: &'static Kind, action: &'static str) -> Route {
    Route {
        name: kept(action.replace('.', "_")),
        verb: Verb::Delete,
        path: item(kind),
        summary: kept(format!("End a {}", kind.noun.replace('_', " "))),
        description: kept(format!("What was is in its events. Needs `{}`.", kind.scope.as_str())),
        variables: &["Its id."],
        parameters: &[],
        body: bodiless,
        status: 204,
        answers: bodiless,
        problems: &[
            problem::Kind::InvalidQuery,
            problem::Kind::Forbidden,
            problem::Kind::NotFound,
            problem::Kind::Conflict,
            problem::Kind::Deleted,
            problem::Kind::StaleVersion,
            problem::Kind::QueueFull,
            problem::Kind::OutcomeUnknown,
        ],
        audit: Audit::Action(action),
        handler: handler(kind, |kind, call, _| Box::pin(handle(kind, call))),
    }
}

async fn handle(kind: &'static Kind, call: Call) -> Result<Response<Body>, Problem> {
    let id = call.id(kind.noun)?;
    let expected = IfMatch::read(&call)?.version();
    call.app.ledger.delete_resource(&call.caller, kind, id, expected).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
