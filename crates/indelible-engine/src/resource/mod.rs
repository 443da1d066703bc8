//! Resources: typed structs kept as versioned JSON documents. The only write is the function that also takes the
//! caller and appends the event.

mod accept;
mod ahead;
mod answers;
pub(crate) mod credential;
pub(crate) mod document;
mod first_start;
mod json_schema;
mod keep;
mod kept;
mod kind;
pub(crate) mod kinds;
mod lookup;
mod mutate;
mod patch;
pub(crate) mod registry;
mod rehearse;
pub(crate) mod rulebook;
pub(crate) mod schemabook;
pub(crate) mod sealed;
mod tenancy;

use indelible_core::time::Timestamp;
use uuid::Uuid;

use crate::access::{KeyKind, Owner, Scope};

pub(crate) use answers::KEPT_MICROS as ANSWERS_KEPT_MICROS;
pub use answers::Once;
pub(crate) use credential::Credential;
pub(crate) use first_start::{Instance, Wishes, first_start};
pub use keep::Done;
pub use kept::{ENVELOPE, Kept, PREVIOUS_UNTIL};
pub use kind::{Actions, Drawn, Figure, KINDS, Kind, Level, Number, Rare, Verb, kind};
pub use lookup::{Listed, Listing, PAGE_DEFAULT, PAGE_MAX};
pub(crate) use mutate::{DOCUMENT, Mutation, load};
pub use sealed::{SEALED, Shown};

/// A project: one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: Uuid,
    /// Its organization; the nil UUID for the instance.
    pub organization_id: Uuid,
    /// Its name.
    pub name: String,
    /// Whether it is the system project of its organization (or of the instance).
    pub system: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was deleted: then it is read and verified, and takes nothing more.
    pub deleted_at: Option<Timestamp>,
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id, part of the key itself.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What it belongs to.
    pub owner: Owner,
    /// What it is for.
    pub kind: KeyKind,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// What opens with it, newest first.
    pub(crate) credentials: Vec<Credential>,
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// Its name.
    pub name: String,
    /// What it shall belong to; within what its maker's key belongs to.
    pub owner: Owner,
    /// What it is for.
    pub kind: KeyKind,
    /// What it allows; no more than its maker's key.
    pub scopes: Vec<Scope>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// Why a resource was not changed. Every one of these is recorded as an event before it is returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MutateError {
    /// The caller's key does not allow it (403).
    #[error("the key lacks {0}")]
    Forbidden(String),
    /// There is none of that id that the caller may see (404).
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It was changed since the caller looked at it (412).
    #[error("it is at version {current} and not at {expected}")]
    Stale {
        /// What the caller knew.
        expected: u64,
        /// What it is now.
        current: u64,
    },
    /// The credential has ended since the request came (403).
    #[error("the credential has ended since the request came: {0}")]
    Ended(crate::access::Refused),
    /// What it would belong to was deleted (410).
    #[error("the {0} was deleted")]
    Gone(&'static str),
    /// What is there already stands against it (409).
    #[error("{0}")]
    Conflict(&'static str),
    /// The document breaks a rule (422).
    #[error(transparent)]
    Fault(#[from] indelible_core::fault::Fault),
    /// The event could not be recorded, so nothing was changed.
    #[error(transparent)]
    Append(#[from] crate::append::AppendError),
}
