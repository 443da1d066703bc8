//! `POST /v1/audit_streams/{id}/test`: sends one event, and shows what the receiver says.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_engine::stream::Tested;
use serde_json::json;

use super::super::call::{self, Call};
use super::super::json::Document;
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::render_delivery;

pub(in super::super) static ROUTE: Route = Route {
    name: "test_stream",
    verb: Verb::Post,
    path: "/v1/audit_streams/{id}/test",
    summary: "Try a stream",
    description: "Appends `audit_stream.test`, sends that very event once, as the stream sends, whether it is paused or not, and shows what came of it: \
                  the answer is 200 whatever the receiver says. Nothing of it is kept. Needs `audit:write`.",
    variables: &["The stream."],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| {
        let schema = json!({
            "type": "object",
            "required": ["taken", "delivery"],
            "properties": {"taken": {"type": "boolean"}, "delivery": super::schema()},
        });
        vec![("application/json", schema)]
    },
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::Conflict, Kind::QueueFull, Kind::OutcomeUnknown],
    audit: Audit::Action("audit_stream.test"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let tested = call.app.ledger.test_stream(&call.caller, call.id("audit_stream")?).await?;
    Ok(call::json(StatusCode::OK, render(&tested)))
}

fn render(tested: &Tested) -> Vec<u8> {
    Document::new().flag("taken", tested.is_taken).json("delivery", &render_delivery(&tested.delivery, Some(tested.project_id))).end()
}
