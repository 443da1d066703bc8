//! Checkpoints against another implementation's vectors, the documents' example, and tables of what is refused.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::hex;
use crate::key::Secret;
use crate::note::{LocalSigner, cosign};

/// The example of c2sp.org/tlog-cosignature.
const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
    — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

fn name(text: &str) -> Name {
    Name::new(text).expect(text)
}

fn signer(named: &str, algorithm: Algorithm, byte: u8) -> LocalSigner {
    LocalSigner::from_seed(name(named), algorithm, &Secret::new([byte; 32])).expect("a seed")
}

/// `testdata/anchors.json` is made by `testdata/anchors.py`.
#[test]
fn checkpoints_agree_with_another_implementation() {
    let vectors: Value = serde_json::from_str(include_str!("../../testdata/anchors.json")).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let keys: Vec<VerifierKey> = vectors["keys"].as_array().expect("keys").iter().map(|key| text(key).parse().expect("a key")).collect();
    let seeds = vectors["seeds"].as_array().expect("seeds").iter().map(|seed| hex::decode_array(&text(seed)).expect("32 bytes"));
    let signers: Vec<LocalSigner> = (keys.iter().zip(seeds))
        .map(|(key, seed)| LocalSigner::from_seed(key.name().clone(), key.algorithm(), &Secret::new(seed)).expect("a seed"))
        .collect();
    let by_key = |wanted: &str| &signers[keys.iter().position(|key| key.to_string() == wanted).expect("known")];
    let cases = vectors["checkpoints"].as_array().expect("checkpoints");
    assert_eq!(cases.len(), 3);
    for case in cases {
        let note = Note::parse(text(&case["note"]).as_bytes()).expect("a note");
        let opened = Checkpoint::open(&note, &keys).expect("signed");
        let root = hex::decode_array(&text(&case["root"])).expect("32 bytes");
        let expected = Checkpoint { origin: name(&text(&vectors["origin"])), size: case["size"].as_u64().expect("a number"), root };
        assert_eq!(opened.checkpoint, expected);
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let log_keys: Vec<String> = list(&case["log_keys"]).iter().map(text).collect();
        assert_eq!(opened.log_keys.iter().map(ToString::to_string).collect::<Vec<_>>(), log_keys);
        let witnesses: Vec<(String, u64)> = opened.witnesses.iter().map(|by| (by.key.to_string(), by.seconds)).collect();
        assert_eq!(serde_json::json!(witnesses), case["witnesses"]);

        let log_signers: Vec<&dyn Signer> = log_keys.iter().map(|key| by_key(key) as &dyn Signer).collect();
        let mut made = expected.sign(&log_signers).expect("it signs");
        for (key, seconds) in &witnesses {
            made.add(cosign(made.text(), by_key(key), *seconds).expect("it cosigns")).expect("few");
        }
        assert_eq!(made.to_string(), text(&case["note"]));
    }
}

#[test]
fn the_published_example_is_read() {
    let note = Note::parse(EXAMPLE.as_bytes()).expect("a note");
    let checkpoint = Checkpoint::parse(note.text()).expect("a checkpoint");
    assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!(checkpoint.to_string(), note.text());
    assert_eq!(note.to_string(), EXAMPLE);
}

#[test]
fn other_texts_are_refused() {
    let root = lines::encode(&[7; 32]);
    let long = lines::encode(&[7; 33]);
    for (text, why) in [
        (String::new(), "newline"),
        (format!("log\n7\n{root}"), "newline"),
        ("log\n7\n".to_owned(), "three lines"),
        (format!("log\n7\n{root}\nextension\n"), "extension"),
        (format!("log\n7\n{root}\n\n"), "extension"),
        (format!("\n7\n{root}\n"), "a name"),
        (format!("a log\n7\n{root}\n"), "a name"),
        (format!("a+log\n7\n{root}\n"), "a name"),
        (format!("log\n07\n{root}\n"), "size"),
        (format!("log\n-7\n{root}\n"), "size"),
        (format!("log\n9223372036854775808\n{root}\n"), "size"),
        (format!("log\n7\n{long}\n"), "root"),
        (format!("log\n7\n{}\n", root.trim_end_matches('=')), "root"),
        (format!("log\n0\n{root}\n"), "empty tree"),
    ] {
        let error = Checkpoint::parse(&text).expect_err(&text).to_string();
        assert!(error.contains(why), "{text:?}: {error}");
    }
}

