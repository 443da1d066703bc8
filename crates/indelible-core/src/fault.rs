//! Why a submission is refused: where (a JSON Pointer, RFC 6901) and what, in words that never repeat the value.
//!
//! The names on the way there are the caller's own, so a fault tells them redacted, however it is made.

use std::fmt::{self, Display, Formatter};

use crate::redact;

/// One reason for which a submission is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON Pointer (RFC 6901) into the submission, the secrets in its names redacted; empty for the whole.
    pub pointer: String,
    /// What sort of refusal this is; it decides the HTTP status.
    pub kind: FaultKind,
    /// One sentence, without the offending value: values may be secrets.
    pub message: String,
}

/// The sorts of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Not JSON at all, or not UTF-8 (400).
    Malformed,
    /// JSON that breaks a rule of the event (422).
    Invalid,
    /// A member that the server alone sets (422).
    ServerOwned,
    /// An action that the engine alone writes (403).
    EngineOnly,
    /// The project takes nothing more, whatever is handed in (410).
    Gone,
    /// Larger than a limit (422 for parts, 413 for the whole request).
    TooLarge,
}

impl Fault {
    /// A fault at the place that `pointer` names.
    pub fn new(kind: FaultKind, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: redact::told_pointer(pointer.into()), kind, message: message.into() }
    }

    /// The same fault seen from one level further out: `key` is the member or index that holds it.
    #[must_use]
    pub fn within(mut self, key: &str) -> Self {
        let mut pointer = String::with_capacity(key.len() + self.pointer.len() + 1);
        crate::json::push_pointer(&mut pointer, &redact::told(key));
        pointer.push_str(&self.pointer);
        self.pointer = pointer;
        self
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.pointer, self.message) }
    }
}

impl std::error::Error for Fault {}
