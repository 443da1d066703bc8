//! Compact ranges: the roots of the largest full subtrees that tile `[begin, end)`, from left to right.
//!
//! Ranges that touch merge, so trees can be built in pieces; a range that begins at 0 knows the root of its tree.
//! Invariant: no two neighbours in `nodes` are siblings, so their number is at most twice the bits of `end`.

use super::{empty_root, node_hash};
use crate::chain::Hash;

/// The compact range of the leaves `[begin, end)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    begin: u64,
    end: u64,
    nodes: Vec<Hash>,
}

impl Range {
    /// The range without leaves at `begin`.
    pub const fn new(begin: u64) -> Self {
        Self { begin, end: begin, nodes: Vec::new() }
    }

    /// A range from its parts; `None` where the number of nodes does not fit.
    pub fn from_nodes(begin: u64, end: u64, nodes: Vec<Hash>) -> Option<Self> {
        (begin <= end && heights(begin, end).count() == nodes.len()).then_some(Self { begin, end, nodes })
    }

    /// The first leaf.
    pub const fn begin(&self) -> u64 {
        self.begin
    }

    /// The leaf after the last.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// The roots of the subtrees, left to right.
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// Each subtree as (height, position among those of its height), left to right.
    pub fn subtrees(&self) -> impl Iterator<Item = (u32, u64)> + use<> {
        heights(self.begin, self.end)
    }

    /// Each subtree of the compact range of `[begin, end)`, as [`Range::subtrees`]: what a store is asked for to make one.
    pub fn subtrees_of(begin: u64, end: u64) -> impl Iterator<Item = (u32, u64)> {
        heights(begin, end)
    }

    /// Adds the next leaf: one hash on average, `log2(end)` at most.
    pub fn push(&mut self, leaf: Hash) {
        self.push_subtree(0, leaf, |_, _| ());
    }

    /// Adds the root of the next full subtree of `2^height` leaves. `end` must be a multiple of `2^height`. Each root
    /// of a larger subtree that this completes is shown to `completed` with its height, smallest first.
    pub fn push_subtree(&mut self, mut height: u32, mut hash: Hash, mut completed: impl FnMut(u32, &Hash)) {
        debug_assert!(self.end.is_multiple_of(1 << height), "a subtree begins where its size divides");
        let mut index = self.end >> height;
        self.end += 1 << height;
        while index & 1 == 1 && (index - 1) << height >= self.begin {
            let Some(left) = self.nodes.pop() else { break };
            hash = node_hash(&left, &hash);
            height += 1;
            index >>= 1;
            completed(height, &hash);
        }
        self.nodes.push(hash);
    }

    /// Adds the range that begins where this one ends; `false`, and nothing done, where it begins elsewhere.
    pub fn merge(&mut self, right: &Self) -> bool {
        if right.begin != self.end {
            return false;
        }
        for ((height, _), hash) in right.subtrees().zip(&right.nodes) {
            self.push_subtree(height, *hash, |_, _| ());
        }
        true
    }

    /// The RFC 6962 root of the tree of `end` leaves; `None` where the range does not begin at 0.
    pub fn root(&self) -> Option<Hash> {
        (self.begin == 0).then(|| self.fold())
    }

    /// The root as if the range began at 0, which is right for one aligned subtree as well.
    pub(super) fn fold(&self) -> Hash {
        fold(&self.nodes)
    }
}

/// The root over subtree roots that shrink from left to right.
pub(super) fn fold(nodes: &[Hash]) -> Hash {
    nodes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
}

/// The subtrees of `[begin, end)` as (height, index), left to right: at each point the largest that is aligned and fits.
fn heights(begin: u64, end: u64) -> impl Iterator<Item = (u32, u64)> {
    let mut at = begin;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let height = at.trailing_zeros().min((end - at).ilog2());
        let subtree = (height, at >> height);
        at += 1 << height;
        Some(subtree)
    })
}
