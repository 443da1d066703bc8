//! The tamper table: each thing that may be done to a bundle, and what is found. The manifest is made anew after each, as
//! whoever did it would: so no case is found by a digest alone, but where it says so.

use Verdict::{Altered, Intact, Missing, Reordered};

use super::made::{Made, redigest};
use super::*;

type Case = (&'static str, fn(&mut Files), Verdict, Option<u64>, &'static str);

fn get<'f>(files: &'f mut Files, name: &str) -> &'f mut Vec<u8> {
    files.iter_mut().find(|file| file.0 == name).map(|file| &mut file.1).expect("the file is there")
}

/// A file of the bytes of another.
fn add_before(files: &mut Files, place: &str, name: &str, like: &str) {
    let at = |name: &str| files.iter().position(|file| file.0 == name).expect("the file is there");
    let (place, bytes) = (at(place), files[at(like)].1.clone());
    files.insert(place, (name.to_owned(), bytes));
}

fn swap_bytes(files: &mut Files, name: &str, from: &str, to: &str) {
    let bytes = get(files, name);
    let text = String::from_utf8(bytes.clone()).expect("UTF-8");
    assert!(text.contains(from), "{from} is not in {name}");
    *bytes = text.replacen(from, to, 1).into_bytes();
}

/// `edit` on the lines of a file.
fn edit_lines(files: &mut Files, name: &str, edit: impl FnOnce(&mut Vec<String>)) {
    let bytes = get(files, name);
    let mut lines: Vec<String> = String::from_utf8(bytes.clone()).expect("UTF-8").lines().map(str::to_owned).collect();
    edit(&mut lines);
    *bytes = lines.into_iter().flat_map(|line| (line + "\n").into_bytes()).collect();
}

fn cut(bytes: &mut Vec<u8>) {
    assert!(bytes.pop().is_some());
}

fn drop_file(files: &mut Files, name: &str) {
    files.retain(|file| file.0 != name);
}

fn edit_manifest(files: &mut Files, edit: impl FnOnce(&mut Manifest)) {
    let mut manifest = Manifest::parse(&files[0].1).expect("a manifest");
    edit(&mut manifest);
    files[0].1 = manifest.to_bytes();
}

