//! `POST /v1/audit/export_jobs`: asks for an export in the background.

use axum::body::Body;
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{Response, StatusCode};
use indelible_core::fault::Fault;
use indelible_core::json::Value;
use serde_json::json;

use super::super::call::{self, Call, PROJECT_ID};
use super::super::exports::{self, Asked};
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb};
use super::super::{document, refusal, schema};

pub(in super::super) static ROUTE: Route = Route {
    name: "create_export_job",
    verb: Verb::Post,
    path: "/v1/audit/export_jobs",
    summary: "Export in the background",
    description: "An evidence bundle, or events as NDJSON or CSV, up to the newest signed checkpoint, into a file that can be fetched for a day, \
                  whole or in parts. One job is made at a time; a key with `audit:admin` has everything sealed first, which appends `audit.anchor`. \
                  Jobs belong to the server that made them; 20 of a project at once, then 409. Appends `audit.export` before it answers (the intent) and when it is \
                  done (the outcome, with the SHA-256 of the file, or of a bundle's manifest), and `content.decrypt` for each content before it is in the file. Needs \
                  `audit:read`, and `content:decrypt` with a purpose for `content`.",
    variables: &[],
    parameters: &[PROJECT_ID],
    body: |_| {
        let mut schema = exports::schema();
        schema["required"] = json!(["format"]);
        vec![("application/json", schema)]
    },
    status: 202,
    answers: |_| vec![("application/json", schema::reference("ExportJob"))],
    problems: &[
        Kind::InvalidQuery,
        Kind::InvalidFilter,
        Kind::InvalidPurpose,
        Kind::MalformedJson,
        Kind::MalformedBody,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::RequestTimeout,
        Kind::Conflict,
        Kind::Deleted,
        Kind::RequestTooLarge,
        Kind::UnsupportedMediaType,
        Kind::UnsupportedEncoding,
        Kind::InvalidResource,
        Kind::QueueFull,
        Kind::OutcomeUnknown,
    ],
    audit: Audit::Action("audit.export"),
    handler: Handler::Keyed(|call, unread| Box::pin(handle(call, unread))),
};

async fn handle(call: Call, unread: Body) -> Result<Response<Body>, Problem> {
    let text = document::read(&call, unread).await?;
    let asked = document::parse(&text).and_then(|value| read(&value)).map_err(|fault| refusal::resource(&fault))?;
    let project = call.project().await?;
    let Asked { request, form } = asked;
    let job = call.app.jobs.create(&call.caller, &project, request, form).await?;
    let mut response = call::json(StatusCode::ACCEPTED, super::render(&job));
    if let Ok(place) = HeaderValue::try_from(format!("{}/{}", ROUTE.path, job.id)) {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

/// Of a job the form is always said.
fn read(value: &Value<'_>) -> Result<Asked, Fault> {
    let asked = Asked::read(value)?;
    if value.as_object().is_none_or(|object| object.get("format").is_none()) {
        return Err(exports::wrong("format", "is required: bundle, ndjson or csv"));
    }
    Ok(asked)
}
