//! A bundle is judged alike however its bytes are cut, as files and as the tar that they come in; one that no pinned key signed is never
//! believed; and a manifest or an anchor's line that is read is written as the same bytes. The input is a list of files (a name from the
//! table, or free, and bytes), what is changed in their tar, where the tar is cut, and bytes that are taken for a tar as they are.

#![no_main]

use indelible_core::bundle::tar::{BLOCK_BYTES, END, header, padding};
use indelible_core::bundle::{AnchorLine, BundleReport, BundleVerifier, FileName, Manifest, TarVerifier, Trust};
use indelible_core::key::Secret;
use indelible_core::note::{Algorithm, LocalSigner, Name, Signer};
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

type File<'a> = (u8, &'a str, &'a [u8]);

fn name<'a>((at, free, _): &File<'a>) -> &'a str {
    NAMES.get(usize::from(*at % 16)).unwrap_or(free)
}

fn verify(files: &[File<'_>], piece: usize) -> BundleReport {
    let mut verifier = BundleVerifier::new(Trust::default());
    for file in files {
        verifier.file(name(file), file.2.len() as u64);
        file.2.chunks(piece).for_each(|piece| verifier.piece(piece));
    }
    verifier.finish()
}

/// A key that signs nothing here.
fn pinned() -> Trust {
    let name = Name::new("log").expect("a name");
    let signer = LocalSigner::from_seed(name, Algorithm::Ed25519, &Secret::new([5; 32])).expect("a seed");
    Trust { keys: vec![signer.verifier_key().clone()], earlier: None }
}

/// Reads a tar in pieces that end at `cuts`, then whole.
fn read(tar: &[u8], cuts: &[u16], trust: &Trust) -> BundleReport {
    let mut verifier = TarVerifier::new(trust.clone());
    let mut rest = tar;
    for cut in cuts {
        let (piece, after) = rest.split_at(usize::from(*cut).min(rest.len()));
        verifier.piece(piece);
        rest = after;
    }
    verifier.piece(rest);
    verifier.finish()
}

fn judge(tar: &[u8], cuts: &[u16]) {
    for trust in [Trust::default(), pinned()] {
        let report = read(tar, &[], &trust);
        assert_eq!(read(tar, cuts, &trust), report);
        let mut verifier = TarVerifier::new(trust);
        tar.chunks(1).for_each(|byte| verifier.piece(byte));
        assert_eq!(verifier.finish(), report);
        assert!(report.signed_by.is_empty() && report.report.verdict != Verdict::Intact && report.report.verdict != Verdict::Unanchored);
    }
}

/// The tar of the files whose names a tar of ours may have.
fn pack(files: &[File<'_>]) -> Vec<u8> {
    let mut tar = Vec::new();
    for file in files {
        tar.extend(header(FileName::parse(name(file)).expect("a name of a bundle"), file.2.len() as u64));
        tar.extend_from_slice(file.2);
        tar.resize(tar.len() + padding(file.2.len() as u64), 0);
    }
    tar.extend_from_slice(&END);
    tar
}

/// Changes a byte, and mends the checksum of its block if that is a header.
fn change(tar: &mut [u8], at: u16, byte: u8) {
    let at = usize::from(at) % tar.len();
    tar[at] = byte;
    let block = &mut tar[at / BLOCK_BYTES * BLOCK_BYTES..][..BLOCK_BYTES];
    if &block[257..262] == b"ustar" {
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

/// Files, changes of bytes, where the tar is cut, and bytes that are read as a tar.
type Input<'a> = (Vec<File<'a>>, Vec<(u16, u8)>, Vec<u16>, &'a [u8]);

fuzz_target!(|input: Input<'_>| {
    let (files, changes, cuts, raw) = input;
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
    let named: Vec<File<'_>> = files.into_iter().filter(|file| FileName::parse(name(file)).is_some()).collect();
    let mut tar = pack(&named);
    assert_eq!(read(&tar, &cuts, &Trust::default()), verify(&named, usize::MAX));
    changes.iter().for_each(|(at, byte)| change(&mut tar, *at, *byte));
    judge(&tar, &cuts);
    judge(raw, &cuts);
});
