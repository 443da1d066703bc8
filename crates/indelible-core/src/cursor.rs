//! The opaque cursor of a page (`formats.md`, Cursor).
//!
//! Refused: anything but the exact text that [`Cursor::encode`] writes for the same filter and project. All cursors have
//! one length, so nothing long is ever decoded.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::filter::Filter;
use crate::hex;
use crate::json::{self, Object, Value};
use crate::time::Timestamp;

/// Bytes of the filter's SHA-256 that a cursor holds.
const FILTER_DIGEST_BYTES: usize = 8;
/// Bytes of the JSON: two UUIDs, a time, a digest in hex, and what stands around them.
const JSON_BYTES: usize =
    r#"{"id":"","occurred_at":"","project_id":"","q":""}"#.len() + 36 * 2 + Timestamp::WRITTEN_BYTES + FILTER_DIGEST_BYTES * 2;
const TEXT_BYTES: usize = (JSON_BYTES * 4).div_ceil(3);

/// The last event of the page before: the next page holds what sorts below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// `id`
    pub id: Uuid,
    /// `occurred_at`
    pub occurred_at: Timestamp,
    /// `project_id`
    pub project_id: Uuid,
}

impl Cursor {
    /// base64url without padding, bound to the filter.
    pub fn encode(&self, filter: Option<&Filter>) -> String {
        let normalised = filter.map(Filter::normalised).unwrap_or_default();
        let digest = digest::digest(&digest::SHA256, normalised.as_bytes());
        let mut object = Object::new();
        object.insert("id", Value::string(self.id.to_string()));
        object.insert("occurred_at", Value::string(self.occurred_at.to_string()));
        object.insert("project_id", Value::string(self.project_id.to_string()));
        object.insert("q", Value::string(hex::encode(&digest.as_ref()[..FILTER_DIGEST_BYTES])));
        URL_SAFE_NO_PAD.encode(Value::Object(object).to_canonical())
    }

    /// Reads one; `None` where it is not a cursor, or one of another filter or project.
    pub fn decode(text: &str, filter: Option<&Filter>, project_id: Uuid) -> Option<Self> {
        if text.len() != TEXT_BYTES {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let value = json::parse(&bytes).ok()?;
        let member = |name| value.get(name).and_then(Value::as_str);
        let id = Uuid::try_parse(member("id")?).ok()?;
        let occurred_at = Timestamp::parse(member("occurred_at")?)?;
        let cursor = Self { id, occurred_at, project_id };
        // Writing it again compares project, filter and every byte of the form.
        (cursor.encode(filter) == text).then_some(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `testdata/cursor.json`, made by `testdata/cursor.py` from `formats.md` alone.
    #[test]
    fn cursors_agree_with_the_golden_vectors() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../testdata/cursor.json")).expect("valid");
        let vectors = vectors.as_array().expect("an array");
        assert_eq!(vectors.len(), 3);
        for vector in vectors {
            let text = |name: &str| vector[name].as_str().expect(name);
            let filter = vector["filter"].as_str().map(|text| Filter::parse(text).expect(text));
            let project_id = Uuid::parse_str(text("project_id")).expect("a UUID");
            let cursor = Cursor {
                id: Uuid::parse_str(text("id")).expect("a UUID"),
                occurred_at: Timestamp::parse(text("occurred_at")).expect("a time"),
                project_id,
            };
            assert_eq!(cursor.encode(filter.as_ref()), text("cursor"));
            assert_eq!(Cursor::decode(text("cursor"), filter.as_ref(), project_id), Some(cursor));
        }
    }

    #[test]
    fn anything_else_is_no_cursor() {
        let project_id = Uuid::from_u128(7);
        let cursor = Cursor { id: Uuid::from_u128(1), occurred_at: Timestamp::from_micros(5).expect("in range"), project_id };
        let (filter, other) = ("outcome eq \"deny\"", "outcome eq \"allow\"");
        let (filter, other) = (Filter::parse(filter).expect(filter), Filter::parse(other).expect(other));
        let text = cursor.encode(Some(&filter));
        assert_eq!(Cursor::decode(&text, Some(&filter), project_id), Some(cursor));
        assert_eq!(Cursor::decode(&text, Some(&other), project_id), None);
        assert_eq!(Cursor::decode(&text, None, project_id), None);
        assert_eq!(Cursor::decode(&text, Some(&filter), Uuid::from_u128(8)), None);
        for at in 0..text.len() {
            for replacement in ["A", "=", "+", ""] {
                let changed = format!("{}{replacement}{}", &text[..at], &text[at + 1..]);
                let found = Cursor::decode(&changed, Some(&filter), project_id);
                // Every character counts; some changes make another cursor, which must be written as it was read.
                assert!(found.is_none_or(|found| found.encode(Some(&filter)) == changed), "{changed}");
            }
        }
        for json in [
            r#"{"id":"00000000-0000-0000-0000-000000000001"}"#.to_owned(),
            String::from_utf8(URL_SAFE_NO_PAD.decode(&text).expect("base64")).expect("UTF-8").replacen("\"id\"", " \"id\"", 1),
            "x".repeat(JSON_BYTES),
        ] {
            assert_eq!(Cursor::decode(&URL_SAFE_NO_PAD.encode(json), Some(&filter), project_id), None);
        }
        assert_eq!(Cursor::decode(&"A".repeat(10_000_000), None, project_id), None);
    }
}
