//! Events held against the published schema of OCSF (`tests/schemas/ocsf.json`): classes, attributes, types, enumerations and what goes with them, constraints, profiles.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::super::ocsf::{VERSION, class};
use super::{Format, made, records, seen};
use crate::event::action;
use crate::time::Timestamp;

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../tests/schemas/ocsf.json")).expect("the schema"));

/// What is wrong with an event.
pub(super) fn faults(event: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let class = SCHEMA.as_object().expect("an object").values().find(|class| class["uid"] == event["class_uid"] && class["uid"].is_u64());
    let Some(class) = class else { return vec![format!("no class {}", event["class_uid"])] };
    let number = |name: &str| event[name].as_i64().unwrap_or(-1);
    if number("type_uid") != number("class_uid") * 100 + number("activity_id") || number("category_uid") != number("class_uid") / 1000 {
        faults.push("the numbers of category, class and type".to_owned());
    }
    if event["class_name"] != class["caption"] || event["metadata"]["version"] != SCHEMA["version"] {
        faults.push("the name of the class, or the version".to_owned());
    }
    let profiles: Vec<&str> = event["metadata"]["profiles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let known = class["profiles"].as_array().expect("profiles");
    faults.extend(
        profiles.iter().filter(|name| !known.iter().any(|known| known == *name)).map(|name| format!("the class has no profile {name}")),
    );
    let mut attributes = SCHEMA["base_event"]["attributes"].as_object().expect("attributes").clone();
    attributes.extend(class["attributes"].as_object().expect("attributes").clone());
    check_object(&attributes, &class["constraints"], event, &profiles, "", &mut faults);
    faults
}

fn check_object(
    attributes: &Map<String, Value>,
    constraints: &Value,
    value: &Value,
    profiles: &[&str],
    at: &str,
    faults: &mut Vec<String>,
) {
    let Some(object) = value.as_object() else { return faults.push(format!("{at}: no object")) };
    let is_on = |attribute: &Value| match attribute["profiles"].as_array() {
        Some(of) => of.iter().any(|of| profiles.contains(&of.as_str().expect("a name"))),
        None => true,
    };
    for (name, attribute) in attributes {
        if attribute["required"] == true && is_on(attribute) && !object.contains_key(name) {
            faults.push(format!("{at}/{name} is required"));
        }
    }
    for (name, value) in object {
        let at = format!("{at}/{name}");
        match attributes.get(name) {
            None => faults.push(format!("{at}: no such attribute")),
            Some(attribute) if !is_on(attribute) => faults.push(format!("{at}: of a profile that is not named")),
            Some(attribute) => check_attribute(attribute, value, object, profiles, &at, faults),
        }
    }
    let names = |kind: &str| {
        constraints[kind].as_array().map(|names| names.iter().filter(|name| object.contains_key(name.as_str().expect("a name"))).count())
    };
    if names("at_least_one") == Some(0) || names("just_one").is_some_and(|count| count != 1) {
        faults.push(format!("{at}: against {constraints}"));
    }
}

fn check_attribute(attribute: &Value, value: &Value, beside: &Map<String, Value>, profiles: &[&str], at: &str, faults: &mut Vec<String>) {
    if !attribute["deprecated"].is_null() {
        faults.push(format!("{at} is deprecated"));
    }
    let items = match (attribute["array"] == true, value.as_array()) {
        (true, Some(items)) => items.as_slice(),
        (true, None) => return faults.push(format!("{at}: no array")),
        (false, _) => std::slice::from_ref(value),
    };
    let kind = attribute["type"].as_str().expect("a type");
    for item in items {
        if attribute["object"] == true {
            // What is not mapped may be anything.
            if kind == "object" {
                continue;
            }
            match SCHEMA.get(kind) {
                Some(object) => {
                    check_object(object["attributes"].as_object().expect("attributes"), &object["constraints"], item, profiles, at, faults);
                }
                None => faults.push(format!("{at}: {kind} is not among the objects that derive.py takes")),
            }
        } else if !is_of(kind, item) {
            faults.push(format!("{at}: {item} is no {kind}"));
        }
        if let Some(choices) = attribute["enum"].as_object() {
            let number = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            let Some(caption) = choices.get(&number) else {
                faults.push(format!("{at}: {item} is not listed"));
                continue;
            };
            // 99 is for what the source has a name of its own for.
            let sibling = attribute["sibling"].as_str().and_then(|sibling| beside.get(sibling));
            if number != "99" && sibling.is_some_and(|sibling| sibling != caption) {
                faults.push(format!("{at}: {item} is called {caption}, not {sibling:?}"));
            }
        }
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    let integer = value.as_i64().filter(|_| value.is_i64() || value.is_u64());
    match kind {
        "boolean_t" => value.is_boolean(),
        "integer_t" => integer.is_some_and(|number| i32::try_from(number).is_ok()),
        "port_t" => integer.is_some_and(|number| u16::try_from(number).is_ok()),
        "long_t" | "timestamp_t" => integer.is_some(),
        "json_t" => true,
        "datetime_t" => value.as_str().and_then(Timestamp::parse).is_some(),
        "ip_t" => value.as_str().is_some_and(|text| text.len() <= 40 && text.parse::<core::net::IpAddr>().is_ok()),
        "string_t" | "url_t" | "username_t" | "hostname_t" | "resource_uid_t" => value.is_string(),
        _ => false,
    }
}

#[test]
fn events_of_every_action_are_valid() {
    assert_eq!(SCHEMA["version"], VERSION);
    for record in records() {
        let event = seen(Format::Ocsf, &record);
        assert_eq!(faults(&event), Vec::<String>::new(), "{event:#}");
    }
}

/// An activity is called what the schema calls it, also in a class that says so of itself.
#[test]
fn activities_have_the_names_of_the_schema() {
    for name in action::catalogue() {
        let activity = class::activity(&name);
        let classes = SCHEMA.as_object().expect("an object").values();
        let of_it = classes.filter(|class| class["uid"] == activity.class.uid()).map(|class| &class["attributes"]["activity_id"]["enum"]);
        let captions: Vec<_> = of_it.map(|activities| &activities[activity.id.to_string()]).collect();
        assert!(captions.len() == 1 && (activity.id == class::OTHER || *captions[0] == activity.name), "{name}: {activity:?} {captions:?}");
    }
}

/// A check that finds nothing wrong with anything would be none.
#[test]
fn what_is_wrong_is_found() {
    let event = seen(Format::Ocsf, &made::record(&made::fullest("tool.call", "allow"), 1));
    let cases: &[(&str, Value, &str)] = &[
        ("/severity_id", 7.into(), "not listed"),
        ("/severity", "High".into(), "is called"),
        ("/time", "now".into(), "no timestamp_t"),
        ("/type_uid", 1.into(), "numbers"),
        ("/metadata/product", Value::Object(Map::new()), "against"),
        ("/metadata/sequence", 3_000_000_000_u64.into(), "no integer_t"),
        ("/metadata/profiles", Value::Array(vec![]), "of a profile"),
        ("/resources", "r".into(), "no array"),
        ("/api", serde_json::json!({"request": {"uid": "r"}}), "/api/operation is required"),
        ("/actor/user", serde_json::json!({"uid": "u", "credential_uid": "c"}), "deprecated"),
        ("/actor", serde_json::json!({"user": {"uid": "u"}, "who": 1}), "no such attribute"),
    ];
    for (pointer, value, words) in cases {
        let mut wrong = event.clone();
        *wrong.pointer_mut(pointer).expect(pointer) = value.clone();
        assert!(faults(&wrong).iter().any(|fault| fault.contains(words)), "{pointer}: {:?}", faults(&wrong));
    }
}
