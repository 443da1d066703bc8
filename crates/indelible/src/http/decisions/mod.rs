//! Decisions, as the Authorization API 1.0 of OpenID AuthZEN has them: one question, many, and where both are asked. An answer is
//! given once its record is durable.

pub(super) mod configuration;
pub(super) mod evaluation;
pub(super) mod evaluations;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::limits::NAME_BYTES_MAX;
use indelible_engine::apart::apart;
use indelible_engine::decide::{Change, DecideError, Decision, Questions, Rule};
use serde_json::{Value, json};

use super::call::{self, Call};
use super::document;
use super::json::{Document, array, listing};
use super::problem::{Kind, Problem};

/// Largest request, bytes.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// A request of more bytes is read beside the runtime.
const INLINE_BYTES_MAX: usize = 32 * 1024;

/// Problems of both.
static PROBLEMS: &[Kind] = &[
    Kind::InvalidQuery,
    Kind::MalformedJson,
    Kind::MalformedBody,
    Kind::InvalidEvaluation,
    Kind::Forbidden,
    Kind::NotFound,
    Kind::RequestTimeout,
    Kind::RequestTooLarge,
    Kind::UnsupportedMediaType,
    Kind::UnsupportedEncoding,
    Kind::QueueFull,
    Kind::OutcomeUnknown,
];

/// Reads, decides, records.
async fn decide(
    call: &Call,
    unread: Body,
    read: fn(&indelible_core::json::Value<'_>) -> Result<Questions, Fault>,
) -> Result<Response<Body>, Problem> {
    let project = call.project().await?;
    let text = document::read_up_to(call, unread, REQUEST_BYTES_MAX).await?;
    let questions = apart(text.len() > INLINE_BYTES_MAX, || document::parse(&text).and_then(|value| read(&value)));
    let questions = questions.map_err(|fault| invalid(&fault))?;
    let decisions = call.app.ledger.decide(&call.caller, &project, &questions).await?;
    Ok(call::json(StatusCode::OK, render_all(&decisions, questions.single)))
}

fn invalid(fault: &Fault) -> Problem {
    match fault.kind {
        FaultKind::Malformed => Problem::new(Kind::MalformedJson, fault.message.clone()),
        _ => Problem::new(Kind::InvalidEvaluation, fault.message.clone()).at(fault.pointer.clone(), fault.message.clone()),
    }
}

/// The engine records a question that it does not answer, where it can.
impl From<DecideError> for Problem {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::Forbidden(detail) => Self::new(Kind::Forbidden, detail).recorded(),
            DecideError::Unavailable(detail) => Self::new(Kind::Unavailable, detail).recorded(),
            DecideError::Append(error) => error.into(),
        }
    }
}

/// The decisions of a request as they are answered.
pub(crate) fn render_all(decisions: &[Decision], single: bool) -> Vec<u8> {
    match decisions {
        [only] if single => render(only),
        many => listing("evaluations", many.iter().map(render)),
    }
}

/// A decision as it is answered.
fn render(decision: &Decision) -> Vec<u8> {
    let language = |text: &str| Document::new().text("en", text).end();
    let mut context = Document::new().uuid("id", decision.id).text("outcome", decision.outcome).text("engine", decision.engine);
    context = context.json("reason_admin", &language(&decision.reason)).json("reason_user", &language(decision.reason_user));
    let list = |items: Vec<Vec<u8>>| {
        let mut out = Vec::new();
        array(&mut out, items);
        out
    };
    context = context.json("rules", &list(decision.rules.iter().map(rule).collect()));
    if !decision.changes.is_empty() {
        context = context.json("changes", &list(decision.changes.iter().map(change).collect()));
    }
    if !decision.warnings.is_empty() {
        context = context.json("warnings", &list(decision.warnings.iter().map(|text| quoted(text)).collect()));
    }
    if decision.shadow {
        context = context.text("enforcement", "shadow").flag("would_be", decision.would_be);
    }
    if let Some(fault) = &decision.fault {
        let error = Document::new().number("status", 400).text("message", &fault.message).text("pointer", &fault.pointer);
        context = context.json("error", &error.end());
    }
    Document::new().flag("decision", decision.decision).json("context", &context.end()).end()
}

fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    indelible_core::json::write_string(text, &mut out);
    out
}

fn rule(rule: &Rule) -> Vec<u8> {
    let document = Document::new().text("type", rule.kind);
    let document = if rule.kind == "default" { document } else { document.uuid("id", rule.id).number("version", rule.version) };
    match &rule.statement {
        Some(statement) => document.text("statement", statement).end(),
        None => document.end(),
    }
}

fn change(change: &Change) -> Vec<u8> {
    let mut document = Document::new().text("action", change.action);
    if let Some(id) = change.id {
        document = document.uuid("id", id);
    }
    if let Some(text) = &change.document {
        document = document.json("document", text.as_bytes());
    }
    document.text("words", &change.words).end()
}

/// A question, of which some members may be left out where there are defaults.
fn question_schema(required: &[&str]) -> Value {
    let properties = json!({"type": "object", "description": "Anything that a policy may ask about."});
    let text = json!({"type": "string", "minLength": 1, "maxLength": NAME_BYTES_MAX});
    let thing = |doc: &str| {
        json!({
            "type": "object",
            "description": doc,
            "required": ["type", "id"],
            "additionalProperties": false,
            "properties": {"type": text, "id": text, "properties": properties},
        })
    };
    let action = json!({
        "type": "object",
        "required": ["name"],
        "additionalProperties": false,
        "properties": {"name": text, "properties": properties},
    });
    let mut schema = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "subject": thing("Who asks. `groups`, `roles` and `on_behalf_of` among its properties have a meaning of their own."),
            "action": action,
            "resource": thing("What it is asked for. `parent` among its properties has a meaning of its own."),
            "context": properties,
        },
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn decision_schema() -> Value {
    let reason = json!({"type": "object", "required": ["en"], "properties": {"en": {"type": "string"}}});
    let rule = json!({
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"type": "string", "enum": ["halt", "budget", "policy", "default"]},
            "id": {"type": "string", "format": "uuid"},
            "version": {"type": "integer"},
            "statement": {"type": "string"},
        },
    });
    let change = json!({
        "type": "object",
        "required": ["action", "words"],
        "properties": {
            "action": {"type": "string"},
            "id": {"type": "string", "format": "uuid"},
            "document": {"type": "object"},
            "words": {"type": "string"},
        },
    });
    let context = json!({
        "type": "object",
        "required": ["id", "outcome", "engine", "reason_admin", "reason_user", "rules"],
        "properties": {
            "id": {"type": "string", "format": "uuid", "description": "The event that records it."},
            "outcome": {"type": "string", "enum": ["allow", "deny", "error"]},
            "engine": {"type": "string", "enum": ["halt", "budget", "cedar", "default", "question"]},
            "reason_admin": reason,
            "reason_user": reason,
            "rules": {"type": "array", "items": rule, "description": "What determined it."},
            "changes": {"type": "array", "items": change, "description": "What would turn it, all of it."},
            "warnings": {"type": "array", "items": {"type": "string"}},
            "enforcement": {"type": "string", "enum": ["shadow"]},
            "would_be": {"type": "boolean", "description": "What it would be if decisions counted."},
            "error": {
                "type": "object",
                "properties": {"status": {"type": "integer"}, "message": {"type": "string"}, "pointer": {"type": "string"}},
            },
        },
    });
    json!({"type": "object", "required": ["decision"], "properties": {"decision": {"type": "boolean"}, "context": context}})
}
