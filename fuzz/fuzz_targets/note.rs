//! What is read as a note or as signature lines is printed byte for byte as it was; a key likewise. A signature that is added
//! verifies, and no other text does.

#![no_main]

use indelible_core::key::Secret;
use indelible_core::limits::NOTE_BYTES_MAX;
use indelible_core::note::{Algorithm, LocalSigner, Name, Note, Signature, Signer, VerifierKey, cosign, sign};
use libfuzzer_sys::fuzz_target;

fn signer(algorithm: Algorithm) -> LocalSigner {
    LocalSigner::from_seed(Name::new("fuzz.example").expect("a name"), algorithm, &Secret::new([7; 32])).expect("a seed")
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(signatures) = Signature::parse_lines(bytes) {
        assert_eq!(signatures.iter().map(ToString::to_string).collect::<String>().as_bytes(), bytes);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(key) = text.parse::<VerifierKey>()
    {
        assert_eq!(key.to_string(), text);
    }
    let Ok(mut note) = Note::parse(bytes) else { return };
    assert_eq!(note.to_string().as_bytes(), bytes);

    let (log, witness) = (signer(Algorithm::Ed25519), signer(Algorithm::CosignatureV1));
    let keys = [log.verifier_key().clone(), witness.verifier_key().clone()];
    assert!(note.verify(&keys).is_err());
    let cosignature = cosign(note.text(), &witness, 7).expect("it cosigns");
    if sign(&mut note, &log).is_err() || note.add(cosignature).is_err() {
        return;
    }
    let printed = note.to_string();
    if printed.len() <= NOTE_BYTES_MAX {
        assert_eq!(Note::parse(printed.as_bytes()).as_ref(), Ok(&note));
    }
    assert_eq!(note.verify(&keys).map(|by| by.len()), Ok(2));
    let mut other = Note::new(format!("x{}", note.text())).expect("a text");
    for signature in note.signatures() {
        other.add(signature.clone()).expect("as many as before");
    }
    assert!(other.verify(&keys).is_err());
});
