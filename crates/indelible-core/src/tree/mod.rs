//! RFC 6962 Merkle tree: hashes, compact range, tiles.

use crate::chain::Hash;

/// `SHA-256(0x00 ‖ entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    unimplemented!("{entry:?}")
}

/// `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    unimplemented!("{left:?} {right:?}")
}

/// `SHA-256("")`, the root of the tree without leaves.
pub fn empty_root() -> Hash {
    unimplemented!()
}

/// A tile that has just filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Level, 0 for leaf hashes; one tile level is eight tree levels.
    pub level: u8,
    /// Position within its level.
    pub index: u64,
    /// 256 hashes, 8,192 bytes.
    pub hashes: Vec<u8>,
}

/// The right edge of a tree: everything that appending and the root need, and the tiles that are not full yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    _private: (),
}

impl Edge {
    /// The edge of the tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        unimplemented!()
    }

    /// Appends a leaf; tiles that fill are handed to `full`.
    pub fn append(&mut self, leaf: Hash, full: &mut Vec<Tile>) {
        unimplemented!("{leaf:?} {full:?}")
    }

    /// The root of the tree so far.
    pub fn root(&self) -> Hash {
        unimplemented!()
    }

    /// The hashes of the unfilled tile of each level, from level 0 up, to be stored beside the head:
    /// level L holds `size >> (8 * L) & 255` hashes.
    pub fn partial_tiles(&self) -> &[Vec<Hash>] {
        unimplemented!()
    }

    /// The compact range of [0, size), largest subtree first, as stored beside the head.
    pub fn compact_range(&self) -> Vec<Hash> {
        unimplemented!()
    }

    /// The edge of a tree of `size` leaves from its partial tiles; `None` where their lengths do not fit the size.
    pub fn from_partial_tiles(size: u64, partial: Vec<Vec<Hash>>) -> Option<Self> {
        unimplemented!("{size} {partial:?}")
    }
}
