//! Inclusion proofs: that one leaf stands at one place of a tree, in `log2(size)` hashes.

use super::{node_hash, root_of, split};
use crate::chain::Hash;

/// The audit path of leaf `index` in the tree of `size` leaves, from leaf to root (RFC 6962, section 2.1.1).
/// `hash_at(height, index)` gives the root of the full subtree of `2^height` leaves at `index` among its like; `None`
/// where it has no answer, or where there is no such leaf.
pub fn path(index: u64, size: u64, mut hash_at: impl FnMut(u32, u64) -> Option<Hash>) -> Option<Vec<Hash>> {
    if index >= size {
        return None;
    }
    let (mut begin, mut end) = (0, size);
    let mut path = Vec::new();
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            path.push(root_of(middle, end, &mut hash_at)?);
            end = middle;
        } else {
            path.push(root_of(begin, middle, &mut hash_at)?);
            begin = middle;
        }
    }
    path.reverse();
    Some(path)
}

/// The root that `path` leads to from `leaf` (RFC 9162, section 2.1.3.2); `None` where the path is too short or too
/// long for its place. The leaf is proved by comparing this root with one that is trusted.
pub fn root(leaf: &Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            // The last node of a level without a sibling rises unchanged.
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}
