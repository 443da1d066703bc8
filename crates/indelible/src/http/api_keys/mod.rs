//! `/v1/api_keys`: making, listing and revoking keys. The secret of a key is in one answer, the one that made it.

pub(super) mod create;
pub(super) mod list;
pub(super) mod revoke;

use indelible_engine::access::KeyKind;
use indelible_engine::resource::ApiKey;
use serde_json::{Value, json};

use super::json::Document;
use super::owner;

/// A key as JSON; `secret` only where it was just made.
pub(crate) fn render(key: &ApiKey, secret: Option<&str>) -> Vec<u8> {
    let scopes = key.scopes.iter().map(|scope| format!("\"{}\"", scope.as_str())).collect::<Vec<_>>().join(",");
    let document = Document::new()
        .uuid("id", key.id)
        .text("name", &key.name)
        .json("owner", &owner::render(key.owner))
        .text("kind", key.kind.as_str())
        .json("scopes", format!("[{scopes}]").as_bytes())
        .time("created_at", key.created_at)
        .maybe_time("expires_at", key.expires_at)
        .maybe_time("revoked_at", key.revoked_at);
    match secret {
        Some(secret) => document.text("key", secret).end(),
        None => document.end(),
    }
}

/// The schema of a key.
pub(super) fn key_schema() -> Value {
    let time = json!({"type": ["string", "null"], "format": "date-time"});
    json!({
        "type": "object",
        "required": ["id", "name", "owner", "kind", "scopes", "created_at", "expires_at", "revoked_at"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "name": {"type": "string"},
            "owner": owner::schema(),
            "kind": kind_schema(),
            "scopes": scopes_schema(),
            "created_at": {"type": "string", "format": "date-time"},
            "expires_at": time,
            "revoked_at": time,
            "key": {"type": "string", "description": "The key itself, in the answer that made it and nowhere else."},
        },
    })
}

fn kind_schema() -> Value {
    json!({"type": "string", "enum": KeyKind::ALL.map(KeyKind::as_str)})
}

fn scopes_schema() -> Value {
    let words: Vec<&str> = indelible_engine::access::Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    json!({"type": "array", "items": {"type": "string", "enum": words}})
}
