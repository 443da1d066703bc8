//! Bodies of requests and responses: measured as received, redacted, then cut (spec R6.3).

use std::borrow::Cow;

use super::rule::{Node, Strategy};
use super::walk::{Place, REDACTED, Redactor};
use crate::json::{Object, Value};
use crate::limits::BODY_KEPT_BYTES;

/// What the envelope says of a body.
pub(super) struct Measure {
    /// Size of the text as received, bytes.
    pub(super) bytes: usize,
    /// Whether the kept text was cut.
    pub(super) truncated: bool,
}

/// Turns the `body` of a request or response into `{text, truncated, bytes, sha256}`. A string is the text itself, any other JSON
/// becomes its canonical text, and null is no body.
pub(super) fn fold(redactor: &Redactor<'_>, message: &mut Object<'_>, node: Option<&Node>) -> Option<Measure> {
    let body = message.get_mut("body")?;
    let received = match std::mem::replace(body, Value::Null) {
        Value::Null => return None,
        Value::String(text) => text,
        other => Cow::Owned(String::from_utf8(other.to_canonical()).expect("JSON that was written from strings is UTF-8")),
    };
    let bytes = received.len();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, received.as_bytes());
    let node = node.and_then(|node| node.child("body"));
    let text = match node.and_then(|node| node.strategy).max(redactor.rules.name("body")) {
        Some(Strategy::Exclude) => {
            message.remove("body");
            return Some(Measure { bytes, truncated: false });
        }
        Some(Strategy::Redact) => Cow::Borrowed(REDACTED),
        Some(Strategy::Hmac) => redactor.stand_in(&received, Strategy::Hmac),
        None => redactor.text(&received, Place { node, ..Place::default() }).map_or(received, Cow::Owned),
    };
    let truncated = text.len() > BODY_KEPT_BYTES;
    let text = if truncated { Cow::Owned(text[..text.floor_char_boundary(BODY_KEPT_BYTES)].to_owned()) } else { text };
    *message.get_mut("body")? = Value::Object(Object::from_distinct(vec![
        ("text".into(), Value::String(text)),
        ("truncated".into(), Value::Bool(truncated)),
        ("bytes".into(), Value::integer(bytes as i64)),
        ("sha256".into(), Value::string(crate::hex::encode(digest.as_ref()))),
    ]));
    Some(Measure { bytes, truncated })
}
