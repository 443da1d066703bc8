//! What an auditor's machine computes to verify one event: its leaf, a path through a tree of ten million, and a signature. Of made up
//! hashes here, so that it can be measured without a load; and, where there is one, of the proofs that the server gives of it.

use std::time::Instant;

use anyhow::{Context, ensure};
use indelible_core::checkpoint::Checkpoint;
use indelible_core::key::Secret;
use indelible_core::note::{Algorithm, LocalSigner, Name, Signer, VerifierKey};
use indelible_core::proof::InclusionProof;
use indelible_core::tree::{inclusion, leaf_hash};
use serde_json::Value;

use super::event::{Event, Ids, Order, mix};
use super::report::{Report, median, percentile};
use super::server::Server;

/// Proofs that are asked for.
const ASKED: u64 = 200;
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

/// Proofs of events of a load, asked for and verified: the whole way, over HTTP and with the record of the read, and the computation alone.
pub(crate) fn served(server: &Server, rows: u64, event: impl Fn(u64) -> Event, report: &mut Report) -> anyhow::Result<()> {
    let mut client = server.connect()?;
    let text = |answer: &Value, name: &str| answer[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    let sealed = client.post("/v1/audit/anchors", "application/json", b"")?;
    ensure!(sealed.status < 300, "{}: {}", sealed.status, String::from_utf8_lossy(&sealed.body));
    let keys: Value = serde_json::from_slice(&client.get("/v1/audit/keys")?.body)?;
    let keys = keys["keys"].as_array().context("no keys")?;
    let keys = keys.iter().map(|key| Ok(text(key, "verifier_key")?.parse()?)).collect::<anyhow::Result<Vec<VerifierKey>>>()?;
    let (mut answering, mut verifying) = (Vec::new(), Vec::new());
    for k in 0..ASKED.min(rows) {
        let id = event(mix(k) % rows).id();
        let begin = Instant::now();
        let answer = client.get_json(&format!("/v1/audit/events/{id}/proof"))?;
        answering.push(begin.elapsed().as_secs_f64() * 1e3);
        ensure!(answer.status == 200, "{}", String::from_utf8_lossy(&answer.body));
        let answer: Value = serde_json::from_slice(&answer.body)?;
        let (entry, proof) = (text(&answer, "entry")?, text(&answer, "proof")?);
        let begin = Instant::now();
        let proof = InclusionProof::parse(proof.as_bytes())?;
        proof.verify(&leaf_hash(entry.as_bytes()), &keys)?;
        verifying.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    report.add(format!("proof of one event of {rows}, asked for and recorded, p50"), median(&mut answering), "ms");
    report.add(format!("proof of one event of {rows}, asked for and recorded, p99"), percentile(&mut answering, 99.0), "ms");
    report.add(format!("verifying that proof of one event of {rows}, p50"), median(&mut verifying), "ms");
    Ok(())
}
