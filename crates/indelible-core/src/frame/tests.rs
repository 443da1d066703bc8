//! Frames as the other side reads them: OTLP by the fields of its messages, syslog by its grammar, the rest by what their documents say.

use std::sync::LazyLock;

use serde_json::Value;

use super::{Destination, Framed, Unframed, frame};
use crate::form::Format;
use crate::form::tests::{ORIGIN, made};

const ACTIONS: [(&str, &str); 5] = [
    ("policy.update", "allow"),
    ("tool.call", "deny"),
    ("http.request", "error"),
    ("share.grant", "partial"),
    ("integrity.finding", "allow"),
];

fn records() -> Vec<Vec<u8>> {
    ACTIONS.iter().zip(0_u64..).map(|((action, outcome), n)| made::record(&made::fullest(action, outcome), n)).collect()
}

fn framed(destination: Destination, format: Format, records: &[Vec<u8>]) -> Framed {
    frame(destination, format, true, &ORIGIN, records).expect("records")
}

/// What each record is in a format, as JSON.
fn forms(format: Format, records: &[Vec<u8>]) -> Vec<Value> {
    let form = |record: &Vec<u8>| {
        let mut out = Vec::new();
        crate::form::write(format, record, &ORIGIN, &mut out).expect("a record");
        serde_json::from_slice(&out).expect("JSON")
    };
    records.iter().map(form).collect()
}

#[test]
fn a_webhook_gets_an_event_or_an_array() {
    let records = records();
    for format in Format::ALL {
        let forms = forms(format, &records);
        let one = frame(Destination::Webhook, format, false, &ORIGIN, &records[..1]).expect("a record");
        let many = framed(Destination::Webhook, format, &records);
        let types = match format {
            Format::Cloudevents => ("application/cloudevents+json", "application/cloudevents-batch+json"),
            _ => ("application/json", "application/json"),
        };
        assert_eq!((one.content_type, many.content_type), types);
        assert_eq!(serde_json::from_slice::<Value>(&one.body).expect("JSON"), forms[0]);
        assert_eq!(serde_json::from_slice::<Value>(&many.body).expect("JSON"), Value::Array(forms));
    }
    assert_eq!(framed(Destination::Webhook, Format::Native, &records[..1]).body, [b"[", records[0].as_slice(), b"]"].concat());
    let none: &[Vec<u8>] = &[];
    assert_eq!(framed(Destination::Webhook, Format::Native, none).body, b"[]");
    assert_eq!(frame(Destination::Webhook, Format::Native, false, &ORIGIN, &records), Err(Unframed::NotOne(5)));
    assert_eq!(frame(Destination::Webhook, Format::Native, false, &ORIGIN, none), Err(Unframed::NotOne(0)));
}

#[test]
fn a_record_that_is_none_is_named_by_every_destination() {
    let mut records = records();
    records[2] = b"{}".to_vec();
    for destination in [Destination::Webhook, Destination::SplunkHec, Destination::Otlp, Destination::Syslog, Destination::File] {
        for format in Format::ALL {
            let Err(Unframed::Record { at: 2, fault }) = frame(destination, format, true, &ORIGIN, &records) else {
                panic!("{destination:?}")
            };
            assert_eq!(fault.pointer, "/id");
        }
    }
}

#[test]
fn a_file_has_a_line_for_each() {
    let records = records();
    for format in Format::ALL {
        let framed = framed(Destination::File, format, &records);
        assert_eq!(framed.content_type, "application/x-ndjson");
        let text = String::from_utf8(framed.body).expect("UTF-8");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert!(text.ends_with('\n'));
        assert_eq!(lines, forms(format, &records));
    }
}

/// As <https://help.splunk.com> has it in «Format events for HTTP Event Collector»: known keys, a number for the time, flat fields.
#[test]
fn a_collector_of_splunk_gets_objects_one_after_the_other() {
    let records = records();
    for format in Format::ALL {
        let framed = framed(Destination::SplunkHec, format, &records);
        let events: Vec<Value> = serde_json::Deserializer::from_slice(&framed.body).into_iter().collect::<Result<_, _>>().expect("JSON");
        assert_eq!(events.iter().map(|event| event["event"].clone()).collect::<Vec<_>>(), forms(format, &records));
        for (event, record) in events.iter().zip(forms(Format::Native, &records)) {
            let known = ["time", "host", "source", "sourcetype", "event", "fields"];
            assert!(event.as_object().expect("an object").keys().all(|key| known.contains(&key.as_str())));
            assert!(event["time"].is_f64());
            assert_eq!(event["host"], ORIGIN.instance);
            assert_eq!(event["sourcetype"], format!("indelible:{}", format.as_str()));
            let fields = event["fields"].as_object().expect("fields");
            assert!(fields.len() == 6 && fields.values().all(Value::is_string), "{fields:?}");
            assert_eq!(fields["actor_id"], record["actor"]["id"]);
        }
    }
}

static MESSAGES: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../tests/schemas/otlp.json")).expect("the messages"));

