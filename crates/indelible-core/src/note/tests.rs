//! Notes and keys against another implementation's vectors, published ones, and tables of what is not a note.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::key::Secret;

/// The example key of Go's `golang.org/x/mod/sumdb/note`, with the text that its tests sign.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_PRIVATE: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER_LINE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH_LINE: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

/// Made with `transparency-dev/formats` (a cosignature) over a checkpoint that Go's note package signed.
const WITNESS: &str = "witness.example.com/vector+416f103d+BK/QmJFVP3SKJOqAMhFxBQPtylo3sjwWibyFDAlZKK8B";
const WITNESS_LOG: &str = "example.com/vector-log+4516a1da+ARGkVJ4QEa2MOOLGBO6i7NVSJ1FQ97tIX+w+Ku0RZ6Em";
const WITNESSED: &str = "example.com/vector-log\n1234\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n\
    — example.com/vector-log RRah2qlLrSlk6J8DA1HmNewppUM15Quhs5cAIb1KjBsV3otVirJTW8AFVsQtJkTW1Zny7GuoAxZpI6bUPcpM68QOIgE=\n\
    — witness.example.com/vector QW8QPQAAAABqwLUbDdj7sDNRIVjmjYgqFI6y4UJhPg/UAA8J8wAdqSd3q4PedRhkgXA4xFN/Jg5uWn7ZkBA+H/UHQs5d9hITdXmQAA==\n";

fn key(text: &str) -> VerifierKey {
    text.parse().expect(text)
}