fn run(cases: &[Case], bundle: &Files, trust: &Trust) {
    let clean = verify(bundle, trust);
    assert_eq!(clean.report.verdict, Intact, "{:?}", found(&clean));
    let mut wrong = Vec::new();
    for (name, tamper, kind, sequence, detail) in cases {
        let mut files = bundle.clone();
        tamper(&mut files);
        redigest(&mut files);
        let report = verify(&files, trust);
        let as_said = match &report.report.findings[..] {
            [] => *kind == Intact,
            [one] => (one.kind, one.sequence) == (*kind, *sequence) && one.detail.contains(detail),
            _ => false,
        };
        if !as_said || report.report.verdict != *kind {
            wrong.push(format!("{name}: {:?}", found(&report)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const RANGE: &[Case] = &[
    ("an entry changed", |f| swap_bytes(f, "entries.ndjson", "why 17", "why 71"), Altered, Some(14), "no later than 20"),
    (
        "one after the last anchor of the range",
        |f| swap_bytes(f, "entries.ndjson", "why 22", "why 21"),
        Altered,
        None,
        "do not lead to the root",
    ),
    ("the first one changed", |f| swap_bytes(f, "entries.ndjson", "why 5\"", "why 6\""), Altered, Some(5), "no later than 6"),
    (
        "an entry of no form",
        |f| edit_lines(f, "entries.ndjson", |l| l[3] = "{}".to_owned()),
        Altered,
        Some(8),
        "line 4: the entry cannot be read",
    ),
    (
        "a line too long",
        |f| edit_lines(f, "entries.ndjson", |l| l[3] = "x".repeat(BUNDLE_LINE_BYTES_MAX + 1)),
        Altered,
        Some(8),
        "cannot be read",
    ),
    ("an entry taken out", |f| edit_lines(f, "entries.ndjson", |l| drop(l.remove(3))), Missing, Some(8), "the entry is not in"),
    ("three taken out", |f| edit_lines(f, "entries.ndjson", |l| drop(l.drain(3..6))), Missing, Some(8), "3 entries up to 10"),
    ("the first taken out", |f| edit_lines(f, "entries.ndjson", |l| drop(l.remove(0))), Missing, Some(5), "the entry is not in"),
    ("the last taken out", |f| edit_lines(f, "entries.ndjson", |l| drop(l.pop())), Missing, Some(22), "the entry is not in"),
    ("all taken out", |f| get(f, "entries.ndjson").clear(), Missing, Some(5), "18 entries up to 22"),
    ("an entry twice", |f| edit_lines(f, "entries.ndjson", |l| l.insert(4, l[3].clone())), Reordered, Some(8), "or twice"),
    (
        "an entry more",
        |f| edit_lines(f, "entries.ndjson", |l| l.push(l[0].replace("\"sequence\":5", "\"sequence\":23"))),
        Altered,
        Some(23),
        "not of the range",
    ),
    (
        "another project's",
        |f| swap_bytes(f, "entries.ndjson", "\"project_id\":\"0001", "\"project_id\":\"0002"),
        Altered,
        Some(5),
        "another project",
    ),
    ("another organization's", |f| swap_bytes(f, "entries.ndjson", "0000000000ff", "0000000000fe"), Altered, Some(5), "another project"),
    ("no last newline", |f| cut(get(f, "entries.ndjson")), Altered, None, "entries.ndjson: the last line"),
    ("a hash of the range proof", |f| edit_lines(f, "range-proof", |l| l[4].replace_range(0..2, "++")), Altered, Some(5), "the anchor"),
    (
        "the last hash of the range proof",
        |f| edit_lines(f, "range-proof", |l| l.last_mut().expect("some").replace_range(0..2, "//")),
        Altered,
        None,
        "the range proof",
    ),
    ("a range proof of no form", |f| swap_bytes(f, "range-proof", "/v1", "/v2"), Altered, None, "range-proof: line 1"),
    (
        "a range proof of another range",
        |f| *get(f, "range-proof") = Made::new(30).bundle(5, 21, None).into_iter().find(|f| f.0 == "range-proof").expect("there").1,
        Altered,
        None,
        "another range",
    ),
    ("a checkpoint of no form", |f| *get(f, "checkpoint") = b"x\n".to_vec(), Altered, None, "checkpoint: no blank line"),
    ("a signature changed", |f| swap_bytes(f, "checkpoint", "\n30\n", "\n31\n"), Altered, None, "checkpoint:"),
    ("keys of no form", |f| edit_lines(f, "verifier-keys", |l| l[1].push('=')), Altered, None, "verifier-keys, line 2"),
    ("keys without a newline", |f| cut(get(f, "verifier-keys")), Altered, None, "verifier-keys: "),
    ("no keys", |f| get(f, "verifier-keys").clear(), Intact, None, ""),
    (
        "an anchor changed",
        |f| swap_bytes(f, "anchors.ndjson", "\"anchor_at\":\"1970-01-01T00:00:01.000013", "\"anchor_at\":\"1970-01-01T00:00:01.000012"),
        Altered,
        Some(7),
        "line 2: the note is not",
    ),
    (
        "an anchor taken out",
        |f| edit_lines(f, "anchors.ndjson", |l| drop(l.remove(2))),
        Altered,
        Some(21),
        "line 3: the anchor does not follow",
    ),
    ("an anchor of no form", |f| edit_lines(f, "anchors.ndjson", |l| l[1].insert(0, ' ')), Altered, None, "line 2: not an anchor"),
    (
        "an anchor line with more",
        |f| edit_lines(f, "anchors.ndjson", |l| l[1].insert_str(1, "\"a\":1,")),
        Altered,
        None,
        "line 2: not an anchor",
    ),
    (
        "an anchor's signature",
        |f| {
            edit_lines(f, "anchors.ndjson", |l| {
                let at = l[1].len() - 40;
                l[1].replace_range(at..at + 4, "AAAA");
            });
        },
        Altered,
        Some(7),
        "does not hold",
    ),
    ("anchors without a newline", |f| cut(get(f, "anchors.ndjson")), Altered, None, "anchors.ndjson: the last line"),
    ("a consistency proof of no form", |f| swap_bytes(f, "consistency", "3\n", "03\n"), Altered, None, "consistency: line 1"),
    ("a leaf of no form", |f| get(f, "instance/leaf").push(b'\n'), Altered, None, "instance/leaf: it is not a leaf"),
    (
        "a leaf of another anchor",
        |f| swap_bytes(f, "instance/leaf", "\"size\":30", "\"size\":31"),
        Altered,
        None,
        "not that of the last anchor",
    ),
    ("an instance checkpoint of no form", |f| get(f, "instance/checkpoint").push(b'x'), Altered, None, "instance/checkpoint: line"),
    ("an instance proof of no form", |f| swap_bytes(f, "instance/proof", "@v1", "@v2"), Altered, None, "instance/proof: line 1"),
    ("an instance proof of another checkpoint", |f| swap_bytes(f, "instance/proof", "\n2\n", "\n3\n"), Altered, None, "another checkpoint"),
    ("an instance proof of another place", |f| swap_bytes(f, "instance/proof", "index 1", "index 0"), Altered, None, "does not lead"),
    ("a content changed", |f| get(f, "contents/10.sealed")[9] ^= 1, Altered, Some(10), "not the one that the entry names"),
    ("a content cut", |f| cut(get(f, "contents/10.sealed")), Altered, Some(10), "not the one that the entry names"),
    (
        "a content key changed",
        |f| *get(f, "contents/10.key") = crate::hex::encode(&[1; 32]).into_bytes(),
        Altered,
        Some(10),
        "does not authenticate",
    ),
    ("a content key of no form", |f| get(f, "contents/10.key").push(b'\n'), Altered, Some(10), "64 hex digits"),
    (
        "a content of no entry",
        |f| {
            let at = f.len();
            f.insert(at, ("contents/21.sealed".to_owned(), vec![1]));
        },
        Altered,
        Some(21),
        "no entry of the bundle names",
    ),
    (
        "a content and its key left out",
        |f| {
            drop_file(f, "contents/10.sealed");
            drop_file(f, "contents/10.key");
        },
        Intact,
        None,
        "",
    ),
    ("a content without its key", |f| drop_file(f, "contents/10.key"), Intact, None, ""),
    ("a file of no bundle", |f| f.push(("notes.txt".to_owned(), vec![])), Altered, None, "\"notes.txt\" is no file"),
    (
        "a file twice",
        |f| {
            let again = f[2].clone();
            f.insert(3, again);
        },
        Altered,
        None,
        "checkpoint does not come in its place",
    ),
];

#[test]
fn whatever_is_done_to_a_range_is_found() {
    let log = Made::new(30);
    run(RANGE, &log.bundle(5, 22, None), &log.trust());
}

const SELECTION: &[Case] = &[
    ("an entry changed", |f| swap_bytes(f, "entries.ndjson", "why 5", "why 6"), Altered, Some(5), "entry and proof do not lead"),
    ("an entry of no form", |f| edit_lines(f, "entries.ndjson", |l| l[1] = "{}".to_owned()), Altered, None, "line 2: the entry cannot"),
    ("an entry taken out", |f| edit_lines(f, "entries.ndjson", |l| drop(l.remove(1))), Missing, Some(5), "its proof is in"),
    ("the last taken out", |f| edit_lines(f, "entries.ndjson", |l| drop(l.pop())), Missing, Some(21), "its proof is in"),
    ("two in another order", |f| edit_lines(f, "entries.ndjson", |l| l.swap(0, 1)), Reordered, Some(4), "after a later one"),
    ("an entry twice", |f| edit_lines(f, "entries.ndjson", |l| l.insert(1, l[0].clone())), Reordered, Some(4), "or twice"),
    (
        "an entry of no range",
        |f| edit_lines(f, "entries.ndjson", |l| l.push(l[0].replace("\"sequence\":4", "\"sequence\":26"))),
        Altered,
        Some(26),
        "not of the range",
    ),
    ("a proof taken out", |f| drop_file(f, "proofs/5"), Altered, Some(5), "the entry has no proof"),
    ("the last proof taken out", |f| drop_file(f, "proofs/21"), Altered, Some(21), "the entry has no proof"),
    ("a proof of another place", |f| swap_bytes(f, "proofs/5", "index 5", "index 4"), Altered, Some(5), "another place"),
    ("a proof of another tree", |f| swap_bytes(f, "proofs/5", "\n30\n", "\n31\n"), Altered, Some(5), "another place or checkpoint"),
    ("a proof of no form", |f| swap_bytes(f, "proofs/5", "@v1", "@v2"), Altered, Some(5), "proofs/5: line 1"),
    (
        "a hash of a proof",
        |f| edit_lines(f, "proofs/5", |l| l[2].replace_range(0..2, "++")),
        Altered,
        Some(5),
        "entry and proof do not lead",
    ),
    ("a proof without an entry", |f| add_before(f, "proofs/10", "proofs/6", "proofs/5"), Missing, Some(6), "its proof is in"),
    ("a claim of fewer entries", |f| edit_manifest(f, |m| m.entries_included = 3), Altered, None, "4 entries, and the manifest says 3"),
    ("a claim of more entries", |f| edit_manifest(f, |m| m.entries_included = 5), Altered, None, "4 entries, and the manifest says 5"),
    ("another filter, which is a claim", |f| edit_manifest(f, |m| m.filter = None), Intact, None, ""),
];

#[test]
fn whatever_is_done_to_a_selection_is_found() {
    let log = Made::new(30);
    run(SELECTION, &log.bundle(2, 25, Some(&[4, 5, 10, 21])), &log.trust());
}

/// Without making the manifest anew: any byte of any file, any file left out, any two that change places.
#[test]
fn any_byte_and_any_file_is_missed() {
    let log = Made::new(30);
    for bundle in [log.bundle(5, 22, None), log.bundle(2, 25, Some(&[4, 5, 10, 21]))] {
        for at in 0..bundle.len() {
            let mut files = bundle.clone();
            let (name, _) = files.remove(at);
            assert_ne!(verify(&files, &log.trust()).report.verdict, Intact, "{name} left out");
            if at > 0 {
                let mut files = bundle.clone();
                files.swap(at - 1, at);
                assert_ne!(verify(&files, &log.trust()).report.verdict, Intact, "{name} before its place");
            }
            let claim = bundle[at].1.windows(8).position(|window| window == b"\"filter\"").unwrap_or(usize::MAX);
            for byte in (0..bundle[at].1.len()).step_by(11).filter(|byte| !(claim..claim.saturating_add(40)).contains(byte)) {
                let mut files = bundle.clone();
                files[at].1[byte] ^= 1;
                assert_ne!(verify(&files, &log.trust()).report.verdict, Intact, "byte {byte} of {name}");
            }
            let mut verifier = BundleVerifier::new(log.trust());
            for (n, (name, bytes)) in bundle.iter().enumerate() {
                verifier.file(name, bytes.len() as u64);
                verifier.piece(&bytes[..bytes.len() - usize::from(n == at)]);
            }
            assert_ne!(verifier.finish().report.verdict, Intact, "{name} cut off");
        }
    }
    assert_eq!(found(&verify(&Vec::new(), &log.trust())), [(Altered, None, "manifest.json is not in the bundle".to_owned())]);
}
