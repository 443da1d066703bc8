//! The keys of `audit.inbox`: an event of somebody's own transaction in PostgreSQL is encrypted there with pgcrypto to the public half of a
//! key of the organization, and opened here with the private half (OpenPGP, RFC 4880: encrypted session key, and data with an MDC).
//!
//! The private half is bytes without a password, to be kept under the key of the organization and to go with it.
//! Refuses what was not encrypted to the key, what was changed, and what is not of pgcrypto's form. Invariant: nothing of a plaintext is
//! given out before its MDC was checked.

use std::io::Read as _;

use pgp::composed::{
    DecryptionOptions, Deserializable as _, EncryptionCaps, KeyType, Message, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
    SubkeyParamsBuilder, TheRing,
};
use pgp::ser::Serialize as _;
use pgp::types::Password;
use rand::rngs::OsRng;

/// The modulus, bits: as strong as a 128-bit cipher (NIST SP 800-57), and no key of pgcrypto's on PostgreSQL 15 but RSA and Elgamal
/// encrypts.
const RSA_BITS: u32 = 3_072;

/// Why there is no key, or an event does not open.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// No key could be made.
    #[error("no key for the inbox could be made: {0}")]
    NotMade(String),
    /// The bytes are no private half.
    #[error("the key of the inbox cannot be read: {0}")]
    NotRead(String),
    /// It was not encrypted to this key, was changed, or is of another form.
    #[error("an event in the inbox does not open")]
    NotOpened,
}

/// A key that opens what is in the inbox of an organization.
pub struct InboxKey(SignedSecretKey);

impl std::fmt::Debug for InboxKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InboxKey(…)")
    }
}

impl InboxKey {
    /// Makes a key. Takes up to some seconds.
    pub fn generate() -> Result<Self, InboxError> {
        let not_made = |error: &dyn std::fmt::Display| InboxError::NotMade(error.to_string());
        let encrypting = SubkeyParamsBuilder::default()
            .key_type(KeyType::Rsa(RSA_BITS))
            .can_sign(false)
            .can_encrypt(EncryptionCaps::All)
            .can_authenticate(false)
            .build()
            .map_err(|error| not_made(&error))?;
        // pgcrypto passes over the primary key, whatever it is, and takes the subkey. An old kind, so that the packets are of version 4.
        let key = SecretKeyParamsBuilder::default()
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .can_sign(false)
            .can_encrypt(EncryptionCaps::None)
            .primary_user_id("inbox".into())
            .subkeys(vec![encrypting])
            .build()
            .map_err(|error| not_made(&error))?;
        key.generate(OsRng).map(Self).map_err(|error| not_made(&error))
    }

    /// The public half, for `audit.inbox_keys`: OpenPGP packets, as `pgp_pub_encrypt_bytea` takes them.
    pub fn public(&self) -> Result<Vec<u8>, InboxError> {
        SignedPublicKey::from(self.0.clone()).to_bytes().map_err(|error| InboxError::NotMade(error.to_string()))
    }

    /// The private half.
    pub fn private(&self) -> Result<Vec<u8>, InboxError> {
        self.0.to_bytes().map_err(|error| InboxError::NotMade(error.to_string()))
    }

    /// The key whose private half this is.
    pub fn read(private: &[u8]) -> Result<Self, InboxError> {
        SignedSecretKey::from_bytes(private).map(Self).map_err(|error| InboxError::NotRead(error.to_string()))
    }

    /// Opens an event: its JSON.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, InboxError> {
        let message = Message::from_bytes(std::io::Cursor::new(sealed.to_vec())).map_err(|_| InboxError::NotOpened)?;
        let no_password = Password::empty();
        let ring = TheRing {
            secret_keys: vec![&self.0],
            key_passwords: vec![&no_password],
            decrypt_options: DecryptionOptions::default(),
            ..TheRing::default()
        };
        let (mut opened, _) = message.decrypt_the_ring(ring, true).map_err(|_| InboxError::NotOpened)?;
        let mut plain = Vec::new();
        // The end of the data tells whether its MDC is right.
        opened.read_to_end(&mut plain).map_err(|_| InboxError::NotOpened)?;
        Ok(plain)
    }
}
