//! The HTTP Event Collector of Splunk: objects one after the other, with nothing between them.
//!
//! `time` is when it happened, seconds since 1970 with six digits; `host` is the instance, `sourcetype` is `indelible:` and the format. `fields` are indexed beside
//! the event and may only be flat: the few by which an audit log is searched most.

use crate::form::{Format, Origin, Record, object, write_record};
use crate::json::{Value, write_verbatim};
use crate::time::Timestamp;

/// Indexed fields, and where they are in a record.
const FIELDS: [(&str, &[&str]); 6] = [
    ("action", &["action"]),
    ("actor_id", &["actor", "id"]),
    ("outcome", &["outcome"]),
    ("project_id", &["project_id"]),
    ("resource_id", &["resource", "id"]),
    ("resource_type", &["resource", "type"]),
];

/// Appends one event.
pub(super) fn write<'a>(format: Format, record: Record<'a>, origin: &Origin<'a>, out: &mut Vec<u8>) {
    let fields = object(FIELDS.map(|(field, path)| (field, record.text(path).map(Value::String))));
    let head = object([
        ("time", Some(Value::Number(seconds(record.occurred_at).into()))),
        ("host", Some(Value::string(origin.instance))),
        ("source", Some(Value::string("indelible"))),
        ("sourcetype", Some(Value::string(format!("indelible:{}", format.as_str())))),
        ("fields", fields),
    ]);
    write_verbatim(&head.unwrap_or(Value::Null), out);
    // The object has members, so it ends in a brace with something before it.
    out.pop();
    out.extend_from_slice(b",\"event\":");
    write_record(format, record, origin, out);
    out.push(b'}');
}

/// Seconds since 1970 with six digits.
fn seconds(time: Timestamp) -> String {
    let micros = time.as_micros();
    let sign = if micros < 0 { "-" } else { "" };
    format!("{sign}{}.{:06}", micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_six_digits_on_both_sides_of_1970() {
        for (time, written) in [
            ("2026-11-21T17:48:00.000001Z", "1795283280.000001"),
            ("1970-01-01T00:00:00Z", "0.000000"),
            ("1969-12-31T23:59:59.999999Z", "-0.000001"),
            ("1969-12-31T23:59:58.5Z", "-1.500000"),
        ] {
            assert_eq!(seconds(Timestamp::parse(time).expect(time)), written, "{time}");
        }
    }
}
