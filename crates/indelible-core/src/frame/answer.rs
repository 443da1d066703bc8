//! What a destination's answer says of the events, for those whose status alone does not say it.
//!
//! The words of a server are for people: they are cut, and control characters left out.

use crate::json::{self, Value};

/// Words of a server that are kept, bytes.
const MESSAGE_BYTES_MAX: usize = 512;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether all events were taken.
    pub is_taken: bool,
    /// How many were not, where that is said.
    pub rejected: Option<u64>,
    /// The first that was not, counted from 0, where that is said.
    pub at: Option<usize>,
    /// What the server says; empty where it says nothing.
    pub message: String,
}

/// Reads the answer of an HTTP Event Collector: an object with `code`, 0 for success, and `text`; `invalid-event-number` is the first event that is bad. Whatever
/// answers otherwise is no collector, so nothing was taken.
pub fn hec_answer(status: u16, body: &[u8]) -> Answer {
    let value = json::parse(body).unwrap_or(Value::Null);
    let code = value.get("code").and_then(Value::as_integer);
    let message = match value.get("text").and_then(Value::as_str) {
        Some(text) => told(text),
        None => "no answer of an HTTP Event Collector".to_owned(),
    };
    let at = value.get("invalid-event-number").and_then(Value::as_integer).and_then(|at| usize::try_from(at).ok());
    Answer { is_taken: (200..300).contains(&status) && code == Some(0), rejected: None, at, message }
}

/// Reads the answer of an OTLP server to a request that it took (2xx): an `ExportLogsServiceResponse`, whose `partialSuccess` may tell of log records that were
/// rejected. Those must not be sent again (OTLP 1, Partial Success). An answer that says nothing of that rejects none: many servers answer with nothing. One
/// that speaks of it and cannot be read, or not to its end, rejected some.
pub fn otlp_answer(status: u16, body: &[u8]) -> Answer {
    const REJECTED: &str = "rejectedLogRecords";
    let value = json::parse(body).unwrap_or(Value::Null);
    let partial = value.get("partialSuccess");
    let rejected = match partial.and_then(|partial| partial.get(REJECTED)) {
        // An int64 is a text in the JSON of Protocol Buffers, and a number is to be taken as well.
        Some(Value::String(number) | Value::Number(number)) => number.parse().ok(),
        Some(other) if !matches!(other, Value::Null) => None,
        _ if matches!(value, Value::Null) && body.windows(REJECTED.len()).any(|words| words == REJECTED.as_bytes()) => None,
        _ => Some(0_u64),
    };
    let words = partial.and_then(|partial| partial.get("errorMessage")).or_else(|| value.get("message"));
    let message = words.and_then(Value::as_str).map(told).unwrap_or_default();
    let is_taken = (200..300).contains(&status) && rejected == Some(0);
    Answer { is_taken, rejected: rejected.filter(|rejected| *rejected > 0), at: None, message }
}

fn told(text: &str) -> String {
    text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)].chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(is_taken: bool, rejected: Option<u64>, at: Option<usize>, message: &str) -> Answer {
        Answer { is_taken, rejected, at, message: message.to_owned() }
    }

    #[test]
    fn a_collector_says_yes_with_code_0_and_nothing_else_is_yes() {
        let none = "no answer of an HTTP Event Collector";
        let cases: &[(u16, &str, Answer)] = &[
            (200, r#"{"text":"Success","code":0}"#, answer(true, None, None, "Success")),
            (200, r#"{"text":"Success","code":0,"ackId":7}"#, answer(true, None, None, "Success")),
            (200, r#"{"text":"Server is busy","code":9}"#, answer(false, None, None, "Server is busy")),
            (
                400,
                r#"{"text":"Invalid data format","code":6,"invalid-event-number":2}"#,
                answer(false, None, Some(2), "Invalid data format"),
            ),
            (503, r#"{"text":"Success","code":0}"#, answer(false, None, None, "Success")),
            (200, "<html>sign in", answer(false, None, None, none)),
            (200, "", answer(false, None, None, none)),
            (200, r#"{"text":"a\nb","code":"0"}"#, answer(false, None, None, "ab")),
        ];
        for (status, body, expected) in cases {
            assert_eq!(hec_answer(*status, body.as_bytes()), *expected, "{body}");
        }
    }

    #[test]
    fn an_otlp_server_tells_what_it_rejected() {
        let cases: &[(u16, &str, Answer)] = &[
            (200, "{}", answer(true, None, None, "")),
            (200, "", answer(true, None, None, "")),
            (200, r#"{"partialSuccess":{}}"#, answer(true, None, None, "")),
            (200, r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"too old"}}"#, answer(false, Some(3), None, "too old")),
            (200, r#"{"partialSuccess":{"rejectedLogRecords":3}}"#, answer(false, Some(3), None, "")),
            (200, r#"{"partialSuccess":{"errorMessage":"soon no more"}}"#, answer(true, None, None, "soon no more")),
            (400, r#"{"code":3,"message":"bad"}"#, answer(false, None, None, "bad")),
            // A count that is none, a name twice, and an answer that was cut.
            (200, r#"{"partialSuccess":{"rejectedLogRecords":"many"}}"#, answer(false, None, None, "")),
            (200, r#"{"partialSuccess":{"rejectedLogRecords":[3]}}"#, answer(false, None, None, "")),
            (200, r#"{"partialSuccess":{"rejectedLogRecords":null}}"#, answer(true, None, None, "")),
            (200, r#"{"partialSuccess":{"rejectedLogRecords":"3","rejectedLogRecords":"3"}}"#, answer(false, None, None, "")),
            (200, r#"{"partialSuccess":{"rejectedLogRecords":"500","errorMessage":"a lo"#, answer(false, None, None, "")),
            (200, "<html>welcome", answer(true, None, None, "")),
        ];
        for (status, body, expected) in cases {
            assert_eq!(otlp_answer(*status, body.as_bytes()), *expected, "{body}");
        }
    }

    #[test]
    fn the_words_of_a_server_are_cut_at_a_character() {
        let body = format!(r#"{{"text":"{}","code":1}}"#, "€".repeat(1_000));
        assert_eq!(hec_answer(400, body.as_bytes()).message, "€".repeat(170));
    }
}