#[test]
fn extension_lines_are_read_where_they_are_allowed_and_nowhere_else() {
    let root = lines::encode(&[7; 32]);
    let plain = Checkpoint { origin: name("log"), size: 7, root: [7; 32] };
    for (rest, count) in [("", 0), ("one\n", 1), ("one\n two \n", 2)] {
        let text = format!("log\n7\n{root}\n{rest}");
        assert_eq!(Checkpoint::parse_extended(&text), Ok((plain.clone(), count)));
        assert_eq!(Checkpoint::parse(&text).is_ok(), count == 0, "{rest}");
    }
    for rest in ["\n", "one\n\n", "\none\n"] {
        let error = Checkpoint::parse_extended(&format!("log\n7\n{root}\n{rest}")).expect_err(rest).to_string();
        assert!(error.contains("empty"), "{error}");
    }
}

#[test]
fn it_says_who_signed() {
    let (log, next) = (signer("log", Algorithm::Ed25519, 1), signer("log", Algorithm::Ed25519, 2));
    let (other, witness) = (signer("other", Algorithm::Ed25519, 3), signer("witness", Algorithm::CosignatureV1, 4));
    let same_name = signer("log", Algorithm::CosignatureV1, 5);
    let key = |signer: &LocalSigner| signer.verifier_key().clone();
    let checkpoint = Checkpoint { origin: name("log"), size: 7, root: [7; 32] };
    let mut note = checkpoint.sign(&[&log, &next, &other]).expect("it signs");
    for (by, seconds) in [(&witness, 90), (&same_name, 1)] {
        note.add(cosign(note.text(), by, seconds).expect("it cosigns")).expect("few");
    }
    // The witness's second word and the log's, kept beside the first as a note from elsewhere may.
    let later = cosign(note.text(), &witness, 95).expect("it cosigns");
    let note = Note::parse(format!("{note}{later}{}", note.signatures()[0]).as_bytes()).expect("a note");

    let all = [key(&witness), key(&other), key(&next), key(&log), key(&same_name)];
    let opened = Checkpoint::open(&note, &all).expect("signed");
    assert_eq!(opened.log_keys, [key(&log), key(&next)]);
    assert_eq!(opened.witnesses, [Cosigned { key: key(&witness), seconds: 95 }, Cosigned { key: key(&same_name), seconds: 1 }]);
    let only_next = [key(&next)];
    assert_eq!(Checkpoint::open(&note, &only_next).expect("signed").log_keys, only_next);
    let unknown = CheckpointError::UnknownLog { origin: name("log") };
    for keys in [vec![], vec![key(&other)], vec![key(&witness), key(&same_name)]] {
        assert_eq!(Checkpoint::open(&note, &keys), Err(unknown.clone()), "{keys:?}");
    }
    let forged = Note::parse(note.to_string().replacen("\n7\n", "\n8\n", 1).as_bytes()).expect("a note");
    assert!(matches!(Checkpoint::open(&forged, &all), Err(CheckpointError::Note(NoteError::BadSignature { .. }))));
}

proptest! {
    #[test]
    fn what_is_printed_is_read(origin in "[!-*,-~é]{1,40}", size in 1..=TREE_SIZE_MAX, root in any::<[u8; 32]>()) {
        let checkpoint = Checkpoint { origin: name(&origin), size, root };
        prop_assert_eq!(Checkpoint::parse(&checkpoint.to_string()), Ok(checkpoint));
    }
}
