//! Records for tests: drafted as the ledger drafts them, and one that has every member of the table.

use uuid::Uuid;

use crate::entry::{Draft, Provenance, Stamp};
use crate::event::members::{ENTRY, Member, Owner, Shape};
use crate::event::{Source, Submission};
use crate::hex;
use crate::json::{self, Object, Value};
use crate::key::{ProjectKeys, Secret};
use crate::redact::Rules;
use crate::seal::Sealed;
use crate::time::Timestamp;

const PROJECT: Uuid = Uuid::from_u128(0x0190_a5f0_5b1c_7d3e_8f00_0000_0000_00aa);

/// What readers get of an event.
pub(crate) fn record(submission: &Value<'_>, sequence: u64) -> Vec<u8> {
    let text = submission.to_verbatim();
    let submission = Submission::parse(&text, Source::Engine, Uuid::from_u128(u128::from(sequence) + 1)).expect("an event");
    let redacted = Rules::standard().redact(submission, &ProjectKeys::derive(1, &Secret::new([7; 32]), PROJECT)).expect("small");
    let sealed = Sealed { stored: vec![1; 70], sha256: [3; 32], plain_bytes: 88 };
    let provenance = Provenance {
        organization_id: Uuid::from_u128(5),
        project_id: PROJECT,
        assurance: "gateway",
        api_key_id: Some("0190a5f0-key"),
        path: "http",
    };
    let recorded_at = Timestamp::parse("2026-11-29T12:00:00.123456Z").expect("a time");
    let stamp = Stamp { sequence, recorded_at, hmac_key_id: 3 };
    let entry = Draft::new(&redacted, Some(&sealed), &provenance).stamp(&stamp).expect("small");
    with_hashes(entry.into_bytes())
}

fn with_hashes(mut entry: Vec<u8>) -> Vec<u8> {
    assert_eq!(entry.pop(), Some(b'}'));
    entry
        .extend_from_slice(format!(",\"prev_hash\":\"{}\",\"row_hash\":\"{}\"}}", hex::encode(&[8; 32]), hex::encode(&[9; 32])).as_bytes());
    entry
}

/// The entries of `testdata/entries.json`, which another implementation made.
pub(crate) fn golden() -> Vec<Vec<u8>> {
    let file: serde_json::Value = serde_json::from_slice(include_bytes!("../../../testdata/entries.json")).expect("valid");
    let entries = file.as_array().expect("an array").iter();
    let entries: Vec<_> = entries.map(|case| with_hashes(case["entry"].as_str().expect("text").as_bytes().to_vec())).collect();
    assert!(entries.len() >= 3);
    entries
}

/// An event of this action with no more than it must have.
pub(crate) fn least(action: &str) -> Value<'static> {
    let text = format!(r#"{{"action":"{action}","actor":{{"type":"anonymous"}},"outcome":"allow"}}"#);
    json::parse(text.as_bytes()).expect("valid").into_owned()
}

/// An event of this action with all that whoever submits it may say.
pub(crate) fn fullest(action: &str, outcome: &str) -> Value<'static> {
    let mut event = object(ENTRY, &mut 0, &|member| member.owner != Owner::Server);
    event.insert("action", Value::string(action.to_owned()));
    event.insert("outcome", Value::string(outcome.to_owned()));
    event.insert("id", Value::string("0190a5f0-5b1c-7d3e-8f00-0000000000cc"));
    Value::Object(event)
}

