//! Nothing of an event is lost in any form, and each form is what its publishers say it is.

mod cloudevents;
mod ecs;
pub(crate) mod made;
mod ocsf;
mod page;

use proptest::prelude::*;

use super::{Format, Origin, write};
use crate::event::{action, arbitrary};
use crate::fault::FaultKind;
use crate::json::{self, Value};

pub(crate) const ORIGIN: Origin<'static> = Origin { instance: "log.example/prod-1a2b3c4d" };

/// An action of each class, and one that nobody listed.
const ACTIONS: [&str; 11] = [
    "integrity.finding",
    "user.provision",
    "sign_in.attempt",
    "policy.update",
    "group.provision",
    "group_member.remove",
    "http.request",
    "audit.start",
    "tool.call",
    "model.invoke",
    "invoice.pay",
];

fn written(format: Format, record: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write(format, record, &ORIGIN, &mut out).expect("a record");
    out
}

/// What a form makes of a record, as another reader sees it.
fn seen(format: Format, record: &[u8]) -> serde_json::Value {
    let out = written(format, record);
    assert!(out.iter().all(|byte| *byte >= b' '), "one line");
    serde_json::from_slice(&out).expect("JSON")
}

/// Least and fullest events of every action of the catalogue, and of some that are not in it; and the entries of the golden vectors.
fn records() -> impl Iterator<Item = Vec<u8>> {
    let others = ["invoice.pay", "invoice.line.delete", "document.read", "agent.retire"].map(str::to_owned);
    let made = action::catalogue().chain(others).zip(1_u64..).flat_map(|(action, n)| {
        let outcome = ["allow", "deny", "error", "partial"][usize::try_from(n).expect("small") % 4];
        [made::record(&made::least(&action), n), made::record(&made::fullest(&action, outcome), n)]
    });
    made.chain(made::golden())
}

/// Two records that differ in one member are sent as different bytes: whatever a member says arrives.
#[test]
fn every_member_arrives_in_every_form() {
    let others = made::others();
    assert!(others.len() > 150, "{}", others.len());
    for action in ACTIONS {
        let complete = made::complete(action);
        for format in Format::ALL {
            let whole = written(format, &complete.to_canonical());
            for (way, other) in &others {
                let mut changed = complete.clone();
                let value = made::place(&mut changed, way);
                if std::mem::replace(value, other.clone()) != *other {
                    assert_ne!(written(format, &changed.to_canonical()), whole, "{action} as {} without {way:?}", format.as_str());
                }
            }
        }
    }
}

#[test]
fn what_needs_no_other_form_stays_as_it_is() {
    for record in records() {
        assert_eq!(written(Format::Native, &record), record);
        let event = written(Format::Cloudevents, &record);
        let data = [b"\"data\":", record.as_slice(), b"}"].concat();
        assert!(event.ends_with(&data), "the record, byte for byte");
    }
}

#[test]
fn what_is_no_record_is_refused_with_its_place() {
    let least = r#"{"action":"a.b","id":"0190a5f0-5b1c-7d3e-8f00-0000000000cc","occurred_at":"2026-11-29T12:00:00Z","project_id":"p"}"#;
    let cases = [
        ("[]".to_owned(), FaultKind::Invalid, ""),
        (least[1..].to_owned(), FaultKind::Malformed, ""),
        (least.replace(',', ",\n"), FaultKind::Malformed, ""),
        (format!("{least}{least}"), FaultKind::Malformed, ""),
        (least.replace("\"a.b\"", "7"), FaultKind::Invalid, "/action"),
        (least.replace("\"p\"", "\"\""), FaultKind::Invalid, "/project_id"),
        (least.replace("\"id\"", "\"di\""), FaultKind::Invalid, "/id"),
        (least.replace("12:00:00Z", "noon"), FaultKind::Invalid, "/occurred_at"),
    ];
    for format in Format::ALL {
        assert!(seen(format, least.as_bytes()).is_object());
        for (text, kind, pointer) in &cases {
            let mut out = b"before".to_vec();
            let fault = write(format, text.as_bytes(), &ORIGIN, &mut out).expect_err(text);
            assert_eq!((fault.kind, fault.pointer.as_str()), (*kind, *pointer), "{text}");
            assert_eq!(out, b"before");
        }
    }
}

