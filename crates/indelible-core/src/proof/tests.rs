//! Proofs against another implementation's vectors, and every text and every tampering that must not pass.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::hex;
use crate::note::{Name, Note, NoteError, VerifierKey};
use crate::tree::{Range, leaf_hash, node_hash};

/// Every full subtree of a tree, level by level: what a store would answer from.
struct Levels(Vec<Vec<Hash>>);

impl Levels {
    fn new(leaves: Vec<Hash>) -> Self {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let next = below.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
            levels.push(next);
        }
        Self(levels)
    }

    fn at(&self, height: u32, index: u64) -> Option<Hash> {
        self.0.get(height as usize)?.get(index as usize).copied()
    }

    fn root(&self, size: u64) -> Hash {
        let nodes = Range::subtrees_of(0, size).map(|(height, index)| self.at(height, index).expect("in the tree")).collect();
        Range::from_nodes(0, size, nodes).and_then(|range| range.root()).expect("it begins at 0")
    }
}

fn vectors() -> Json {
    serde_json::from_str(include_str!("../../testdata/proofs.json")).expect("JSON")
}

fn text(value: &Json) -> &str {
    value.as_str().expect("a string")
}

fn list(value: &Json) -> &[Json] {
    value.as_array().expect("a list")
}

fn number(value: &Json) -> u64 {
    value.as_u64().expect("a number")
}

fn leaves(vectors: &Json) -> Vec<Hash> {
    list(&vectors["entries"]).iter().map(|entry| leaf_hash(text(entry).as_bytes())).collect()
}

fn keys(vectors: &Json) -> Vec<VerifierKey> {
    list(&vectors["keys"]).iter().map(|key| text(key).parse().expect("a key")).collect()
}

/// `testdata/proofs.json` is made by `testdata/proofs.py`.
#[test]
fn proofs_agree_with_another_implementation() {
    let vectors = vectors();
    let (leaves, keys) = (leaves(&vectors), keys(&vectors));
    let roots: Vec<Hash> = list(&vectors["roots"]).iter().map(|root| hex::decode_array(text(root)).expect("32 bytes")).collect();
    let levels = Levels::new(leaves.clone());
    for case in list(&vectors["inclusion"]) {
        let (index, size) = (number(&case["index"]), number(&case["size"]));
        let read = InclusionProof::parse(text(&case["text"]).as_bytes()).expect("a proof");
        assert_eq!(read.to_string(), text(&case["text"]));
        assert_eq!(read.extra.as_deref().map(hex::encode).as_deref(), case["extra"].as_str());
        let path = crate::tree::inclusion::path(index, size, |height, index| levels.at(height, index)).expect("in the tree");
        assert_eq!((read.index, &read.path), (index, &path), "{case}");
        let opened = read.verify(&leaves[index as usize], &keys).expect("it proves");
        assert_eq!((opened.checkpoint.size, opened.checkpoint.root, opened.witnesses.len()), (size, roots[size as usize], 1));
    }
    for case in list(&vectors["consistency"]) {
        let (old, new) = (number(&case["old"]), number(&case["new"]));
        let made = ConsistencyProof::make(old, new, |height, index| levels.at(height, index)).expect("in the tree");
        assert_eq!(made.to_string(), text(&case["text"]));
        assert_eq!(ConsistencyProof::parse(text(&case["text"]).as_bytes()).as_ref(), Ok(&made));
        assert!(made.holds(&roots[old as usize], &roots[new as usize]), "{case}");
    }
    for case in list(&vectors["ranges"]) {
        let (first, last, size) = (number(&case["first"]), number(&case["last"]), number(&case["size"]));
        let made = RangeProof::make(first, last, size, |height, index| levels.at(height, index)).expect("in the tree");
        assert_eq!(made.to_string(), text(&case["text"]));
        assert_eq!(RangeProof::parse(text(&case["text"]).as_bytes()).as_ref(), Ok(&made));
        assert_eq!(root_over(&made, &leaves[first as usize..=last as usize]), Some(roots[size as usize]), "{case}");
    }
}

fn root_over(proof: &RangeProof, entries: &[Hash]) -> Option<Hash> {
    let mut check = proof.check();
    for leaf in entries {
        if !check.push(*leaf) {
            return None;
        }
    }
    check.root()
}

