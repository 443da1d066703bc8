//! Messages of RFC 5424, each with its length in octets and a space before it (RFC 6587, section 3.4.1; RFC 5425, section 4.3).
//!
//! Facility is 13, log audit. What a search needs stands in STRUCTURED-DATA, before the event, so that it is there also where a receiver cuts long messages (RFC 5424,
//! section 6.1, lets it do so after 480 octets). MSG is the event in ASCII, everything else written as JSON escapes: it is then neither text whose encoding a receiver
//! must guess nor JSON behind a byte order mark, which JSON forbids (RFC 8259, section 8.1).

use crate::form::{Format, Origin, Record, Severity, write_record};

/// The facility, log audit.
const FACILITY: u32 = 13;
/// HOSTNAME and MSGID, bytes (RFC 5424, section 6).
const HOSTNAME_BYTES_MAX: usize = 255;
const MSGID_BYTES_MAX: usize = 32;
/// The value of a parameter, bytes: the RFC has no limit, receivers do.
const PARAM_BYTES_MAX: usize = 255;
/// The element's name. 32473 is the private enterprise number that RFC 5612 keeps for examples; Indelible has none of its own.
const SD_ID: &str = "indelible@32473";

/// Parameters, and where they are in a record.
const PARAMS: [(&str, &[&str]); 11] = [
    ("id", &["id"]),
    ("organization_id", &["organization_id"]),
    ("project_id", &["project_id"]),
    ("sequence", &["sequence"]),
    ("actor_type", &["actor", "type"]),
    ("actor_id", &["actor", "id"]),
    ("outcome", &["outcome"]),
    ("resource_type", &["resource", "type"]),
    ("resource_id", &["resource", "id"]),
    ("operation_id", &["operation_id"]),
    ("trace_id", &["request", "trace_id"]),
];

/// Appends one message.
pub(super) fn write<'a>(format: Format, record: Record<'a>, origin: &Origin<'a>, out: &mut Vec<u8>) {
    let severity = match Severity::of(&record) {
        Severity::Critical => 2,
        Severity::Error => 3,
        Severity::Warning => 4,
        Severity::Notice => 5,
        Severity::Informational => 6,
    };
    let mut message = format!(
        "<{}>1 {} {} indelible - {} [{SD_ID}",
        FACILITY * 8 + severity,
        record.occurred_at,
        printable(origin.instance, HOSTNAME_BYTES_MAX),
        printable(&record.action, MSGID_BYTES_MAX),
    )
    .into_bytes();
    for (name, path) in PARAMS {
        let value = record.get(path);
        let number = value.and_then(crate::json::Value::as_integer).map(|number| number.to_string());
        if let Some(text) = value.and_then(crate::json::Value::as_str).or(number.as_deref()) {
            message.extend_from_slice(format!(" {name}=\"").as_bytes());
            write_param(text, &mut message);
            message.push(b'"');
        }
    }
    message.extend_from_slice(b"] ");
    let mut event = Vec::with_capacity(record.bytes.len() + 512);
    write_record(format, record, origin, &mut event);
    write_ascii(&event, &mut message);
    out.extend_from_slice(message.len().to_string().as_bytes());
    out.push(b' ');
    out.append(&mut message);
}

/// PRINTUSASCII of at most so many bytes, a `_` for everything else; `-`, which is nothing, for what is empty.
fn printable(text: &str, bytes_max: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(bytes_max).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

/// A PARAM-VALUE: UTF-8, its three characters escaped (RFC 5424, section 6.3.3), control characters left out.
fn write_param(text: &str, out: &mut Vec<u8>) {
    for c in text[..text.floor_char_boundary(PARAM_BYTES_MAX)].chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\' | ']') {
            out.push(b'\\');
        }
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// JSON in ASCII: what is not stands in strings only, where it may be an escape.
fn write_ascii(json: &[u8], out: &mut Vec<u8>) {
    for chunk in json.utf8_chunks() {
        let mut rest = chunk.valid();
        loop {
            let plain = rest.bytes().take_while(|byte| (b' '..=b'~').contains(byte)).count();
            out.extend_from_slice(&rest.as_bytes()[..plain]);
            let Some(c) = rest[plain..].chars().next() else { break };
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
            rest = &rest[plain + c.len_utf8()..];
        }
    }
}
