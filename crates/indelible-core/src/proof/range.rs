//! `indelible-range-proof/v1`: what stands to the left and to the right of a run of entries, as compact ranges, so that
//! the entries themselves are the rest of the tree. One left out, put in, changed or moved leads to another root.

use std::fmt::{self, Display, Formatter};

use super::ProofError;
use crate::chain::Hash;
use crate::lines;
use crate::tree::{Range, empty_root};

const FIRST_LINE: &str = "indelible-range-proof/v1";

/// That the entries `first..=last` are all there are at these places of a tree of `size` leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeProof {
    first: u64,
    last: u64,
    /// The compact ranges of `[0, first)` and `[last + 1, size)`.
    left: Range,
    right: Range,
}

/// A range proof on the way to its root: it takes the leaves as they come.
#[derive(Debug, Clone)]
pub struct RangeCheck {
    range: Range,
    last: u64,
    right: Range,
}

impl RangeProof {
    /// From what can answer for the hash of a full subtree, as in [`crate::tree::inclusion::path`]; `None` where it has
    /// no answer, or not `first <= last < size`.
    pub fn make(first: u64, last: u64, size: u64, mut hash_at: impl FnMut(u32, u64) -> Option<Hash>) -> Option<Self> {
        if first > last || last >= size {
            return None;
        }
        let mut compact = |begin: u64, end: u64| {
            let nodes: Option<Vec<Hash>> = Range::subtrees_of(begin, end).map(|(height, index)| hash_at(height, index)).collect();
            Range::from_nodes(begin, end, nodes?)
        };
        Some(Self { first, last, left: compact(0, first)?, right: compact(last + 1, size)? })
    }

    /// The first entry.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The last entry.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Leaves of the tree.
    pub const fn size(&self) -> u64 {
        self.right.end()
    }

    /// Reads the text.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ProofError::Bytes("not UTF-8"))?;
        let mut texts = lines::split(text).ok_or(ProofError::Bytes("it does not end in a newline"))?;
        if texts.next() != Some(FIRST_LINE) {
            return Err(ProofError::Text { line: 1, fault: "not indelible-range-proof/v1" });
        }
        let mut number = |line| {
            let number = texts.next().and_then(lines::decimal);
            number.ok_or(ProofError::Text { line, fault: "not a number in plain decimal" })
        };
        let (first, last, size) = (number(2)?, number(3)?, number(4)?);
        if first > last || last >= size {
            return Err(ProofError::Text { line: 4, fault: "first, last and size are no range of a tree" });
        }
        let mut compact = |begin: u64, end: u64, from_line: usize| {
            let mut nodes = Vec::new();
            for n in 0..Range::subtrees_of(begin, end).count() {
                let hash = texts.next().and_then(lines::decode_hash);
                nodes.push(hash.ok_or(ProofError::Text { line: from_line + n, fault: "not 32 bytes in base64" })?);
            }
            Range::from_nodes(begin, end, nodes).ok_or(ProofError::Bytes("its hashes do not fit its sizes"))
        };
        let left = compact(0, first, 5)?;
        let right = compact(last + 1, size, 5 + left.nodes().len())?;
        if texts.next().is_some() {
            let line = 5 + left.nodes().len() + right.nodes().len();
            return Err(ProofError::Text { line, fault: "more hashes than its sizes ask for" });
        }
        Ok(Self { first, last, left, right })
    }

    /// Begins to check: push the leaf hashes of all entries, then ask for the root.
    pub fn check(&self) -> RangeCheck {
        RangeCheck { range: self.left.clone(), last: self.last, right: self.right.clone() }
    }
}

impl RangeCheck {
    /// The leaf hash of the next entry; `false`, and nothing done, after the last.
    pub fn push(&mut self, leaf: Hash) -> bool {
        let wanted = self.range.end() <= self.last;
        if wanted {
            self.range.push(leaf);
        }
        wanted
    }

    /// The place of the next entry.
    pub const fn next(&self) -> u64 {
        self.range.end()
    }

    /// The root of the tree that ends before the next entry: what an anchor of that size has signed.
    pub fn root_so_far(&self) -> Hash {
        self.range.root().unwrap_or_else(empty_root)
    }

    /// The root of the whole tree, to be compared with the checkpoint's; `None` where entries are wanting.
    pub fn root(mut self) -> Option<Hash> {
        if self.range.merge(&self.right) { self.range.root() } else { None }
    }
}

impl Display for RangeProof {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut hashes = String::new();
        lines::push_hashes(self.left.nodes(), &mut hashes);
        lines::push_hashes(self.right.nodes(), &mut hashes);
        write!(f, "{FIRST_LINE}\n{}\n{}\n{}\n{hashes}", self.first, self.last, self.size())
    }
}
