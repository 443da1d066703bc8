//! Cosignatures over the instance tree: after each new checkpoint every witness of the policy is asked, by a thread of its own, so
//! that neither sealing nor another witness waits for a slow one.
//!
//! What comes back is verified with the witness's key before it is stored, by the one writer, in `cosignatures`. What is missing shows
//! in [`CosigningStatus`]. How a request reaches a witness is handed in ([`Transport`]): nothing here knows HTTP.

mod round;
pub(crate) mod served;
pub(crate) mod stored;
mod thread;

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;
use std::time::Duration;

use indelible_core::note::VerifierKey;
use indelible_core::policy::Policy;
use indelible_core::time::Timestamp;

pub(crate) use thread::{Cosigning, Parts};

/// The first wait after a failure; it doubles with each.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest.
const RETRY_MAX: Duration = Duration::from_mins(5);
/// An answer, bytes: signature lines, a size, or a sentence.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Who is asked, and how.
#[derive(Clone)]
pub struct Witnesses {
    /// Who counts.
    pub policy: Arc<Policy>,
    /// How they are reached.
    pub transport: Arc<dyn Transport>,
    /// The first wait after a failure; it doubles with each.
    pub retry_min: Duration,
    /// The longest.
    pub retry_max: Duration,
}

impl Witnesses {
    /// With the default waits.
    pub fn new(policy: Policy, transport: Arc<dyn Transport>) -> Self {
        Self { policy: Arc::new(policy), transport, retry_min: RETRY_MIN, retry_max: RETRY_MAX }
    }
}

impl Debug for Witnesses {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witnesses").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Carries a request to a witness. Called from threads of their own, several at a time.
pub trait Transport: Send + Sync + 'static {
    /// POSTs `body` to `url`. Comes back within a bounded time, follows no redirect, and reads at most [`ANSWER_BYTES_MAX`]; an
    /// error says why there is no answer.
    fn post(&self, url: &str, body: &[u8]) -> Result<Response, String>;
}

/// What a witness answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The media type, without parameters.
    pub content_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// How far cosigning has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosigningStatus {
    /// Leaves of the newest checkpoint of the instance tree.
    pub size: u64,
    /// Leaves of the newest one that the quorum cosigned.
    pub cosigned_size: Option<u64>,
    /// When the last cosignature of that one came.
    pub cosigned_at: Option<Timestamp>,
    /// How long ago that was, microseconds.
    pub cosigned_age_micros: Option<u64>,
    /// Whether the newest checkpoint is the one that the quorum cosigned.
    pub is_fulfilled: bool,
    /// Each witness, in the order of the policy.
    pub witnesses: Vec<WitnessStatus>,
}

/// How it goes with one witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessStatus {
    /// What the policy calls it.
    pub name: String,
    /// Its key.
    pub key: VerifierKey,
    /// Whether it is asked: the policy says where it is.
    pub is_asked: bool,
    /// Leaves of the largest checkpoint of ours that it cosigned.
    pub size: Option<u64>,
    /// When it last cosigned, since start.
    pub succeeded_at: Option<Timestamp>,
    /// Why it did not, the last time.
    pub failing: Option<Failure>,
}

/// Why there is no cosignature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// One sentence.
    pub detail: String,
}

/// Kinds of [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// No answer.
    Unreachable,
    /// An answer that is none: another status, garbage, a signature that does not hold or is by another key.
    BadAnswer,
    /// It does not witness this log.
    UnknownLog,
    /// It does not know the key that signs.
    UnknownKey,
    /// It cosigned more than there is: this ledger is an older copy.
    RolledBack,
    /// It cosigned something else than there is: this ledger, or what it saw, is another history.
    Forked,
    /// The ledger cannot be read or written.
    Store,
}

impl FailureKind {
    /// The word in JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::BadAnswer => "bad_answer",
            Self::UnknownLog => "unknown_log",
            Self::UnknownKey => "unknown_key",
            Self::RolledBack => "rolled_back",
            Self::Forked => "forked",
            Self::Store => "store",
        }
    }
}

impl Failure {
    fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}
