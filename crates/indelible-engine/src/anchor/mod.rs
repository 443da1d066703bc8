//! Anchors: what makes the ledger provable to those who have neither its keys nor its word. At an interval, on demand and
//! at shutdown, what was committed is signed, tree by tree, against the checkpoint store outside of the data folder.
//!
//! `seal` is one pass; `thread` says when. A tree that did not grow out of what was signed before is not signed again: the
//! refusal is logged once, shown in `Anchoring::report`, and stays until somebody deals with it. Appends go on meanwhile.

mod adopt;
mod checkpoints;
mod instance;
mod interval;
mod keys;
mod on_demand;
mod seal;
mod signatures;
mod state;
#[cfg(test)]
mod tests;
mod thread;

pub use adopt::Adopted;
#[cfg(feature = "aws")]
pub use checkpoints::Bucket;
pub use checkpoints::{AddressError, CheckpointStore};
pub(crate) use checkpoints::{Checkpoints, beside};
pub(crate) use interval::rows_anchored;
pub(crate) use keys::SigningKeys;
pub(crate) use seal::{Parts, SealError, instance_origin, origin};
pub(crate) use thread::Anchoring;

/// Why a tree is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The rows since the last anchor do not hold together.
    Broken,
    /// The checkpoint store holds nothing of a tree that was signed.
    NoCheckpoint,
    /// What it holds is not a checkpoint of ours.
    BadCheckpoint,
    /// More was signed than there is.
    RolledBack,
    /// Something else was signed than there is.
    Forked,
}

impl RefusalKind {
    /// The word in JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::NoCheckpoint => "no_checkpoint",
            Self::BadCheckpoint => "bad_checkpoint",
            Self::RolledBack => "rolled_back",
            Self::Forked => "forked",
        }
    }
}

/// What keeps sealing from coming to its end. The log says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealingFailure {
    /// The checkpoint store cannot be used.
    CheckpointStore,
    /// A key is missing, or does not sign.
    Key,
    /// The ledger cannot be read, or its writer takes nothing.
    Ledger,
}

impl SealingFailure {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CheckpointStore => "checkpoint_store",
            Self::Key => "signing_key",
            Self::Ledger => "ledger",
        }
    }
}

/// A tree that is not signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind.
    pub kind: RefusalKind,
    /// One sentence.
    pub detail: String,
}

impl Refusal {
    fn new(kind: RefusalKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}
