//! Consistency proofs: that a tree begins with exactly the leaves of an older one.

use super::{empty_root, node_hash, root_of, split};
use crate::chain::Hash;

/// The proof that the tree of `old` leaves is a prefix of the tree of `new` (RFC 6962, section 2.1.2); empty where
/// `old` is 0 or `new`. `hash_at` as in [`super::inclusion::path`]; `None` where it has no answer, or `old > new`.
pub fn proof(old: u64, new: u64, mut hash_at: impl FnMut(u32, u64) -> Option<Hash>) -> Option<Vec<Hash>> {
    if old > new {
        return None;
    }
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Some(proof);
    }
    let (mut begin, mut end) = (0, new);
    while end != old {
        let middle = begin + split(end - begin);
        if old <= middle {
            proof.push(root_of(middle, end, &mut hash_at)?);
            end = middle;
        } else {
            proof.push(root_of(begin, middle, &mut hash_at)?);
            begin = middle;
        }
    }
    // Where the old tree is itself a subtree of the new one, its root is what the verifier has.
    if begin != 0 {
        proof.push(root_of(begin, end, &mut hash_at)?);
    }
    proof.reverse();
    Some(proof)
}

/// Whether `proof` shows that the tree of `old` leaves and `old_root` is a prefix of that of `new` leaves and
/// `new_root` (RFC 9162, section 2.1.4.2).
pub fn holds(old: u64, new: u64, old_root: &Hash, new_root: &Hash, proof: &[Hash]) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    let (mut at, mut last) = (old - 1, new - 1);
    let shared = at.trailing_ones();
    at >>= shared;
    last >>= shared;
    // A power of two is a subtree of the new tree: the proof begins at its root, which is not repeated in it.
    let (start, rest) = if old.is_power_of_two() {
        (*old_root, proof)
    } else {
        let Some((first, rest)) = proof.split_first() else { return false };
        (*first, rest)
    };
    let (mut from_old, mut from_new) = (start, start);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            from_old = node_hash(sibling, &from_old);
            from_new = node_hash(sibling, &from_new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            from_new = node_hash(&from_new, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && from_old == *old_root && from_new == *new_root
}
