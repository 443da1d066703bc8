//! What somebody with the bundle, and without the log's key, can do to it; each line a case with its verdict. The digests of the
//! manifest are made anew in every case, as whoever changes a bundle would.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use indelible_core::bundle::tar::{END, header, padding};
use indelible_core::bundle::{FileName, FolderDigest, Kind};
use indelible_core::key::Secret;
use indelible_core::note::{Algorithm, LocalSigner};

use super::*;

fn tar(files: &Files) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in files {
        out.extend(header(FileName::parse(name).expect(name), bytes.len() as u64));
        out.extend_from_slice(bytes);
        out.resize(out.len() + padding(bytes.len() as u64), 0);
    }
    [out, END.to_vec()].concat()
}

/// Gives the manifest the digests of the files as they are, and lets `change` do the rest.
fn redigest(files: &mut Files, change: impl FnOnce(&mut Manifest)) {
    let mut of = manifest(files);
    let mut folders = BTreeMap::new();
    of.files.clear();
    for (name, bytes) in &files[1..] {
        let file = FileName::parse(name).expect(name);
        if matches!(file, FileName::Proof(_) | FileName::Content(..)) {
            let folder = folders.entry(file.digest_name()).or_insert_with(FolderDigest::new);
            folder.begin(file, bytes.len() as u64);
            folder.update(bytes);
        } else {
            of.files.insert(name.clone(), digest(&SHA256, bytes).as_ref().try_into().expect("32 bytes"));
        }
    }
    if of.kind == Kind::Selection {
        folders.entry("proofs/").or_insert_with(FolderDigest::new);
    }
    if of.content_included {
        folders.entry("contents/").or_insert_with(FolderDigest::new);
    }
    of.files.extend(folders.into_iter().map(|(name, folder)| (name.to_owned(), folder.finish())));
    change(&mut of);
    files[0].1 = of.to_bytes();
}

fn edit(files: &mut Files, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    change(&mut files.iter_mut().find(|(other, _)| other == name).expect(name).1);
}

fn lines(files: &mut Files, change: impl FnOnce(&mut Vec<String>)) {
    edit(files, "entries.ndjson", |bytes| {
        let mut lines: Vec<String> = String::from_utf8(bytes.clone()).expect("UTF-8").lines().map(str::to_owned).collect();
        change(&mut lines);
        *bytes = (lines.join("\n") + "\n").into_bytes();
    });
}

/// The checkpoint, signed by a key of the same name that the log does not have, and that key.
fn resigned(files: &Files) -> (Vec<u8>, String) {
    let note = Note::parse(file(files, "checkpoint")).expect("a note");
    let checkpoint = Checkpoint::parse(note.text()).expect("a checkpoint");
    let forger = LocalSigner::from_seed(checkpoint.origin.clone(), Algorithm::Ed25519, &Secret::new([7; 32])).expect("a seed");
    let key = indelible_core::note::Signer::verifier_key(&forger).to_string();
    (checkpoint.sign(&[&forger]).expect("signed").to_string().into_bytes(), key)
}

type Change = Box<dyn Fn(&mut Files)>;

/// The entries changed, and nothing else.
fn entries(change: impl Fn(&mut Vec<String>) + 'static) -> Change {
    counted(change, |_| {})
}

/// The entries changed, and the manifest with them.
fn counted(change: impl Fn(&mut Vec<String>) + 'static, counts: fn(&mut Manifest)) -> Change {
    Box::new(move |files| {
        lines(files, &change);
        redigest(files, counts);
    })
}

/// Other bytes in the place of a file.
fn with(name: &str, bytes: &[u8]) -> Change {
    let (name, bytes) = (name.to_owned(), bytes.to_vec());
    Box::new(move |files| {
        edit(files, &name, |file| file.clone_from(&bytes));
        redigest(files, |_| {});
    })
}

/// One after the other.
fn both(one: Change, other: Change) -> Change {
    Box::new(move |files| {
        one(files);
        other(files);
    })
}

/// Files left away.
fn without(names: &[String]) -> Change {
    let names = names.to_vec();
    Box::new(move |files| {
        files.retain(|(name, _)| !names.contains(name));
        redigest(files, |_| {});
    })
}

