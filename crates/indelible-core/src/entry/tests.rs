//! The bytes of entries against another implementation and against a tree of values; the outline against the parser.

use proptest::prelude::*;
use uuid::Uuid;

use super::{Draft, Entry, Outline, Provenance, Stamp};
use crate::event::{Source, Submission, arbitrary};
use crate::fault::FaultKind;
use crate::hex;
use crate::json::{self, Value};
use crate::limits::{ENTRY_BYTES_MAX, INTEGER_MAX};
use crate::redact::Redacted;
use crate::seal::Sealed;
use crate::time::Timestamp;

/// What redaction hands on where it finds nothing to do.
fn untouched(submission: Submission<'_>) -> Redacted<'_> {
    Redacted { id: submission.id, occurred_at: submission.occurred_at, envelope: submission.envelope, content: None }
}

fn sealed_of(stored: Vec<u8>, plain_bytes: u64) -> Sealed {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &stored).as_ref());
    Sealed { stored, sha256, plain_bytes }
}

fn text<'v>(value: &'v Value<'_>, path: &[&str]) -> &'v str {
    path.iter().fold(value, |value, name| value.get(name).expect(name)).as_str().expect("text")
}

fn assurance(name: &str) -> &'static str {
    crate::event::members::ASSURANCES.iter().find(|known| **known == name).expect("known")
}

/// `testdata/entries.json` is made by `testdata/vectors.py`.
#[test]
fn entries_agree_with_another_implementation() {
    let file = json::parse(include_bytes!("../../testdata/entries.json")).expect("valid");
    for case in file.as_array().expect("an array") {
        let uuid = |path: &[&str]| Uuid::try_parse(text(case, path)).expect("a UUID");
        let submission = Submission::parse(text(case, &["submission"]).as_bytes(), Source::Caller, uuid(&["new_id"])).expect("valid");
        let name = text(case, &["name"]);
        assert_eq!(std::str::from_utf8(submission.canonical()), Ok(text(case, &["canonical_submission"])), "{name}");
        let sealed = case.get("sealed").filter(|sealed| sealed.as_object().is_some()).map(|sealed| {
            let stored = hex::decode(text(sealed, &["stored"])).expect("hex");
            sealed_of(stored, text(sealed, &["plain_bytes"]).parse().expect("a number"))
        });
        let provenance = Provenance {
            organization_id: uuid(&["provenance", "organization_id"]),
            project_id: uuid(&["provenance", "project_id"]),
            assurance: assurance(text(case, &["provenance", "assurance"])),
            api_key_id: case.get("provenance").and_then(|p| p.get("api_key_id")).and_then(Value::as_str),
            path: text(case, &["provenance", "path"]),
        };
        let stamp = Stamp {
            sequence: text(case, &["stamp", "sequence"]).parse().expect("a number"),
            recorded_at: Timestamp::parse(text(case, &["stamp", "recorded_at"])).expect("a time"),
            hmac_key_id: text(case, &["stamp", "hmac_key_id"]).parse().expect("a number"),
        };
        let entry = Draft::new(&untouched(submission), sealed.as_ref(), &provenance).stamp(&stamp).expect("fits");
        assert_eq!(entry.as_str(), text(case, &["entry"]), "{name}");
        let leaf: Vec<u8> = [b"\0", entry.bytes()].concat();
        let leaf = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &leaf);
        assert_eq!(hex::encode(leaf.as_ref()), text(case, &["leaf_hash"]), "{name}");
    }
}

const PROVENANCE: Provenance<'_> = Provenance {
    organization_id: Uuid::from_u128(1),
    project_id: Uuid::from_u128(2),
    assurance: "hook",
    api_key_id: Some("k\"1"),
    path: "http",
};

