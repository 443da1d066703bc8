//! A CloudEvent 1.0 in its JSON format. Its `data` is the record, byte for byte, so whoever gets it can hash what was hashed.
//!
//! `source` is `/<instance>/<project id>`: with the slash before it, the origin of the checkpoint that covers the event. `type` is `indelible.` and the
//! action. Both are names of the producer's own, as the specification allows: an instance need not have a domain.

use super::record::object;
use super::{Origin, Record};
use crate::hex;
use crate::json::{Value, write_verbatim};

/// Media type of one event.
pub(crate) const CONTENT_TYPE: &str = "application/cloudevents+json";
/// Media type of an array of them.
pub(crate) const BATCH_CONTENT_TYPE: &str = "application/cloudevents-batch+json";

/// Digits of the largest sequence, 2^53 - 1: written with as many, sequences sort as texts.
const SEQUENCE_DIGITS: usize = 16;

/// All attributes, and no data.
fn attributes<'a>(record: &Record<'a>, origin: &Origin<'a>) -> Value<'a> {
    let text = |path: &[&str]| record.text(path).map(Value::String);
    let subject = record.text(&["resource", "type"]).zip(record.text(&["resource", "id"]));
    let sequence = record.get(&["sequence"]).and_then(Value::as_integer).filter(|sequence| *sequence >= 0);
    let trace = record.text(&["request", "trace_id"]).zip(record.text(&["request", "span_id"]));
    let members = object([
        ("specversion", Some(Value::string("1.0"))),
        ("id", Some(Value::String(record.id.clone()))),
        ("source", Some(Value::string(source(origin.instance, &record.project_id)))),
        ("type", Some(Value::string(format!("indelible.{}", record.action)))),
        ("subject", subject.map(|(kind, id)| Value::string(format!("{kind}/{id}")))),
        ("time", Some(Value::string(record.occurred_at.to_string()))),
        ("datacontenttype", Some(Value::string("application/json"))),
        ("recordedtime", text(&["recorded_at"])),
        ("sequence", sequence.map(|sequence| Value::string(format!("{sequence:0SEQUENCE_DIGITS$}")))),
        ("partitionkey", Some(Value::String(record.project_id.clone()))),
        ("authtype", record.text(&["actor", "type"]).map(|kind| Value::string(auth_type(&kind)))),
        ("authid", text(&["actor", "id"])),
        // Whether it was sampled is not known, which is what no flag says.
        ("traceparent", trace.map(|(trace, span)| Value::string(format!("00-{trace}-{span}-00")))),
        ("correlationid", text(&["operation_id"])),
    ]);
    members.unwrap_or(Value::Null)
}

/// The types that the Auth Context extension knows; it has none for an agent.
fn auth_type(actor_type: &str) -> &'static str {
    match actor_type {
        "human" => "user",
        "service_account" => "service_account",
        "system" => "system",
        "anonymous" => "unauthenticated",
        _ => "unknown",
    }
}

/// A URI reference (RFC 3986, section 4.2) that is a path. A name that begins with a slash must not become an authority.
fn source(instance: &str, project_id: &str) -> String {
    let mut source = String::from("/");
    for byte in [instance.trim_start_matches('/'), "/", project_id].into_iter().flat_map(str::bytes) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => source.push(char::from(byte)),
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@'
            | b'/' => {
                source.push(char::from(byte));
            }
            _ => {
                source.push('%');
                source.push_str(&hex::encode(&[byte]).to_ascii_uppercase());
            }
        }
    }
    source
}

/// Appends the event.
pub(crate) fn write<'a>(record: &Record<'a>, origin: &Origin<'a>, out: &mut Vec<u8>) {
    write_verbatim(&attributes(record, origin), out);
    // The object has members, so it ends in a brace with something before it.
    out.pop();
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(record.bytes);
    out.push(b'}');
}

/// The event as a tree.
pub(crate) fn event<'a>(record: Record<'a>, origin: &Origin<'a>) -> Value<'a> {
    let mut event = attributes(&record, origin);
    if let Value::Object(members) = &mut event {
        members.insert("data", Value::Object(record.into_members()));
    }
    event
}
