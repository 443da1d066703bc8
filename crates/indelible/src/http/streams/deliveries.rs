//! `GET /v1/audit_streams/{id}/deliveries`: what a stream sent, newest first.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_engine::stream::{DeliveriesAsked, DeliveryPage, DeliveryState};
use serde_json::json;

use super::super::call::{self, Call};
use super::super::json::{Document, array};
use super::super::problem::{Kind, Problem};
use super::super::query::{Parameter, Values};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::render_delivery;

const STATE: Parameter =
    Parameter { name: "state", values: Values::Choice(&["pending", "delivered", "dead", "split", "replayed"]), doc: "Those of one state." };
const BEFORE: Parameter =
    Parameter { name: "before", values: Values::Uuid, doc: "Those before this one: `next_before` of the page before." };
const LIMIT: Parameter = Parameter { name: "limit", values: Values::Integer(1, 1_000), doc: "So many at most; 100 if absent." };

pub(in super::super) static ROUTE: Route = Route {
    name: "list_deliveries",
    verb: Verb::Get,
    path: "/v1/audit_streams/{id}/deliveries",
    summary: "List what a stream sent",
    description: "Newest first: the last thousand and more that were taken, those that are being tried, and every dead letter until it is sent again. \
                  Appends `audit.read`. Needs `audit:read` or `audit:write`.",
    variables: &["The stream."],
    parameters: &[STATE, BEFORE, LIMIT],
    body: bodiless,
    status: 200,
    answers: |_| {
        let schema = json!({
            "type": "object",
            "required": ["data"],
            "properties": {
                "data": {"type": "array", "items": super::schema()},
                "next_before": {"type": "string", "format": "uuid", "description": "Absent on the last page."},
            },
        });
        vec![("application/json", schema)]
    },
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::QueueFull],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let asked = DeliveriesAsked {
        state: call.query.text(STATE.name).and_then(DeliveryState::parse),
        before: call.query.uuid(BEFORE.name),
        limit: call.query.integer(LIMIT.name).and_then(|limit| usize::try_from(limit).ok()),
    };
    let page = call.app.ledger.deliveries(&call.caller, call.id("audit_stream")?, asked).await?;
    Ok(call::json(StatusCode::OK, render(&page)))
}

/// A page.
pub(crate) fn render(page: &DeliveryPage) -> Vec<u8> {
    let mut data = Vec::new();
    array(&mut data, page.deliveries.iter().map(|(delivery, project)| render_delivery(delivery, *project)));
    let shown = Document::new().json("data", &data);
    match page.next_before {
        Some(next) => shown.uuid("next_before", next).end(),
        None => shown.end(),
    }
}
