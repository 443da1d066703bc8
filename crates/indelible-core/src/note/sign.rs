//! Signing notes and cosigning them. A signer is anything that makes an Ed25519 signature: a seed held here, or a key
//! management service far away.
//!
//! Every signature is verified before it is used, so a signer that has lost its key, or signs with another, cannot
//! publish a note that nobody can verify.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::key::cosigned_message;
use super::{Algorithm, Name, Note, NoteError, Signature, VerifierKey};
use crate::key::Secret;

/// Makes Ed25519 signatures under one verifier key.
pub trait Signer {
    /// The key that verifies what this signs.
    fn verifier_key(&self) -> &VerifierKey;

    /// The Ed25519 signature of `message` (RFC 8032, section 5.1.6).
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

/// Why there is no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The signer could not sign; in its own words.
    #[error("signing failed: {0}")]
    Failed(String),
    /// Not a private key.
    #[error("not an Ed25519 private key")]
    PrivateKey,
    /// A witness's key where a log's is wanted, or the other way round.
    #[error("{0} is not a key for this kind of signature")]
    WrongAlgorithm(VerifierKey),
    /// The signature does not verify under the signer's own key.
    #[error("a signature came back that {0} does not verify")]
    Mismatch(VerifierKey),
    /// A time after 2^63 − 1 seconds.
    #[error("a time of {0} seconds is out of range")]
    Time(u64),
    /// The note takes no further signature.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// Signs `note` as a log does, beside the signatures it has.
pub fn sign(note: &mut Note, signer: &dyn Signer) -> Result<(), SignError> {
    let key = signer.verifier_key();
    if key.algorithm() != Algorithm::Ed25519 {
        return Err(SignError::WrongAlgorithm(key.clone()));
    }
    let signature = sign_checked(signer, note.text().as_bytes())?;
    Ok(note.add(Signature { name: key.name().clone(), key_id: key.id(), bytes: signature.to_vec() })?)
}

/// The cosignature/v1 of `text` at `seconds` since 1970. What it states (c2sp.org/tlog-cosignature) is for the caller
/// to make sure of first: [`crate::witness`].
pub fn cosign(text: &str, signer: &dyn Signer, seconds: u64) -> Result<Signature, SignError> {
    let key = signer.verifier_key();
    if key.algorithm() != Algorithm::CosignatureV1 {
        return Err(SignError::WrongAlgorithm(key.clone()));
    }
    if i64::try_from(seconds).is_err() {
        return Err(SignError::Time(seconds));
    }
    let signature = sign_checked(signer, cosigned_message(seconds, text).as_bytes())?;
    let bytes = [&seconds.to_be_bytes()[..], &signature].concat();
    Ok(Signature { name: key.name().clone(), key_id: key.id(), bytes })
}

fn sign_checked(signer: &dyn Signer, message: &[u8]) -> Result<[u8; 64], SignError> {
    let signature = signer.sign(message)?;
    let key = signer.verifier_key();
    if key.holds(message, &signature) { Ok(signature) } else { Err(SignError::Mismatch(key.clone())) }
}

/// An Ed25519 key held in memory.
pub struct LocalSigner {
    pair: Ed25519KeyPair,
    key: VerifierKey,
}

impl LocalSigner {
    /// From the 32-byte seed of RFC 8032.
    pub fn from_seed(name: Name, algorithm: Algorithm, seed: &Secret) -> Result<Self, SignError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.bytes()).map_err(|_| SignError::PrivateKey)?;
        Self::new(name, algorithm, pair)
    }

    /// From PKCS#8, version 1 or 2, as `openssl genpkey` writes it in DER.
    pub fn from_pkcs8(name: Name, algorithm: Algorithm, der: &[u8]) -> Result<Self, SignError> {
        let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| SignError::PrivateKey)?;
        Self::new(name, algorithm, pair)
    }

    fn new(name: Name, algorithm: Algorithm, pair: Ed25519KeyPair) -> Result<Self, SignError> {
        let public_key = pair.public_key().as_ref().try_into().map_err(|_| SignError::PrivateKey)?;
        Ok(Self { key: VerifierKey::new(name, algorithm, public_key), pair })
    }
}

impl Signer for LocalSigner {
    fn verifier_key(&self) -> &VerifierKey {
        &self.key
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let signature = self.pair.try_sign(message).map_err(|_| SignError::Failed("the key pair did not sign".to_owned()))?;
        signature.as_ref().try_into().map_err(|_| SignError::Failed("a signature that does not have 64 bytes".to_owned()))
    }
}

impl std::fmt::Debug for LocalSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalSigner({})", self.key)
    }
}
