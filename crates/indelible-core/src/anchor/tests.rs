//! Anchors against another implementation's vectors, and every way in which one may be wrong.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::key::Secret;
use crate::note::LocalSigner;

fn vectors() -> Json {
    serde_json::from_str(include_str!("../../testdata/anchors.json")).expect("JSON")
}

fn text(value: &Json) -> &str {
    value.as_str().expect("a string")
}

fn list(value: &Json) -> &[Json] {
    value.as_array().expect("a list")
}

fn keys(vectors: &Json) -> Vec<VerifierKey> {
    list(&vectors["keys"]).iter().map(|key| text(key).parse().expect("a key")).collect()
}

fn origin(vectors: &Json) -> Name {
    Name::new(text(&vectors["origin"])).expect("a name")
}

fn anchor(case: &Json) -> Anchor {
    Anchor::parse(text(&case["anchor"]).as_bytes()).expect("an anchor")
}

/// `testdata/anchors.json` is made by `testdata/anchors.py`.
#[test]
fn anchors_agree_with_another_implementation() {
    let vectors = vectors();
    let (keys, origin) = (keys(&vectors), origin(&vectors));
    let mut previous: Option<Anchor> = None;
    for case in list(&vectors["anchors"]) {
        let read = anchor(case);
        let mut interval = Interval::new();
        for row in list(&case["rows"]) {
            interval.push(&hex::decode_array(text(row)).expect("32 bytes"));
        }
        assert_eq!((interval.rows(), interval.root()), (read.event_count(), read.merkle_root));
        assert_eq!(read.to_bytes(), text(&case["anchor"]).as_bytes());
        assert_eq!(hex::encode(&read.sha256()), text(&case["sha256"]));
        let note = Note::parse(text(&case["note"]).as_bytes()).expect("a note");
        let at = keys.iter().position(|key| key.id() == read.signing_key_id).expect("a known key");
        assert_eq!(read.verify(&note, &origin, &keys), Ok(&keys[at]));
        let seed = hex::decode_array(text(&vectors["seeds"][at])).expect("32 bytes");
        let signer = LocalSigner::from_seed(origin.clone(), Algorithm::Ed25519, &Secret::new(seed)).expect("a seed");
        assert_eq!(read.sign(&origin, &signer).expect("it signs"), note);
        let leaf = read.instance_leaf();
        assert_eq!(leaf.to_bytes(), text(&case["instance_leaf"]).as_bytes());
        assert_eq!(InstanceLeaf::parse(&leaf.to_bytes()).as_ref(), Some(&leaf));
        assert_eq!(hex::encode(&leaf.leaf_hash()), text(&case["instance_leaf_hash"]));
        if let Some(previous) = &previous {
            assert_eq!(read.follows(previous), Ok(()));
        }
        previous = Some(read);
    }
    assert_eq!(previous.map(|last| last.tree_size()), Some(40));
}

#[test]
fn bytes_that_are_no_anchor_are_refused() {
    let vectors = vectors();
    let (first, second) = (text(&vectors["anchors"][0]["anchor"]), text(&vectors["anchors"][1]["anchor"]));
    for (bytes, why) in [
        (first[1..].to_owned(), "JSON"),
        (first.replacen("\"tree_root\"", "\"tree_rood\"", 1), "absent"),
        (first.replacen("\"event_count\":1", "\"event_count\":\"1\"", 1), "canonical"),
        (first.replacen("\"event_count\":1", "\"event_count\":2", 1), "canonical"),
        (first.replacen("\"tree_size\":1", "\"tree_size\":2", 1), "canonical"),
        (first.replacen(",\"event", ", \"event", 1), "canonical"),
        (first.replacen("00.000001Z", "00.0000010Z", 1), "canonical"),
        (first.replacen("018f4b2a", "018F4B2A", 1), "canonical"),
        (first.replacen('{', "{\"a\":1,", 1), "canonical"),
        (format!("{first}\n"), "canonical"),
        (first.replacen("\"last_sequence\":0", "\"last_sequence\":-1", 1), "absent"),
        (first.replacen("\"first_sequence\":0", "\"first_sequence\":1", 1), "interval"),
        (
            second.replacen("\"first_sequence\":1", "\"first_sequence\":0", 1).replacen("\"event_count\":6", "\"event_count\":7", 1),
            "names no other",
        ),
        (second.replacen("\"last_sequence\":6", "\"last_sequence\":9007199254740991", 1), "interval"),
        (second.replacen("\"previous_anchor_sha256\":\"", "\"previous_anchor_sha256\":\"0", 1), "absent"),
        (second.replacen("\"previous_anchor_sha256\":", "\"previous_anchor_sha255\":", 1), "names no other"),
    ] {
        let error = Anchor::parse(bytes.as_bytes()).expect_err(&bytes).to_string();
        assert!(error.contains(why), "{bytes}: {error}");
    }
    let leaf = text(&vectors["anchors"][0]["instance_leaf"]);
    for bytes in [
        leaf.replace(':', ": "),
        leaf.replace("\"size\":1", "\"size\":01"),
        leaf.replace("\"size\":1", "\"size\":-1"),
        leaf[1..].to_owned(),
    ] {
        assert_eq!(InstanceLeaf::parse(bytes.as_bytes()), None, "{bytes}");
    }
}