/// What is wrong with a message of OTLP in its JSON encoding: Protocol Buffers' own, but that ids are hex and enumerations are numbers.
fn faults(message: &str, value: &Value, at: &str, faults: &mut Vec<String>) {
    let Some(object) = value.as_object() else { return faults.push(format!("{at}: no object")) };
    let mut chosen = 0;
    for (name, value) in object {
        let at = format!("{at}/{name}");
        let field = &MESSAGES[message][name];
        let Some(kind) = field["type"].as_str() else {
            faults.push(format!("{at}: no such field of {message}"));
            continue;
        };
        chosen += usize::from(field["oneof"] == "value");
        let items = match (field["array"] == true, value.as_array()) {
            (true, Some(items)) => items.as_slice(),
            (false, None) => std::slice::from_ref(value),
            _ => return faults.push(format!("{at}: array or not")),
        };
        for item in items {
            let hex = |digits| item.as_str().is_some_and(|id| id.len() == digits && id.bytes().all(|b| b.is_ascii_hexdigit()));
            let is_of = match kind {
                "string" => item.is_string(),
                "bool" => item.is_boolean(),
                "double" => item.is_number(),
                "int64" => item.as_str().is_some_and(|number| number.parse::<i64>().is_ok()),
                "fixed64" => item.as_str().is_some_and(|number| number.parse::<u64>().is_ok()),
                "enum" => field["values"].as_array().expect("values").contains(item),
                "bytes" if name == "traceId" => hex(32),
                "bytes" if name == "spanId" => hex(16),
                "bytes" => false,
                _ => {
                    self::faults(kind, item, &at, faults);
                    true
                }
            };
            if !is_of {
                faults.push(format!("{at}: {item} is no {kind}"));
            }
        }
    }
    if chosen > 1 {
        faults.push(format!("{at}: more than one value"));
    }
}

/// What an `AnyValue` says.
fn plain(any: &Value) -> Value {
    let (kind, value) =
        any.as_object().and_then(|any| any.iter().next()).map_or(("", &Value::Null), |(kind, value)| (kind.as_str(), value));
    match kind {
        "intValue" => value.as_str().expect("text").parse::<i64>().expect("a number").into(),
        "arrayValue" => value["values"].as_array().expect("values").iter().map(plain).collect(),
        "kvlistValue" => {
            let members = value["values"].as_array().expect("values").iter();
            Value::Object(members.map(|kv| (kv["key"].as_str().expect("text").to_owned(), plain(&kv["value"]))).collect())
        }
        _ => value.clone(),
    }
}

