//! `POST /v1/redaction_rules/test`: what would be stored of a sample of an event, and what if there were one more rule.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::Value;
use indelible_engine::append::Rehearsed;
use serde_json::json;

use super::call::{self, Call, PROJECT_ID};
use super::json::{Document, members};
use super::problem::Problem;
use super::route::{Audit, Handler, Route, Verb};
use super::{document, refusal, schema};

pub(super) static ROUTE: Route = Route {
    name: "test_redaction",
    verb: Verb::Post,
    path: "/v1/redaction_rules/test",
    summary: "Test redaction rules",
    description: "Takes a sample of an event as it would be handed in, and shows the entry and the content that would be stored of it under the \
                  rules in force; with `rule`, as if that rule were there too. Neither is stored: the read is recorded as `audit.read`, \
                  without the sample. Needs `audit:admin`.",
    variables: &[],
    parameters: &[PROJECT_ID],
    body: |_| {
        let properties = json!({"sample": schema::reference("Event"), "rule": schema::reference("RedactionRuleDocument")});
        vec![(
            "application/json",
            json!({"type": "object", "required": ["sample"], "additionalProperties": false, "properties": properties}),
        )]
    },
    status: 200,
    answers: |_| {
        let entry = json!({"type": "object", "description": "The entry, without what only its place in the chain gives."});
        let content = json!({"type": "object", "description": "The content, as it would be sealed; absent where there is none."});
        let properties = json!({"entry": entry, "content": content});
        vec![("application/json", json!({"type": "object", "required": ["entry"], "properties": properties}))]
    },
    problems: document::PROBLEMS,
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, unread| Box::pin(handle(call, unread))),
};

async fn handle(call: Call, unread: Body) -> Result<Response<Body>, Problem> {
    let text = document::read(&call, unread).await?;
    let (sample, rule) = document::parse(&text).and_then(|value| read(&value)).map_err(|fault| refusal::resource(&fault))?;
    let project = call.project().await?;
    let rehearsed = call.app.ledger.rehearse_redaction(&call.caller, &project, &sample, rule.as_deref()).await?;
    Ok(call::json(StatusCode::OK, render(&rehearsed)))
}

/// What would be stored, as JSON.
pub(crate) fn render(rehearsed: &Rehearsed) -> Vec<u8> {
    let shown = Document::new().json("entry", &rehearsed.entry);
    match &rehearsed.content {
        Some(content) => shown.json("content", content).end(),
        None => shown.end(),
    }
}

/// Sample and rule, as texts.
fn read(value: &Value<'_>) -> Result<(String, Option<String>), Fault> {
    let members = members(value, &["rule", "sample"])?;
    let text = |name: &str| members.get(name).map(|value| String::from_utf8_lossy(&value.to_verbatim()).into_owned());
    let sample = text("sample").ok_or_else(|| Fault::new(FaultKind::Invalid, "/sample", "is required"))?;
    Ok((sample, text("rule")))
}
