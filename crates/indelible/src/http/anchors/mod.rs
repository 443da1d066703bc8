//! `/v1/audit/anchors`: what was signed of a project, how far it reaches, and sealing now.

pub(super) mod latest;
pub(super) mod list;
pub(super) mod seal;

use indelible_engine::anchor::SealingFailure;
use indelible_engine::query::anchors::{AnchorPage, AnchorStatus, Published};
use serde_json::{Value, json};

use super::json::{Document, array};

/// An anchor with what was signed of it. `anchor` holds the canonical bytes as they are, and `anchor_text` the same as a string, so that
/// whoever reads JSON can hash them.
fn render(published: &Published) -> Vec<u8> {
    Document::new()
        .number("number", published.number)
        .json("anchor", published.anchor.as_bytes())
        .text("anchor_text", &published.anchor)
        .text("note", &published.note)
        .text("checkpoint", &published.checkpoint)
        .end()
}

/// A page of anchors.
pub(crate) fn render_page(page: &AnchorPage) -> Vec<u8> {
    let mut anchors = Vec::new();
    array(&mut anchors, page.anchors.iter().map(render));
    Document::new().json("anchors", &anchors).maybe_number("next_since", page.next_since).end()
}

/// How far anchoring has come.
pub(crate) fn render_status(status: &AnchorStatus) -> Vec<u8> {
    let refusal = status.refused.as_ref();
    let refusal = refusal.map(|refusal| Document::new().text("kind", refusal.kind.as_str()).text("detail", &refusal.detail).end());
    Document::new()
        .number("events", status.events)
        .number("unanchored", status.unanchored)
        .json("latest", status.latest.as_ref().map(render).as_deref().unwrap_or(b"null"))
        .json("refusal", refusal.as_deref().unwrap_or(b"null"))
        .flag("failing", status.failing.is_some())
        .maybe_text("failing_at", status.failing.map(SealingFailure::as_str))
        .end()
}

/// The schema of an anchor (`docs/proofs.md`).
pub(super) fn anchor_schema() -> Value {
    let hash = json!({"type": "string", "pattern": "^[0-9a-f]{64}$"});
    let number = json!({"type": "integer", "minimum": 0});
    let note = json!({"type": "string", "description": "A signed note (c2sp.org/signed-note)."});
    json!({
        "type": "object",
        "required": ["number", "anchor", "anchor_text", "note", "checkpoint"],
        "properties": {
            "number": number,
            "anchor": {
                "type": "object",
                "required": [
                    "anchor_at", "event_count", "first_sequence", "last_row_hash", "last_sequence", "merkle_root", "project_id",
                    "signing_key_id", "tree_root", "tree_size",
                ],
                "properties": {
                    "anchor_at": {"type": "string", "format": "date-time"},
                    "event_count": number,
                    "first_sequence": number,
                    "last_row_hash": hash,
                    "last_sequence": number,
                    "merkle_root": hash,
                    "previous_anchor_sha256": hash,
                    "project_id": {"type": "string", "format": "uuid"},
                    "signing_key_id": {"type": "string", "pattern": "^[0-9a-f]{8}$"},
                    "tree_root": hash,
                    "tree_size": number,
                },
            },
            "anchor_text": {"type": "string", "description": "The exact bytes of `anchor`, whose SHA-256 the note signs."},
            "note": note,
            "checkpoint": note,
        },
    })
}

/// The schema of [`render_status`].
pub(super) fn status_schema() -> Value {
    let refusal = json!({
        "type": ["object", "null"],
        "required": ["kind", "detail"],
        "properties": {
            "kind": {"type": "string", "enum": ["broken", "no_checkpoint", "bad_checkpoint", "rolled_back", "forked"]},
            "detail": {"type": "string"},
        },
    });
    json!({
        "type": "object",
        "required": ["events", "unanchored", "latest", "refusal", "failing", "failing_at"],
        "properties": {
            "events": {"type": "integer"},
            "unanchored": {"type": "integer", "description": "Events that no anchor covers."},
            "latest": {"oneOf": [super::schema::reference("Anchor"), {"type": "null"}]},
            "refusal": refusal,
            "failing": {"type": "boolean", "description": "Whether the last attempt to seal failed; it is tried again."},
            "failing_at": {"type": ["string", "null"], "enum": ["checkpoint_store", "signing_key", "ledger", null]},
        },
    })
}
