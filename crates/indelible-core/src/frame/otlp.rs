//! Logs of OTLP over HTTP, in the JSON encoding: an `ExportLogsServiceRequest` of one resource, the instance.
//!
//! The body of a record is the event as a tree, so that a collector can ask for its parts; what lies deeper than [`LEVELS_MAX`] is JSON in a text, since
//! readers of Protocol Buffers stop at a hundred messages inside each other. Attributes have the names of OpenTelemetry's semantic conventions
//! where those mean the same. A trace id or span id of zeros is none (W3C Trace Context), and is left out.

use crate::form::{Format, Origin, PRODUCT_VERSION, Record, Severity, shape};
use crate::json::{Value, write_string, write_verbatim};
use crate::time::Timestamp;

/// Levels of the event that are told as a tree: three messages each, beside the five around them.
pub(super) const LEVELS_MAX: usize = 16;

/// Attributes, and where they are in a record. Those of OpenTelemetry first.
const ATTRIBUTES: [(&str, &[&str]); 19] = [
    ("log.record.uid", &["id"]),
    ("user.id", &["actor", "id"]),
    ("client.address", &["request", "source_ip"]),
    ("user_agent.original", &["request", "user_agent"]),
    ("http.request.method", &["http", "method"]),
    ("http.response.status_code", &["http", "status"]),
    ("url.full", &["http", "url"]),
    ("gen_ai.provider.name", &["model", "provider"]),
    ("gen_ai.request.model", &["model", "id"]),
    ("gen_ai.conversation.id", &["run", "thread_id"]),
    ("gen_ai.usage.input_tokens", &["usage", "input_tokens"]),
    ("gen_ai.usage.output_tokens", &["usage", "output_tokens"]),
    ("indelible.project_id", &["project_id"]),
    ("indelible.organization_id", &["organization_id"]),
    ("indelible.sequence", &["sequence"]),
    ("indelible.actor.type", &["actor", "type"]),
    ("indelible.outcome", &["outcome"]),
    ("indelible.resource.type", &["resource", "type"]),
    ("indelible.resource.id", &["resource", "id"]),
];

/// Appends what comes before the array of records.
pub(super) fn open(origin: &Origin<'_>, out: &mut Vec<u8>) {
    let texts = [("service.name", "indelible"), ("service.version", PRODUCT_VERSION), ("service.instance.id", origin.instance)];
    out.extend_from_slice(b"{\"resourceLogs\":[{\"resource\":{\"attributes\":");
    list(texts, out, |(name, text), out| key_value(name, &Value::string(text), 0, out));
    out.extend_from_slice(b"},\"scopeLogs\":[{\"scope\":{\"name\":\"indelible.audit\",\"version\":");
    write_string(PRODUCT_VERSION, out);
    out.extend_from_slice(b"},\"logRecords\":");
}

/// Appends one record.
pub(super) fn write<'a>(format: Format, record: Record<'a>, origin: &Origin<'a>, out: &mut Vec<u8>) {
    let (number, text) = match Severity::of(&record) {
        Severity::Informational => (9, "INFO"),
        Severity::Notice => (10, "INFO2"),
        Severity::Warning => (13, "WARN"),
        Severity::Error => (17, "ERROR"),
        Severity::Critical => (21, "FATAL"),
    };
    let observed = record.text(&["recorded_at"]).and_then(|time| Timestamp::parse(&time));
    let head = format!(
        "{{\"timeUnixNano\":\"{}\",\"observedTimeUnixNano\":\"{}\",\"severityNumber\":{number},\"severityText\":\"{text}\",\"eventName\":",
        nanos(record.occurred_at),
        observed.map_or(0, nanos),
    );
    out.extend_from_slice(head.as_bytes());
    write_string(&format!("indelible.{}", record.action), out);
    for (name, member, digits) in [("traceId", "trace_id", 32), ("spanId", "span_id", 16)] {
        let id = record.text(&["request", member]);
        let is_id = |id: &str| id.len() == digits && id.bytes().all(|b| b.is_ascii_hexdigit()) && id.bytes().any(|b| b != b'0');
        if let Some(id) = id.filter(|id| is_id(id)) {
            out.extend_from_slice(format!(",\"{name}\":\"{id}\"").as_bytes());
        }
    }
    out.extend_from_slice(b",\"attributes\":");
    let is_attribute = |value: &&Value<'_>| value.as_str().is_some() || value.as_integer().is_some();
    let attributes = ATTRIBUTES.into_iter().filter_map(|(name, path)| Some((name, record.get(path).filter(is_attribute)?)));
    list(attributes, out, |(name, value), out| key_value(name, value, 0, out));
    out.extend_from_slice(b",\"body\":");
    any_value(&shape(format, record, origin), LEVELS_MAX, out);
    out.push(b'}');
}

/// Nanoseconds since 1970; 0, which is unknown, before that and after 2554.
fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_micros()).ok().and_then(|micros| micros.checked_mul(1_000)).unwrap_or(0)
}

/// Appends a `KeyValue`.
fn key_value(name: &str, value: &Value<'_>, levels: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"key\":");
    write_string(name, out);
    out.extend_from_slice(b",\"value\":");
    any_value(value, levels, out);
    out.push(b'}');
}

/// Appends an `AnyValue`, of at most so many levels.
fn any_value(value: &Value<'_>, levels: usize, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"{}"),
        Value::Bool(value) => out.extend_from_slice(format!("{{\"boolValue\":{value}}}").as_bytes()),
        Value::Number(number) => {
            let written = if value.as_integer().is_some() {
                format!("{{\"intValue\":\"{number}\"}}")
            } else if number.parse::<f64>().is_ok_and(f64::is_finite) {
                format!("{{\"doubleValue\":{number}}}")
            } else {
                format!("{{\"stringValue\":\"{number}\"}}")
            };
            out.extend_from_slice(written.as_bytes());
        }
        Value::String(text) => string_value(text, out),
        Value::Array(_) | Value::Object(_) if levels == 0 => {
            let mut json = Vec::new();
            write_verbatim(value, &mut json);
            string_value(&String::from_utf8_lossy(&json), out);
        }
        Value::Array(items) => {
            out.extend_from_slice(b"{\"arrayValue\":{\"values\":");
            list(items, out, |item, out| any_value(item, levels - 1, out));
            out.extend_from_slice(b"}}");
        }
        Value::Object(members) => {
            out.extend_from_slice(b"{\"kvlistValue\":{\"values\":");
            list(members.iter(), out, |(name, member), out| key_value(name, member, levels - 1, out));
            out.extend_from_slice(b"}}");
        }
    }
}

fn string_value(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"stringValue\":");
    write_string(text, out);
    out.push(b'}');
}

/// Appends an array.
fn list<T>(items: impl IntoIterator<Item = T>, out: &mut Vec<u8>, mut write: impl FnMut(T, &mut Vec<u8>)) {
    out.push(b'[');
    for (n, item) in items.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}
