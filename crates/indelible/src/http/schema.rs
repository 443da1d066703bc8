//! JSON Schemas of the API. The event's is made from the table of members in `indelible_core`, not typed again.

use indelible_core::event::members::{CONTENT, ENTRY, Member, Owner, Shape};
use indelible_core::limits::{ACTION_BYTES_MAX, CONTEXT_KEY_BYTES_MAX, CONTEXT_KEYS_MAX, CONTEXT_VALUE_BYTES_MAX};
use serde_json::{Map, Value, json};

use super::{anchors, events, export_jobs, resources};

/// A reference to one of [`components`].
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The schemas that others refer to.
pub(super) fn components() -> Vec<(String, Value)> {
    let own = [
        ("Event", event()),
        ("Record", record()),
        ("Page", events::list::page_schema()),
        ("Receipt", receipt()),
        ("Anchor", anchors::anchor_schema()),
        ("ExportJob", export_jobs::schema()),
        ("Problem", problem()),
    ];
    let own = own.into_iter().map(|(name, schema)| (name.to_owned(), schema));
    own.chain(indelible_engine::resource::KINDS.iter().flat_map(|kind| resources::schemas(kind))).collect()
}

/// What a caller may submit.
fn event() -> Value {
    let mut schema = object(ENTRY, &|member| member.owner == Owner::Caller);
    schema["properties"]["content"] = content();
    schema["required"] = json!(["action", "actor"]);
    schema
}

/// What is read back: every member of the entry, what the chain adds, and opened content.
fn record() -> Value {
    let hash = json!({"type": "string", "pattern": "^[0-9a-f]{64}$"});
    let mut schema = object(ENTRY, &|_| true);
    schema["properties"]["prev_hash"] = hash.clone();
    schema["properties"]["row_hash"] = hash;
    schema["properties"]["content"] = json!({"type": "object", "description": "Where it was asked for and may be opened."});
    schema["properties"]["content_error"] = json!({"type": "string", "description": "Why content that was asked for could not be opened."});
    // A later version of the server may add members.
    schema["additionalProperties"] = json!(true);
    schema
}

fn content() -> Value {
    let members: Map<String, Value> = CONTENT.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    json!({
        "type": "object",
        "description": "What people said and did: sealed, and opened only for a purpose.",
        "additionalProperties": false,
        "properties": members,
    })
}

fn receipt() -> Value {
    json!({
        "type": "object",
        "required": ["id", "sequence", "recorded_at", "row_hash", "leaf_hash"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "sequence": {"type": "integer", "minimum": 0},
            "recorded_at": {"type": "string", "format": "date-time"},
            "row_hash": {"type": "string"},
            "leaf_hash": {"type": "string"},
            "duplicate": {"type": "boolean", "description": "True where this is the receipt of an earlier submission; else absent."},
        },
    })
}

fn problem() -> Value {
    let error = json!({
        "type": "object",
        "required": ["pointer", "message"],
        "properties": {"pointer": {"type": "string"}, "message": {"type": "string"}},
    });
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {"type": "array", "items": error},
            "errors_total": {"type": "integer"},
            "attributes": {"type": "array", "items": {"type": "string"}},
        },
    })
}

fn object(members: &[Member], shown: &dyn Fn(&Member) -> bool) -> Value {
    let mut properties = Map::new();
    for member in members.iter().filter(|member| shown(member)) {
        let mut schema = shape(member.shape, shown);
        schema["description"] = json!(member.doc);
        if member.owner == Owner::Server {
            schema["readOnly"] = json!(true);
        }
        properties.insert(member.name.to_owned(), schema);
    }
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

fn shape(shape: Shape, shown: &dyn Fn(&Member) -> bool) -> Value {
    match shape {
        Shape::Text(bytes_max) => json!({"type": "string", "minLength": 1, "maxLength": bytes_max}),
        Shape::Choice(words) => json!({"type": "string", "enum": words}),
        Shape::Action => {
            json!({"type": "string", "pattern": "^[a-z][a-z0-9_]*(\\.[a-z][a-z0-9_]*)+$", "maxLength": ACTION_BYTES_MAX})
        }
        Shape::Category => json!({"type": "string", "pattern": "^[a-z][a-z0-9_]*$", "maxLength": ACTION_BYTES_MAX}),
        Shape::Uuid => json!({"type": "string", "format": "uuid"}),
        Shape::Time => json!({"type": "string", "format": "date-time"}),
        Shape::Integer(low, high) => json!({"type": "integer", "minimum": low, "maximum": high}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Hex(bytes) => json!({"type": "string", "pattern": format!("^[0-9a-f]{{{}}}$", bytes * 2)}),
        Shape::Texts(items_max, bytes_max) => json!({
            "type": "array",
            "maxItems": items_max,
            "items": {"type": "string", "minLength": 1, "maxLength": bytes_max},
        }),
        Shape::Object(members) => object(members, shown),
        Shape::Objects(items_max, members) => json!({"type": "array", "maxItems": items_max, "items": object(members, shown)}),
        Shape::Labels => json!({
            "type": "object",
            "maxProperties": CONTEXT_KEYS_MAX,
            "propertyNames": {"type": "string", "maxLength": CONTEXT_KEY_BYTES_MAX},
            "additionalProperties": {"type": "string", "maxLength": CONTEXT_VALUE_BYTES_MAX},
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_of_an_event_is_the_table_of_members() {
        let (event, record) = (event(), record());
        for member in ENTRY {
            let is_callers = member.owner == Owner::Caller;
            assert_eq!(event["properties"].get(member.name).is_some(), is_callers, "{}", member.name);
            assert!(record["properties"].get(member.name).is_some(), "{}", member.name);
        }
        assert_eq!(event["properties"]["actor"]["properties"]["chain"]["items"]["properties"]["type"]["enum"][2], "agent");
        assert_eq!(event["properties"]["content"]["properties"].as_object().map(Map::len), Some(CONTENT.len()));
    }
}
