//! Documents held against the published fields of ECS (`tests/schemas/ecs.json`): names, types, arrays, allowed values, and the event types that go with a category.

use std::sync::LazyLock;

use serde_json::Value;

use super::super::ecs::VERSION;
use super::{Format, made, records, seen};
use crate::time::Timestamp;

static FIELDS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../tests/schemas/ecs.json")).expect("the fields"));

/// What is wrong with a document.
pub(super) fn faults(document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, value) in document.as_object().expect("an object") {
        match name.as_str() {
            // Our own, which ECS leaves to us.
            "indelible" => {}
            "labels" => {
                let labels = value.as_object().expect("an object");
                faults.extend(
                    labels.iter().filter(|(key, value)| key.contains('.') || !value.is_string()).map(|(key, _)| format!("labels.{key}")),
                );
            }
            _ => check(name, value, &mut faults),
        }
    }
    for required in ["@timestamp", "ecs"] {
        if document.get(required).is_none() {
            faults.push(format!("{required} is required"));
        }
    }
    let allowed = &FIELDS["event.category"]["allowed"];
    let categories: Vec<&Value> =
        document["event"]["category"].as_array().into_iter().flatten().filter_map(Value::as_str).map(|c| &allowed[c]).collect();
    for kind in document["event"]["type"].as_array().into_iter().flatten() {
        if !categories.iter().any(|expected| expected.as_array().is_some_and(|expected| expected.contains(kind))) {
            faults.push(format!("{kind} does not go with {}", document["event"]["category"]));
        }
    }
    faults
}

fn check(name: &str, value: &Value, faults: &mut Vec<String>) {
    let Some(field) = FIELDS.get(name) else {
        match value.as_object() {
            Some(members) => members.iter().for_each(|(member, value)| check(&format!("{name}.{member}"), value, faults)),
            None => faults.push(format!("no field {name}")),
        }
        return;
    };
    let items = match (field["array"] == true, value.as_array()) {
        (true, Some(items)) if !items.is_empty() => items.as_slice(),
        (true, _) => return faults.push(format!("{name}: no array")),
        (false, _) => std::slice::from_ref(value),
    };
    for item in items {
        let kind = field["type"].as_str().expect("a type");
        let is_of = match kind {
            "keyword" | "wildcard" | "match_only_text" => item.is_string(),
            "long" => item.as_i64().is_some(),
            "integer" => item.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            "date" => item.as_str().and_then(Timestamp::parse).is_some(),
            "ip" => item.as_str().is_some_and(|text| text.parse::<core::net::IpAddr>().is_ok()),
            _ => false,
        };
        let is_allowed = field["allowed"].as_object().is_none_or(|allowed| item.as_str().is_some_and(|item| allowed.contains_key(item)));
        if !is_of || !is_allowed {
            faults.push(format!("{name}: {item} is no {kind}, or not allowed"));
        }
    }
}

#[test]
fn documents_of_every_action_are_valid() {
    for record in records() {
        let document = seen(Format::Ecs, &record);
        assert_eq!(faults(&document), Vec::<String>::new(), "{document:#}");
        assert_eq!(document["ecs"]["version"], VERSION);
    }
}

/// A key with a dot would be an object in an index, where another label may be a text.
#[test]
fn labels_have_no_dots() {
    let document = seen(Format::Ecs, &made::complete("tool.call").to_canonical());
    let labels = document["labels"].as_object().expect("labels");
    assert_eq!(labels.keys().collect::<Vec<_>>(), ["tool", "tool_call_id"]);
    assert_eq!(document["indelible"]["context"][0]["key"], "a.b");
}

#[test]
fn what_is_wrong_is_found() {
    let document = seen(Format::Ecs, &made::record(&made::fullest("http.request", "deny"), 1));
    let cases: &[(&str, Value, &str)] = &[
        ("/@timestamp", "now".into(), "@timestamp"),
        ("/event/kind", "audit".into(), "event.kind"),
        ("/event/category", "web".into(), "event.category"),
        ("/event/type", serde_json::json!(["deletion"]), "does not go with"),
        ("/event/sequence", "1".into(), "event.sequence"),
        ("/user", serde_json::json!({"nick": "n"}), "no field user.nick"),
        ("/labels", serde_json::json!({"a.b": "c"}), "labels.a.b"),
    ];
    for (pointer, value, words) in cases {
        let mut wrong = document.clone();
        *wrong.pointer_mut(pointer).expect(pointer) = value.clone();
        assert!(faults(&wrong).iter().any(|fault| fault.contains(words)), "{pointer}: {:?}", faults(&wrong));
    }
}
