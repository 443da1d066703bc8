//! The edge agrees with RFC 6962, section 2.1, taken literally; so do proofs, tiles and what is restored from them.

#![no_main]

use indelible_core::chain::Hash;
use indelible_core::tree::{Edge, consistency, empty_root, inclusion, leaf_hash, node_hash};
use libfuzzer_sys::fuzz_target;

fn naive(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&naive(left), &naive(right))
        }
    }
}

fuzz_target!(|input: (u16, u16, u16, &[u8])| {
    let (size, old, index, made_up) = input;
    let size = u64::from(size % 1_100);
    let leaves: Vec<Hash> = (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect();
    let (mut edge, mut full) = (Edge::new(), Vec::new());
    for leaf in &leaves {
        edge.append(*leaf, &mut full);
    }
    let root = naive(&leaves);
    assert_eq!(edge.root(), root);
    assert_eq!(full.len() as u64, size / 256);
    assert_eq!(Edge::from_partial_tiles(size, edge.partial_tiles().to_vec()), Some(edge));

    let hash_at = |height: u32, index: u64| leaves.get((index << height) as usize..((index + 1) << height) as usize).map(naive);
    let made_up: Vec<Hash> = made_up.chunks_exact(32).map(|hash| hash.try_into().expect("32 bytes")).collect();
    let index = u64::from(index);
    let path = inclusion::path(index, size, hash_at);
    assert_eq!(path.is_some(), index < size);
    if let Some(path) = path {
        let leaf = &leaves[index as usize];
        assert_eq!(inclusion::root(leaf, index, size, &path), Some(root));
        assert!(made_up == path || inclusion::root(leaf, index, size, &made_up) != Some(root));
    }
    let old = u64::from(old);
    let proof = consistency::proof(old, size, hash_at);
    assert_eq!(proof.is_some(), old <= size);
    if let Some(proof) = proof {
        let before = naive(&leaves[..old as usize]);
        assert!(consistency::holds(old, size, &before, &root, &proof));
        assert!(made_up == proof || !consistency::holds(old, size, &before, &root, &made_up));
    }
});