#[test]
fn a_changed_anchor_is_another_and_its_note_no_longer_its_own() {
    let vectors = vectors();
    let (keys, origin) = (keys(&vectors), origin(&vectors));
    let cases = list(&vectors["anchors"]);
    let (second, third) = (anchor(&cases[1]), anchor(&cases[2]));
    let note = Note::parse(text(&cases[1]["note"]).as_bytes()).expect("a note");
    let changes: Vec<(Anchor, Option<&str>)> = vec![
        (Anchor { anchor_at: Timestamp::MIN, ..third.clone() }, Some("earlier")),
        (Anchor { project_id: Uuid::nil(), ..third.clone() }, Some("another project")),
        (Anchor { first_sequence: 8, ..third.clone() }, Some("begin where")),
        (Anchor { first_sequence: 6, ..third.clone() }, Some("begin where")),
        (Anchor { previous_anchor_sha256: Some([0; 32]), ..third.clone() }, Some("another by its hash")),
        (Anchor { previous_anchor_sha256: None, ..third.clone() }, Some("another by its hash")),
        (Anchor { tree_root: [0; 32], ..third.clone() }, None),
    ];
    for (changed, why) in changes {
        let follows = changed.follows(&second).map_err(|error| error.to_string());
        match why {
            Some(why) => assert!(follows.as_ref().is_err_and(|error| error.contains(why)), "{changed:?}: {follows:?}"),
            None => assert_eq!(follows, Ok(())),
        }
        assert_eq!(changed.verify(&note, &origin, &keys), Err(AnchorError::OtherText(origin.clone())));
    }
    let elsewhere = Name::new("elsewhere").expect("a name");
    assert_eq!(second.verify(&note, &elsewhere, &keys), Err(AnchorError::OtherText(elsewhere)));
    let unknown = AnchorError::UnknownKey { origin: origin.clone(), key_id: second.signing_key_id };
    assert_eq!(second.verify(&note, &origin, &keys[1..]), Err(unknown.clone()));
    let mut bad = Note::new(note.text()).expect("a text");
    let mut signature = note.signatures()[0].clone();
    signature.bytes[9] ^= 1;
    bad.add(signature).expect("few");
    assert!(matches!(second.verify(&bad, &origin, &keys), Err(AnchorError::Note(NoteError::BadSignature { .. }))));
    // A key of the log that the anchor does not name is not enough.
    let seed = hex::decode_array(text(&vectors["seeds"][1])).expect("32 bytes");
    let next = LocalSigner::from_seed(origin.clone(), Algorithm::Ed25519, &Secret::new(seed)).expect("a seed");
    assert_eq!(second.sign(&origin, &next), Err(SignError::Mismatch(next.verifier_key().clone())));
    let mut by_next = Note::new(second.note_text(&origin)).expect("a text");
    sign(&mut by_next, &next).expect("it signs");
    assert_eq!(second.verify(&by_next, &origin, &keys), Err(unknown));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        times in (0_i64..4_000_000_000_000_000, any::<u128>()),
        (first, rows) in (0_u64..1 << 40, 1_u64..1 << 40),
        hashes in any::<[[u8; 32]; 4]>(),
        key_id in any::<[u8; 4]>(),
    ) {
        let anchor = Anchor {
            anchor_at: Timestamp::from_micros(times.0).expect("in range"),
            project_id: Uuid::from_u128(times.1),
            first_sequence: first,
            last_sequence: first + rows - 1,
            last_row_hash: hashes[0],
            merkle_root: hashes[1],
            tree_root: hashes[2],
            signing_key_id: KeyId(key_id),
            previous_anchor_sha256: (first > 0).then_some(hashes[3]),
        };
        prop_assert_eq!(Anchor::parse(&anchor.to_bytes()), Ok(anchor.clone()));
        let leaf = anchor.instance_leaf();
        prop_assert_eq!(InstanceLeaf::parse(&leaf.to_bytes()), Some(leaf));
    }
}
