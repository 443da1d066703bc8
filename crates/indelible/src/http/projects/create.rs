//! `POST /v1/projects`: makes a project: a chain of its own.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_core::fault::Fault;
use indelible_core::json::Value;
use serde_json::json;
use uuid::Uuid;

use super::super::call::{self, Call};
use super::super::json::{members, missing, string, uuid};
use super::super::problem::Problem;
use super::super::refusal;
use super::super::route::{Audit, Handler, Route, Verb};
use super::super::{document, schema};
use super::render;

pub(in super::super) static ROUTE: Route = Route {
    name: "create_project",
    verb: Verb::Post,
    path: "/v1/projects",
    summary: "Make a project",
    description: "In the organization that is named, or in the default one. Needs `control:write` and a key of the instance or of the organization.",
    variables: &[],
    parameters: &[],
    body: |_| {
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["name"],
            "properties": {"name": {"type": "string"}, "organization_id": {"type": "string", "format": "uuid"}},
        });
        vec![("application/json", schema)]
    },
    status: 201,
    answers: |_| vec![("application/json", schema::reference("Project"))],
    problems: document::PROBLEMS,
    audit: Audit::Action("project.create"),
    handler: Handler::Keyed(|call, unread| Box::pin(handle(call, unread))),
};

async fn handle(call: Call, unread: Body) -> Result<Response<Body>, Problem> {
    let text = document::read(&call, unread).await?;
    let (organization_id, name) = document::parse(&text).and_then(|value| read(&value)).map_err(|fault| refusal::resource(&fault))?;
    let project = call.app.ledger.create_project(&call.caller, organization_id, &name).await?;
    Ok(call::json(StatusCode::CREATED, render(&project)))
}

fn read(value: &Value<'_>) -> Result<(Option<Uuid>, String), Fault> {
    let object = members(value, &["name", "organization_id"])?;
    let name = string(object, "name")?.ok_or_else(|| missing("name"))?;
    Ok((uuid(object, "organization_id")?, name.to_owned()))
}