#[test]
fn an_otlp_collector_gets_a_request_of_its_fields() {
    let records = records();
    for format in Format::ALL {
        let framed = framed(Destination::Otlp, format, &records);
        let request: Value = serde_json::from_slice(&framed.body).expect("JSON");
        let mut found = Vec::new();
        faults("ExportLogsServiceRequest", &request, "", &mut found);
        assert_eq!(found, Vec::<String>::new());
        let logs = request["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().expect("records");
        assert_eq!(logs.iter().map(|log| plain(&log["body"])).collect::<Vec<_>>(), forms(format, &records));
        let severities: Vec<_> = logs.iter().map(|log| log["severityNumber"].as_i64().expect("a number")).collect();
        assert_eq!(severities, [9, 13, 17, 10, 21]);
        for (log, record) in logs.iter().zip(forms(Format::Native, &records)) {
            assert_eq!(log["traceId"], record["request"]["trace_id"]);
            assert_eq!(log["eventName"], format!("indelible.{}", record["action"].as_str().expect("text")));
            let attributes = log["attributes"].as_array().expect("attributes");
            let sequence = attributes.iter().find(|attribute| attribute["key"] == "indelible.sequence").expect("the sequence");
            assert_eq!(plain(&sequence["value"]), record["sequence"]);
        }
    }
    let empty: &[Vec<u8>] = &[];
    assert!(serde_json::from_slice::<Value>(&framed(Destination::Otlp, Format::Native, empty).body).is_ok());
}

/// Readers of Protocol Buffers refuse what is nested too deep, ids of zeros are none, and times that do not fit are unknown.
#[test]
fn an_otlp_collector_gets_nothing_that_it_would_refuse() {
    let deep = format!("{}1e400{}", "[".repeat(100), "]".repeat(100));
    let zeros = "0".repeat(32);
    let record = format!(
        r#"{{"action":"a.b","content":{deep},"id":"i","occurred_at":"9999-01-01T00:00:00Z","project_id":"p","ratio":1e400,"share":0.50,"request":{{"trace_id":"{zeros}","span_id":"00000000000000zz"}}}}"#
    );
    let framed = frame(Destination::Otlp, Format::Native, true, &ORIGIN, &[record.as_bytes()]).expect("a record");
    let request: Value = serde_json::from_slice(&framed.body).expect("JSON");
    let mut found = Vec::new();
    faults("ExportLogsServiceRequest", &request, "", &mut found);
    assert_eq!(found, Vec::<String>::new());
    let log = &request["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!((&log["timeUnixNano"], log.get("traceId"), log.get("spanId")), (&"0".into(), None, None));
    let body = plain(&log["body"]);
    assert_eq!((&body["ratio"], &body["share"]), (&"1e400".into(), &0.5.into()));
    let mut content = &body["content"];
    for _ in 0..super::otlp::LEVELS_MAX - 1 {
        content = &content[0];
    }
    assert!(content.as_str().expect("a text").starts_with("[[["), "{content}");
}

/// A message by the grammar of RFC 5424.
struct Message<'a> {
    pri: u32,
    host: String,
    id: String,
    params: Vec<(String, String)>,
    event: Value,
    /// What follows it.
    rest: &'a [u8],
}

fn message(bytes: &[u8]) -> Message<'_> {
    let (length, rest) = bytes.split_at(bytes.iter().position(|b| *b == b' ').expect("a space"));
    let length: usize = std::str::from_utf8(length).expect("ASCII").parse().expect("a length");
    let (text, rest) = rest[1..].split_at(length);
    let text = std::str::from_utf8(text).expect("UTF-8");
    let (pri, text) = text[1..].split_once('>').expect("PRI");
    let header: Vec<&str> = text.splitn(7, ' ').collect();
    assert_eq!((header[0], header[3], header[4]), ("1", "indelible", "-"));
    assert!(crate::time::Timestamp::parse(header[1]).is_some() && header[1].ends_with('Z'));
    let mut element = header[6].strip_prefix("[indelible@32473").expect("the element").chars();
    let mut params = Vec::new();
    while element.next() == Some(' ') {
        let name: String = element.by_ref().take_while(|c| *c != '=').collect();
        assert_eq!(element.next(), Some('"'));
        let mut value = String::new();
        loop {
            match element.next().expect("the value's end") {
                '"' => break,
                '\\' => value.push(element.next().expect("escaped")),
                c => {
                    assert!(c != ']' && !c.is_control());
                    value.push(c);
                }
            }
        }
        params.push((name, value));
    }
    let event = element.as_str().strip_prefix(' ').expect("MSG");
    assert!(event.bytes().all(|b| (b' '..=b'~').contains(&b)), "ASCII");
    Message {
        pri: pri.parse().expect("a number"),
        host: header[2].to_owned(),
        id: header[5].to_owned(),
        params,
        event: serde_json::from_str(event).expect("JSON"),
        rest,
    }
}

#[test]
fn a_syslog_server_gets_messages_with_their_lengths() {
    let records = records();
    for format in Format::ALL {
        let framed = framed(Destination::Syslog, format, &records);
        let mut rest = framed.body.as_slice();
        let mut pris = Vec::new();
        for (form, record) in forms(format, &records).iter().zip(forms(Format::Native, &records)) {
            let Message { pri, host, id, params, event, rest: after } = message(rest);
            assert_eq!((&event, host.as_str(), id.as_str()), (form, ORIGIN.instance, record["action"].as_str().expect("text")));
            assert_eq!(params[0], ("id".to_owned(), record["id"].as_str().expect("text").to_owned()));
            assert_eq!(params.len(), 11, "{params:?}");
            pris.push(pri);
            rest = after;
        }
        assert!(rest.is_empty());
        assert_eq!(pris, [13 * 8 + 6, 13 * 8 + 4, 13 * 8 + 3, 13 * 8 + 5, 13 * 8 + 2]);
    }
}

/// Whatever stands in an event, a message stays one.
#[test]
fn a_syslog_message_cannot_be_broken_out_of() {
    let long = "é".repeat(200);
    let record = format!(
        r#"{{"action":"{0}","actor":{{"id":"a\"b]c\\d\n<13>1 - €😀"}},"id":"i","occurred_at":"2026-11-29T12:00:00Z","outcome":"{long}","project_id":"p"}}"#,
        "noun.verb".repeat(9)
    );
    let origin = crate::form::Origin { instance: "a b\u{e9}c" };
    let framed = frame(Destination::Syslog, Format::Native, true, &origin, &[record.as_bytes(), record.as_bytes()]).expect("records");
    let Message { host, id, params, event, rest, .. } = message(&framed.body);
    assert_eq!((host.as_str(), id.len()), ("a_b_c", 32));
    assert_eq!(event, serde_json::from_str::<Value>(&record).expect("JSON"));
    let of = |name: &str| params.iter().find(|(param, _)| param == name).map(|(_, value)| value.clone());
    assert_eq!(of("actor_id").as_deref(), Some("a\"b]c\\d<13>1 - €😀"));
    assert_eq!(of("outcome"), Some("é".repeat(127)));
    assert_eq!(message(rest).event, event);
    let nobody = crate::form::Origin { instance: "" };
    let framed = frame(Destination::Syslog, Format::Native, true, &nobody, &[record.as_bytes()]).expect("a record");
    assert_eq!(message(&framed.body).host, "-");
}
