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
        *bytes = lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes();
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

/// A name, what is done, and the verdict.
type Case<'a> = (&'a str, &'a dyn Fn(&mut Files), Verdict);

fn check(files: &Files, keys: &[VerifierKey], cases: &[Case<'_>]) {
    assert_eq!(verify(&tar(files), keys, None).report.verdict, Verdict::Intact);
    for (name, change, verdict) in cases {
        let mut changed = files.clone();
        change(&mut changed);
        let report = verify(&tar(&changed), keys, None).report;
        assert_eq!(report.verdict, *verdict, "{name}: {:?}", report.findings);
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
    let foreign = untar(&export_as(&bench, &instance, &second, ExportRequest::default()).expect("exported"));
    let foreign = String::from_utf8(file(&foreign, "entries.ndjson").to_vec()).expect("UTF-8").lines().next().expect("one").to_owned();
    let files = untar(&export(&bench, range(5, 25)));
    let later = untar(&export(&bench, range(5, 25)));
    let keys = keys(&files);
    let (forged, forger) = resigned(&files);
    no_file_can_be_changed(&files, &keys);
    let cases: &[Case<'_>] = &[
        (
            "an entry changed",
            &|files| {
                lines(files, |lines| lines[7] = lines[7].replace("alice", "mallo"));
                redigest(files, |_| {});
            },
            Verdict::Altered,
        ),
        (
            "an entry removed",
            &|files| {
                lines(files, |lines| drop(lines.remove(7)));
                redigest(files, |_| {});
            },
            Verdict::Missing,
        ),
        (
            "the last entry removed and the counts adapted",
            &|files| {
                lines(files, |lines| drop(lines.pop()));
                redigest(files, |of| (of.last_sequence, of.entries_included) = (of.last_sequence - 1, of.entries_included - 1));
            },
            Verdict::Altered,
        ),
        (
            // The gravest of two findings: one is not where it belongs, the other comes too late.
            "two entries exchanged",
            &|files| {
                lines(files, |lines| lines.swap(3, 4));
                redigest(files, |_| {});
            },
            Verdict::Missing,
        ),
        (
            "an entry twice",
            &|files| {
                lines(files, |lines| lines.insert(4, lines[4].clone()));
                redigest(files, |_| {});
            },
            Verdict::Reordered,
        ),
        (
            "another project's entry",
            &|files| {
                lines(files, |lines| lines[2].clone_from(&foreign));
                redigest(files, |_| {});
            },
            Verdict::Altered,
        ),
        (
            "a proof of another size",
            &|files| {
                edit(files, "range-proof", |bytes| *bytes = file(&later, "range-proof").to_vec());
                redigest(files, |_| {});
            },
            Verdict::Altered,
        ),
        (
            "another checkpoint of the log",
            &|files| {
                edit(files, "checkpoint", |bytes| *bytes = file(&later, "checkpoint").to_vec());
                redigest(files, |_| {});
            },
            Verdict::Altered,
        ),
        (
            "signed anew by an unknown key",
            &|files| {
                edit(files, "checkpoint", |bytes| bytes.clone_from(&forged));
                redigest(files, |_| {});
            },
            Verdict::Unverifiable,
        ),
        (
            "signed anew, with that key inside",
            &|files| {
                edit(files, "checkpoint", |bytes| bytes.clone_from(&forged));
                edit(files, "verifier-keys", |bytes| *bytes = format!("{forger}\n").into_bytes());
                redigest(files, |_| {});
            },
            Verdict::Unverifiable,
        ),
        // Keys inside decide nothing: the pinned ones still hold.
        (
            "the keys inside exchanged",
            &|files| {
                edit(files, "verifier-keys", |bytes| *bytes = format!("{forger}\n").into_bytes());
                redigest(files, |_| {});
            },
            Verdict::Intact,
        ),
    ];
    check(&files, &keys, cases);
}

#[test]
fn whatever_is_done_to_a_selection_of_a_real_ledger_is_found() {
    let bench = filled(12);
    let files = untar(&export(&bench, opened(selection("action eq \"test.step\""))));
    let later = untar(&export(&bench, opened(selection("action eq \"test.step\""))));
    let keys = keys(&files);
    let name = |files: &Files, prefix: &str, n: usize| {
        files.iter().filter(|(name, _)| name.starts_with(prefix)).nth(n).map(|(name, _)| name.clone()).expect(prefix)
    };
    let (proof, other) = (name(&files, "proofs/", 3), name(&files, "proofs/", 4));
    let sequence = proof.trim_start_matches("proofs/");
    let content = |part: &str| format!("contents/{sequence}.{part}");
    let cases: &[Case<'_>] = &[
        (
            "an entry changed",
            &|files| {
                lines(files, |lines| lines[3] = lines[3].replace("alice", "mallo"));
                redigest(files, |_| {});
            },
            Verdict::Altered,
        ),
        (
            "an entry removed and the counts adapted",
            &|files| {
                lines(files, |lines| drop(lines.remove(3)));
                redigest(files, |of| of.entries_included -= 1);
            },
            Verdict::Missing,
        ),
        (
            "a proof removed",
            &|files| {
                files.retain(|(name, _)| *name != proof);
                redigest(files, |_| {});
            },
            Verdict::Altered,
        ),
        (
            "a proof in the place of another",
            &|files| {
                let bytes = file(files, &other).to_vec();
                edit(files, &proof, |proof| *proof = bytes);
                redigest(files, |_| {});
            },
            Verdict::Altered,
        ),
        (
            "a proof of another size",
            &|files| {
                edit(files, &proof, |bytes| *bytes = file(&later, &proof).to_vec());
                redigest(files, |_| {});
            },
            Verdict::Altered,
        ),
        (
            "two entries exchanged",
            &|files| {
                lines(files, |lines| lines.swap(3, 4));
                redigest(files, |_| {});
            },
            Verdict::Reordered,
        ),
        (
            "a content changed",
            &|files| {
                edit(files, &content("sealed"), |bytes| bytes[40] ^= 1);
                redigest(files, |_| {});
            },
            Verdict::Altered,
        ),
        (
            "a content of another entry",
            &|files| {
                let bytes = file(files, &format!("contents/{}.sealed", other.trim_start_matches("proofs/"))).to_vec();
                edit(files, &content("sealed"), |sealed| *sealed = bytes);
                redigest(files, |_| {});
            },
            Verdict::Altered,
        ),
        (
            "a key changed",
            &|files| {
                edit(files, &content("key"), |bytes| bytes[0] = if bytes[0] == b'0' { b'1' } else { b'0' });
                redigest(files, |_| {});
            },
            Verdict::Altered,
        ),
        // A selection may be made smaller by anybody: that it is one is all it says.
        (
            "an entry left out with all that is its own",
            &|files| {
                lines(files, |lines| drop(lines.remove(3)));
                files.retain(|(name, _)| *name != proof && *name != content("sealed") && *name != content("key"));
                redigest(files, |of| of.entries_included -= 1);
            },
            Verdict::Intact,
        ),
    ];
    check(&files, &keys, cases);
}
