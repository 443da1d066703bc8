//! A bundle is judged alike however its bytes are cut, an unsigned one is never believed, and a manifest or an anchor's line that is
//! read is written as the same bytes. The input is a list of files: a name from the table, or free, and bytes.

#![no_main]

use indelible_core::bundle::{AnchorLine, BundleReport, BundleVerifier, FileName, Manifest, Trust};
use indelible_core::verify::Verdict;
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 14] = [
    "manifest.json",
    "verifier-keys",
    "checkpoint",
    "anchors.ndjson",
    "consistency",
    "range-proof",
    "instance/checkpoint",
    "instance/leaf",
    "instance/proof",
    "entries.ndjson",
    "proofs/0",
    "proofs/1",
    "contents/0.sealed",
    "contents/0.key",
];

fn verify(files: &[(u8, &str, &[u8])], piece: usize) -> BundleReport {
    let mut verifier = BundleVerifier::new(Trust::default());
    for (at, free, bytes) in files {
        verifier.file(NAMES.get(usize::from(*at % 16)).unwrap_or(free), bytes.len() as u64);
        bytes.chunks(piece).for_each(|piece| verifier.piece(piece));
    }
    verifier.finish()
}

fuzz_target!(|files: Vec<(u8, &str, &[u8])>| {
    let report = verify(&files, usize::MAX);
    assert_eq!(verify(&files, 3), report);
    assert!(report.signed_by.is_empty() && report.report.verdict != Verdict::Intact && report.report.verdict != Verdict::Unanchored);
    for (_, name, bytes) in &files {
        if let Ok(manifest) = Manifest::parse(bytes) {
            assert_eq!(manifest.to_bytes(), *bytes);
        }
        if let Ok(line) = AnchorLine::parse(bytes) {
            assert_eq!(line.to_bytes(), *bytes);
        }
        if let Some(file) = FileName::parse(name) {
            assert_eq!(file.to_string(), *name);
        }
    }
});
