//! Names, key ids and verifier keys (`<name>+<hex key id>+base64(type ‖ public key)`), and what a signature is over.
//!
//! Refused: a key id that is not that of name, type and key; types other than Ed25519 and cosignature/v1; keys of
//! another length. A key that was read is printed as it was.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use super::{NoteError, Verified};
use crate::limits::NAME_BYTES_MAX;
use crate::{hex, lines};

/// The name of a key, and the origin of a log: not empty, at most [`NAME_BYTES_MAX`] bytes, without Unicode white space, control
/// characters and `+` (c2sp.org/signed-note).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Takes a name that keeps the rules.
    pub fn new(name: impl Into<String>) -> Result<Self, NoteError> {
        let name = name.into();
        let plain = |c: char| c >= ' ' && c != '+' && !c.is_whitespace();
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(plain);
        if fits { Ok(Self(name)) } else { Err(NoteError::Name) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first four bytes of `SHA-256(name ‖ 0x0A ‖ type ‖ public key)`: tells keys of one name apart, and proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

impl KeyId {
    /// From 8 hex digits in lower case.
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode_array(text).map(Self)
    }
}

impl Display for KeyId {
    /// 8 hex digits.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// How a key signs: the type byte of c2sp.org/signed-note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Algorithm {
    /// Ed25519 over the text: what a log signs with.
    Ed25519 = 0x01,
    /// A time and Ed25519 over it and the text (c2sp.org/tlog-cosignature): what a witness signs with.
    CosignatureV1 = 0x04,
}

/// A public key and the name it signs under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: Name,
    algorithm: Algorithm,
    public_key: [u8; 32],
    id: KeyId,
}

impl VerifierKey {
    /// A key of 32 bytes (RFC 8032, section 5.1.5).
    pub fn new(name: Name, algorithm: Algorithm, public_key: [u8; 32]) -> Self {
        let mut context = digest::Context::new(&SHA256);
        context.update(name.as_str().as_bytes());
        context.update(&[b'\n', algorithm as u8]);
        context.update(&public_key);
        let digest = context.finish();
        let mut id = KeyId([0; 4]);
        id.0.copy_from_slice(&digest.as_ref()[..4]);
        Self { name, algorithm, public_key, id }
    }

    /// Who signs.
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// How.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The 32 bytes.
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// See [`KeyId`].
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Whether `signature` (64 bytes) over `message` is by this key, whatever its type.
    pub(super) fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public_key).verify(message, signature).is_ok()
    }

    /// What the field of a signature line says, if it holds for `text`.
    pub(super) fn verify(&self, text: &str, signature: &[u8]) -> Option<Verified<'_>> {
        let (seconds, holds) = match self.algorithm {
            Algorithm::Ed25519 => (None, self.holds(text.as_bytes(), signature)),
            Algorithm::CosignatureV1 => {
                let (seconds, signature) = signature.split_first_chunk()?;
                let seconds = u64::from_be_bytes(*seconds);
                let in_range = i64::try_from(seconds).is_ok();
                (Some(seconds), in_range && self.holds(cosigned_message(seconds, text).as_bytes(), signature))
            }
        };
        holds.then_some(Verified { key: self, seconds })
    }
}

/// What a cosignature is over (c2sp.org/tlog-cosignature): it can never be taken for a log's own signature.
pub(super) fn cosigned_message(seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

impl Display for VerifierKey {
    /// `<name>+<hex key id>+base64(type ‖ public key)`
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let key = [&[self.algorithm as u8][..], &self.public_key].concat();
        write!(f, "{}+{}+{}", self.name, self.id, lines::encode(&key))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        // Base64 may hold a plus, a name and hex may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key("it is not of three parts with '+' between them"));
        };
        let name = Name::new(name)?;
        let id = KeyId::parse(id).ok_or(NoteError::Key("its id is not 8 hex digits in lower case"))?;
        let bytes = lines::decode(key).ok_or(NoteError::Key("its last part is not base64"))?;
        let (algorithm, public_key) = match bytes.split_first() {
            Some((0x01, key)) => (Algorithm::Ed25519, key),
            Some((0x04, key)) => (Algorithm::CosignatureV1, key),
            Some(_) => return Err(NoteError::Key("its type is neither 0x01 (Ed25519) nor 0x04 (cosignature/v1)")),
            None => return Err(NoteError::Key("its last part is empty")),
        };
        let public_key = public_key.try_into().map_err(|_| NoteError::Key("its public key does not have 32 bytes"))?;
        let key = Self::new(name, algorithm, public_key);
        if key.id == id { Ok(key) } else { Err(NoteError::Key("its id is not that of its name, type and public key")) }
    }
}
