//! `POST /v1/audit_streams/{id}/replay`: has something sent again.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::Value;
use indelible_engine::stream::{Replay, Replayed};
use serde_json::json;

use super::super::call::{self, Call};
use super::super::json::{Document, boolean, members, missing, sequence, uuid};
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb};
use super::super::{document, refusal};

const MEMBERS: [&str; 5] = ["delivery_id", "dead_letters", "project_id", "from_sequence", "to_sequence"];

pub(in super::super) static ROUTE: Route = Route {
    name: "replay_deliveries",
    verb: Verb::Post,
    path: "/v1/audit_streams/{id}/replay",
    summary: "Have deliveries sent again",
    description: "One delivery (`delivery_id`), all dead letters (`dead_letters`), or the stream's events between two sequences of a project \
                  (`from_sequence` and `to_sequence`, both included; `project_id` where the stream is an organization's). They go out in the order \
                  of the chain, beside what the stream sends of itself and under the ids that they had, and are deliveries with a `replay_id`. \
                  Appends `webhook_delivery.replay`. Needs `audit:write`, and `content:decrypt` where the stream sends contents.",
    variables: &["The stream."],
    parameters: &[],
    body: |_| {
        let uuid = json!({"type": "string", "format": "uuid"});
        let sequence = json!({"type": "integer", "minimum": 0});
        let properties = json!({
            "delivery_id": uuid,
            "dead_letters": {"type": "boolean"},
            "project_id": uuid,
            "from_sequence": sequence,
            "to_sequence": sequence,
        });
        vec![("application/json", json!({"type": "object", "additionalProperties": false, "properties": properties}))]
    },
    status: 202,
    answers: |_| {
        let properties = json!({
            "replay_id": {"type": ["string", "null"], "format": "uuid", "description": "Null where each of several is a replay of its own."},
            "deliveries": {"type": ["integer", "null"], "minimum": 0, "description": "How many; null where that is not known yet."},
        });
        vec![("application/json", json!({"type": "object", "required": ["replay_id", "deliveries"], "properties": properties}))]
    },
    problems: &[
        Kind::InvalidQuery,
        Kind::MalformedJson,
        Kind::MalformedBody,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::RequestTimeout,
        Kind::Conflict,
        Kind::RequestTooLarge,
        Kind::UnsupportedMediaType,
        Kind::UnsupportedEncoding,
        Kind::InvalidResource,
        Kind::QueueFull,
        Kind::OutcomeUnknown,
    ],
    audit: Audit::Action("webhook_delivery.replay"),
    handler: Handler::Keyed(|call, unread| Box::pin(handle(call, unread))),
};

async fn handle(call: Call, unread: Body) -> Result<Response<Body>, Problem> {
    let text = document::read(&call, unread).await?;
    let replay = document::parse(&text).and_then(|value| read(&value)).map_err(|fault| refusal::resource(&fault))?;
    let replayed = call.app.ledger.replay(&call.caller, call.id("audit_stream")?, replay).await?;
    Ok(call::json(StatusCode::ACCEPTED, render(replayed)))
}

/// As it is shown.
pub(crate) fn render(replayed: Replayed) -> Vec<u8> {
    let replay_id = replayed.replay_id.map(|id| id.to_string());
    Document::new().maybe_text("replay_id", replay_id.as_deref()).maybe_number("deliveries", replayed.deliveries).end()
}

fn read(value: &Value<'_>) -> Result<Replay, Fault> {
    let object = members(value, &MEMBERS)?;
    let (delivery, dead_letters) = (uuid(object, "delivery_id")?, boolean(object, "dead_letters")?);
    let project_id = uuid(object, "project_id")?;
    let (first, last) = (sequence(object, "from_sequence")?, sequence(object, "to_sequence")?);
    match (delivery, dead_letters, first.or(last).is_some() || project_id.is_some()) {
        (Some(delivery), false, false) => Ok(Replay::Delivery(delivery)),
        (None, true, false) => Ok(Replay::DeadLetters),
        (None, false, true) => {
            let first = first.ok_or_else(|| missing("from_sequence"))?;
            Ok(Replay::Range { project_id, first, last: last.ok_or_else(|| missing("to_sequence"))? })
        }
        _ => Err(Fault::new(FaultKind::Invalid, "", "names one of: delivery_id, dead_letters, or from_sequence with to_sequence")),
    }
}

#[cfg(test)]
mod tests {
    use indelible_core::json::parse;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn one_thing_is_named_and_faults_point_at_their_place() {
        let id = Uuid::from_u128(7);
        let right = [
            (format!(r#"{{"delivery_id":"{id}"}}"#), Replay::Delivery(id)),
            (r#"{"dead_letters":true}"#.to_owned(), Replay::DeadLetters),
            (r#"{"from_sequence":3,"to_sequence":9}"#.to_owned(), Replay::Range { project_id: None, first: 3, last: 9 }),
            (
                format!(r#"{{"from_sequence":0,"to_sequence":0,"project_id":"{id}"}}"#),
                Replay::Range { project_id: Some(id), first: 0, last: 0 },
            ),
        ];
        for (text, replay) in right {
            assert_eq!(read(&parse(text.as_bytes()).expect("JSON")), Ok(replay), "{text}");
        }
        let wrong = [
            ("[]", ""),
            ("{}", ""),
            (r#"{"dead_letters":false}"#, ""),
            (r#"{"dead_letters":1}"#, "/dead_letters"),
            (r#"{"dead_letters":true,"from_sequence":1}"#, ""),
            (r#"{"delivery_id":"x"}"#, "/delivery_id"),
            (r#"{"from_sequence":1}"#, "/to_sequence"),
            (r#"{"to_sequence":1}"#, "/from_sequence"),
            (r#"{"from_sequence":-1,"to_sequence":1}"#, "/from_sequence"),
            (r#"{"all":true}"#, "/all"),
        ];
        for (text, pointer) in wrong {
            assert_eq!(read(&parse(text.as_bytes()).expect("JSON")).expect_err(text).pointer, pointer, "{text}");
        }
    }
}