fn peter() -> LocalSigner {
    let private = lines::decode(PETER_PRIVATE).expect("base64");
    let seed = Secret::new(private[1..].try_into().expect("32 bytes"));
    LocalSigner::from_seed(Name::new("PeterNeumann").expect("a name"), Algorithm::Ed25519, &seed).expect("a seed")
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../testdata/notes.json")).expect("JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn signer(case: &Value) -> LocalSigner {
    let algorithm = if case["type"] == 4 { Algorithm::CosignatureV1 } else { Algorithm::Ed25519 };
    let name = Name::new(text(&case["name"])).expect("a name");
    let seed = Secret::new(hex::decode_array(text(&case["seed"])).expect("32 bytes"));
    LocalSigner::from_seed(name, algorithm, &seed).expect("a seed")
}

/// `testdata/notes.json` is made by `testdata/notes.py`.
#[test]
fn keys_and_notes_agree_with_another_implementation() {
    let vectors = vectors();
    let signers: Vec<LocalSigner> = vectors["keys"].as_array().expect("keys").iter().map(signer).collect();
    for (case, signer) in vectors["keys"].as_array().expect("keys").iter().zip(&signers) {
        let expected = key(text(&case["vkey"]));
        assert_eq!(signer.verifier_key(), &expected);
        assert_eq!(expected.to_string(), text(&case["vkey"]));
        assert_eq!(Some(expected.id()), KeyId::parse(text(&case["key_id"])));
        let der = hex::decode(text(&case["pkcs8"])).expect("hex");
        let from_der = LocalSigner::from_pkcs8(expected.name().clone(), expected.algorithm(), &der).expect("PKCS#8");
        assert_eq!(from_der.verifier_key(), &expected);
        assert!(!format!("{signer:?}").contains(text(&case["seed"])), "a seed is never printed");
    }
    let keys: Vec<VerifierKey> = signers.iter().map(|signer| signer.verifier_key().clone()).collect();
    let cases = vectors["notes"].as_array().expect("notes");
    assert!(cases.len() >= 6);
    for case in cases {
        let mut made = Note::new(text(&case["text"])).expect("a text");
        for by in case["signed_by"].as_array().expect("signers") {
            let at = keys.iter().position(|key| key.to_string() == text(&by["vkey"])).expect("one of the keys");
            match by["seconds"].as_u64() {
                Some(seconds) => {
                    let cosignature = cosign(made.text(), &signers[at], seconds).expect("it cosigns");
                    made.add(cosignature).expect("few");
                }
                None => sign(&mut made, &signers[at]).expect("it signs"),
            }
        }
        assert_eq!(made.to_string(), text(&case["note"]));
        let read = Note::parse(text(&case["note"]).as_bytes()).expect("a note");
        assert_eq!(read, made);
        let by: Vec<_> = read.verify(&keys).expect("all hold").into_iter().map(|by| (by.key.to_string(), by.seconds)).collect();
        let expected: Vec<_> = (case["signed_by"].as_array().expect("signers").iter())
            .map(|by| (text(&by["vkey"]).to_owned(), by["seconds"].as_u64()))
            .collect();
        assert_eq!(by, expected);
    }
}

#[test]
fn published_notes_verify_and_are_signed_alike() {
    let mut note = Note::new(TEXT).expect("a text");
    sign(&mut note, &peter()).expect("it signs");
    assert_eq!(note.to_string(), format!("{TEXT}\n{PETER_LINE}"));
    note.signatures[0].bytes = vec![0];
    sign(&mut note, &peter()).expect("it signs");
    assert_eq!(note.to_string(), format!("{TEXT}\n{PETER_LINE}"), "signing again replaces");

    let both = Note::parse(format!("{TEXT}\n{PETER_LINE}{ENOCH_LINE}").as_bytes()).expect("a note");
    let (peter, enoch) = (key(PETER), key(ENOCH));
    let names = |keys: &[VerifierKey]| both.verify(keys).map(|by| by.iter().map(|by| by.key.name().to_string()).collect::<Vec<_>>());
    assert_eq!(names(std::slice::from_ref(&peter)), Ok(vec!["PeterNeumann".to_owned()]));
    assert_eq!(names(&[enoch, peter]), Ok(vec!["PeterNeumann".to_owned(), "EnochRoot".to_owned()]));
    assert_eq!(names(&[]), Err(NoteError::UnknownKeys));
    assert_eq!(both.signatures().len(), 2, "unknown signatures are kept");

    let witnessed = Note::parse(WITNESSED.as_bytes()).expect("a note");
    let keys = [key(WITNESS), key(WITNESS_LOG)];
    let by = witnessed.verify(&keys).expect("both hold");
    assert_eq!(by.iter().map(|by| by.seconds).collect::<Vec<_>>(), [None, Some(1_791_014_171)]);
    assert_eq!(witnessed.to_string(), WITNESSED);
}

/// The example of c2sp.org/signed-note, whose text has a blank line. The document publishes no key, so that it can be read and printed here,
/// and not verified.
#[test]
fn the_published_note_with_a_blank_line_is_read_and_printed() {
    const EXAMPLE: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
        — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
    let note = Note::parse(EXAMPLE.as_bytes()).expect("a note");
    assert_eq!(note.text(), "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n");
    let [signature] = note.signatures() else { panic!("{:?}", note.signatures()) };
    assert_eq!(signature.name.as_str(), "quasimodo.example/salvatore");
    assert_eq!((Some(signature.key_id), signature.bytes.len()), (KeyId::parse("367ba04b"), 64));
    assert_eq!(note.to_string(), EXAMPLE);
    let (text, bytes) = (note.text().to_owned(), signature.bytes.clone());
    let mut made = Note::new(text).expect("a text");
    made.add(Signature { name: signature.name.clone(), key_id: signature.key_id, bytes }).expect("few");
    assert_eq!(made, note);
    assert_eq!(note.verify(&[key(PETER)]), Err(NoteError::UnknownKeys));
}

#[test]
fn keys_that_were_changed_are_refused() {
    for text in [PETER, WITNESS] {
        for from in 0..=text.len() {
            for to in from..=text.len() {
                let part = &text[from..to];
                assert!(part == text || part.parse::<VerifierKey>().is_err(), "{part}");
            }
        }
        for at in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] += 1;
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(changed.parse::<VerifierKey>().is_err(), "{changed}");
        }
    }
    // The last two are of Go's tests: a longer key and an unknown type, each with the key id that would be right.
    for (bad, why) in [
        ("a b+00000000+AQ==", "white space"),
        ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "8 hex digits"),
        ("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "not that of"),
        ("PeterNeumann+c74f20a3+", "empty"),
        ("PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==", "base64"),
        ("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "type"),
    ] {
        let error = bad.parse::<VerifierKey>().expect_err(bad).to_string();
        assert!(error.contains(why), "{bad}: {error}");
    }
}

