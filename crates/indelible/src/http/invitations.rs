//! `POST /v1/invitations/accept`: whoever comes with the token of an invitation becomes a member.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_engine::resource;
use serde_json::json;

use super::call::{self, Call};
use super::problem::{self, Problem};
use super::resources::render;
use super::route::{Audit, Handler, Route, Verb, bodiless};
use super::schema;

pub(super) static ROUTE: Route = Route {
    name: "accept_invitation",
    verb: Verb::Post,
    path: "/v1/invitations/accept",
    summary: "Accept an invitation",
    description: "With the `token` of the invitation as the key of the request. The invitation ends, and the member that it spoke of begins: \
                  one transaction, with an event each. `key`, the member's own, is in this answer and nowhere else. It takes no body.",
    variables: &[],
    parameters: &[],
    body: bodiless,
    status: 201,
    answers: |_| {
        let key = json!({"type": "string", "description": "The member's own key."});
        let member = json!({"allOf": [schema::reference("Member"), {"type": "object", "required": ["key"], "properties": {"key": key}}]});
        vec![("application/json", member)]
    },
    problems: &[
        problem::Kind::InvalidQuery,
        problem::Kind::Forbidden,
        problem::Kind::Conflict,
        problem::Kind::QueueFull,
        problem::Kind::OutcomeUnknown,
    ],
    audit: Audit::Action("invitation.accept"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let done = call.app.ledger.accept_invitation(&call.caller).await?;
    let kind = resource::kind("member").ok_or_else(|| Problem::new(problem::Kind::Internal, "members are no kind of resource here"))?;
    Ok(call::json(StatusCode::CREATED, render(&call.app.ledger, kind, &done.kept, &done.shown)))
}
