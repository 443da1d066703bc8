//! `PATCH /v1/KIND/{id}`: changes a resource by a merge patch (RFC 7396), if it is still what the caller looked at.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_engine::resource::Kind;

use super::super::call::Call;
use super::super::problem::{self, Problem};
use super::super::route::{Audit, Route, Verb};
use super::super::{document, refusal};
use super::{CHANGE_PROBLEMS, IfMatch, answer, handler, item, kept, own_schema};

/// RFC 7396; plain JSON is taken for it.
const MERGE_PATCH: &str = "application/merge-patch+json";

pub(super) fn route(kind: &'static Kind, action: &'static str) -> Route {
    Route {
        name: kept(format!("update_{}", kind.noun)),
        verb: Verb::Patch,
        path: item(kind),
        summary: kept(format!("Change a {}", kind.noun.replace('_', " "))),
        description: kept(format!(
            "By a merge patch (RFC 7396): members that are given take the place of those that are there, null takes one away. `If-Match` \
             names the version that the change is made of; another is 412. Needs `{}`.",
            kind.scope.as_str()
        )),
        variables: &["Its id."],
        parameters: &[],
        body: |_| {
            let patch = serde_json::json!({"type": "object", "description": "Members of the document, or null."});
            vec![(MERGE_PATCH, patch.clone()), ("application/json", patch)]
        },
        status: 200,
        answers: |route| vec![("application/json", own_schema(route))],
        problems: CHANGE_PROBLEMS,
        audit: Audit::Action(action),
        handler: handler(kind, |kind, call, unread| Box::pin(handle(kind, call, unread))),
    }
}

async fn handle(kind: &'static Kind, call: Call, unread: Body) -> Result<Response<Body>, Problem> {
    let text = document::read_as(&call, unread, &[MERGE_PATCH, "application/json"]).await?;
    let id = call.id(kind.noun)?;
    let expected = IfMatch::read(&call)?;
    if matches!(expected, IfMatch::Absent) {
        let detail = "send the ETag of what you change as If-Match, so that nobody's change is lost";
        return Err(Problem::new(problem::Kind::VersionRequired, detail));
    }
    document::parse(&text).map_err(|fault| refusal::resource(&fault))?;
    let patch = String::from_utf8_lossy(&text);
    let done = call.app.ledger.update_resource(&call.caller, kind, id, expected.version(), &patch).await?;
    Ok(answer(StatusCode::OK, &call, kind, &done.kept))
}