/// Somebody who changes a stored row, or a later version of the members, makes no event that its receiver would refuse.
#[test]
fn whatever_stands_in_a_member_events_stay_valid() {
    let odd = ["null", "{}", "[]", "\"\"", "-1", "9007199254740991", "1.5", "[{\"a\":1}]", "\"text\"", "{\"id\":{},\"type\":7}"];
    let odd = odd.map(|text| json::parse(text.as_bytes()).expect("valid").into_owned());
    let needed = ["action", "id", "occurred_at", "project_id"];
    let places = made::others().into_iter().flat_map(|(way, _)| [way[..1].to_vec(), way]);
    let places: Vec<_> = places.filter(|way| !needed.contains(&way[0].as_str())).collect();
    for (n, action) in ACTIONS.iter().enumerate() {
        let complete = made::complete(action);
        for (at, way) in places.iter().enumerate() {
            let mut changed = complete.clone();
            *made::place(&mut changed, way) = odd[(at + n) % odd.len()].clone();
            let record = changed.to_canonical();
            assert_eq!(ocsf::faults(&seen(Format::Ocsf, &record)), Vec::<String>::new(), "{way:?} {changed:?}");
            assert_eq!(ecs::faults(&seen(Format::Ecs, &record)), Vec::<String>::new(), "{way:?} {changed:?}");
        }
    }
}

/// What is not of the kind that a form has a place for stays under its own name.
#[test]
fn a_member_of_another_kind_stays_what_it_is() {
    let odd = r#"{"action":"http.request","actor":[],"context":{"k":7},"http":{"method":"get","status":99999999999,"url":7},"id":"x","model":"m","occurred_at":"0001-01-01T00:00:00Z","project_id":"p","recorded_at":"noon","request":"r","resource":false,"sequence":-1,"usage":{"input_tokens":4294967296}}"#;
    let value: serde_json::Value = serde_json::from_str(odd).expect("JSON");
    for (format, rest) in [(Format::Ocsf, "unmapped"), (Format::Ecs, "indelible")] {
        let event = seen(format, odd.as_bytes());
        for name in ["actor", "model", "recorded_at", "request", "resource", "sequence", "usage"] {
            assert_eq!(event[rest][name], value[name], "{} {name}", format.as_str());
        }
        assert_eq!(event[rest]["http"]["url"], value["http"]["url"]);
    }
    assert_eq!(seen(Format::Ocsf, odd.as_bytes())["unmapped"]["context"], value["context"]);
    assert_eq!(seen(Format::Ecs, odd.as_bytes())["indelible"]["context"], serde_json::json!([{"key": "k", "value": 7}]));
}

#[test]
fn formats_have_names() {
    for format in Format::ALL {
        assert_eq!(Format::parse(format.as_str()), Some(format));
    }
    for name in ["", "Native", "cef"] {
        assert_eq!(Format::parse(name), None);
    }
}

proptest! {
    #[test]
    fn random_events_are_valid_in_every_form(event in arbitrary::event(), sequence in 0..u64::try_from(crate::limits::INTEGER_MAX).expect("positive")) {
        let record = made::record(&event, sequence);
        let id = match json::parse(&record).expect("JSON").get("id") {
            Some(Value::String(id)) => id.to_string(),
            _ => String::new(),
        };
        prop_assert!(!id.is_empty());
        let (ocsf, event, document) = (seen(Format::Ocsf, &record), seen(Format::Cloudevents, &record), seen(Format::Ecs, &record));
        prop_assert_eq!((&ocsf["metadata"]["uid"], &event["id"], &document["event"]["id"]), (&id.as_str().into(), &id.as_str().into(), &id.as_str().into()));
        prop_assert_eq!(ocsf::faults(&ocsf), Vec::<String>::new());
        prop_assert_eq!(cloudevents::faults(&event), Vec::<String>::new());
        prop_assert_eq!(ecs::faults(&document), Vec::<String>::new());
    }
}