fn stamp_of(sequence: u64, recorded_at: Timestamp, hmac_key_id: u64) -> Stamp {
    Stamp { sequence, recorded_at, hmac_key_id }
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

/// An entry whose `reason`, `actor.display` and the like fill it to exactly so many bytes.
fn entry_of(bytes: usize) -> Result<Entry, crate::fault::Fault> {
    let make = |fill: usize| {
        let (many, rest) = (fill / 1_000, fill % 1_000);
        let mut subjects = vec!["s".repeat(1_000); many];
        subjects.push("s".repeat(rest + 1));
        let text =
            format!(r#"{{"action":"a.b","actor":{{"type":"anonymous"}},"outcome":"deny","subjects":["{}"]}}"#, subjects.join("\",\""));
        let submission = Submission::parse(text.as_bytes(), Source::Caller, Uuid::nil()).expect("valid");
        Draft::new(&untouched(submission), None, &PROVENANCE).stamp(&stamp_of(10, time("2026-01-01T00:00:00Z"), 1))
    };
    let least = make(0).expect("small").bytes().len();
    let fill = bytes - least;
    // Each thousand costs three bytes more, for quotes and comma.
    let many = fill / 1_003;
    make(many * 1_000 + (fill - many * 1_003).min(999))
}

#[test]
fn an_entry_is_at_most_65_535_bytes() {
    let entry = entry_of(ENTRY_BYTES_MAX).expect("fits");
    assert_eq!(entry.bytes().len(), ENTRY_BYTES_MAX);
    let fault = entry_of(ENTRY_BYTES_MAX + 1).expect_err("too large");
    assert_eq!((fault.kind, fault.pointer.as_str()), (FaultKind::TooLarge, ""));
    assert!(fault.message.contains("65536"), "{fault}");
}

#[test]
fn a_clock_that_is_more_than_ten_minutes_ahead_is_not_believed() {
    let recorded = "2026-01-01T00:00:00.000000Z";
    let cases = [
        (None, recorded, None),
        (Some("2020-01-01T00:00:00.000000Z"), "2020-01-01T00:00:00.000000Z", None),
        (Some("2026-01-01T00:10:00.000000Z"), "2026-01-01T00:10:00.000000Z", None),
        (Some("2026-01-01T00:10:00.000001Z"), recorded, Some("2026-01-01T00:10:00.000001Z")),
        (Some("9999-12-31T23:59:59.999999Z"), recorded, Some("9999-12-31T23:59:59.999999Z")),
    ];
    for (given, occurred, claimed) in cases {
        let member = given.map_or(String::new(), |given| format!(r#","occurred_at":"{given}""#));
        let text = format!(r#"{{"action":"a.b","actor":{{"type":"anonymous"}},"outcome":"deny"{member}}}"#);
        let submission = Submission::parse(text.as_bytes(), Source::Caller, Uuid::nil()).expect("valid");
        let entry = Draft::new(&untouched(submission), None, &PROVENANCE).stamp(&stamp_of(0, time(recorded), 1)).expect("fits");
        let value = json::parse(entry.bytes()).expect("valid");
        assert_eq!(value.get("occurred_at").and_then(Value::as_str), Some(occurred), "{given:?}");
        assert_eq!(value.get("claimed_at").and_then(Value::as_str), claimed, "{given:?}");
        assert_eq!(entry.occurred_at, time(occurred));
    }
}

#[test]
fn a_draft_goes_to_another_thread() {
    fn goes<T: Send + 'static>() {}
    goes::<Draft>();
    goes::<Entry>();
}

/// The entry by another way: a tree of values, written as canonical JSON.
fn by_tree(redacted: &Redacted<'_>, sealed: Option<&Sealed>, stamp: &Stamp) -> Vec<u8> {
    let mut tree = redacted.envelope.clone();
    let integer = |number: u64| Value::integer(i64::try_from(number).expect("in range"));
    let ahead = redacted.occurred_at.filter(|at| at.as_micros() - stamp.recorded_at.as_micros() > 600_000_000);
    let occurred_at = if ahead.is_some() { stamp.recorded_at } else { redacted.occurred_at.unwrap_or(stamp.recorded_at) };
    tree.insert("occurred_at", Value::string(occurred_at.to_string()));
    if let Some(ahead) = ahead {
        tree.insert("claimed_at", Value::string(ahead.to_string()));
    }
    tree.insert("recorded_at", Value::string(stamp.recorded_at.to_string()));
    tree.insert("sequence", integer(stamp.sequence));
    tree.insert("hmac_key_id", integer(stamp.hmac_key_id));
    tree.insert("schema_version", integer(1));
    tree.insert("assurance", Value::string("hook"));
    tree.insert("organization_id", Value::string(Uuid::from_u128(1).to_string()));
    tree.insert("project_id", Value::string(Uuid::from_u128(2).to_string()));
    tree.insert("recorder", json::parse(br#"{"path":"http","api_key_id":"k\"1"}"#).expect("valid"));
    if let Some(sealed) = sealed {
        let mut member = json::Object::new();
        member.insert("sha256", Value::string(hex::encode(&sealed.sha256)));
        member.insert("bytes", integer(sealed.stored.len() as u64));
        member.insert("plain_bytes", integer(sealed.plain_bytes));
        tree.insert("sealed", Value::Object(member));
    }
    Value::Object(tree).to_canonical()
}

/// The outline by another way: the parser.
fn outline_by_tree(entry: &[u8]) -> Option<Outline> {
    let value = json::parse(entry).ok()?;
    let uuid = |name: &str| {
        let text = value.get(name)?.as_str()?;
        Uuid::try_parse(text).ok().filter(|id| id.hyphenated().to_string() == text)
    };
    let number = |value: &Value<'_>, name: &str| match value.get(name)? {
        Value::Number(text) if !text.starts_with('-') => text.parse::<u64>().ok(),
        _ => None,
    };
    let time = |name: &str| Timestamp::parse(value.get(name)?.as_str()?);
    let sealed = match value.get("sealed") {
        None => None,
        Some(sealed) => Some((hex::decode_array(sealed.get("sha256")?.as_str()?)?, number(sealed, "bytes")?)),
    };
    Some(Outline {
        project_id: uuid("project_id")?,
        organization_id: uuid("organization_id")?,
        id: uuid("id")?,
        sequence: number(&value, "sequence")?,
        hmac_key_id: number(&value, "hmac_key_id")?,
        occurred_at: time("occurred_at")?,
        recorded_at: time("recorded_at")?,
        sealed,
    })
}

fn seal() -> impl Strategy<Value = Option<Sealed>> {
    proptest::option::of(
        (proptest::collection::vec(any::<u8>(), 0..40), 0..1_u64 << 24).prop_map(|(stored, plain)| sealed_of(stored, plain)),
    )
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (0..=INTEGER_MAX as u64, 900_000_000_000_000_i64..2_300_000_000_000_000, 1..=INTEGER_MAX as u64)
        .prop_map(|(sequence, micros, ring)| stamp_of(sequence, Timestamp::from_micros(micros).expect("in range"), ring))
}

proptest! {
    #[test]
    fn a_stamped_draft_is_the_canonical_tree(event in arbitrary::event(), sealed in seal(), stamp in stamp()) {
        let text = event.to_verbatim();
        let redacted = untouched(Submission::parse(&text, Source::Caller, Uuid::from_u128(7)).expect("valid"));
        let draft = Draft::new(&redacted, sealed.as_ref(), &PROVENANCE);
        let entry = draft.stamp(&stamp).expect("fits");
        let tree = by_tree(&redacted, sealed.as_ref(), &stamp);
        prop_assert_eq!(entry.as_str(), std::str::from_utf8(&tree).expect("UTF-8"));
        prop_assert!(entry.bytes().len() <= draft.bytes_hint());
        prop_assert_eq!(draft.id(), redacted.id);
        let outline = Outline::read(entry.bytes());
        prop_assert!(outline.is_some());
        prop_assert_eq!(&outline, &outline_by_tree(entry.bytes()));
        let outline = outline.expect("read");
        prop_assert_eq!((outline.id, outline.sequence, outline.hmac_key_id), (redacted.id, stamp.sequence, stamp.hmac_key_id));
        prop_assert_eq!((outline.occurred_at, outline.recorded_at), (entry.occurred_at, stamp.recorded_at));
        prop_assert_eq!(outline.sealed, sealed.map(|sealed| (sealed.sha256, sealed.stored.len() as u64)));
    }

    /// What another version may hold: members that are unknown here, of any shape, or members that are lost or changed.
    #[test]
    fn an_outline_says_what_the_parser_says(
        event in arbitrary::event(), stamp in stamp(), at in any::<prop::sample::Index>(), value in foreign(), name in "x_[a-z]{1,8}", drop in any::<bool>(),
    ) {
        let text = event.to_verbatim();
        let redacted = untouched(Submission::parse(&text, Source::Caller, Uuid::from_u128(7)).expect("valid"));
        let entry = Draft::new(&redacted, None, &PROVENANCE).stamp(&stamp).expect("fits");
        let Value::Object(mut tree) = json::parse(entry.bytes()).expect("valid") else { unreachable!() };
        tree.insert(name, value.clone());
        prop_assert!(Outline::read(&Value::Object(tree.clone()).to_canonical()).is_some());
        let victim = tree.iter().nth(at.index(tree.len())).map(|(name, _)| name.to_owned()).expect("a member");
        if drop { tree.remove(&victim); } else { tree.insert(victim, value); }
        let bytes = Value::Object(tree).to_canonical();
        prop_assert_eq!(Outline::read(&bytes), outline_by_tree(&bytes));
    }

    #[test]
    fn no_bytes_make_the_outline_panic(event in arbitrary::event(), stamp in stamp(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let text = event.to_verbatim();
        let redacted = untouched(Submission::parse(&text, Source::Caller, Uuid::from_u128(7)).expect("valid"));
        let mut bytes = Draft::new(&redacted, None, &PROVENANCE).stamp(&stamp).expect("fits").into_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at); } else { bytes[at] = byte; }
        let outline = Outline::read(&bytes);
        // A changed byte may leave JSON that is not canonical; where it is, both must say the same.
        if json::parse(&bytes).is_ok_and(|value| value.to_canonical() == bytes) {
            prop_assert_eq!(outline, outline_by_tree(&bytes));
        } else if cut {
            prop_assert_eq!(outline, None);
        }
    }
}

fn foreign() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::integer),
        "[\"\\\\{}\\[\\],:a-z😀]{0,12}".prop_map(Value::string),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::btree_map("[a-z\"\\\\}]{0,4}", inner, 0..4).prop_map(|map| {
                Value::Object(json::Object::from_distinct(map.into_iter().map(|(name, value)| (name.into(), value)).collect()))
            }),
        ]
    })
}
