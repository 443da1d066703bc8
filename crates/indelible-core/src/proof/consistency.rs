//! `<old>`, `<new>`, then the hashes of RFC 6962, section 2.1.2, a line each.

use std::fmt::{self, Display, Formatter};

use super::{ProofError, parse_hashes};
use crate::chain::Hash;
use crate::lines;
use crate::tree::consistency;

/// That a tree begins with exactly the leaves of an older one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// Leaves of the older tree.
    pub old: u64,
    /// Leaves of the newer, not fewer.
    pub new: u64,
    /// As RFC 6962 orders them.
    pub hashes: Vec<Hash>,
}

impl ConsistencyProof {
    /// From what can answer for the hash of a full subtree: see [`consistency::proof`].
    pub fn make(old: u64, new: u64, hash_at: impl FnMut(u32, u64) -> Option<Hash>) -> Option<Self> {
        Some(Self { old, new, hashes: consistency::proof(old, new, hash_at)? })
    }

    /// Reads the text.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ProofError::Bytes("not UTF-8"))?;
        let mut texts = lines::split(text).ok_or(ProofError::Bytes("it does not end in a newline"))?;
        let mut size = |line| {
            let size = texts.next().and_then(lines::decimal);
            size.ok_or(ProofError::Text { line, fault: "not a number in plain decimal" })
        };
        let (old, new) = (size(1)?, size(2)?);
        if old > new {
            return Err(ProofError::Text { line: 2, fault: "smaller than the older tree" });
        }
        Ok(Self { old, new, hashes: parse_hashes(texts, 3)? })
    }

    /// Whether the tree of `old_root` is the beginning of that of `new_root`.
    pub fn holds(&self, old_root: &Hash, new_root: &Hash) -> bool {
        consistency::holds(self.old, self.new, old_root, new_root, &self.hashes)
    }
}

impl Display for ConsistencyProof {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut hashes = String::new();
        lines::push_hashes(&self.hashes, &mut hashes);
        write!(f, "{}\n{}\n{hashes}", self.old, self.new)
    }
}
