//! What is written by lines is what its manifest says, and whatever is done to it is found.

use super::*;
use crate::checkpoint::Checkpoint;
use crate::note::{Name, Note};
use crate::proof::RangeProof;
use crate::tree::{Range, leaf_hash, node_hash};

fn record(sequence: u64, more: &str) -> (Vec<u8>, Hash) {
    let entry = format!(
        r#"{{"action":"a.b","context":{{"k":"v","prev_hash":"x\",\"prev_hash\":\"y"}},"reason":"=1,\"2\"","sequence":{sequence}}}"#
    );
    let hex = "0".repeat(64);
    let record = format!(r#"{},"prev_hash":"{hex}","row_hash":"{hex}"{more}}}"#, entry.strip_suffix('}').expect("an object"));
    (record.into_bytes(), leaf_hash(entry.as_bytes()))
}

/// A file of events 1 to 3 of a tree of 4, and its manifest.
fn made(format: &Format, more: &str, filter: Option<&str>) -> (Vec<u8>, Manifest) {
    let leaves: Vec<Hash> = (0..4).map(|n| record(n, "").1).collect();
    let pairs = [node_hash(&leaves[0], &leaves[1]), node_hash(&leaves[2], &leaves[3])];
    let hash_at = |height: u32, index: u64| Some(if height == 0 { leaves[index as usize] } else { pairs[index as usize] });
    let proof = RangeProof::make(1, 3, 4, hash_at).expect("a range");
    let mut tree = Range::new(0);
    for leaf in &leaves {
        tree.push(*leaf);
    }
    let origin = Name::new("log.example/p").expect("a name");
    let checkpoint = Checkpoint { origin: origin.clone(), size: 4, root: tree.root().expect("leaves") };
    let head = Head {
        organization_id: uuid::Uuid::nil(),
        project_id: uuid::Uuid::from_u128(7),
        origin,
        filter: filter.map(str::to_owned),
        first_sequence: 1,
        last_sequence: 3,
        tree_size: 4,
        content_included: !more.is_empty(),
        checkpoint: format!("{checkpoint}\n— log.example/p {}\n", crate::lines::encode(&[7; 68])),
        verifier_keys: vec!["k".to_owned()],
        range_proof: filter.is_none().then(|| proof.to_string()),
    };
    let (mut lines, mut file) = (Lines::new(format.clone()), Vec::new());
    lines.begin(&mut file);
    for n in 1..=3 {
        assert!(lines.push(n, &record(n, more).0, &mut file));
    }
    let manifest = Manifest { head, format: format.clone(), file: "f".to_owned(), written: lines.written(), sha256: lines.sha256() };
    (file, manifest)
}

fn check(manifest: &Manifest, file: &[u8], piece: usize) -> Checked {
    let mut check = Check::new(manifest);
    file.chunks(piece).for_each(|piece| check.piece(piece));
    check.finish()
}

#[test]
fn an_extract_holds_however_it_is_read_and_a_whole_range_is_proved() {
    let csv = Format::Csv(Columns::all(false));
    for (format, more, filter, proved) in [
        (Format::Ndjson, "", None, true),
        (Format::Ndjson, r#","content":{"prev_hash":[1,"}"]}"#, None, true),
        (Format::Ndjson, "", Some("action eq \"a.b\""), false),
        (csv, "", None, false),
    ] {
        let (file, manifest) = made(&format, more, filter);
        assert_eq!(Manifest::parse(&manifest.to_bytes()).expect("its own form"), manifest);
        for piece in [1, 7, 100, file.len()] {
            let checked = check(&manifest, &file, piece);
            assert_eq!((checked.findings, checked.proved, checked.note.is_some()), (Vec::new(), proved, true), "{format:?}");
        }
    }
}

#[test]
fn whatever_is_changed_is_found() {
    let (file, manifest) = made(&Format::Ndjson, "", None);
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(!check(&manifest, &changed, 64).findings.is_empty(), "byte {at}");
        assert!(!check(&manifest, &file[..at], 64).findings.is_empty(), "cut at {at}");
    }
    // Somebody who writes the manifest anew as well does not get past the checkpoint.
    let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
    let changed = String::from_utf8_lossy(&file).replace("a.b", "a.c").into_bytes();
    for file in [lines[..2].concat(), [lines[1], lines[0], lines[2]].concat(), [&*file, lines[2]].concat(), changed] {
        let mut manifest = manifest.clone();
        let mut digest = Lines::new(Format::Ndjson);
        digest.again(&file);
        manifest.sha256 = digest.sha256();
        manifest.written.bytes = file.len() as u64;
        manifest.written.entries = String::from_utf8_lossy(&file).lines().count() as u64;
        let checked = check(&manifest, &file, 50);
        assert!(!checked.proved && !checked.findings.is_empty(), "{}", String::from_utf8_lossy(&file));
    }
}

#[test]
fn what_is_no_manifest_is_refused() {
    let (_, manifest) = made(&Format::Ndjson, "", None);
    let text = String::from_utf8(manifest.to_bytes()).expect("UTF-8");
    for (from, to) in [
        ("\"version\":1", "\"version\":2"),
        ("\"version\":1", "\"colour\":1,\"version\":1"),
        ("\"entries\":3", "\"entries\":4"),
        ("\"entries\":3", "\"entries\":2"),
        ("\"first_included\":1", "\"first_included\":0"),
        ("\"last_sequence\":3", "\"last_sequence\":4"),
        ("\"file\":\"f\"", "\"file\":\"../f\""),
        ("\"format\":\"ndjson\"", "\"format\":\"csv\""),
        ("\"format\":\"ndjson\"", "\"format\":\"xml\""),
        ("\"origin\":\"log", "\"origin\":\"l og"),
    ] {
        assert!(text.contains(from), "{from}");
        assert!(Manifest::parse(text.replace(from, to).as_bytes()).is_err(), "{to}");
    }
    assert!(Note::parse(manifest.head.checkpoint.as_bytes()).is_ok());
}

#[test]
fn a_line_has_what_its_columns_say() {
    let columns =
        Columns::read(["sequence", "reason", "context.prev_hash", "context.k", "context", "actor.id", "row_hash"]).expect("known");
    let (file, manifest) = made(&Format::Csv(columns), "", None);
    let text = String::from_utf8(file).expect("UTF-8");
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines[0], "sequence,reason,context.prev_hash,context.k,context,actor.id,row_hash");
    let context = r#""{""k"":""v"",""prev_hash"":""x\"",\""prev_hash\"":\""y""}""#;
    let expected = format!(r#"1,"'=1,""2""","x"",""prev_hash"":""y",v,{context},,{}"#, "0".repeat(64));
    assert_eq!(lines[1], expected);
    assert_eq!((lines.len(), manifest.written.entries), (5, 3));
    for (names, fault) in
        [(&["colour"][..], "there is no such column"), (&["id", "id"], "named twice"), (&[], "at least one"), (&["actor"], "no such")]
    {
        assert!(Columns::read(names.iter().copied()).expect_err("wrong").contains(fault), "{names:?}");
    }
    let all = Columns::all(true);
    assert_eq!(Columns::read(all.names().iter().map(String::as_str)), Ok(all.clone()));
    assert_eq!(all.names()[..2], ["sequence", "occurred_at"]);
    assert!(
        all.names().ends_with(&["content".to_owned(), "content_error".to_owned()])
            && !Columns::all(false).names().contains(&"content".to_owned())
    );
}

#[test]
fn a_file_that_goes_on_has_the_digest_of_one_in_one_go() {
    let format = Format::Csv(Columns::all(false));
    let (file, manifest) = made(&format, "", None);
    let (mut lines, mut first) = (Lines::new(format.clone()), Vec::new());
    lines.begin(&mut first);
    lines.push(1, &record(1, "").0, &mut first);
    let mut again = Lines::resumed(format, lines.written());
    again.again(&first);
    again.begin(&mut first);
    (2..=3).for_each(|n| assert!(again.push(n, &record(n, "").0, &mut first)));
    assert_eq!((first, again.sha256(), again.written()), (file, manifest.sha256, manifest.written));
}
