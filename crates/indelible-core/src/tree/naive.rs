//! RFC 6962, section 2.1, word for word: the oracle of the tests. Quadratic, recursive, and plainly right.

use crate::chain::Hash;
use crate::tree::{empty_root, node_hash};

pub(super) fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(k(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// PATH(m, D[n])
pub(super) fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(k(leaves.len()));
    let (mut path, other) = if m < left.len() { (path(m, left), root(right)) } else { (path(m - left.len(), right), root(left)) };
    path.push(other);
    path
}

/// SUBPROOF(m, D[n], b)
pub(super) fn subproof(m: usize, leaves: &[Hash], complete: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if complete { Vec::new() } else { vec![root(leaves)] };
    }
    let (left, right) = leaves.split_at(k(leaves.len()));
    let (mut proof, other) =
        if m <= left.len() { (subproof(m, left, complete), root(right)) } else { (subproof(m - left.len(), right, false), root(left)) };
    proof.push(other);
    proof
}

/// The largest power of two smaller than `n`.
fn k(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}
