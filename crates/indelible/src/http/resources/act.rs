//! `POST /v1/KIND/{id}/VERB`: what can be done to a resource beside changing and ending it, such as pausing a stream.

use axum::body::{Body, HttpBody as _};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{Response, StatusCode};
use indelible_engine::resource::{Kind, Verb as KindVerb};

use super::super::call::Call;
use super::super::problem::Problem;
use super::super::route::{Audit, Handler, Route, Verb};
use super::super::{document, refusal, schema};
use super::{CHANGE_PROBLEMS, IfMatch, answer_done, capital, item, kept, once, own_schema, schema_name};

pub(super) fn route(kind: &'static Kind, verb: &'static KindVerb) -> Route {
    Route {
        name: kept(format!("{}_{}", verb.name, kind.noun)),
        verb: Verb::Post,
        path: kept(format!("{}/{}", item(kind), verb.name)),
        summary: kept(format!("{} a {}", capital(verb.name), kind.noun.replace('_', " "))),
        description: kept(format!("{} The body may be left out. Needs `{}`.", verb.doc, kind.scope.as_str())),
        variables: &["Its id."],
        parameters: &[],
        body: |route| match &route.handler {
            Handler::Act(kind, verb, _) => vec![("application/json", schema::reference(&said_name(kind, verb)))],
            _ => Vec::new(),
        },
        status: 200,
        answers: |route| vec![("application/json", own_schema(route))],
        problems: CHANGE_PROBLEMS,
        audit: Audit::Action(verb.action),
        handler: Handler::Act(kind, verb, |kind, verb, call, unread| Box::pin(handle(kind, verb, call, unread))),
    }
}

/// The name of the schema of what is said with a verb: `AuditStreamPause`.
pub(super) fn said_name(kind: &Kind, verb: &KindVerb) -> String {
    format!("{}{}", schema_name(kind), capital(verb.name))
}

async fn handle(kind: &'static Kind, verb: &'static KindVerb, call: Call, unread: Body) -> Result<Response<Body>, Problem> {
    let is_said = call.headers.contains_key(CONTENT_TYPE) || call.headers.contains_key(CONTENT_ENCODING) || !unread.is_end_stream();
    let said = if is_said { document::read(&call, unread).await? } else { b"{}".to_vec() };
    let id = call.id(kind.noun)?;
    let expected = IfMatch::read(&call)?.version();
    document::parse(&said).map_err(|fault| refusal::resource(&fault))?;
    let said = String::from_utf8_lossy(&said);
    let once = once(&call, said.as_bytes())?;
    let done = call.app.ledger.act_on_resource(&call.caller, kind, verb, (id, expected), &said, once.as_ref()).await?;
    Ok(answer_done(StatusCode::OK, &call, kind, &done))
}
