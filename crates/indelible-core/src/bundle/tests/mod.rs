//! Bundles: another implementation's are believed; whatever is done to one is found, with its kind and place.

mod forged;
mod made;
mod manifest;
mod tamper;
mod tarred;

use serde_json::Value as Json;

use super::*;
use crate::limits::BUNDLE_LINE_BYTES_MAX;
use crate::note::VerifierKey;
use crate::verify::Verdict;

/// Names and bytes, in the order of a tar.
type Files = Vec<(String, Vec<u8>)>;

/// Verifies files handed over in pieces of `size` bytes.
fn verify_in(files: &Files, trust: &Trust, size: usize) -> BundleReport {
    let mut verifier = BundleVerifier::new(trust.clone());
    for (name, bytes) in files {
        verifier.file(name, bytes.len() as u64);
        bytes.chunks(size).for_each(|piece| verifier.piece(piece));
    }
    verifier.finish()
}

fn verify(files: &Files, trust: &Trust) -> BundleReport {
    verify_in(files, trust, 1_000)
}

/// Kinds, places and words of what was found, for a table to look at.
fn found(report: &BundleReport) -> Vec<(Verdict, Option<u64>, String)> {
    report.report.findings.iter().map(|finding| (finding.kind, finding.sequence, finding.detail.clone())).collect()
}

/// `testdata/bundles.json` is made by `testdata/bundles.py`.
#[test]
fn bundles_of_another_implementation_are_believed() {
    let vectors: Json = serde_json::from_str(include_str!("../../../testdata/bundles.json")).expect("JSON");
    let text = |value: &Json| value.as_str().expect("a string").to_owned();
    let keys: Vec<VerifierKey> = vectors["keys"].as_array().expect("keys").iter().map(|key| text(key).parse().expect("a key")).collect();
    let earlier = &vectors["earlier"];
    let earlier = crate::checkpoint::Checkpoint::parse(&text(earlier)).expect("a checkpoint");
    let cases = vectors["bundles"].as_array().expect("bundles");
    assert_eq!(cases.len(), 4);
    for case in cases {
        let files: Files =
            case["files"].as_array().expect("files").iter().map(|file| (text(&file[0]), text(&file[1]).into_bytes())).collect();
        let name = text(&case["name"]);
        for (pinned, expected) in [(&keys[..], &case["verdict"]), (&[][..], &Json::from("unverifiable"))] {
            let trust = Trust { keys: pinned.to_vec(), earlier: Some(earlier.clone()) };
            let report = verify(&files, &trust);
            assert_eq!(report.report.verdict.as_str(), text(expected), "{name}: {:?}", found(&report));
            assert_eq!(report.report.events, case["entries"].as_u64().expect("a number"), "{name}");
            assert_eq!(report.anchors, case["anchors"].as_u64().expect("a number"), "{name}");
            assert_eq!(report.grown_from, case["grown_from"].as_u64(), "{name}");
            let left_out = report.manifest.as_ref().map(Manifest::entries_left_out);
            assert_eq!(left_out, case["left_out"].as_u64(), "{name}");
            let instance = report.instance.as_ref().map(|(size, witnesses)| (*size, witnesses.len() as u64));
            let expected = case["instance"].as_array().filter(|_| !pinned.is_empty());
            let number = |value: &Json| value.as_u64().expect("a number");
            assert_eq!(instance, expected.map(|of| (number(&of[0]), number(&of[1]))), "{name}");
            assert_eq!(report.keys_offered, keys, "{name}");
            for size in [1, 7, 100_000] {
                assert_eq!(verify_in(&files, &trust, size), report, "{name} in pieces of {size}");
            }
        }
        let manifest = Manifest::parse(&files[0].1).expect("a manifest");
        assert_eq!(manifest.to_bytes(), files[0].1);
        let names: Vec<FileName> = files.iter().map(|(name, _)| FileName::parse(name).expect(name)).collect();
        assert!(names.is_sorted());
        assert!(names.iter().zip(&files).all(|(name, file)| name.to_string() == file.0));
    }
}

#[test]
fn names_have_one_spelling() {
    for name in ["manifest.json", "instance/proof", "proofs/0", "proofs/17", "contents/3.sealed", "contents/3.key"] {
        assert_eq!(FileName::parse(name).map(|file| file.to_string()).as_deref(), Some(name));
    }
    for name in [
        "",
        "manifest",
        "./manifest.json",
        "proofs/",
        "proofs/01",
        "proofs/-1",
        "proofs/1/2",
        "contents/3",
        "contents/3.json",
        "contents/.key",
        "instance",
    ] {
        assert_eq!(FileName::parse(name), None, "{name}");
    }
    let order = ["contents/2.sealed", "contents/2.key", "contents/10.sealed"].map(FileName::parse);
    assert!(order.is_sorted());
}
