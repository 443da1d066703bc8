//! The tree against the shared vectors of RFC 6962, its text taken literally, and another implementation.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::hex;

fn leaf(n: u64) -> Hash {
    leaf_hash(&n.to_be_bytes())
}

fn leaves(size: u64) -> Vec<Hash> {
    (0..size).map(leaf).collect()
}

/// Answers for full subtrees of the first `size` leaves only, as a store would.
fn hash_at(leaves: &[Hash]) -> impl FnMut(u32, u64) -> Option<Hash> {
    |height, index| leaves.get((index << height) as usize..((index + 1) << height) as usize).map(naive::root)
}

/// An edge of `size` leaves and the tiles that filled on the way.
fn grown(size: u64) -> (Edge, Vec<Tile>) {
    let (mut edge, mut full) = (Edge::new(), Vec::new());
    for n in 0..size {
        edge.append(leaf(n), &mut full);
    }
    (edge, full)
}

#[test]
fn agrees_with_the_shared_vectors() {
    let vectors: Value = serde_json::from_str(include_str!("../../testdata/tree.json")).expect("JSON");
    let hash = |value: &Value| hex::decode_array::<32>(value.as_str().expect("a string")).expect("32 bytes of hex");
    let list = |value: &Value| value.as_array().expect("an array").iter().map(hash).collect::<Vec<_>>();
    let number = |value: &Value| value.as_u64().expect("a number");
    assert_eq!(empty_root(), hash(&vectors["empty_root"]));
    let leaves: Vec<Hash> = (vectors["leaves"].as_array().expect("leaves").iter())
        .map(|entry| leaf_hash(&hex::decode(entry.as_str().expect("a string")).expect("hex")))
        .collect();
    let roots = list(&vectors["roots"]);
    let mut edge = Edge::new();
    for (leaf, root) in leaves.iter().zip(&roots) {
        edge.append(*leaf, &mut Vec::new());
        assert_eq!(edge.root(), *root, "size {}", edge.size());
    }
    for case in vectors["inclusion"].as_array().expect("inclusion") {
        let (index, size, expected) = (number(&case["index"]), number(&case["size"]), list(&case["path"]));
        assert_eq!(inclusion::path(index, size, hash_at(&leaves)).as_ref(), Some(&expected), "{case}");
        assert_eq!(inclusion::root(&leaves[index as usize], index, size, &expected), Some(roots[size as usize - 1]), "{case}");
    }
    for case in vectors["consistency"].as_array().expect("consistency") {
        let (old, new, expected) = (number(&case["old"]), number(&case["new"]), list(&case["proof"]));
        assert_eq!(consistency::proof(old, new, hash_at(&leaves)).as_ref(), Some(&expected), "{case}");
        assert!(consistency::holds(old, new, &roots[old as usize - 1], &roots[new as usize - 1], &expected), "{case}");
    }
}

#[test]
fn roots_are_those_of_the_rfc_and_partial_tiles_restore_the_edge() {
    let leaves = leaves(600);
    let mut edge = Edge::new();
    for size in 0..=600_u64 {
        assert_eq!(edge.size(), size);
        assert_eq!(edge.root(), naive::root(&leaves[..size as usize]), "size {size}");
        assert_eq!(edge.compact_range().len(), size.count_ones() as usize);
        let restored = Edge::from_partial_tiles(size, edge.partial_tiles().to_vec()).expect("lengths fit");
        assert_eq!(restored, edge, "size {size}");
        let range = Range::from_nodes(0, size, edge.compact_range()).expect("count fits");
        assert_eq!(range.root(), Some(edge.root()));
        edge.append(leaf(size), &mut Vec::new());
    }
}

