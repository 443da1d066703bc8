//! The canonical entry: a draft made beside the caller, and the stamp that the writer puts on it.

use uuid::Uuid;

use crate::fault::Fault;
use crate::redact::Redacted;
use crate::seal::Sealed;
use crate::time::Timestamp;

/// Version of the list of members.
pub const SCHEMA_VERSION: u64 = 1;

/// What the engine knows of how an event came in.
#[derive(Debug, Clone, Copy)]
pub struct Provenance<'a> {
    /// The organization of the project.
    pub organization_id: Uuid,
    /// The project.
    pub project_id: Uuid,
    /// One of [`crate::event::members::ASSURANCES`].
    pub assurance: &'static str,
    /// The key that handed it in.
    pub api_key_id: Option<&'a str>,
    /// The way it came.
    pub path: &'a str,
}

/// An entry that lacks only what the writer knows: sequence, times, ring id. Its bytes are made, in the pieces
/// between those members, so that stamping copies and nothing else.
#[derive(Debug, Clone)]
pub struct Draft {
    _private: (),
}

/// What the writer adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Position in the project's chain.
    pub sequence: u64,
    /// The ledger's time.
    pub recorded_at: Timestamp,
    /// Ring id of the chain key.
    pub hmac_key_id: u64,
}

/// A stamped entry: the exact bytes that are stored and hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    bytes: Vec<u8>,
    /// The time it sorts by: the caller's, or recorded_at.
    pub occurred_at: Timestamp,
}

impl Draft {
    /// Writes what is known. `sealed` must be the sealed content of `redacted`, where it has any.
    pub fn new(redacted: &Redacted<'_>, sealed: Option<&Sealed>, provenance: &Provenance<'_>) -> Self {
        unimplemented!("{redacted:?} {sealed:?} {provenance:?}")
    }

    /// The event's id.
    pub fn id(&self) -> Uuid {
        unimplemented!()
    }

    /// The canonical bytes. Fails where they exceed [`crate::limits::ENTRY_BYTES_MAX`].
    pub fn stamp(&self, stamp: &Stamp) -> Result<Entry, Fault> {
        unimplemented!("{stamp:?}")
    }
}

impl Entry {
    /// The canonical bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The canonical bytes as text.
    pub fn as_str(&self) -> &str {
        unimplemented!()
    }

    /// The RFC 6962 leaf hash.
    pub fn leaf_hash(&self) -> crate::chain::Hash {
        crate::tree::leaf_hash(&self.bytes)
    }
}

/// What verification needs of a stored entry, read from its bytes without making a tree of values. Names and
/// meanings are those of every schema version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// `project_id`
    pub project_id: Uuid,
    /// `organization_id`
    pub organization_id: Uuid,
    /// `id`
    pub id: Uuid,
    /// `sequence`
    pub sequence: u64,
    /// `hmac_key_id`
    pub hmac_key_id: u64,
    /// `occurred_at`
    pub occurred_at: Timestamp,
    /// `recorded_at`
    pub recorded_at: Timestamp,
    /// `sealed.sha256` and `sealed.bytes`
    pub sealed: Option<(crate::chain::Hash, u64)>,
}

impl Outline {
    /// Reads it; `None` where the bytes are not an entry.
    pub fn read(entry: &[u8]) -> Option<Self> {
        unimplemented!("{entry:?}")
    }
}
