//! Keys and what is derived from them. Every derivation has a label of its own, so no two uses share a key, and the
//! project in it, so no two projects do.

use aws_lc_rs::hmac;
use uuid::Uuid;

use crate::event::Submission;

/// How a value that was hashed by redaction begins.
pub(crate) const REDACTION_PREFIX: &str = "hmac-sha256:";

/// A secret of 32 random bytes: ring key, data key, content key, master key. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Wraps random bytes that the caller drew.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Label of the chain key.
const CHAIN: &[u8] = b"indelible/chain/v1";
/// Label of the key under which a complete verification leaves its note.
const VERIFIED: &[u8] = b"indelible/verified/v1";

/// The keys of one project under one ring key: chain, submissions, redaction.
#[derive(Debug, Clone)]
pub struct ProjectKeys {
    /// Ring id, counted from 1.
    pub ring_id: u64,
    pub(crate) chain: hmac::Key,
    pub(crate) submission: hmac::Key,
    pub(crate) redaction: hmac::Key,
}

/// The chain key of a project, which an auditor of that project may be handed (`formats.md`, Chain).
pub fn chain_key(ring_key: &Secret, project_id: Uuid) -> [u8; 32] {
    derive(&hmac::Key::new(hmac::HMAC_SHA256, ring_key.bytes()), CHAIN, project_id)
}

fn derive(ring: &hmac::Key, label: &[u8], project_id: Uuid) -> [u8; 32] {
    let mut context = hmac::Context::with_key(ring);
    context.update(label);
    context.update(project_id.as_bytes());
    array(&context.sign())
}

/// The MAC of the note of a complete verification ([`crate::verified::Verified::text`]):
/// `HMAC-SHA256(HMAC-SHA256(ring key, "indelible/verified/v1"), text)`.
pub fn verified_mac(ring_key: &Secret, text: &str) -> [u8; 32] {
    let ring = hmac::Key::new(hmac::HMAC_SHA256, ring_key.bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&ring, VERIFIED).as_ref());
    array(&hmac::sign(&key, text.as_bytes()))
}

impl ProjectKeys {
    /// Derives the three keys of `project_id` (`formats.md`, Chain and Redaction hmac): each is
    /// `HMAC-SHA256(ring key, label ‖ project id)`.
    pub fn derive(ring_id: u64, ring_key: &Secret, project_id: Uuid) -> Self {
        let ring = hmac::Key::new(hmac::HMAC_SHA256, ring_key.bytes());
        let key = |label| hmac::Key::new(hmac::HMAC_SHA256, &derive(&ring, label, project_id));
        Self { ring_id, chain: key(CHAIN), submission: key(b"indelible/submission/v1"), redaction: key(b"indelible/redact/v1") }
    }

    /// The MAC by which a retry is known (`formats.md`, Chain, Retry).
    pub fn submission_mac(&self, submission: &Submission<'_>) -> [u8; 32] {
        array(&hmac::sign(&self.submission, submission.canonical()))
    }

    /// What stands in the place of a hashed value: `hmac-sha256:` and hex (`formats.md`, Redaction hmac). `value` is a
    /// string's UTF-8, otherwise its canonical JSON.
    pub fn redaction_mac(&self, value: &[u8]) -> String {
        format!("{REDACTION_PREFIX}{}", crate::hex::encode(hmac::sign(&self.redaction, value).as_ref()))
    }
}

pub(crate) fn array(tag: &hmac::Tag) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Source;
    use crate::{hex, json};

    fn text<'v>(value: &'v json::Value<'_>, name: &str) -> &'v str {
        value.get(name).and_then(json::Value::as_str).expect(name)
    }

    /// `testdata/keys.json` is made by `testdata/vectors.py`.
    #[test]
    fn derivations_agree_with_another_implementation() {
        let file = include_bytes!("../testdata/keys.json");
        let cases = json::parse(file).expect("valid");
        let cases = cases.as_array().expect("an array");
        assert!(cases.len() >= 3);
        for case in cases {
            let ring_key = Secret::new(hex::decode_array(text(case, "ring_key")).expect("32 bytes"));
            let project_id = Uuid::try_parse(text(case, "project_id")).expect("a UUID");
            let keys = ProjectKeys::derive(7, &ring_key, project_id);
            let of = |key: &hmac::Key| hex::encode(hmac::sign(key, b"probe").as_ref());
            assert_eq!(of(&keys.chain), text(case, "chain_probe"));
            let handed = hmac::Key::new(hmac::HMAC_SHA256, &chain_key(&ring_key, project_id));
            assert_eq!(of(&handed), text(case, "chain_probe"));
            assert_eq!(of(&keys.submission), text(case, "submission_probe"));
            assert_eq!(keys.redaction_mac(text(case, "redacted").as_bytes()), text(case, "redaction_mac"));
            let submission = Submission::parse(text(case, "submission").as_bytes(), Source::Caller, Uuid::nil()).expect("valid");
            assert_eq!(hex::encode(&keys.submission_mac(&submission)), text(case, "submission_mac"));
            assert_eq!(keys.ring_id, 7);
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        let shown = format!("{:?}", Secret::new([0xab; 32]));
        assert_eq!(shown, "Secret(…)");
    }
}
