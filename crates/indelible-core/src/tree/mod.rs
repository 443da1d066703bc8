//! The RFC 6962 Merkle tree of one project: leaf n is the entry with sequence n.
//!
//! [`Edge`] is what the writer keeps in memory: it takes leaves, knows the root and hands out tiles as they fill (C2SP
//! tlog-tiles). [`Range`] is the arithmetic under it. [`inclusion`] and [`consistency`] make and check proofs from
//! whatever can answer for the hash of a full subtree; [`subtree_from_tiles`] answers from tiles. [`TilePath`] and
//! [`entry_bundle`] are how auditors fetch them.
//! Nothing here keeps a tree: memory is logarithmic in its size, but for the tiles that are not full yet.

pub mod consistency;
mod edge;
pub mod entry_bundle;
pub mod inclusion;
mod range;
mod tile_path;

use aws_lc_rs::digest::{self, SHA256};

pub use edge::{Edge, Tile};
pub use range::Range;
pub use tile_path::{TileKind, TilePath};

use crate::chain::Hash;
use crate::limits::TILE_HASHES;

/// Tree levels within one tile level: `2^8 = TILE_HASHES`.
pub const TILE_HEIGHT: u32 = 8;

const _: () = assert!(1 << TILE_HEIGHT == TILE_HASHES);

/// `SHA-256(0x00 ‖ entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut context = digest::Context::new(&SHA256);
    context.update(&[0]);
    context.update(entry);
    array(&context.finish())
}

/// `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut text = [1; 65];
    text[1..33].copy_from_slice(left);
    text[33..].copy_from_slice(right);
    array(&digest::digest(&SHA256, &text))
}

/// `SHA-256("")`, the root of the tree without leaves.
pub fn empty_root() -> Hash {
    array(&digest::digest(&SHA256, b""))
}

pub(crate) fn array(digest: &digest::Digest) -> Hash {
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

/// The hash of the full subtree of `2^height` leaves at `index` among its like, computed from the one tile that holds
/// it. `tile_at(level, index)` gives the bytes of a tile, full or partial; `None` where it has none, or too short a one.
pub fn subtree_from_tiles(height: u32, index: u64, tile_at: impl FnOnce(u8, u64) -> Option<Vec<u8>>) -> Option<Hash> {
    let within = height % TILE_HEIGHT;
    let first = index.checked_shl(within).filter(|first| first >> within == index)?;
    let tile = tile_at(u8::try_from(height / TILE_HEIGHT).ok()?, first / TILE_HASHES as u64)?;
    let from = (first % TILE_HASHES as u64) as usize * 32;
    let (hashes, _) = tile.get(from..from + (32 << within))?.as_chunks::<32>();
    let mut range = Range::new(0);
    for hash in hashes {
        range.push(*hash);
    }
    Some(range.fold())
}

/// The root of the leaves `[begin, end)`, where `begin` is a multiple of the least power of two that is not less than
/// their number; `None` where `hash_at(height, index)` has no answer for a full subtree of it.
fn root_of(begin: u64, end: u64, hash_at: &mut impl FnMut(u32, u64) -> Option<Hash>) -> Option<Hash> {
    let mut nodes = Vec::new();
    let mut at = begin;
    while at < end {
        let height = (end - at).ilog2();
        nodes.push(hash_at(height, at >> height)?);
        at += 1 << height;
    }
    Some(range::fold(&nodes))
}

/// The size of the left subtree of a tree of `size` leaves (RFC 6962, section 2.1): the largest power of two below it.
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;
