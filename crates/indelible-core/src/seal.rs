//! Sealing of contents: a key of its own for each record, wrapped under the organization's data key.

use uuid::Uuid;

use crate::chain::Hash;
use crate::key::Secret;

/// An AES-256 key-wrapped key (RFC 3394).
pub type Wrapped = [u8; 40];

/// To which record content belongs; the additional data of its encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The organization.
    pub organization_id: Uuid,
    /// The project.
    pub project_id: Uuid,
    /// The event.
    pub event_id: Uuid,
}

/// Content as it is stored, and what the entry says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// `0x01 ‖ AES-256-GCM(…)`.
    pub stored: Vec<u8>,
    /// SHA-256 of `stored`.
    pub sha256: Hash,
    /// Size of the JSON before compression.
    pub plain_bytes: u64,
}

/// Why sealed content could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The stored bytes, their address or their key were changed, or the key is another.
    #[error("the content does not authenticate under its key")]
    NotAuthentic,
    /// The first byte names a format that this version does not know.
    #[error("unknown content format {0}")]
    UnknownFormat(u8),
    /// It authenticates but does not decompress within the limit.
    #[error("the content does not decompress")]
    Corrupt,
}

/// A reusable sealer: holds the compressor, which is costly to make.
pub struct Sealer {
    _private: (),
}

impl Sealer {
    /// A sealer.
    #[expect(clippy::new_without_default, reason = "stub")]
    pub fn new() -> Self {
        Self { _private: () }
    }

    /// Seals `json` under `content_key`, which must be random and used for this record alone.
    pub fn seal(&mut self, json: &[u8], address: &Address, content_key: &Secret) -> Sealed {
        unimplemented!("{json:?} {address:?} {content_key:?}")
    }
}

/// Opens what [`Sealer::seal`] made.
pub fn open(stored: &[u8], address: &Address, content_key: &Secret) -> Result<Vec<u8>, OpenError> {
    unimplemented!("{stored:?} {address:?} {content_key:?}")
}

/// Wraps `key` under `wrapping_key` (RFC 3394).
pub fn wrap_key(wrapping_key: &Secret, key: &Secret) -> Wrapped {
    unimplemented!("{wrapping_key:?} {key:?}")
}

/// Unwraps; `None` where it does not authenticate.
pub fn unwrap_key(wrapping_key: &Secret, wrapped: &[u8]) -> Option<Secret> {
    unimplemented!("{wrapping_key:?} {wrapped:?}")
}
