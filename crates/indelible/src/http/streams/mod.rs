//! What can be asked of a stream, and done with it, beside what every resource has: how it goes, what was sent, a try, and sending again.

pub(super) mod deliveries;
pub(super) mod delivery;
pub(super) mod replay;
pub(super) mod status;
pub(super) mod test;

use indelible_engine::stream::{Delivery, DeliveryState};
use serde_json::{Value, json};
use uuid::Uuid;

use super::json::Document;

/// A delivery as JSON.
pub(crate) fn render_delivery(delivery: &Delivery, project_id: Option<Uuid>) -> Vec<u8> {
    let project_id = project_id.map(|id| id.to_string());
    let replay_id = delivery.replay_id.map(|id| id.to_string());
    Document::new()
        .uuid("id", delivery.id)
        .uuid("stream_id", delivery.stream_id)
        .maybe_text("project_id", project_id.as_deref())
        .maybe_text("replay_id", replay_id.as_deref())
        .text("message_id", &delivery.message_id)
        .number("first_sequence", delivery.first_sequence)
        .number("last_sequence", delivery.last_sequence)
        .number("events", u64::from(delivery.events))
        .text("state", delivery.state.as_str())
        .number("attempts", u64::from(delivery.attempts))
        .time("created_at", delivery.created_at)
        .time("attempted_at", delivery.attempted_at)
        .maybe_time("due_at", delivery.due_at)
        .maybe_number("status", delivery.status.map(u64::from))
        .number("latency_micros", delivery.latency_micros)
        .maybe_text("error", delivery.error.as_deref())
        .maybe_text("answer", delivery.answer.as_deref())
        .end()
}

fn schema() -> Value {
    let number = json!({"type": "integer", "minimum": 0});
    let uuid = json!({"type": "string", "format": "uuid"});
    let maybe_uuid = json!({"type": ["string", "null"], "format": "uuid"});
    let time = json!({"type": "string", "format": "date-time"});
    let maybe_text = json!({"type": ["string", "null"]});
    let states: Vec<&str> = DeliveryState::ALL.iter().map(|state| state.as_str()).collect();
    let properties = json!({
        "id": uuid,
        "stream_id": uuid,
        "project_id": maybe_uuid,
        "replay_id": maybe_uuid,
        "message_id": {"type": "string", "description": "`webhook-id`: the event's id, or one made of the ids of several. The same in every attempt."},
        "first_sequence": number,
        "last_sequence": number,
        "events": number,
        "state": {"type": "string", "enum": states},
        "attempts": number,
        "created_at": time,
        "attempted_at": time,
        "due_at": {"type": ["string", "null"], "format": "date-time"},
        "status": {"type": ["integer", "null"]},
        "latency_micros": number,
        "error": maybe_text,
        "answer": {"type": ["string", "null"], "description": "The first KiB of the last answer, redacted."},
    });
    let required: Vec<&String> = properties.as_object().map(|members| members.keys().collect()).unwrap_or_default();
    json!({"type": "object", "required": required, "properties": properties})
}