#[test]
fn an_entry_elsewhere_or_changed_is_not_proved() {
    let vectors = vectors();
    let (leaves, keys) = (leaves(&vectors), keys(&vectors));
    let proof = InclusionProof::parse(text(&vectors["inclusion"][3]["text"]).as_bytes()).expect("a proof");
    let leaf = leaves[proof.index as usize];
    assert!(proof.verify(&leaf, &keys).is_ok());
    for index in (0..9).filter(|index| *index != proof.index) {
        assert_eq!(InclusionProof { index, ..proof.clone() }.verify(&leaf, &keys), Err(ProofError::NotIncluded), "{index}");
        assert_eq!(proof.verify(&leaves[index as usize], &keys), Err(ProofError::NotIncluded), "{index}");
    }
    for at in 0..proof.path.len() {
        let mut changed = proof.clone();
        changed.path[at][31] ^= 1;
        assert_eq!(changed.verify(&leaf, &keys), Err(ProofError::NotIncluded));
        changed.path.remove(at);
        assert_eq!(changed.verify(&leaf, &keys), Err(ProofError::NotIncluded));
    }
    let origin = Name::new(text(&vectors["keys"][0]).split('+').next().expect("a name")).expect("a name");
    let unknown = CheckpointError::UnknownLog { origin };
    assert_eq!(proof.verify(&leaf, &keys[1..]), Err(ProofError::Checkpoint(unknown)), "a witness alone is not the log");
    let grown = proof.checkpoint.to_string().replacen("\n7\n", "\n8\n", 1);
    let changed = InclusionProof { checkpoint: Note::parse(grown.as_bytes()).expect("a note"), ..proof };
    let error = changed.verify(&leaf, &keys).expect_err("a changed checkpoint");
    assert!(matches!(error, ProofError::Checkpoint(CheckpointError::Note(NoteError::BadSignature { .. }))), "{error}");
}

