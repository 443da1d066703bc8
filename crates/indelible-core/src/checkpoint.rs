//! Checkpoints (c2sp.org/tlog-checkpoint): origin, size and root of a tree as the text of a signed note.
//!
//! Refused: extension lines, which nobody audits, but where a witness looks at another's checkpoint; any form of a number or hash but the
//! one; an origin that breaks the rules of key names. A log signs under its origin as the key's name, so a key of that name alone makes a checkpoint
//! the log's; witnesses cosign it under names of their own.

use std::fmt::{self, Display, Formatter};

use crate::chain::Hash;
use crate::limits::TREE_SIZE_MAX;
use crate::lines;
use crate::note::{Algorithm, Name, Note, NoteError, SignError, Signer, VerifierKey, sign};
use crate::tree::empty_root;

/// A tree at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: `<instance name>/<project id>`, or `<instance name>` for the instance tree.
    pub origin: Name,
    /// Leaves, at most [`TREE_SIZE_MAX`].
    pub size: u64,
    /// RFC 6962 root of that many leaves.
    pub root: Hash,
}

/// Why something is not a checkpoint, or not one to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a note, or a signature of a known key that does not hold.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text of the note is no checkpoint.
    #[error("not a checkpoint: {0}")]
    Text(&'static str),
    /// None of the keys that were given, and are the log's, signed it.
    #[error("no known key of {origin} signed the checkpoint")]
    UnknownLog {
        /// Whose checkpoint it says it is.
        origin: Name,
    },
}

/// A checkpoint that the log signed, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// The keys of the log that signed it, at least one; several while a key rotates.
    pub log_keys: Vec<VerifierKey>,
    /// The witnesses that cosigned it, each key once.
    pub witnesses: Vec<Cosigned>,
}

/// A witness's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// Whose.
    pub key: VerifierKey,
    /// When, in seconds since 1970; the latest, if it cosigned more than once.
    pub seconds: u64,
}

impl Checkpoint {
    /// Reads the text of a note.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        match Self::parse_extended(text)? {
            (checkpoint, 0) => Ok(checkpoint),
            _ => Err(CheckpointError::Text("it has extension lines")),
        }
    }

    /// Reads the text of a note that may have extension lines, none of them empty; how many there are. They are part of what is signed, and
    /// mean nothing here.
    pub fn parse_extended(text: &str) -> Result<(Self, usize), CheckpointError> {
        let mut lines = lines::split(text).ok_or(CheckpointError::Text("it does not end in a newline"))?;
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Text("it does not have three lines"));
        };
        let mut extensions = 0;
        for line in lines {
            if line.is_empty() {
                return Err(CheckpointError::Text("it has an extension line that is empty"));
            }
            extensions += 1;
        }
        let origin = Name::new(origin)?;
        let size = lines::decimal(size).ok_or(CheckpointError::Text("its size is not a number in plain decimal"))?;
        let root = lines::decode_hash(root).ok_or(CheckpointError::Text("its root is not 32 bytes in base64"))?;
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::Text("it has no leaves, and its root is not that of the empty tree"));
        }
        Ok((Self { origin, size, root }, extensions))
    }

    /// A note of this text, signed by each of `signers`. The caller has made sure that no other root was ever signed
    /// for this size, and that the tree grew out of the last one that was.
    pub fn sign(&self, signers: &[&dyn Signer]) -> Result<Note, SignError> {
        debug_assert!(self.size <= TREE_SIZE_MAX);
        let mut note = Note::new(self.to_string())?;
        for signer in signers {
            sign(&mut note, *signer)?;
        }
        Ok(note)
    }

    /// Reads a checkpoint out of its note and says which of `keys` signed it. A key of type Ed25519 counts for the log
    /// if its name is the origin; a cosignature/v1 key counts as a witness.
    pub fn open(note: &Note, keys: &[VerifierKey]) -> Result<Opened, CheckpointError> {
        let checkpoint = Self::parse(note.text())?;
        let verified = match note.verify(keys) {
            Err(NoteError::UnknownKeys) => Vec::new(),
            verified => verified?,
        };
        let (mut log_keys, mut witnesses) = (Vec::<VerifierKey>::new(), Vec::<Cosigned>::new());
        for by in verified {
            match (by.key.algorithm(), by.seconds) {
                (Algorithm::CosignatureV1, Some(seconds)) => match witnesses.iter_mut().find(|known| known.key == *by.key) {
                    Some(known) => known.seconds = known.seconds.max(seconds),
                    None => witnesses.push(Cosigned { key: by.key.clone(), seconds }),
                },
                _ if *by.key.name() == checkpoint.origin && !log_keys.contains(by.key) => log_keys.push(by.key.clone()),
                _ => {}
            }
        }
        if log_keys.is_empty() {
            return Err(CheckpointError::UnknownLog { origin: checkpoint.origin });
        }
        Ok(Opened { checkpoint, log_keys, witnesses })
    }
}

impl Display for Checkpoint {
    /// The text of the note: three lines.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, lines::encode(&self.root))
    }
}

#[cfg(test)]
mod tests;
