//! A log that can tell two stories, with all its keys.

use indelible_core::chain::Hash;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::key::Secret;
use indelible_core::note::{Algorithm, LocalSigner, Name, Note, Signer, VerifierKey};
use indelible_core::tree::{Edge, Range, consistency, leaf_hash};
use indelible_core::witness::AddCheckpoint;

/// From this leaf on, the second story is another.
pub(crate) const FORK: u64 = 5;

pub(crate) struct Log {
    signer: LocalSigner,
}

impl Log {
    pub(crate) fn new(name: &str, seed: u8) -> Self {
        let name = Name::new(name).expect("a name");
        Self { signer: LocalSigner::from_seed(name, Algorithm::Ed25519, &Secret::new([seed; 32])).expect("a seed") }
    }

    pub(crate) fn key(&self) -> VerifierKey {
        self.signer.verifier_key().clone()
    }

    fn leaves(size: u64, other: bool) -> Vec<Hash> {
        (0..size).map(|n| leaf_hash(format!("{n} {}", other && n >= FORK).as_bytes())).collect()
    }

    pub(crate) fn checkpoint(&self, size: u64, other: bool) -> Note {
        let mut edge = Edge::new();
        for leaf in Self::leaves(size, other) {
            edge.append(leaf, &mut Vec::new());
        }
        let checkpoint = Checkpoint { origin: self.signer.verifier_key().name().clone(), size, root: edge.root() };
        checkpoint.sign(&[&self.signer]).expect("it signs")
    }

    /// A request with a proof that is right within one story.
    pub(crate) fn request(&self, old: u64, size: u64, other: bool) -> String {
        let leaves = Self::leaves(size, other);
        let hash_at = |height: u32, index: u64| {
            let mut range = Range::new(0);
            for leaf in leaves.get((index << height) as usize..((index + 1) << height) as usize)? {
                range.push(*leaf);
            }
            range.root()
        };
        let proof = consistency::proof(old, size, hash_at).unwrap_or_default();
        AddCheckpoint::new(old, proof, self.checkpoint(size, other)).expect("a request").to_string()
    }
}
