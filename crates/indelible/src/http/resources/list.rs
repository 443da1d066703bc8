//! `GET /v1/KIND`: a page of resources, oldest first.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indelible_engine::access::Owner;
use indelible_engine::resource::{Kind, Listing, PAGE_MAX};
use serde_json::json;
use uuid::Uuid;

use super::super::call::{self, Call, PROJECT_ID};
use super::super::json::{Document, array};
use super::super::problem::{self, Problem};
use super::super::query::{Parameter, Values};
use super::super::route::{Audit, Route, Verb, bodiless};
use super::{collection, handler, kept, own_schema, render};

const ORGANIZATION_ID: Parameter =
    Parameter { name: "organization_id", values: Values::Uuid, doc: "Only what belongs to this organization or to a project of it." };
const LIMIT: Parameter =
    Parameter { name: "limit", values: Values::Integer(1, PAGE_MAX as u64), doc: "Resources on a page; 100 if absent." };
const CURSOR: Parameter = Parameter { name: "cursor", values: Values::Text, doc: "`next_cursor` of the page before." };

pub(super) fn route(kind: &'static Kind) -> Route {
    Route {
        name: kept(format!("list_{}", kind.plural)),
        verb: Verb::Get,
        path: collection(kind),
        summary: kept(format!("List {}", kind.plural.replace('_', " "))),
        description: "Those that belong to what the caller's key belongs to, or to something in it; oldest first. Appends `audit.read`.",
        variables: &[],
        parameters: &[PROJECT_ID, ORGANIZATION_ID, LIMIT, CURSOR],
        body: bodiless,
        status: 200,
        answers: |route| {
            let properties = json!({
                "data": {"type": "array", "items": own_schema(route)},
                "next_cursor": {"type": ["string", "null"], "description": "For the next page; null on the last one."},
            });
            vec![("application/json", json!({"type": "object", "required": ["data", "next_cursor"], "properties": properties}))]
        },
        problems: &[
            problem::Kind::InvalidQuery,
            problem::Kind::InvalidCursor,
            problem::Kind::Forbidden,
            problem::Kind::NotFound,
            problem::Kind::QueueFull,
        ],
        audit: Audit::Action("audit.read"),
        handler: handler(kind, |kind, call, _| Box::pin(handle(kind, call))),
    }
}

async fn handle(kind: &'static Kind, call: Call) -> Result<Response<Body>, Problem> {
    let within = match (call.query.uuid(PROJECT_ID.name), call.query.uuid(ORGANIZATION_ID.name)) {
        (Some(_), Some(_)) => {
            return Err(Problem::new(problem::Kind::InvalidQuery, "project_id and organization_id exclude each other"));
        }
        (Some(id), None) => Some(Owner::Project(id)),
        (None, Some(id)) => Some(Owner::Organization(id)),
        (None, None) => None,
    };
    let wrong = || Problem::new(problem::Kind::InvalidCursor, "the cursor does not belong to this list");
    let after = call.query.text(CURSOR.name).map(|cursor| decode(kind, cursor).ok_or_else(wrong)).transpose()?;
    let limit = call.query.integer(LIMIT.name).and_then(|limit| usize::try_from(limit).ok());
    let listed = call.app.ledger.resources(&call.caller, kind, &Listing { within, after, limit }).await?;
    let mut data = Vec::new();
    array(&mut data, listed.kept.iter().map(|kept| render(&call.app.ledger, kind, kept, &[])));
    let cursor = listed.next_after.map(|after| encode(kind, after));
    Ok(call::json(StatusCode::OK, Document::new().json("data", &data).maybe_text("next_cursor", cursor.as_deref()).end()))
}

fn encode(kind: &Kind, after: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(format!("{{\"after\":\"{after}\",\"type\":\"{}\"}}", kind.noun))
}

fn decode(kind: &Kind, cursor: &str) -> Option<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let after = bytes.get(10..46).and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| Uuid::try_parse(text).ok())?;
    (encode(kind, after) == cursor).then_some(after)
}
