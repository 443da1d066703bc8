//! `POST /v1/audit/keys/rewrap`: content keys wrapped anew under the current data key.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_core::fault::Fault;
use indelible_core::json::Value;
use indelible_engine::Rewrapped;
use serde_json::json;
use uuid::Uuid;

use super::call::{self, Call};
use super::document;
use super::json::{Document, members, uuid};
use super::problem::Problem;
use super::refusal;
use super::route::{Audit, Handler, Route, Verb};

pub(super) static ROUTE: Route = Route {
    name: "rewrap",
    verb: Verb::Post,
    path: "/v1/audit/keys/rewrap",
    summary: "Renew wraps",
    description: "Wraps every content key of an organization that is under an older data key anew, under the current one. No committed byte changes: \
                  contents stay as they are sealed, and every proof holds. It answers when all is done; what was cut off goes on at the next call. \
                  Needs `audit:admin` and a key of the instance or of the organization.",
    variables: &[],
    parameters: &[],
    body: |_| {
        let id = json!({"type": "string", "format": "uuid", "description": "By default the default organization."});
        vec![("application/json", json!({"type": "object", "additionalProperties": false, "properties": {"organization_id": id}}))]
    },
    status: 200,
    answers: |_| {
        let count = json!({"type": "integer"});
        let properties = json!({"data_key_id": count, "renewed": count, "unopened": count});
        vec![("application/json", json!({"type": "object", "required": ["data_key_id", "renewed", "unopened"], "properties": properties}))]
    },
    problems: document::PROBLEMS,
    audit: Audit::Action("key.rewrap"),
    handler: Handler::Keyed(|call, unread| Box::pin(handle(call, unread))),
};

async fn handle(call: Call, unread: Body) -> Result<Response<Body>, Problem> {
    let text = document::read(&call, unread).await?;
    let organization_id = document::parse(&text).and_then(|value| read(&value)).map_err(|fault| refusal::resource(&fault))?;
    let rewrapped = call.app.ledger.rewrap(&call.caller, organization_id).await?;
    Ok(call::json(StatusCode::OK, render(rewrapped)))
}

fn read(value: &Value<'_>) -> Result<Option<Uuid>, Fault> {
    uuid(members(value, &["organization_id"])?, "organization_id")
}

/// What was renewed, as JSON.
pub(crate) fn render(rewrapped: Rewrapped) -> Vec<u8> {
    let Rewrapped { renewed, unopened, data_key_id } = rewrapped;
    Document::new().number("data_key_id", data_key_id).number("renewed", renewed).number("unopened", unopened).end()
}
