//! The rules of a witness (c2sp.org/tlog-witness): what a request to cosign is, and what is answered to it.
//!
//! Here is the decision alone. Whoever carries it out compares and swaps: the state that was decided on must still be the
//! stored one when the new one is stored, and it is stored before the answer is sent. Otherwise two requests at once
//! could roll a log back.
//!
//! Extension lines of a checkpoint are cosigned with the rest of its text, and not looked into.

use std::fmt::{self, Display, Formatter};

use crate::chain::Hash;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::limits::{PROOF_BYTES_MAX, PROOF_HASHES_MAX};
use crate::lines;
use crate::note::{Algorithm, Note, VerifierKey};
use crate::tree::consistency;

/// The media type of the body of a 409 that names the size.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// The body of `add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    old: u64,
    proof: Vec<Hash>,
    note: Note,
    checkpoint: Checkpoint,
}

/// Why a body is not a request: 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A line before the checkpoint, counted from 1.
    #[error("line {line}: {fault}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Too long, not UTF-8, or without a blank line.
    #[error("not a request: {0}")]
    Bytes(&'static str),
    /// What follows the blank line is no checkpoint.
    #[error("its checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
}

/// What a witness cosigned last of one log. Nothing yet: size 0, and a root that nobody looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastCosigned {
    /// Leaves.
    pub size: u64,
    /// Root of that many.
    pub root: Hash,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 200: store size and root of the checkpoint, then cosign its text ([`crate::note::cosign`]) and answer that line.
    Cosign,
    /// 400: the old size is larger than the checkpoint's.
    OldBeyondNew,
    /// 403: no signature by a key of the log.
    Unsigned,
    /// 404: the origin is that of no log that is witnessed.
    UnknownLog,
    /// 409 with the size that was cosigned last, as [`SIZE_MEDIA_TYPE`] and ended by a newline: the request begins elsewhere.
    OtherSize(u64),
    /// 409: the same size with another root. The log has signed two histories, and the request is the proof.
    OtherRoot,
    /// 422: the proof does not hold.
    Inconsistent,
}

impl Answer {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Cosign => 200,
            Self::OldBeyondNew => 400,
            Self::Unsigned => 403,
            Self::UnknownLog => 404,
            Self::OtherSize(_) | Self::OtherRoot => 409,
            Self::Inconsistent => 422,
        }
    }
}

impl AddCheckpoint {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        if body.len() > PROOF_BYTES_MAX {
            return Err(RequestError::Bytes("too long"));
        }
        let text = std::str::from_utf8(body).map_err(|_| RequestError::Bytes("not UTF-8"))?;
        let (head, note) = text.split_once("\n\n").ok_or(RequestError::Bytes("no blank line before a checkpoint"))?;
        let mut texts = head.split('\n');
        let old = texts.next().and_then(|text| text.strip_prefix("old ")).and_then(lines::decimal);
        let old = old.ok_or(RequestError::Line { line: 1, fault: "not 'old' and a number in plain decimal" })?;
        let mut proof = Vec::new();
        for (n, text) in texts.enumerate() {
            let fault = |fault| RequestError::Line { line: n + 2, fault };
            if n == PROOF_HASHES_MAX {
                return Err(fault("more than 63 hashes"));
            }
            proof.push(lines::decode_hash(text).ok_or(fault("not 32 bytes in base64"))?);
        }
        Self::new(old, proof, Note::parse(note.as_bytes()).map_err(CheckpointError::from)?)
    }

    /// What a log sends: the size that it believes was cosigned last, the proof from there to the checkpoint (RFC 6962,
    /// section 2.1.2, at most 63 hashes; none from 0), and the checkpoint with its signatures.
    pub fn new(old: u64, proof: Vec<Hash>, note: Note) -> Result<Self, RequestError> {
        let (checkpoint, _) = Checkpoint::parse_extended(note.text())?;
        Ok(Self { old, proof, note, checkpoint })
    }

    /// What is to be cosigned. By its origin the caller finds the log's keys and what was cosigned last.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The checkpoint's note, whose text is cosigned.
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// What to answer. `keys` are those of the log of this origin, `None` where there is no such log; `last` is what was
    /// cosigned last of it, `None` where nothing was. The order of the tests is the document's.
    pub fn decide(&self, keys: Option<&[VerifierKey]>, last: Option<&LastCosigned>) -> Answer {
        let Some(keys) = keys else { return Answer::UnknownLog };
        let checkpoint = &self.checkpoint;
        // A witness's own cosignature, sent back to it, is not the log's word.
        match self.note.verify(keys) {
            Ok(verified) if verified.iter().any(|by| by.key.algorithm() == Algorithm::Ed25519) => {}
            _ => return Answer::Unsigned,
        }
        if self.old > checkpoint.size {
            return Answer::OldBeyondNew;
        }
        let size = last.map_or(0, |last| last.size);
        if self.old != size {
            return Answer::OtherSize(size);
        }
        let holds = match last {
            Some(last) if size == checkpoint.size && last.root != checkpoint.root && size > 0 => return Answer::OtherRoot,
            Some(last) if size > 0 => consistency::holds(size, checkpoint.size, &last.root, &checkpoint.root, &self.proof),
            // Every tree begins with nothing, and the proof of that is empty.
            _ => self.proof.is_empty(),
        };
        if holds { Answer::Cosign } else { Answer::Inconsistent }
    }
}

impl Display for AddCheckpoint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut proof = String::new();
        lines::push_hashes(&self.proof, &mut proof);
        write!(f, "old {}\n{proof}\n{}", self.old, self.note)
    }
}

#[cfg(test)]
mod tests;
