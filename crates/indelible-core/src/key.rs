//! Keys and what is derived from them. Every derivation has a label of its own, so no two uses share a key.

use aws_lc_rs::hmac;
use uuid::Uuid;

use crate::event::Submission;

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

/// The keys of one project under one ring key: chain, submissions, redaction.
#[derive(Debug, Clone)]
pub struct ProjectKeys {
    /// Ring id, counted from 1.
    pub ring_id: u64,
    pub(crate) chain: hmac::Key,
    pub(crate) submission: hmac::Key,
    pub(crate) redaction: hmac::Key,
}

impl ProjectKeys {
    /// Derives the three keys of `project_id` (`formats.md`, Chain and Redaction hmac).
    pub fn derive(ring_id: u64, ring_key: &Secret, project_id: Uuid) -> Self {
        let derive = |label: &str| {
            let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, ring_key.bytes()));
            context.update(label.as_bytes());
            context.update(project_id.as_bytes());
            hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref())
        };
        Self {
            ring_id,
            chain: derive("indelible/chain/v1"),
            submission: derive("indelible/submission/v1"),
            redaction: derive("indelible/redact/v1"),
        }
    }

    /// The MAC by which a retry is known (`formats.md`, Chain, Retry).
    pub fn submission_mac(&self, submission: &Submission<'_>) -> [u8; 32] {
        array(&hmac::sign(&self.submission, submission.canonical()))
    }
}

pub(crate) fn array(tag: &hmac::Tag) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    out
}