/// A name, what is done, and the verdict.
type Case = (&'static str, Change, Verdict);

fn check(files: &Files, keys: &[VerifierKey], cases: Vec<Case>) {
    assert_eq!(verify(&tar(files), keys, None).report.verdict, Verdict::Intact);
    for (name, change, verdict) in cases {
        let mut changed = files.clone();
        change(&mut changed);
        let report = verify(&tar(&changed), keys, None).report;
        assert_eq!(report.verdict, verdict, "{name}: {:?}", report.findings);
    }
}

/// Any byte, with and without digests that fit, and any file that is left away, comes twice or elsewhere.
fn no_file_can_be_changed(files: &Files, keys: &[VerifierKey]) {
    for n in 1..files.len() {
        let name = &files[n].0;
        for at in [0, files[n].1.len() / 2, files[n].1.len().saturating_sub(1)] {
            for fitting in [false, true] {
                let mut changed = files.clone();
                changed[n].1[at] ^= 1;
                if fitting {
                    redigest(&mut changed, |_| {});
                }
                let verdict = verify(&tar(&changed), keys, None).report.verdict;
                // What the bundle offers as keys is believed by nobody, so changing it changes no verdict where its digest fits and it
                // still is a key; any other change is found.
                assert!(verdict != Verdict::Intact || (fitting && name == "verifier-keys"), "{name}, byte {at}: {verdict:?}");
            }
        }
        let mut removed = files.clone();
        removed.remove(n);
        assert_eq!(verify(&tar(&removed), keys, None).report.verdict, Verdict::Altered, "{name} removed");
        let mut twice = files.clone();
        twice.insert(n, files[n].clone());
        assert_eq!(verify(&tar(&twice), keys, None).report.verdict, Verdict::Altered, "{name} twice");
        let mut moved = files.clone();
        moved.swap(n, n - 1);
        assert_ne!(verify(&tar(&moved), keys, None).report.verdict, Verdict::Intact, "{name} moved");
    }
}

#[test]
fn whatever_is_done_to_a_range_of_a_real_ledger_is_found() {
    let bench = filled(40);
    let instance = bench.instance();
    let second = wait(bench.ledger.create_project(&instance, None, "second")).expect("a project");
    (500..510).for_each(|n| add_to(&bench, &second, n));
    let foreign = untar(&export_as(&bench, &instance, &second, ExportRequest::default()).expect("exported"));
    let foreign = String::from_utf8(file(&foreign, "entries.ndjson").to_vec())
        .expect("UTF-8")
        .lines()
        .nth(7)
        .expect("of the same sequence")
        .to_owned();
    let files = untar(&export(&bench, range(5, 25)));
    let later = untar(&export(&bench, range(5, 25)));
    let keys = keys(&files);
    let (checkpoint, own_key) = resigned(&files);
    let own_key = format!("{own_key}\n").into_bytes();
    no_file_can_be_changed(&files, &keys);
    let fewer = |of: &mut Manifest| (of.last_sequence, of.entries_included) = (of.last_sequence - 1, of.entries_included - 1);
    let cases: Vec<Case> = vec![
        ("an entry changed", entries(|lines| lines[7] = lines[7].replace("alice", "mallo")), Verdict::Altered),
        ("an entry removed", entries(|lines| drop(lines.remove(7))), Verdict::Missing),
        ("the last entry removed and the counts adapted", counted(|lines| drop(lines.pop()), fewer), Verdict::Altered),
        // The gravest of two findings: one is not where it belongs, the other comes too late.
        ("two entries exchanged", entries(|lines| lines.swap(3, 4)), Verdict::Missing),
        ("an entry twice", entries(|lines| lines.insert(4, lines[4].clone())), Verdict::Reordered),
        ("another project's entry", entries(move |lines| lines[2].clone_from(&foreign)), Verdict::Altered),
        ("a proof of another size", with("range-proof", file(&later, "range-proof")), Verdict::Altered),
        ("another checkpoint of the log", with("checkpoint", file(&later, "checkpoint")), Verdict::Altered),
        ("signed anew by an unknown key", with("checkpoint", &checkpoint), Verdict::Unverifiable),
        (
            "signed anew, with that key inside",
            both(with("checkpoint", &checkpoint), with("verifier-keys", &own_key)),
            Verdict::Unverifiable,
        ),
        // Keys inside decide nothing: the pinned ones still hold.
        ("the keys inside exchanged", with("verifier-keys", &own_key), Verdict::Intact),
    ];
    check(&files, &keys, cases);
}

#[test]
fn whatever_is_done_to_a_selection_of_a_real_ledger_is_found() {
    let bench = filled(12);
    let files = untar(&export(&bench, opened(selection("action eq \"test.step\""))));
    let later = untar(&export(&bench, opened(selection("action eq \"test.step\""))));
    let keys = keys(&files);
    let proofs: Vec<&str> = files.iter().filter_map(|(name, _)| name.strip_prefix("proofs/")).collect();
    let (proof, other) = (format!("proofs/{}", proofs[3]), format!("proofs/{}", proofs[4]));
    let (sealed, key) = (format!("contents/{}.sealed", proofs[3]), format!("contents/{}.key", proofs[3]));
    let mut damaged = file(&files, &sealed).to_vec();
    damaged[40] ^= 1;
    let (foreign, foreign_key) = (format!("contents/{}.sealed", proofs[4]), format!("contents/{}.key", proofs[4]));
    let one_less = |of: &mut Manifest| of.entries_included -= 1;
    let cases: Vec<Case> = vec![
        ("an entry changed", entries(|lines| lines[3] = lines[3].replace("alice", "mallo")), Verdict::Altered),
        ("an entry removed and the counts adapted", counted(|lines| drop(lines.remove(3)), one_less), Verdict::Missing),
        ("two entries exchanged", entries(|lines| lines.swap(3, 4)), Verdict::Reordered),
        ("a proof removed", without(std::slice::from_ref(&proof)), Verdict::Altered),
        ("a proof in the place of another", with(&proof, file(&files, &other)), Verdict::Altered),
        ("a proof of another size", with(&proof, file(&later, &proof)), Verdict::Altered),
        ("a content changed", with(&sealed, &damaged), Verdict::Altered),
        ("a content of another entry", with(&sealed, file(&files, &foreign)), Verdict::Altered),
        ("a key of another content", with(&key, file(&files, &foreign_key)), Verdict::Altered),
        // A selection may be made smaller by anybody: that it is one is all it says.
        (
            "an entry left out with all that is its own",
            both(without(&[proof.clone(), sealed.clone(), key.clone()]), counted(|lines| drop(lines.remove(3)), one_less)),
            Verdict::Intact,
        ),
    ];
    check(&files, &keys, cases);
}
