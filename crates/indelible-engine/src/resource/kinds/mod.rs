//! The kinds of resource, one file each: a typed document, its rules, and its words.

pub(crate) mod api_keys;
pub(crate) mod audit_streams;
pub(crate) mod budgets;
pub(crate) mod event_schemas;
pub(crate) mod halts;
pub(crate) mod invitations;
pub(crate) mod legal_holds;
pub(crate) mod members;
pub(crate) mod model_prices;
pub(crate) mod organizations;
pub(crate) mod policies;
pub(crate) mod project_settings;
pub(crate) mod projects;
pub(crate) mod redaction_rules;
pub(crate) mod retention_policies;
pub(crate) mod sessions;
pub(crate) mod shares;
pub(crate) mod webhook_signing_keys;

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::time::Timestamp;

use super::kind::Kind;

/// All of them.
pub static KINDS: &[&Kind] = &[
    &api_keys::KIND,
    &audit_streams::KIND,
    &budgets::KIND,
    &event_schemas::KIND,
    &halts::KIND,
    &invitations::KIND,
    &legal_holds::KIND,
    &members::KIND,
    &model_prices::KIND,
    &organizations::KIND,
    &policies::KIND,
    &projects::KIND,
    &project_settings::KIND,
    &redaction_rules::KIND,
    &retention_policies::KIND,
    &sessions::KIND,
    &shares::KIND,
    &webhook_signing_keys::KIND,
];

/// A text that people give: 1 to so many bytes without control characters.
fn check_text(member: &str, text: &str, bytes_max: usize) -> Result<(), Fault> {
    if text.is_empty() || text.len() > bytes_max || text.chars().any(char::is_control) {
        let message = format!("has 1 to {bytes_max} bytes and no control characters");
        return Err(Fault::new(FaultKind::Invalid, "", message).within(member));
    }
    Ok(())
}

/// A time of RFC 3339.
fn check_time(member: &str, text: &str) -> Result<Timestamp, Fault> {
    Timestamp::parse(text).ok_or_else(|| Fault::new(FaultKind::Invalid, "", "is not a time of RFC 3339").within(member))
}

#[cfg(test)]
mod tests {
    use super::super::kept::ENVELOPE;
    use super::*;

    #[test]
    fn examples_are_read_as_they_are_and_have_no_member_of_the_engine() {
        for kind in KINDS {
            let stored = (kind.read)(kind.example).unwrap_or_else(|fault| panic!("{}: {fault}", kind.noun));
            let example: serde_json::Value = serde_json::from_str(kind.example).expect("JSON");
            let stored: serde_json::Value = serde_json::from_str(&stored).expect("JSON");
            for (name, value) in example.as_object().expect("an object") {
                assert_eq!(stored.get(name), Some(value), "{} {name}", kind.noun);
            }
            let schema = (kind.schema)();
            let members = schema["properties"].as_object().expect("an object schema");
            assert!(members.keys().all(|name| !ENVELOPE.contains(&name.as_str())), "{}", kind.noun);
            assert_eq!(schema["additionalProperties"], false, "{}", kind.noun);
        }
        assert!(KINDS.is_sorted_by(|a, b| a.noun < b.noun));
    }

    #[test]
    fn actions_are_in_the_catalogue() {
        for kind in KINDS {
            for action in kind.all_actions() {
                assert!(indelible_core::event::action::catalogue().any(|known| known == action), "{action}");
                assert_eq!(indelible_core::event::action::category(action), kind.noun);
            }
        }
    }

    #[test]
    fn texts_are_as_long_as_their_schema_says() {
        let mut compared = 0;
        for kind in KINDS {
            let schema = (kind.schema)();
            for (name, property) in schema["properties"].as_object().expect("an object schema") {
                let Some(max) = property["maxLength"].as_u64() else { continue };
                let max = usize::try_from(max).expect("a length");
                let read = |length: usize| {
                    let mut document: serde_json::Value = serde_json::from_str(kind.example).expect("JSON");
                    document[name] = "x".repeat(length).into();
                    (kind.read)(&document.to_string()).map_err(|fault| (fault.pointer.clone(), fault.message.contains("has 1 to")))
                };
                // It may be wrong in another way, such as a text that is no policy.
                assert_ne!(read(max), Err((format!("/{name}"), true)), "{} {name}", kind.noun);
                assert_eq!(read(max + 1), Err((format!("/{name}"), true)), "{} {name}", kind.noun);
                compared += 1;
            }
        }
        assert!(compared > 8, "{compared}");
    }

    #[test]
    fn faults_point_at_their_place_and_repeat_no_value() {
        let cases = [
            ("halt", "[]", ""),
            ("halt", "{}", "/subject"),
            ("halt", r#"{"subject":{"type":"agent","id":"a"},"reason":"r","secret-value":1}"#, "/secret-value"),
            ("halt", r#"{"subject":{"type":"secret-value","id":"a"},"reason":"r"}"#, "/subject/type"),
            ("halt", r#"{"subject":{"type":"agent","id":"a"},"reason":""}"#, "/reason"),
            ("halt", r#"{"subject":{"type":"agent"},"reason":"r"}"#, "/subject/id"),
            ("budget", r#"{"name":"a","subject":{"type":"model"},"period":"day","limit_micros":1,"currency":"USD"}"#, "/subject/id"),
            (
                "budget",
                r#"{"name":"a","subject":{"type":"project"},"period":"day","limit_micros":"secret-value","currency":"USD"}"#,
                "/limit_micros",
            ),
            ("budget", r#"{"name":"a","subject":{"type":"project"},"period":"day","limit_micros":-1,"currency":"USD"}"#, "/limit_micros"),
            (
                "budget",
                r#"{"name":"a","subject":{"type":"project"},"period":"day","limit_micros":1,"currency":"secret-value"}"#,
                "/currency",
            ),
            ("model_price", r#"{"provider":"p","model":"m","currency":"USD","input_micros_per_million":1}"#, "/output_micros_per_million"),
            ("legal_hold", r#"{"name":"n","reason":"r","from":"secret-value"}"#, "/from"),
            ("policy", r#"{"name":"n","text":"secret-value"}"#, "/text"),
            ("policy", r#"{"name":"n","text":"permit (principal == Robot::\"secret-value\", action, resource);"}"#, "/text"),
            ("policy", r#"{"name":"","text":"permit (principal, action, resource);"}"#, "/name"),
            ("retention_policy", r#"{"name":"n","keep_days":0}"#, "/keep_days"),
        ];
        for (noun, text, pointer) in cases {
            let kind = super::super::kind(noun).expect(noun);
            let fault = (kind.read)(text).expect_err(text);
            assert_eq!(fault.pointer, pointer, "{text}: {fault}");
            assert!(!fault.message.contains("secret-value"), "{fault}");
        }
    }
}