#[test]
fn other_texts_are_no_inclusion_proofs() {
    let vectors = vectors();
    let good = text(&vectors["inclusion"][3]["text"]);
    let hash_line = good.lines().nth(3).expect("a hash");
    let cases: Vec<(String, &str)> = vec![
        (good.replacen("@v1", "@v2", 1), "line 1: not c2sp.org"),
        (good.replacen("extra ", "extra  ", 1), "line 2: its extra data"),
        (good.replacen("extra ", "Extra ", 1), "line 2: not 'index'"),
        (good.replacen("extra YmVzaWRl\n", "extra YmVzaWRl\nextra YmVzaWRl\n", 1), "line 3: not 'index'"),
        (good.replacen("index 5", "index 05", 1), "line 3: not 'index'"),
        (good.replacen("index 5", "index -5", 1), "line 3: not 'index'"),
        (good.replacen("index 5\n", "", 1), "line 3: not 'index'"),
        (good.replacen(hash_line, &hash_line[1..], 1), "line 4: not 32 bytes"),
        (good.replacen(hash_line, &format!("{hash_line} "), 1), "line 4: not 32 bytes"),
        (good.replacen(hash_line, &[hash_line; 64].join("\n"), 1), "line 67: more hashes"),
        (good.replacen("\n\n", "\n", 1), "bytes"),
        (good.replace("\n\n", "\n"), "no blank line"),
        (good.replacen("\n7\n", "\n07\n", 1), "its checkpoint: not a checkpoint"),
        (good[..good.len() - 1].to_owned(), "its checkpoint: line"),
        (format!("{good}\n"), "its checkpoint"),
        ("x".repeat(crate::limits::PROOF_BYTES_MAX + 1), "too long"),
    ];
    for (bad, why) in cases {
        let error = InclusionProof::parse(bad.as_bytes()).expect_err(why).to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
    assert_eq!(InclusionProof::parse(b"\xff"), Err(ProofError::Bytes("not UTF-8")));
}

#[test]
fn other_texts_are_no_consistency_or_range_proofs() {
    let hash = lines::encode(&[7; 32]);
    for (bad, why) in [
        (String::new(), "newline"),
        ("3\n7".to_owned(), "newline"),
        ("03\n7\n".to_owned(), "line 1"),
        ("3\n".to_owned(), "line 2"),
        ("7\n3\n".to_owned(), "line 2: smaller"),
        ("3\n7\n\n".to_owned(), "line 3"),
        (format!("3\n7\n{hash}=\n"), "line 3"),
        (format!("3\n7\n{}", format!("{hash}\n").repeat(64)), "line 66: more"),
    ] {
        let error = ConsistencyProof::parse(bad.as_bytes()).expect_err(&bad).to_string();
        assert!(error.contains(why), "{bad}: {error}");
    }
    // [0, 1) and [2, 3) are one subtree each.
    let good = format!("indelible-range-proof/v1\n1\n1\n3\n{hash}\n{hash}\n");
    assert_eq!(RangeProof::parse(good.as_bytes()).expect("a proof").to_string(), good);
    for (bad, why) in [
        (good.replace("/v1", "/v2"), "line 1"),
        (good.replace("\n3\n", "\n+3\n"), "line 4: not a number"),
        (good.replace("\n3\n", "\n1\n"), "line 4: first, last"),
        (good.replace("\n1\n1\n", "\n1\n0\n"), "line 4: first, last"),
        (format!("{good}{hash}\n"), "line 7: more"),
        (format!("{good}\n"), "line 7: more"),
        (good.trim_end().to_owned(), "newline"),
        (good.replacen(&format!("{hash}\n"), "", 1), "line 6: not 32"),
        (good.replacen(&hash, "AA==", 1), "line 5: not 32"),
        (good.replace("\n1\n1\n3\n", "\n1\n1\n9223372036854775807\n"), "line 7: not 32"),
    ] {
        let error = RangeProof::parse(bad.as_bytes()).expect_err(&bad).to_string();
        assert!(error.contains(why), "{bad}: {error}");
    }
    assert_eq!(RangeProof::make(2, 1, 3, |_, _| Some([0; 32])), None);
    assert_eq!(RangeProof::make(1, 3, 3, |_, _| Some([0; 32])), None);
    assert_eq!(RangeProof::make(1, 1, 3, |_, _| None), None);
}

#[test]
fn a_range_with_anything_done_to_it_is_another_root() {
    let leaves: Vec<Hash> = (0..23_u64).map(|n| leaf_hash(&n.to_be_bytes())).collect();
    let levels = Levels::new(leaves.clone());
    for size in 1..=23_u64 {
        let root = levels.root(size);
        for first in 0..size {
            for last in first..size {
                let proof = RangeProof::make(first, last, size, |height, index| levels.at(height, index)).expect("in the tree");
                let run = &leaves[first as usize..=last as usize];
                assert_eq!(root_over(&proof, run), Some(root), "{first}..={last} of {size}");
                let mut full = proof.check();
                assert!(run.iter().all(|leaf| full.push(*leaf)) && !full.push([0; 32]), "no more than there are");
                assert_eq!(full.root(), Some(root));
                assert_eq!(root_over(&proof, &run[1..]), None, "one left out");
                assert_eq!(root_over(&proof, &[run, &[[0; 32]]].concat()), None, "one put in");
                let mut changed = run.to_vec();
                changed[run.len() / 2][0] ^= 1;
                assert_ne!(root_over(&proof, &changed), Some(root), "one changed");
                let mut moved = run.to_vec();
                moved.rotate_left(1);
                assert!(run.len() == 1 || root_over(&proof, &moved) != Some(root), "one moved");
            }
        }
    }
}

/// All sizes up to 300, every leaf of each, every older tree of each.
#[test]
fn another_implementation_makes_the_same_proofs() {
    let mut oracle = ct_merkle::mem_backed_tree::MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
    let levels = Levels::new((0..300_u64).map(|n| leaf_hash(&n.to_be_bytes())).collect());
    let hash_at = |height, index| levels.at(height, index);
    for size in 0..=300_u64 {
        let root = levels.root(size);
        assert_eq!(oracle.root().as_bytes().as_slice(), root, "{size}");
        for index in 0..size {
            let path = crate::tree::inclusion::path(index, size, hash_at).expect("in the tree");
            assert_eq!(oracle.prove_inclusion(index as usize).as_bytes(), path.as_flattened(), "{index} of {size}");
            let leaf = levels.at(0, index).expect("in the tree");
            assert_eq!(crate::tree::inclusion::root(&leaf, index, size, &path), Some(root));
        }
        for old in 1..size {
            let proof = ConsistencyProof::make(old, size, hash_at).expect("in the tree");
            assert_eq!(oracle.prove_consistency((size - old) as usize).as_bytes(), proof.hashes.as_flattened(), "{old} to {size}");
            assert!(proof.holds(&levels.root(old), &root));
        }
        oracle.push(size.to_be_bytes().to_vec());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn another_implementation_makes_the_same_large_proofs(size in 1_000_u64..40_000, places in proptest::collection::vec(any::<u64>(), 20)) {
        let mut oracle = ct_merkle::mem_backed_tree::MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
        (0..size).for_each(|n| oracle.push(n.to_be_bytes().to_vec()));
        let levels = Levels::new((0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect());
        let hash_at = |height, index| levels.at(height, index);
        for place in places {
            let index = place % size;
            let path = crate::tree::inclusion::path(index, size, hash_at).expect("in the tree");
            prop_assert_eq!(oracle.prove_inclusion(index as usize).as_bytes().to_vec(), path.into_flattened());
            let old = place % (size - 1) + 1;
            let proof = ConsistencyProof::make(old, size, hash_at).expect("in the tree");
            prop_assert_eq!(oracle.prove_consistency((size - old) as usize).as_bytes().to_vec(), proof.hashes.clone().into_flattened());
            prop_assert_eq!(ConsistencyProof::parse(proof.to_string().as_bytes()), Ok(proof));
            let range = RangeProof::make(index.min(old), index.max(old).min(size - 1), size, hash_at).expect("in the tree");
            prop_assert_eq!(RangeProof::parse(range.to_string().as_bytes()), Ok(range.clone()));
            let mut check = range.check();
            while check.next() <= range.last() {
                check.push(levels.at(0, check.next()).expect("in the tree"));
            }
            prop_assert_eq!(check.root(), Some(levels.root(size)));
        }
    }

    #[test]
    fn what_is_printed_is_read(
        extra in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
        index in 0_u64..1 << 40,
        path in proptest::collection::vec(any::<[u8; 32]>(), 0..=63),
    ) {
        let vectors = vectors();
        let good = InclusionProof::parse(text(&vectors["inclusion"][0]["text"]).as_bytes()).expect("a proof");
        let proof = InclusionProof { extra, index, path, checkpoint: good.checkpoint };
        prop_assert_eq!(InclusionProof::parse(proof.to_string().as_bytes()), Ok(proof));
    }
}
