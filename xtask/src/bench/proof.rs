//! What an auditor's machine computes to verify one event: its leaf, a path through a tree of ten million, and a signature.

use std::time::Instant;

use anyhow::Context;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::key::Secret;
use indelible_core::note::{Algorithm, LocalSigner, Name, Signer};
use indelible_core::proof::InclusionProof;
use indelible_core::tree::{inclusion, leaf_hash};

use super::event::{Event, Ids, Order, mix};
use super::report::{Report, median};

/// Leaves of the tree.
const TREE_SIZE: u64 = 10_000_000;

/// One event, from its bytes and the text of its proof.
pub(crate) fn run(report: &mut Report) -> anyhow::Result<()> {
    let name = Name::new("bench.example/project")?;
    let signer = LocalSigner::from_seed(name.clone(), Algorithm::Ed25519, &Secret::new([7; 32]))?;
    let keys = [signer.verifier_key().clone()];
    let mut times = Vec::new();
    for n in 0..200 {
        let index = mix(n) % TREE_SIZE;
        let mut entry = String::new();
        Event { n, ids: Ids::V4, order: Order::Recorded }.write_entry(&mut entry);
        // Any hashes make a path; the root is what they lead to.
        let path =
            inclusion::path(index, TREE_SIZE, |height, at| Some(leaf_hash(format!("{height} {at}").as_bytes()))).context("a path")?;
        let root = inclusion::root(&leaf_hash(entry.as_bytes()), index, TREE_SIZE, &path).context("a root")?;
        let checkpoint = Checkpoint { origin: name.clone(), size: TREE_SIZE, root }.sign(&[&signer])?;
        let proof = InclusionProof { extra: None, index, path, checkpoint }.to_string();
        let begin = Instant::now();
        let proof = InclusionProof::parse(proof.as_bytes())?;
        proof.verify(&leaf_hash(entry.as_bytes()), &keys)?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    report.add("verifying one event of 10 million: leaf, path, signature, p50", median(&mut times), "ms");
    Ok(())
}
