//! What is read as a proof is printed byte for byte as it was; what is made of a tree proves, and what is made up does not.

#![no_main]

use indelible_core::chain::Hash;
use indelible_core::proof::{ConsistencyProof, InclusionProof, RangeProof};
use indelible_core::tree::{Range, leaf_hash};
use libfuzzer_sys::fuzz_target;

fn root(leaves: &[Hash]) -> Hash {
    let mut range = Range::new(0);
    leaves.iter().for_each(|leaf| range.push(*leaf));
    range.root().expect("it begins at 0")
}

fn root_over(proof: &RangeProof, leaves: &[Hash]) -> Option<Hash> {
    let mut check = proof.check();
    leaves.iter().all(|leaf| check.push(*leaf)).then(|| check.root())?
}

fuzz_target!(|input: (u8, u8, u8, &[u8])| {
    let (first, rows, size, bytes) = input;
    if let Ok(proof) = InclusionProof::parse(bytes) {
        assert_eq!(proof.to_string().as_bytes(), bytes);
        assert!(proof.verify(&[0; 32], &[]).is_err());
    }
    if let Ok(proof) = ConsistencyProof::parse(bytes) {
        assert_eq!(proof.to_string().as_bytes(), bytes);
    }
    let leaves: Vec<Hash> = (0..size).map(|n| leaf_hash(&[n])).collect();
    let (first, last) = (usize::from(first), usize::from(first) + usize::from(rows));
    let hash_at = |height: u32, index: u64| leaves.get((index << height) as usize..((index + 1) << height) as usize).map(root);
    let made = RangeProof::make(first as u64, last as u64, leaves.len() as u64, hash_at);
    assert_eq!(made.is_some(), last < leaves.len());
    if let Some(made) = &made {
        assert_eq!(root_over(made, &leaves[first..=last]), Some(root(&leaves)));
        assert_eq!(RangeProof::parse(made.to_string().as_bytes()).as_ref(), Ok(made));
    }
    if let Ok(read) = RangeProof::parse(bytes) {
        assert_eq!(read.to_string().as_bytes(), bytes);
        let same = made.is_some_and(|made| made == read);
        if last < leaves.len() && read.size() == leaves.len() as u64 {
            assert!(same || root_over(&read, &leaves[first..=last]) != Some(root(&leaves)));
        }
    }
});
