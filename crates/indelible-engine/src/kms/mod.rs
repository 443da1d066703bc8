//! Keys in AWS KMS: signatures of a key that never leaves it, and organizations' keys that nobody unwraps without it.
//!
//! Four operations and no more: GetPublicKey, Sign, GenerateDataKey, Decrypt. Nothing that comes back is believed as it is: an
//! answer names the key that was asked for, a public key is Ed25519 in its one form, and signatures are verified where they are
//! made use of (`indelible_core::note`). Built with the feature `aws`; without it each operation says so.

#[cfg(any(test, not(feature = "aws")))]
mod absent;
#[cfg(feature = "aws")]
mod answer;
mod arn;
#[cfg(feature = "aws")]
mod client;
#[cfg(feature = "aws")]
mod endpoint;
mod refusal;
#[cfg(all(test, feature = "aws"))]
mod tests;
#[cfg(feature = "aws")]
mod wire;

use indelible_core::key::Secret;
use uuid::Uuid;

pub use arn::{ArnError, KeyArn};
pub(crate) use refusal::KmsError;

#[cfg(not(feature = "aws"))]
pub(crate) use absent::Kms;
#[cfg(feature = "aws")]
pub(crate) use client::Kms;

/// What a data key is for. KMS opens it for nobody who does not name the same, and writes it into its own log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Purpose<'a> {
    /// The instance that had it made.
    pub(crate) instance: &'a str,
    /// Whose contents it protects.
    pub(crate) organization_id: Uuid,
}

/// A key that KMS made: the key itself, and the form that only KMS opens.
pub(crate) struct DataKey {
    pub(crate) secret: Secret,
    pub(crate) ciphertext: Vec<u8>,
}
