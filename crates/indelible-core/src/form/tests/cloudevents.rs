//! Events held against the published JSON schema of CloudEvents (`tests/schemas/cloudevents.json`), and against what the specification says of the names and
//! values of attributes.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use super::super::{Origin, write};
use super::{Format, made, records, seen};

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("../../../tests/schemas/cloudevents.json")).expect("the schema");
    jsonschema::options().offline().should_validate_formats(true).build(&schema).expect("a schema")
});

/// What is wrong with an event.
pub(super) fn faults(event: &Value) -> Vec<String> {
    let mut faults: Vec<String> = SCHEMA.iter_errors(event).map(|error| error.to_string()).collect();
    for (name, value) in event.as_object().expect("an object") {
        let is_named = name.len() <= 20 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !is_named || (name != "data" && value.as_str().is_none_or(str::is_empty)) {
            faults.push(format!("{name}: {value}"));
        }
    }
    faults
}

#[test]
fn events_of_every_action_are_valid() {
    for record in records() {
        let event = seen(Format::Cloudevents, &record);
        assert_eq!(faults(&event), Vec::<String>::new(), "{event:#}");
        assert_eq!(event["data"], serde_json::from_slice::<Value>(&record).expect("JSON"));
    }
}

#[test]
fn attributes_say_what_the_record_says() {
    let record = made::record(&made::fullest("policy.update", "allow"), 41);
    let event = seen(Format::Cloudevents, &record);
    let data = &event["data"];
    assert_eq!(event["type"], "indelible.policy.update");
    assert_eq!(event["source"], "/log.example/prod-1a2b3c4d/0190a5f0-5b1c-7d3e-8f00-0000000000aa");
    assert_eq!(event["sequence"], "0000000000000041");
    assert_eq!((&event["id"], &event["time"], &event["recordedtime"]), (&data["id"], &data["occurred_at"], &data["recorded_at"]));
    let resource = &data["resource"];
    let subject = format!("{}/{}", resource["type"].as_str().expect("text"), resource["id"].as_str().expect("text"));
    assert_eq!(event["subject"], subject);
    let request = &data["request"];
    let traceparent = format!("00-{}-{}-00", request["trace_id"].as_str().expect("text"), request["span_id"].as_str().expect("text"));
    assert_eq!(event["traceparent"], traceparent);
}

/// Whatever an instance is called, the source is a path and nothing else.
#[test]
fn a_source_is_a_path_whatever_the_instance_is_called() {
    let record = made::record(&made::least("a.b"), 0);
    for (instance, source) in [("//evil.example", "/evil.example/"), ("a?b#c", "/a%3Fb%23c/"), ("é%", "/%C3%A9%25/"), ("x:y", "/x:y/")] {
        let mut out = Vec::new();
        write(Format::Cloudevents, &record, &Origin { instance }, &mut out).expect("a record");
        let event: Value = serde_json::from_slice(&out).expect("JSON");
        assert!(event["source"].as_str().expect("text").starts_with(source), "{}", event["source"]);
        assert_eq!(faults(&event), Vec::<String>::new());
    }
}

#[test]
fn what_is_wrong_is_found() {
    let event = seen(Format::Cloudevents, &made::record(&made::least("a.b"), 1));
    for (pointer, value) in [("/id", ""), ("/source", "a b"), ("/time", "now"), ("/sequence", "")] {
        let mut wrong = event.clone();
        *wrong.pointer_mut(pointer).expect(pointer) = value.into();
        assert!(!faults(&wrong).is_empty(), "{pointer}");
    }
}
