//! The keys of `audit.inbox`: an event of somebody's own transaction in PostgreSQL is encrypted there with pgcrypto to the public half of a
//! key of the organization, and opened here with the private half.
//!
//! Of OpenPGP (RFC 4880) this is what pgcrypto writes with `cipher-algo=aes256, compress-algo=0`, and no more (`packet.rs` has the packets): a
//! session key under RSA, and data under it with an MDC. RSA, AES, SHA-1 and randomness are those of aws-lc.
//! Refuses what was not encrypted to the key, what was changed, and any other form, and does not tell which. Invariant: nothing of a
//! plaintext is given out before its MDC was checked.

mod accept;
mod bind;
mod drain;
mod keys;
mod packet;
mod rejected;
mod row;

use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{KeySize, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};

pub(crate) use drain::{Drain, Parts};
use packet::{CIPHER_AES_256, LITERAL, PROTECTED_DATA, SESSION_KEY};

/// Bytes of random data before the plaintext, and the last two of them again (RFC 4880, section 5.13).
const PREFIX_BYTES: usize = 16 + 2;
/// The packet of the MDC: two bytes of header and a SHA-1.
const MDC_BYTES: usize = 2 + 20;

/// Why there is no key, or an event does not open.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// No key could be made.
    #[error("no key for the inbox could be made")]
    NotMade,
    /// The bytes are no private half.
    #[error("the key of the inbox cannot be read")]
    NotRead,
    /// It was not encrypted to this key, was changed, or is of another form.
    #[error("an event in the inbox does not open")]
    NotOpened,
}

/// A key that opens what is in the inbox of an organization.
pub struct InboxKey {
    private: PrivateDecryptingKey,
    decrypting: Pkcs1PrivateDecryptingKey,
}

impl std::fmt::Debug for InboxKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InboxKey(…)")
    }
}

impl InboxKey {
    /// Makes a key of 3,072 bits, as strong as a cipher of 128 bits (NIST SP 800-57); pgcrypto encrypts to RSA and Elgamal alone. Takes up
    /// to some seconds.
    pub fn generate() -> Result<Self, InboxError> {
        PrivateDecryptingKey::generate(KeySize::Rsa3072).ok().and_then(Self::new).ok_or(InboxError::NotMade)
    }

    fn new(private: PrivateDecryptingKey) -> Option<Self> {
        let decrypting = Pkcs1PrivateDecryptingKey::new(private.clone()).ok()?;
        Some(Self { private, decrypting })
    }

    /// The public half, for `audit.inbox_keys`: OpenPGP packets, as `pgp_pub_encrypt_bytea` takes them.
    pub fn public(&self) -> Result<Vec<u8>, InboxError> {
        let der: PublicKeyX509Der<'_> = self.private.public_key().as_der().map_err(|_| InboxError::NotMade)?;
        packet::public_key(der.as_ref()).ok_or(InboxError::NotMade)
    }

    /// The private half (PKCS #8).
    pub fn private(&self) -> Result<Vec<u8>, InboxError> {
        let der: Pkcs8V1Der<'_> = self.private.as_der().map_err(|_| InboxError::NotMade)?;
        Ok(der.as_ref().to_vec())
    }

    /// The key whose private half this is.
    pub fn read(private: &[u8]) -> Result<Self, InboxError> {
        PrivateDecryptingKey::from_pkcs8(private).ok().and_then(Self::new).ok_or(InboxError::NotRead)
    }

    /// Opens an event: its JSON.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, InboxError> {
        self.opened(sealed).ok_or(InboxError::NotOpened)
    }

    fn opened(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut rest = sealed;
        let key = packet::read(&mut rest, SESSION_KEY)?;
        let data = packet::read(&mut rest, PROTECTED_DATA)?;
        if !rest.is_empty() {
            return None;
        }
        let session_key = self.session_key(&packet::encrypted_session_key(&key, self.private.key_size_bytes())?)?;
        let plain = decrypt(&session_key, &data)?;
        let mut packets = &plain[PREFIX_BYTES..plain.len() - MDC_BYTES];
        let literal = packet::read(&mut packets, LITERAL)?;
        if !packets.is_empty() {
            return None;
        }
        packet::literal_data(&literal).map(<[u8]>::to_vec)
    }

    /// The cipher, the key and the sum of its bytes (RFC 4880, section 5.1).
    fn session_key(&self, encrypted: &[u8]) -> Option<[u8; 32]> {
        let mut plain = vec![0; self.private.key_size_bytes()];
        let plain = self.decrypting.decrypt(encrypted, &mut plain).ok()?;
        let (&[cipher, ref key @ ..], sum) = plain.split_last_chunk::<2>()? else { return None };
        let key: [u8; 32] = key.try_into().ok()?;
        let right = key.iter().map(|byte| u16::from(*byte)).sum::<u16>() == u16::from_be_bytes(*sum);
        (cipher == CIPHER_AES_256 && right).then_some(key)
    }
}

/// Prefix, packets and MDC, which is right.
fn decrypt(session_key: &[u8; 32], data: &[u8]) -> Option<Vec<u8>> {
    let [1, encrypted @ ..] = data else { return None };
    let mut plain = encrypted.to_vec();
    let cipher = DecryptingKey::cfb128(UnboundCipherKey::new(&AES_256, session_key).ok()?).ok()?;
    cipher.decrypt(&mut plain, DecryptionContext::Iv128(FixedLength::from([0; 16]))).ok()?;
    let hashed = plain.len().checked_sub(20).filter(|hashed| *hashed >= PREFIX_BYTES + 2)?;
    let mdc = digest(&SHA1_FOR_LEGACY_USE_ONLY, &plain[..hashed]);
    verify_slices_are_equal(mdc.as_ref(), &plain[hashed..]).ok()?;
    (plain[hashed - 2..hashed] == packet::MDC_HEADER).then_some(plain)
}
