//! What somebody with the log's own keys could sign, what an earlier checkpoint says of it, and whose keys count.

use super::made::{Made, entry, redigest, signer};
use super::*;
use crate::checkpoint::Checkpoint;
use crate::note::{Algorithm, Name, Signer};
use crate::verify::Verdict::{Altered, Forked, Intact, RolledBack, Unanchored, Unverifiable};

/// Files of one bundle in the place of another's.
fn graft(into: &mut Files, from: &Files, names: &[&str]) {
    for (name, bytes) in into.iter_mut().filter(|file| names.contains(&file.0.as_str())) {
        bytes.clone_from(&from.iter().find(|file| file.0 == *name).expect("the file is there").1);
    }
    redigest(into);
}

fn without_instance(files: &mut Files) {
    files.retain(|file| !file.0.starts_with("instance/"));
    redigest(files);
}

const ANCHORED: &[&str] = &["anchors.ndjson", "instance/checkpoint", "instance/leaf", "instance/proof"];

fn only(report: &BundleReport) -> (Verdict, Option<u64>, String) {
    assert_eq!(report.report.findings.len(), 1, "{:?}", found(report));
    found(report).remove(0)
}

#[test]
fn an_older_checkpoint_and_two_histories_are_named() {
    let log = Made::new(30);
    let honest = log.bundle(5, 22, None);
    let mut older = Made::new(28).bundle(5, 22, None);
    graft(&mut older, &honest, ANCHORED);
    assert_eq!(only(&verify(&older, &log.trust())), (RolledBack, Some(29), "the checkpoint is older than the last anchor".to_owned()));

    let mut other = Made::new(30);
    other.entries[29] = entry(29, "another end", None);
    let mut forked = other.bundle(5, 22, None);
    graft(&mut forked, &honest, ANCHORED);
    let two_roots = "anchor and checkpoint name two roots for one size";
    assert_eq!(only(&verify(&forked, &log.trust())), (Forked, Some(29), two_roots.to_owned()));

    // Another history from entry 9 on; the anchors that show it end within the range.
    let mut other = Made::new(30);
    other.entries[9] = entry(9, "another middle", None);
    let mut forked = other.bundle(5, 20, None);
    let mut anchors = honest.clone();
    let lines = &mut anchors.iter_mut().find(|file| file.0 == "anchors.ndjson").expect("there").1;
    let third = lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(2).expect("three lines").0;
    lines.truncate(third + 1);
    without_instance(&mut forked);
    graft(&mut forked, &anchors, &["anchors.ndjson"]);
    let different = "anchor and checkpoint were signed over different entries";
    assert_eq!(only(&verify(&forked, &log.trust())), (Forked, Some(7), different.to_owned()));
}

#[test]
fn entries_after_the_last_anchor_are_counted() {
    let log = Made::new(30);
    for (chosen, expected) in [(None, (5, "18 entries")), (Some(&[6, 9, 21][..]), (6, "3 entries"))] {
        let mut files = log.bundle(5, 22, chosen);
        files.iter_mut().find(|file| file.0 == "anchors.ndjson").expect("there").1.clear();
        without_instance(&mut files);
        let (kind, sequence, detail) = only(&verify(&files, &log.trust()));
        assert_eq!((kind, sequence), (Unanchored, Some(expected.0)));
        assert!(detail.contains(expected.1), "{detail}");
    }
}

#[test]
fn an_earlier_checkpoint_must_be_the_beginning() {
    let log = Made::new(30);
    let files = log.bundle(5, 22, None);
    let origin = Name::new("elsewhere").expect("a name");
    let cases = [
        (log.checkpoint(3), Some(3), None),
        (log.checkpoint(30), Some(30), None),
        (log.checkpoint(4), None, Some((Unverifiable, "no proof that its tree grew"))),
        (Checkpoint { origin, ..log.checkpoint(3) }, None, Some((Unverifiable, "another log's"))),
        (Checkpoint { root: [7; 32], ..log.checkpoint(3) }, None, Some((Forked, "not proved to have grown"))),
        (Checkpoint { root: [7; 32], ..log.checkpoint(30) }, None, Some((Forked, "two roots"))),
        (Checkpoint { size: 31, ..log.checkpoint(30) }, None, Some((RolledBack, "older than the earlier"))),
    ];
    for (earlier, grown_from, finding) in cases {
        let report = verify(&files, &Trust { earlier: Some(earlier.clone()), ..log.trust() });
        assert_eq!(report.grown_from, grown_from, "{earlier}");
        assert_eq!(report.report.verdict, finding.map_or(Intact, |finding| finding.0), "{earlier}");
        if let Some((_, detail)) = finding {
            assert!(only(&report).2.contains(detail), "{earlier}: {:?}", found(&report));
        }
    }
}