#[test]
fn large_trees_agree_and_emit_every_tile_of_every_level() {
    for size in [65_535, 65_536, 65_537, 131_072 + 300, 199_999] {
        let leaves = leaves(size);
        let (edge, full) = grown(size);
        assert_eq!(edge.root(), naive::root(&leaves), "size {size}");
        assert_eq!(Edge::from_partial_tiles(size, edge.partial_tiles().to_vec()), Some(edge.clone()));
        assert_eq!(full.len() as u64, size / 256 + size / 65_536, "size {size}");
        for tile in &full {
            let under = 1_usize << (8 * u32::from(tile.level));
            let first = tile.first_leaf() as usize;
            let expected: Vec<Hash> = leaves[first..first + 256 * under].chunks_exact(under).map(naive::root).collect();
            assert_eq!(tile.hashes, expected.into_flattened(), "level {} index {}", tile.level, tile.index);
        }
        for (level, tile) in edge.partial_tiles().iter().enumerate() {
            let under = 1_u64 << (8 * level);
            assert_eq!(tile.len() as u64, size / under % 256);
        }
    }
}

#[test]
fn partial_tiles_of_another_size_are_refused() {
    let (edge, _) = grown(65_536 + 257);
    let tiles = edge.partial_tiles().to_vec();
    assert_eq!(tiles.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
    let trailing = [tiles.clone(), vec![Vec::new()]].concat();
    assert_eq!(Edge::from_partial_tiles(edge.size(), trailing).as_ref(), Some(&edge), "empty tiles above the top change nothing");
    for size in [0, 1, 256, 257, 65_536, 65_536 + 256, 65_536 + 258, 2 * 65_536 + 257, u64::MAX] {
        assert_eq!(Edge::from_partial_tiles(size, tiles.clone()), None, "{size}");
    }
    assert_eq!(Edge::from_partial_tiles(edge.size(), tiles[..2].to_vec()), None);
    assert_eq!(Edge::from_partial_tiles(256, vec![vec![[0; 32]; 256]]), None, "a full tile is not partial");
    assert_eq!(Range::from_nodes(0, 5, vec![[0; 32]; 3]), None);
    assert_eq!(Range::from_nodes(5, 4, Vec::new()), None);
}

#[test]
fn proofs_are_those_of_the_rfc_and_no_other_passes() {
    let leaves = leaves(40);
    for size in 1..=40_u64 {
        let tree = &leaves[..size as usize];
        let root = naive::root(tree);
        for index in 0..size {
            let path = inclusion::path(index, size, hash_at(tree)).expect("all hashes are there");
            assert_eq!(path, naive::path(index as usize, tree), "{index} of {size}");
            let rooted = |leaf: &Hash, index, size, path: &[Hash]| inclusion::root(leaf, index, size, path) == Some(root);
            assert!(rooted(&leaf(index), index, size, &path));
            assert!(!rooted(&leaf(index + 1), index, size, &path));
            assert!(!rooted(&leaf(index), index, size, &[&path[..], &[[0; 32]]].concat()));
            assert!(path.is_empty() || !rooted(&leaf(index), index, size, &path[1..]));
            assert!(!(0..size + 2).any(|other| other != index && rooted(&leaf(index), other, size, &path)));
        }
        for old in 0..=size {
            let before = naive::root(&leaves[..old as usize]);
            let proof = consistency::proof(old, size, hash_at(tree)).expect("all hashes are there");
            if old > 0 {
                assert_eq!(proof, naive::subproof(old as usize, tree, true), "{old} to {size}");
            }
            assert!(consistency::holds(old, size, &before, &root, &proof), "{old} to {size}");
            assert!(!consistency::holds(old, size, &leaf(99), &root, &proof));
            assert!(!consistency::holds(old, size, &before, &leaf(99), &proof) || old == 0);
            assert!(!consistency::holds(old, size, &before, &root, &[&proof[..], &[[0; 32]]].concat()));
            assert!(proof.is_empty() || !consistency::holds(old, size, &before, &root, &proof[1..]));
        }
    }
    assert_eq!(inclusion::path(3, 3, hash_at(&leaves)), None);
    assert_eq!(inclusion::root(&leaves[0], 3, 3, &[]), None);
    assert_eq!(consistency::proof(4, 3, hash_at(&leaves)), None);
    assert!(!consistency::holds(4, 3, &leaves[0], &leaves[0], &[]));
    assert_eq!(inclusion::path(0, 40, |_, _| None), None, "a hash that is not there is not made up");
}

#[test]
fn subtrees_come_out_of_full_and_partial_tiles() {
    let size = 256 * 256 + 256 * 3 + 21;
    let leaves = leaves(size);
    let (edge, full) = grown(size);
    let tile_at = |level: u8, index: u64| {
        let stored = full.iter().find(|tile| (tile.level, tile.index) == (level, index)).map(|tile| tile.hashes.clone());
        let at_edge = index == size >> (8 * (u32::from(level) + 1));
        stored.or_else(|| at_edge.then(|| edge.partial_tiles().get(usize::from(level)).map(|tile| tile.clone().into_flattened()))?)
    };
    for index in [0, 255, 256, 65_535, 65_536, size - 1] {
        let path = inclusion::path(index, size, |height, index| subtree_from_tiles(height, index, tile_at)).expect("tiles hold it");
        assert_eq!(path, naive::path(index as usize, &leaves), "{index}");
        assert_eq!(inclusion::root(&leaf(index), index, size, &path), Some(edge.root()));
    }
    assert_eq!(subtree_from_tiles(0, size, tile_at), None);
    assert_eq!(subtree_from_tiles(5, size / 32, tile_at), None, "21 leaves are no full subtree of 32");
    assert_eq!(subtree_from_tiles(7, u64::MAX, tile_at), None);
}

#[test]
fn another_implementation_agrees() {
    let mut oracle = ct_merkle::mem_backed_tree::MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
    let mut edge = Edge::new();
    let leaves = leaves(300);
    for n in 0..300_u64 {
        oracle.push(n.to_be_bytes().to_vec());
        edge.append(leaf(n), &mut Vec::new());
        assert_eq!(oracle.root().as_bytes().as_slice(), edge.root(), "size {}", n + 1);
    }
    for index in [0, 1, 127, 128, 255, 256, 298, 299] {
        let path = inclusion::path(index, 300, hash_at(&leaves)).expect("all hashes are there");
        assert_eq!(oracle.prove_inclusion(index as usize).as_bytes(), path.into_flattened(), "{index}");
    }
    for old in [1, 2, 128, 255, 256, 257, 299] {
        let proof = consistency::proof(old, 300, hash_at(&leaves)).expect("all hashes are there");
        assert_eq!(oracle.prove_consistency((300 - old) as usize).as_bytes(), proof.into_flattened(), "{old}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ranges_merge_into_the_whole(mut cuts in proptest::collection::vec(0_u64..700, 0..6), size in 0_u64..700) {
        cuts.retain(|cut| *cut < size);
        cuts.extend([0, size]);
        cuts.sort_unstable();
        let mut whole = Range::new(0);
        for pair in cuts.windows(2) {
            let mut part = Range::new(pair[0]);
            for n in pair[0]..pair[1] {
                part.push(leaf(n));
            }
            prop_assert_eq!(part.subtrees().count(), part.nodes().len());
            prop_assert_eq!(Range::from_nodes(pair[0], pair[1], part.nodes().to_vec()), Some(part.clone()));
            prop_assert_eq!(part.root().is_some(), pair[0] == 0);
            prop_assert!(whole.merge(&part));
        }
        prop_assert_eq!(whole.root(), Some(naive::root(&leaves(size))));
        prop_assert!(!whole.merge(&Range::new(size + 1)));
    }

    #[test]
    fn any_size_up_to_200_000_agrees(size in 0_u64..200_000) {
        let (edge, _) = grown(size);
        prop_assert_eq!(edge.root(), naive::root(&leaves(size)));
        prop_assert_eq!(Edge::from_partial_tiles(size, edge.partial_tiles().to_vec()), Some(edge));
    }
}
