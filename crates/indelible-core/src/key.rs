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

/// The keys of one project under one ring key: chain, submissions, retries, redaction, documents.
#[derive(Debug, Clone)]
pub struct ProjectKeys {
    /// Ring id, counted from 1.
    pub ring_id: u64,
    pub(crate) chain: hmac::Key,
    pub(crate) submission: hmac::Key,
    retry: hmac::Key,
    pub(crate) redaction: hmac::Key,
    document: hmac::Key,
}

/// The chain key of a project, which an auditor of that project may be handed (`formats.md`, Chain).
pub fn chain_key(ring_key: &Secret, project_id: Uuid) -> [u8; 32] {
    derive(&hmac::Key::new(hmac::HMAC_SHA256, ring_key.bytes()), CHAIN, project_id)
}

/// The MAC of a key file that holds no secret (`docs/operation.md`, Keys in AWS KMS):
/// `HMAC-SHA256(HMAC-SHA256(master key, "indelible/key-file/v1"), name ‖ 0x0A ‖ text)`, so that nobody without the master key makes or moves one.
pub fn file_mac(master_key: &Secret, name: &str, text: &str) -> [u8; 32] {
    let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, master_key.bytes()), b"indelible/key-file/v1");
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()));
    for part in [name.as_bytes(), b"\n", text.as_bytes()] {
        context.update(part);
    }
    array(&context.sign())
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
    /// Derives the keys of `project_id` (`formats.md`, Chain and Redaction hmac; retries as `docs/verification.md` says, documents as
    /// `docs/resources.md`): each is `HMAC-SHA256(ring key, label ‖ project id)`.
    pub fn derive(ring_id: u64, ring_key: &Secret, project_id: Uuid) -> Self {
        let ring = hmac::Key::new(hmac::HMAC_SHA256, ring_key.bytes());
        let key = |label| hmac::Key::new(hmac::HMAC_SHA256, &derive(&ring, label, project_id));
        Self {
            ring_id,
            chain: key(CHAIN),
            submission: key(b"indelible/submission/v1"),
            retry: key(b"indelible/retry/v1"),
            redaction: key(b"indelible/redact/v1"),
            document: key(b"indelible/document/v1"),
        }
    }

    /// The MAC by which a retry is known (`formats.md`, Chain, Retry).
    pub fn submission_mac(&self, submission: &Submission<'_>) -> [u8; 32] {
        array(&hmac::sign(&self.submission, submission.canonical()))
    }

    /// The MAC over what a retry is compared with, kept beside it, since nobody can make the submission's MAC again without the
    /// submission: `HMAC-SHA256(key, sequence (u64 BE) ‖ submission_key_id (u64 BE) ‖ submission_mac)`.
    pub fn retry_mac(&self, sequence: u64, submission_key_id: u64, submission_mac: &[u8; 32]) -> [u8; 32] {
        let mut text = [0; 8 + 8 + 32];
        text[..8].copy_from_slice(&sequence.to_be_bytes());
        text[8..16].copy_from_slice(&submission_key_id.to_be_bytes());
        text[16..].copy_from_slice(submission_mac);
        array(&hmac::sign(&self.retry, &text))
    }

    /// The MAC by which an event commits to the stored document of a resource:
    /// `HMAC-SHA256(key, type ‖ 0x00 ‖ id ‖ 0x00 ‖ version (u64 BE) ‖ body)`. Neither type nor id holds a zero byte.
    pub fn document_mac(&self, kind: &str, id: &str, version: u64, body: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.document);
        for part in [kind.as_bytes(), &[0], id.as_bytes(), &[0], &version.to_be_bytes(), body.as_bytes()] {
            context.update(part);
        }
        array(&context.sign())
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
            let retry = keys.retry_mac(41, 7, &keys.submission_mac(&submission));
            assert_eq!(hex::encode(&retry), text(case, "retry_mac"));
            let document = keys.document_mac("halt", "0190a5f0", 3, text(case, "redacted"));
            assert_eq!(hex::encode(&document), text(case, "document_mac"));
            assert_eq!(keys.ring_id, 7);
        }
    }

    /// The expected value is that of Python's `hmac`.
    #[test]
    fn the_mac_of_a_key_file_agrees_with_another_implementation() {
        let mac = file_mac(&Secret::new([1; 32]), "signing-2.key", "kms x\n");
        assert_eq!(hex::encode(&mac), "f0b4b90063a2649c22310f864e0d71a4880806bacd416abe982370e76e78507c");
        assert_ne!(mac, file_mac(&Secret::new([1; 32]), "signing-3.key", "kms x\n"));
        assert_ne!(mac, file_mac(&Secret::new([1; 32]), "signing-2.key", "kms y\n"));
    }

    #[test]
    fn a_secret_is_never_printed() {
        let shown = format!("{:?}", Secret::new([0xab; 32]));
        assert_eq!(shown, "Secret(…)");
    }
}
