//! Going on where an earlier verification came to: at the end of an anchor, with the right edge of the tree that it signed.
//!
//! Rows before it are not read again, and the report counts them apart. What comes after is compared as in a walk from the
//! first row on; and since the tree is built on that edge, head, tiles, anchors and checkpoints hold only if it grew out of it.

use super::Verifier;
use super::walk::Last;
use crate::anchor::Anchor;
use crate::tree::Edge;

/// The end of an anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Its number.
    pub number: u64,
    /// The anchor, of which the caller knows that it is signed.
    pub anchor: Anchor,
    /// The tree of its size. Made by [`Start::new`] alone, so that it leads to the root that was signed.
    edge: Edge,
    /// Ring id of the last row.
    pub ring_id: u64,
}

impl Start {
    /// `None` where the edge does not lead to the root that the anchor signs.
    pub fn new(number: u64, anchor: Anchor, edge: Edge, ring_id: u64) -> Option<Self> {
        let fits = edge.size() == anchor.tree_size() && edge.root() == anchor.tree_root;
        fits.then_some(Self { number, anchor, edge, ring_id })
    }

    /// Rows that are not read again.
    pub const fn size(&self) -> u64 {
        self.anchor.tree_size()
    }
}

impl Verifier {
    /// Goes on from `start`. To be called before the first row and the first anchor.
    pub fn go_on_from(&mut self, start: Start) {
        let Start { number, anchor, edge, ring_id } = start;
        let size = anchor.tree_size();
        (self.next, self.credible_end, self.not_read) = (size, size, size);
        self.last = Last { row_hash: Some(anchor.last_row_hash), authentic: true, sound: true };
        self.ring_id_max = ring_id;
        self.edge = edge;
        self.signed.go_on_after(number, anchor);
    }
}