#[test]
fn names_keep_the_rules() {
    for good in ["a", "audit.example/acme-0a1b2c3d", "μάρτυς", "a\u{7f}", &"x".repeat(1_024)] {
        assert_eq!(Name::new(good).expect(good).as_str(), good);
    }
    for bad in ["", " ", "a b", "a+b", "a\u{a0}b", "a\u{2003}b", "a\u{1}b", "a\nb", &"x".repeat(1_025)] {
        assert_eq!(Name::new(bad), Err(NoteError::Name), "{bad:?}");
    }
}

#[test]
fn what_is_no_note_is_refused_with_its_place() {
    let line = PETER_LINE;
    let cases: Vec<(Vec<u8>, NoteError)> = vec![
        (TEXT.into(), NoteError::Unsigned),
        (format!("{TEXT}\n").into(), NoteError::Unsigned),
        (format!("{TEXT}{line}").into(), NoteError::Unsigned),
        (format!("\n{line}").into(), NoteError::Unsigned),
        (format!("{TEXT}\n{}", line.trim_end()).into(), NoteError::Line { line: 4, fault: "it does not end in a newline" }),
        (format!("{TEXT}\n{line}More.\n").into(), NoteError::Line { line: 5, fault: "it does not begin with an em dash and a space" }),
        (
            format!("a\n\n{TEXT}\n-- x AAAAAAA=\n").into(),
            NoteError::Line { line: 6, fault: "it does not begin with an em dash and a space" },
        ),
        (format!("{TEXT}\n— x\n").into(), NoteError::Line { line: 4, fault: "it does not hold a name and a signature" }),
        (
            format!("{TEXT}\n—  AAAAAAA=\n").into(),
            NoteError::Line { line: 4, fault: "its name is empty, too long or holds white space or '+'" },
        ),
        (
            format!("{TEXT}\n— a+b AAAAAAA=\n").into(),
            NoteError::Line { line: 4, fault: "its name is empty, too long or holds white space or '+'" },
        ),
        (format!("{TEXT}\n— Bad Name AAAAAAA=\n").into(), NoteError::Line { line: 4, fault: "its signature is not base64" }),
        (format!("{TEXT}\n— x AAAAAAA\n").into(), NoteError::Line { line: 4, fault: "its signature is not base64" }),
        (format!("{TEXT}\n— x AAAAAAB=\n").into(), NoteError::Line { line: 4, fault: "its signature is not base64" }),
        (format!("{TEXT}\n— x AAAAAA==\n").into(), NoteError::Line { line: 4, fault: "its signature is shorter than 5 bytes" }),
        (format!("\u{1}{TEXT}\n{line}").into(), NoteError::Control(0)),
        (format!("{TEXT}\n{}", line.replace('\n', "\r\n")).into(), NoteError::Control(TEXT.len() + line.len())),
        ([b"\xff", TEXT.as_bytes(), b"\n", line.as_bytes()].concat(), NoteError::NotUtf8(0)),
        (format!("{TEXT}\n{}", line.repeat(NOTE_SIGNATURES_MAX + 1)).into(), NoteError::TooManySignatures),
        (vec![b'a'; NOTE_BYTES_MAX + 1], NoteError::TooLong(NOTE_BYTES_MAX + 1)),
    ];
    for (bytes, error) in cases {
        assert_eq!(Note::parse(&bytes), Err(error), "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(300)]));
    }
    assert_eq!(Note::new("no newline"), Err(NoteError::Unterminated));
    assert_eq!(Note::new("a\tb\n"), Err(NoteError::Control(1)));
    let most = format!("{TEXT}\n{}", line.repeat(NOTE_SIGNATURES_MAX));
    let mut most = Note::parse(most.as_bytes()).expect("as many as may be");
    let other = Signature { name: Name::new("other").expect("a name"), key_id: KeyId([0; 4]), bytes: vec![0] };
    assert_eq!(most.add(other), Err(NoteError::TooManySignatures));
}

#[test]
fn a_signature_that_was_changed_spoils_the_note() {
    let keys = [key(WITNESS), key(WITNESS_LOG)];
    let note = Note::parse(WITNESSED.as_bytes()).expect("a note");
    for line in 0..2 {
        for at in 0..note.signatures()[line].bytes.len() {
            let mut changed = note.clone();
            changed.signatures[line].bytes[at] ^= 1;
            let signature = &note.signatures()[line];
            let expected = NoteError::BadSignature { name: signature.name.clone(), key_id: signature.key_id };
            assert_eq!(changed.verify(&keys), Err(expected), "byte {at} of signature {line}");
        }
        // Under another name or id it is an unknown key's, and says nothing.
        for other_name in [false, true] {
            let mut changed = note.clone();
            if other_name {
                changed.signatures[line].name = Name::new("carmen").expect("a name");
            } else {
                changed.signatures[line].key_id.0[0] ^= 1;
            }
            assert_eq!(changed.verify(&keys).map(|by| by.len()), Ok(1));
        }
    }
    let other_text = Note { text: note.text.replace("1234", "1235"), signatures: note.signatures.clone() };
    assert!(matches!(other_text.verify(&keys), Err(NoteError::BadSignature { .. })));
    let short = Note { signatures: vec![Signature { bytes: vec![0; 71], ..note.signatures[1].clone() }], ..note.clone() };
    assert!(matches!(short.verify(&keys), Err(NoteError::BadSignature { .. })));
}

#[test]
fn a_signer_that_signs_with_another_key_is_found_out() {
    struct Swapped(LocalSigner, VerifierKey);
    impl Signer for Swapped {
        fn verifier_key(&self) -> &VerifierKey {
            &self.1
        }
        fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
            self.0.sign(message)
        }
    }
    let mut note = Note::new(TEXT).expect("a text");
    assert_eq!(sign(&mut note, &Swapped(peter(), key(ENOCH))), Err(SignError::Mismatch(key(ENOCH))));
    assert_eq!(sign(&mut note, &Swapped(peter(), key(WITNESS))), Err(SignError::WrongAlgorithm(key(WITNESS))));
    assert_eq!(cosign(TEXT, &peter(), 7), Err(SignError::WrongAlgorithm(key(PETER))));
    assert_eq!(cosign(TEXT, &Swapped(peter(), key(WITNESS)), 1 << 63), Err(SignError::Time(1 << 63)));
    assert!(note.signatures().is_empty());
    // A time beyond i64 that is well signed all the same.
    let public_key = *peter().verifier_key().public_key();
    let witness = [VerifierKey::new(key(PETER).name().clone(), Algorithm::CosignatureV1, public_key)];
    for (seconds, holds) in [((1 << 63) - 1, true), (1_u64 << 63, false)] {
        let signature = peter().sign(key::cosigned_message(seconds, TEXT).as_bytes()).expect("it signs");
        let bytes = [&seconds.to_be_bytes()[..], &signature].concat();
        note.add(Signature { name: witness[0].name().clone(), key_id: witness[0].id(), bytes }).expect("few");
        assert_eq!(note.verify(&witness).is_ok(), holds, "{seconds}");
    }
    assert!(matches!(LocalSigner::from_pkcs8(key(PETER).name().clone(), Algorithm::Ed25519, b"no"), Err(SignError::PrivateKey)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_printed_is_read_and_printed_alike(
        text in "([ -~é—🔒]{0,12}\n){1,5}",
        signatures in proptest::collection::vec(("[!-*,-~éμ]{1,9}", any::<[u8; 4]>(), proptest::collection::vec(any::<u8>(), 1..80)), 1..5),
    ) {
        let mut note = Note::new(text).expect("a text");
        for (name, key_id, bytes) in signatures {
            note.signatures.push(Signature { name: Name::new(name).expect("a name"), key_id: KeyId(key_id), bytes });
        }
        let printed = note.to_string();
        prop_assert_eq!(Note::parse(printed.as_bytes()), Ok(note.clone()));
        let lines: String = note.signatures.iter().map(ToString::to_string).collect();
        prop_assert_eq!(Signature::parse_lines(lines.as_bytes()), Ok(note.signatures));
    }

    #[test]
    fn what_is_read_is_printed_alike(bytes in "[an \n]{0,6}\n\n(— [ab] AAAAA[AB]A=\n){0,3}[— a]{0,2}") {
        if let Ok(note) = Note::parse(bytes.as_bytes()) {
            prop_assert_eq!(note.to_string(), bytes);
        }
    }
}
