//! What is read as a checkpoint, an anchor or an instance leaf is written as the same bytes. A checkpoint that was read can be
//! signed, and opens as itself under that key alone.

#![no_main]

use indelible_core::anchor::{Anchor, InstanceLeaf};
use indelible_core::checkpoint::Checkpoint;
use indelible_core::key::Secret;
use indelible_core::note::{Algorithm, LocalSigner, Note, Signer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(anchor) = Anchor::parse(bytes) {
        assert_eq!(anchor.to_bytes(), bytes);
        assert_eq!(anchor.event_count(), anchor.last_sequence - anchor.first_sequence + 1);
        let leaf = anchor.instance_leaf();
        assert_eq!(InstanceLeaf::parse(&leaf.to_bytes()), Some(leaf));
    }
    if let Some(leaf) = InstanceLeaf::parse(bytes) {
        assert_eq!(leaf.to_bytes(), bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(checkpoint) = Checkpoint::parse(text) else { return };
    assert_eq!(checkpoint.to_string(), text);
    let signer = |byte| LocalSigner::from_seed(checkpoint.origin.clone(), Algorithm::Ed25519, &Secret::new([byte; 32])).expect("a seed");
    let (own, other) = (signer(1), signer(2));
    let note = checkpoint.sign(&[&own]).expect("it signs");
    let note = Note::parse(note.to_string().as_bytes()).expect("a note");
    let opened = Checkpoint::open(&note, &[own.verifier_key().clone()]).expect("signed");
    assert_eq!(opened.checkpoint, checkpoint);
    assert!(Checkpoint::open(&note, &[other.verifier_key().clone()]).is_err());
});