#[test]
fn pinned_keys_decide_and_keys_inside_do_not() {
    let log = Made::new(30);
    let files = log.bundle(5, 22, None);
    let pin = |keys: &[&dyn Signer]| Trust { keys: keys.iter().map(|key| key.verifier_key().clone()).collect(), earlier: None };
    let report = verify(&files, &log.trust());
    assert_eq!((report.report.verdict, report.report.events), (Intact, 18));
    assert_eq!(report.signed_by, [log.log.verifier_key().clone()]);
    let cosigned = report.instance.expect("proved");
    assert_eq!((cosigned.0, cosigned.1.len(), cosigned.1[0].seconds), (2, 1, 7));
    assert_eq!((report.contents_sealed, report.contents_opened, report.contents_absent), (4, 4, 0));
    assert_eq!((report.anchors, report.anchored_at.map(crate::time::Timestamp::as_micros)), (5, Some(1_000_029)));

    let no_witness = verify(&files, &pin(&[&log.log, &log.instance]));
    assert_eq!((no_witness.report.verdict, no_witness.instance), (Intact, Some((2, vec![]))));
    for (trust, expected) in [
        (pin(&[]), &["checkpoint: no known key", "no known key", "instance/checkpoint: no known key"][..]),
        (pin(&[&log.log]), &["instance/checkpoint: no known key"]),
        (pin(&[&log.witness, &log.instance]), &["checkpoint: no known key", "no known key"]),
    ] {
        let report = verify(&files, &trust);
        let mut found = found(&report);
        found.sort();
        assert_eq!(report.report.verdict, Unverifiable, "{found:?}");
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(expected.iter().all(|detail| found.iter().any(|finding| finding.2.starts_with(detail))), "{found:?}");
    }

    // A whole log of somebody else's under the same names, offered with keys to match.
    let mut forger = Made::new(30);
    forger.log = signer(forger.log.verifier_key().name().as_str(), Algorithm::Ed25519, 66);
    let report = verify(&forger.bundle(5, 22, None), &log.trust());
    assert_eq!(report.report.verdict, Unverifiable, "{:?}", found(&report));
    assert_eq!(report.signed_by, []);
    assert!(report.keys_offered.contains(forger.log.verifier_key()));

    // Nobody pinned the key; that the signature does not hold even under it is told all the same.
    for (file, detail) in
        [("checkpoint", "checkpoint: the signature"), ("anchors.ndjson", "anchors.ndjson, line"), ("instance/proof", "instance/")]
    {
        let mut bad = files.clone();
        let bytes = &mut bad.iter_mut().find(|other| other.0 == file).expect("there").1;
        let at = if file == "instance/proof" { 60 } else { bytes.len() - 20 };
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        redigest(&mut bad);
        let report = verify(&bad, &pin(&[]));
        assert_eq!(report.report.verdict, Altered, "{file}");
        assert!(found(&report).iter().any(|finding| finding.0 == Altered && finding.2.starts_with(detail)), "{:?}", found(&report));
    }
}

#[test]
fn the_instance_is_the_one_that_the_origin_names() {
    let mut log = Made::new(30);
    log.instance = signer("other.example", Algorithm::Ed25519, 2);
    let finding = only(&verify(&log.bundle(5, 22, None), &log.trust()));
    assert_eq!((finding.0, finding.1), (Altered, None));
    assert!(finding.2.contains("origin is not that of the project's instance"), "{}", finding.2);
    let mut log = Made::new(30);
    log.log = signer("log.example/another-project", Algorithm::Ed25519, 1);
    let report = verify(&log.bundle(5, 22, None), &log.trust());
    assert!(found(&report).iter().any(|finding| finding.2.contains("checkpoint: origin or size")), "{:?}", found(&report));
}

#[test]
fn versions_that_are_not_known_say_nothing() {
    let log = Made::new(30);
    let mut files = log.bundle(5, 22, None);
    files[0].1 = String::from_utf8(files[0].1.clone()).expect("UTF-8").replace("\"version\":1", "\"version\":2").into_bytes();
    let report = verify(&files, &log.trust());
    assert_eq!(only(&report), (Unverifiable, None, "manifest.json: version 2 is not known here".to_owned()));
    assert_eq!((report.manifest, report.report.events), (None, 0));
}

#[test]
fn what_breaks_manifest_or_bounds_is_named() {
    let log = Made::new(30);
    let honest = log.bundle(5, 22, None);
    let told = |files: &Files, detail: &str| {
        let report = verify(files, &log.trust());
        assert!(found(&report).iter().any(|finding| finding.0 == Altered && finding.2.contains(detail)), "{detail}: {:?}", found(&report));
    };
    let place = honest.iter().position(|file| file.0 == "consistency").expect("there");
    let mut more = honest.clone();
    let consistency = more.remove(place);
    redigest(&mut more);
    more.insert(place, consistency);
    assert_eq!(only(&verify(&more, &log.trust())).2, "consistency is not in the manifest");

    let mut large = honest.clone();
    large[place].1 = vec![b'x'; 70_000];
    redigest(&mut large);
    assert_eq!(only(&verify(&large, &log.trust())).2, "consistency has 70000 bytes, more than 65536");

    let manifest = Manifest::parse(&honest[0].1).expect("a manifest");
    for other in
        [Manifest { origin: Name::new("elsewhere").expect("a name"), ..manifest.clone() }, Manifest { tree_size: 31, ..manifest.clone() }]
    {
        let mut files = honest.clone();
        files[0].1 = other.to_bytes();
        told(&files, "checkpoint: origin or size");
    }

    let mut verifier = BundleVerifier::new(log.trust());
    for (name, bytes) in &honest {
        verifier.file(name, bytes.len() as u64 + u64::from(name == "verifier-keys"));
        verifier.piece(bytes);
    }
    assert_eq!(only(&verifier.finish()).2.split(':').next(), Some("verifier-keys is cut off"));

    // The digest is right, and the size that the entry names is not.
    let mut liar = Made::new(30);
    let stored = &honest.iter().find(|file| file.0 == "contents/10.sealed").expect("there").1;
    let sha256 = crate::tree::array(&aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, stored));
    liar.entries[10] = entry(10, "why 10", Some((&sha256, stored.len() + 1)));
    let finding = only(&verify(&liar.bundle(5, 22, None), &liar.trust()));
    assert_eq!(finding, (Altered, Some(10), "the content is not the one that the entry names".to_owned()));
}
