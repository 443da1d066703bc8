//! Signed notes (c2sp.org/signed-note): a text, a blank line, and a line for each signature.
//!
//! Refused: bytes that are not UTF-8, control characters but the newline, a line that is no signature after the last
//! blank line, more than [`NOTE_SIGNATURES_MAX`] of them. Signatures of keys that nobody gave are kept and believed in
//! nothing. A note that was read is printed byte for byte as it was.
//!
//! [`Note::verify`] says whose signatures hold. One that is by a known key and does not hold spoils the whole note.

mod key;
mod sign;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display, Formatter};

pub use key::{Algorithm, KeyId, Name, VerifierKey};
pub use sign::{LocalSigner, SignError, Signer, cosign, sign};

use crate::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};
use crate::{hex, lines};

/// How a signature line begins: an em dash and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// Why something is not a note, not a key, or not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`NOTE_BYTES_MAX`].
    #[error("a note of {0} bytes, more than {NOTE_BYTES_MAX}")]
    TooLong(usize),
    /// Not UTF-8 from this byte on.
    #[error("not UTF-8 from byte {0} on")]
    NotUtf8(usize),
    /// A control character other than the newline at this byte.
    #[error("a control character at byte {0}")]
    Control(usize),
    /// A text that does not end in a newline.
    #[error("the text does not end in a newline")]
    Unterminated,
    /// No blank line with signatures after it.
    #[error("no blank line with a signature after it")]
    Unsigned,
    /// More than [`NOTE_SIGNATURES_MAX`].
    #[error("more than {NOTE_SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// A line after the blank line that is no signature; counted from 1 in what was read.
    #[error("line {line} is no signature: {fault}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A name of a key or an origin that breaks the rules.
    #[error("a name must be of 1 to {} bytes without white space, control characters and '+'", crate::limits::NAME_BYTES_MAX)]
    Name,
    /// Not a verifier key.
    #[error("not a verifier key: {0}")]
    Key(&'static str),
    /// No signature is by any of the keys.
    #[error("no signature is by a known key")]
    UnknownKeys,
    /// A signature that is said to be by a known key does not hold.
    #[error("the signature of {name} with key id {} does not hold", hex::encode(&key_id.0))]
    BadSignature {
        /// The key's name.
        name: Name,
        /// The key's id.
        key_id: KeyId,
    },
}

/// A text and its signatures, verified or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// One signature line: `— <name> base64(key id ‖ signature)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Who is said to have signed.
    pub name: Name,
    /// With which key and algorithm.
    pub key_id: KeyId,
    /// What follows the key id; its form is the algorithm's. At least one byte.
    pub bytes: Vec<u8>,
}

/// A signature that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified<'a> {
    /// The key it is by: one of those that were given.
    pub key: &'a VerifierKey,
    /// When, in seconds since 1970, if it is a cosignature.
    pub seconds: Option<u64>,
}

impl Note {
    /// A note without signatures. The text ends in a newline and holds no other control character.
    pub fn new(text: impl Into<String>) -> Result<Self, NoteError> {
        let text = text.into();
        check_text(text.as_bytes())?;
        if !text.ends_with('\n') {
            return Err(NoteError::Unterminated);
        }
        Ok(Self { text, signatures: Vec::new() })
    }

    /// Reads a note with at least one signature.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        let whole = check_text(bytes)?;
        let (text, signatures) = whole.rsplit_once("\n\n").ok_or(NoteError::Unsigned)?;
        let first_line = text.matches('\n').count() + 3;
        let signatures = parse_signatures_from(signatures, first_line)?;
        Ok(Self { text: whole[..=text.len()].to_owned(), signatures })
    }

    /// What is signed, with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures in order, of known and unknown keys.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds a signature as the last; one by the same name and key id is replaced where it stands.
    pub fn add(&mut self, signature: Signature) -> Result<(), NoteError> {
        let same = |other: &&mut Signature| (&other.name, other.key_id) == (&signature.name, signature.key_id);
        if let Some(place) = self.signatures.iter_mut().find(same) {
            *place = signature;
        } else if self.signatures.len() == NOTE_SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        } else {
            self.signatures.push(signature);
        }
        Ok(())
    }

    /// The signatures that are by one of `keys`, in the order of the note. Those of other keys are passed over.
    /// Fails where there is none, or where one by a known key does not hold. A key may have signed more than once.
    pub fn verify<'a>(&self, keys: &'a [VerifierKey]) -> Result<Vec<Verified<'a>>, NoteError> {
        let mut verified = Vec::new();
        for signature in &self.signatures {
            let mut known = keys.iter().filter(|key| (key.name(), key.id()) == (&signature.name, signature.key_id)).peekable();
            if known.peek().is_none() {
                continue;
            }
            // Two keys can share name and id only if somebody searched for them; either may be meant.
            let holds = known.find_map(|key| key.verify(&self.text, &signature.bytes));
            let bad = || NoteError::BadSignature { name: signature.name.clone(), key_id: signature.key_id };
            verified.push(holds.ok_or_else(bad)?);
        }
        if verified.is_empty() { Err(NoteError::UnknownKeys) } else { Ok(verified) }
    }
}

impl Display for Note {
    /// The signed note as it is sent and stored; what [`Note::parse`] reads.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| write!(f, "{signature}"))
    }
}

impl Signature {
    /// Reads signature lines and nothing else: what a witness answers (c2sp.org/tlog-witness).
    pub fn parse_lines(bytes: &[u8]) -> Result<Vec<Self>, NoteError> {
        parse_signatures_from(check_text(bytes)?, 1)
    }
}

impl Display for Signature {
    /// The line with its newline.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let bytes = [&self.key_id.0[..], &self.bytes].concat();
        writeln!(f, "{SIGNATURE_PREFIX}{} {}", self.name, lines::encode(&bytes))
    }
}

/// The rules for every byte of a note.
fn check_text(bytes: &[u8]) -> Result<&str, NoteError> {
    if bytes.len() > NOTE_BYTES_MAX {
        return Err(NoteError::TooLong(bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| NoteError::NotUtf8(error.valid_up_to()))?;
    match bytes.iter().position(|byte| *byte < 0x20 && *byte != b'\n') {
        Some(at) => Err(NoteError::Control(at)),
        None => Ok(text),
    }
}

fn parse_signatures_from(text: &str, first_line: usize) -> Result<Vec<Signature>, NoteError> {
    let mut signatures = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line = first_line + signatures.len();
        if signatures.len() == NOTE_SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        let (text, after) = rest.split_once('\n').ok_or(NoteError::Line { line, fault: "it does not end in a newline" })?;
        signatures.push(parse_line(text).map_err(|fault| NoteError::Line { line, fault })?);
        rest = after;
    }
    if signatures.is_empty() { Err(NoteError::Unsigned) } else { Ok(signatures) }
}

fn parse_line(line: &str) -> Result<Signature, &'static str> {
    let rest = line.strip_prefix(SIGNATURE_PREFIX).ok_or("it does not begin with an em dash and a space")?;
    let (name, signature) = rest.split_once(' ').ok_or("it does not hold a name and a signature")?;
    let name = Name::new(name).map_err(|_| "its name is empty, too long or holds white space or '+'")?;
    let bytes = lines::decode(signature).ok_or("its signature is not base64")?;
    match bytes.split_first_chunk() {
        Some((key_id, signature)) if !signature.is_empty() => Ok(Signature { name, key_id: KeyId(*key_id), bytes: signature.to_vec() }),
        _ => Err("its signature is shorter than 5 bytes"),
    }
}