/// A record of this action with every member of the table, the server's too, each with a value of its own.
pub(crate) fn complete(action: &str) -> Value<'static> {
    let mut record = object(ENTRY, &mut 0, &|_| true);
    record.insert("action", Value::string(action.to_owned()));
    for (name, hash) in [("prev_hash", [8; 32]), ("row_hash", [9; 32])] {
        record.insert(name, Value::string(hex::encode(&hash)));
    }
    record.insert("content", json::parse(br#"{"output":"done"}"#).expect("valid").into_owned());
    record.insert("content_error", Value::string("gone"));
    let mut record = Value::Object(record);
    *place(&mut record, &["http".to_owned(), "method".to_owned()]) = Value::string("GET");
    record
}

fn object(members: &'static [Member], n: &mut i64, is_wanted: &impl Fn(&Member) -> bool) -> Object<'static> {
    let mut object = Object::new();
    for member in members.iter().filter(|member| is_wanted(member)) {
        *n += 1;
        let value = match member.shape {
            Shape::Object(inner) => Value::Object(self::object(inner, n, is_wanted)),
            Shape::Objects(_, inner) => Value::Array(vec![Value::Object(self::object(inner, n, is_wanted))]),
            Shape::Texts(..) => Value::Array(vec![leaf(Shape::Text(99), *n), leaf(Shape::Text(99), *n + 1_000)]),
            Shape::Labels => {
                let labels = ["a.b", "tool", "tool_call_id"].map(|key| (key.into(), Value::string(format!("{key} {n}"))));
                Value::Object(Object::from_distinct(labels.into()))
            }
            shape => leaf(shape, *n),
        };
        object.insert(member.name, value);
    }
    object
}

/// The `n`th value of a shape.
fn leaf(shape: Shape, n: i64) -> Value<'static> {
    match shape {
        Shape::Choice(choices) => Value::string(choices[usize::try_from(n).expect("small") % choices.len()]),
        Shape::Action | Shape::Category => Value::string(format!("noun{n}")),
        Shape::Uuid => Value::string(Uuid::from_u128(0xaaaa_0000 + u128::try_from(n).expect("positive")).to_string()),
        Shape::Time => Value::string(Timestamp::from_micros(1_795_283_280_000_000 + n).expect("within").to_string()),
        Shape::Integer(least, most) => Value::integer((least + 100 + n).min(most)),
        Shape::Bool => Value::Bool(n % 2 == 0),
        Shape::Hex(bytes) => Value::string(format!("{:0width$x}", n + 1, width = bytes * 2)),
        Shape::Text(bytes_max) if bytes_max < 8 => Value::string(format!("E{:02}", n % 100)),
        _ => Value::string(format!("text {n}")),
    }
}

/// Every place of the table's members in [`complete`], with another value for it.
pub(crate) fn others() -> Vec<(Vec<String>, Value<'static>)> {
    fn walk(members: &'static [Member], way: &[String], found: &mut Vec<(Vec<String>, Value<'static>)>) {
        for member in members {
            let at = |more: &[&str]| [way, &[member.name.to_owned()], &more.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>()].concat();
            match member.shape {
                Shape::Object(inner) => walk(inner, &at(&[]), found),
                Shape::Objects(_, inner) => walk(inner, &at(&["0"]), found),
                Shape::Texts(..) => found.extend(["0", "1"].map(|n| (at(&[n]), Value::string("another")))),
                Shape::Labels => found.extend(["a.b", "tool", "tool_call_id"].map(|key| (at(&[key]), Value::string("another")))),
                _ if member.name == "action" => found.push((at(&[]), Value::string("noun.another"))),
                // By two: of choices and of what is true or false, the next may be the one that is there.
                shape => found.extend([7_000, 7_001].map(|n| (at(&[]), leaf(shape, n)))),
            }
        }
    }
    let mut found = Vec::new();
    walk(ENTRY, &[], &mut found);
    found.push((vec!["content".to_owned(), "output".to_owned()], Value::string("another")));
    found.extend(["content_error", "prev_hash", "row_hash"].map(|name| (vec![name.to_owned()], Value::string("another"))));
    found
}

/// The value at a place.
pub(crate) fn place<'v>(value: &'v mut Value<'static>, way: &[String]) -> &'v mut Value<'static> {
    way.iter().fold(value, |value, step| match value {
        Value::Object(object) => object.get_mut(step).expect("a member"),
        Value::Array(items) => &mut items[step.parse::<usize>().expect("a number")],
        _ => panic!("{step} of a scalar"),
    })
}
