//! Submissions, as `POST /v1/audit/events` takes them, one a line or in an array. They go through as they are; one
//! without an id gets one from its own canonical bytes, so that importing it again adds nothing.

use indelible_core::event::derived_id;
use indelible_core::fault::Fault;
use indelible_core::json::Value;

use super::{Mapper, invalid};

pub(super) struct Submissions;

impl Mapper for Submissions {
    fn record<'a>(&mut self, mut record: Value<'a>, _number: u64) -> Result<Vec<Value<'a>>, Fault> {
        let id = match record.get("id") {
            Some(_) => None,
            None => Some(derived_id("ndjson", &[&record.to_canonical()])),
        };
        let Value::Object(members) = &mut record else { return Err(invalid("", "a submission is an object")) };
        if let Some(id) = id {
            members.insert("id", Value::string(id.to_string()));
        }
        Ok(vec![record])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indelible_core::json::parse;

    #[test]
    fn an_id_is_kept_or_made_of_the_record() {
        let read = |text: &'static str| {
            let made = Submissions.record(parse(text.as_bytes()).expect("JSON"), 0).expect("an object");
            made[0].get("id").and_then(Value::as_str).expect("an id").to_owned()
        };
        assert_eq!(read(r#"{"id":"A","action":"a.b"}"#), "A");
        let made = read(r#"{"action":"a.b","reason":"r"}"#);
        assert_eq!(made, read(r#"{ "reason":"r", "action":"a.b" }"#), "order and space do not matter");
        assert_ne!(made, read(r#"{"action":"a.b","reason":"s"}"#));
        assert!(Submissions.record(parse(b"3").expect("JSON"), 0).is_err());
    }
}
