//! `POST /v1/KIND`: makes a resource. With an `Idempotency-Key`, once.

use axum::body::Body;
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{Response, StatusCode};
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::Value;
use indelible_engine::access::Owner;
use indelible_engine::resource::Kind;

use super::super::call::Call;
use super::super::problem::Problem;
use super::super::route::{Audit, Route, Verb};
use super::super::{document, owner, refusal};
use super::{CHANGE_PROBLEMS, answer_done, collection, document_schema, handler, kept, once, own_schema};

pub(super) fn route(kind: &'static Kind, action: &'static str) -> Route {
    Route {
        name: kept(action.replace('.', "_")),
        verb: Verb::Post,
        path: collection(kind),
        summary: kept(format!("Make a {}", kind.noun.replace('_', " "))),
        description: kept(format!("{} Needs `{}`.", kind.doc, kind.scope.as_str())),
        variables: &[],
        parameters: &[],
        body: |route| vec![("application/json", document_schema(route))],
        status: 201,
        answers: |route| vec![("application/json", own_schema(route))],
        problems: CHANGE_PROBLEMS,
        audit: Audit::Action(action),
        handler: handler(kind, |kind, call, unread| Box::pin(handle(kind, call, unread))),
    }
}

async fn handle(kind: &'static Kind, call: Call, unread: Body) -> Result<Response<Body>, Problem> {
    let text = document::read(&call, unread).await?;
    let (owner, document) = document::parse(&text).and_then(split).map_err(|fault| refusal::resource(&fault))?;
    let once = once(&call, &text)?;
    let done = call.app.ledger.create_resource(&call.caller, kind, owner, &document, once.as_ref()).await?;
    let mut response = answer_done(StatusCode::CREATED, &call, kind, &done);
    if let Ok(location) = HeaderValue::try_from(format!("/v1/{}/{}", kind.plural, done.kept.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// What it belongs to, and the document without that.
fn split(value: Value<'_>) -> Result<(Option<Owner>, String), Fault> {
    let Value::Object(mut members) = value else {
        return Err(Fault::new(FaultKind::Invalid, "", format!("must be an object, not {}", value.kind())));
    };
    let owner = members.remove("owner").map(|owner| owner::read(&owner).map_err(|fault| fault.within("owner"))).transpose()?;
    let text = String::from_utf8(Value::Object(members).to_canonical()).expect("canonical JSON is UTF-8");
    Ok((owner, text))
}
