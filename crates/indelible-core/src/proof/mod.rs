//! Proofs as texts that anyone can check: that one entry is in a tree ([`InclusionProof`], c2sp.org/tlog-proof), that a
//! tree grew out of an older one ([`ConsistencyProof`]), that a run of entries is all there is between two places
//! ([`RangeProof`]).
//!
//! Refused: any text but the one that would be printed. Making and checking is the tree's ([`crate::tree`]); here are
//! the forms, and what a proof says together with a checkpoint.

mod consistency;
mod inclusion;
mod range;
#[cfg(test)]
mod tests;

pub use consistency::ConsistencyProof;
pub use inclusion::InclusionProof;
pub use range::{RangeCheck, RangeProof};

use crate::chain::Hash;
use crate::checkpoint::CheckpointError;
use crate::limits::PROOF_HASHES_MAX;
use crate::lines;

/// Why something is not a proof, or does not prove.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The text is not of its form, in this line, counted from 1.
    #[error("line {line}: {fault}")]
    Text {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Too long, or not UTF-8.
    #[error("not a proof: {0}")]
    Bytes(&'static str),
    /// The checkpoint in it is none, or not one to be believed.
    #[error("its checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// Its hashes do not lead from the entry to the checkpoint's root.
    #[error("it does not lead to the root of the checkpoint")]
    NotIncluded,
}

/// Reads the hashes of one inclusion or consistency proof, the first of them in line `first_line`.
fn parse_hashes<'t>(texts: impl Iterator<Item = &'t str>, first_line: usize) -> Result<Vec<Hash>, ProofError> {
    let mut hashes = Vec::new();
    for (n, text) in texts.enumerate() {
        let fault = |fault| ProofError::Text { line: first_line + n, fault };
        if n == PROOF_HASHES_MAX {
            return Err(fault("more hashes than any tree has levels"));
        }
        hashes.push(lines::decode_hash(text).ok_or(fault("not 32 bytes in base64"))?);
    }
    Ok(hashes)
}
