//! The right edge of a growing tree: what appending needs, and the tiles that are not full yet.
//!
//! One hash a leaf on average: the root of a tile is the node that appending makes anyway, so nothing is hashed twice.
//! Memory is at most 8 KiB a tile level; a tile that fills gives its memory away, so idle projects stay small.

use super::{Range, TILE_HEIGHT};
use crate::chain::Hash;
use crate::limits::TILE_HASHES;

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

impl Tile {
    /// The first leaf under this tile.
    pub const fn first_leaf(&self) -> u64 {
        self.index << (TILE_HEIGHT * (self.level as u32 + 1))
    }
}

/// The right edge of a tree: everything that appending and the root need, and the tiles that are not full yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    range: Range,
    /// As many as `size` has digits in base 256.
    partial: Vec<Vec<Hash>>,
}

impl Default for Edge {
    fn default() -> Self {
        Self::new()
    }
}

impl Edge {
    /// The edge of the tree without leaves.
    pub const fn new() -> Self {
        Self { range: Range::new(0), partial: Vec::new() }
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.range.end()
    }

    /// Appends a leaf; tiles that fill are handed to `full`, lowest level first.
    pub fn append(&mut self, leaf: Hash, full: &mut Vec<Tile>) {
        let Self { range, partial } = self;
        let size = range.end() + 1;
        push(partial, 0, leaf);
        range.push_subtree(0, leaf, |height, hash| {
            if height.is_multiple_of(TILE_HEIGHT) {
                let level = (height / TILE_HEIGHT) as usize;
                let hashes = std::mem::take(&mut partial[level - 1]);
                debug_assert_eq!(hashes.len(), TILE_HASHES);
                full.push(Tile { level: (level - 1) as u8, index: (size >> height) - 1, hashes: hashes.into_flattened() });
                push(partial, level, *hash);
            }
        });
    }

    /// The root of the tree so far.
    pub fn root(&self) -> Hash {
        self.range.fold()
    }

    /// The hashes of the unfilled tile of each level, from level 0 up, to be stored beside the head:
    /// level L holds `size >> (8 * L) & 255` hashes.
    pub fn partial_tiles(&self) -> &[Vec<Hash>] {
        &self.partial
    }

    /// The compact range of [0, size), largest subtree first, as stored beside the head.
    pub fn compact_range(&self) -> Vec<Hash> {
        self.range.nodes().to_vec()
    }

    /// The compact range of [0, size).
    pub const fn range(&self) -> &Range {
        &self.range
    }

    /// The edge of a tree of `size` leaves from its partial tiles; `None` where their lengths do not fit the size.
    /// The caller compares the root with the head's.
    pub fn from_partial_tiles(size: u64, mut partial: Vec<Vec<Hash>>) -> Option<Self> {
        while partial.last().is_some_and(Vec::is_empty) {
            partial.pop();
        }
        let levels = size.checked_ilog2().map_or(0, |bits| bits / TILE_HEIGHT + 1) as usize;
        let fits = partial.len() == levels
            && partial.iter().enumerate().all(|(level, tile)| tile.len() as u64 == size >> (8 * level as u64) & 255);
        if !fits {
            return None;
        }
        let mut range = Range::new(0);
        for (level, tile) in partial.iter().enumerate().rev() {
            for hash in tile {
                range.push_subtree(level as u32 * TILE_HEIGHT, *hash, |_, _| ());
            }
        }
        Some(Self { range, partial })
    }
}

fn push(partial: &mut Vec<Vec<Hash>>, level: usize, hash: Hash) {
    if partial.len() == level {
        partial.push(Vec::new());
    }
    partial[level].push(hash);
}
