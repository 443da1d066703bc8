//! Redaction never panics, keeps content JSON, and does nothing the second time. The input is looked into as text and, where it is a
//! submission, as that.

#![no_main]

use indelible_core::event::{Source, Submission};
use indelible_core::json::{Value, parse, write_string};
use indelible_core::key::{ProjectKeys, Secret};
use indelible_core::redact::Rules;
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

fn keys() -> ProjectKeys {
    ProjectKeys::derive(1, &Secret::new([7; 32]), Uuid::from_u128(1))
}

/// What becomes of a text in content.
fn looked_into(text: &str) -> String {
    let mut event = br#"{"action":"a.b","actor":{"id":"a","type":"agent"},"outcome":"allow","content":{"output":"#.to_vec();
    write_string(text, &mut event);
    event.extend_from_slice(b"}}");
    let submission = Submission::parse(&event, Source::Caller, Uuid::from_u128(2)).expect("well formed");
    let redacted = Rules::standard().redact(submission, &keys()).expect("small");
    let content = parse(redacted.content().expect("there")).expect("content is JSON");
    content.get("output").and_then(Value::as_str).expect("a string stays a string").to_owned()
}

fuzz_target!(|input: &[u8]| {
    if let Ok(submission) = Submission::parse(input, Source::Caller, Uuid::from_u128(1))
        && let Ok(redacted) = Rules::standard().redact(submission, &keys())
    {
        assert!(redacted.content().is_none_or(|content| parse(content).is_ok()));
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let once = looked_into(text);
        assert_eq!(looked_into(&once), once);
        let planted = format!("{{\"a\":{},\"token\":\"pl4nted0S3cret\"}}", String::from_utf8_lossy(&Value::string(text).to_verbatim()));
        // By its name, since the text itself may hold the same words.
        let kept = looked_into(&planted);
        let kept = parse(kept.as_bytes()).expect("JSON stays JSON");
        assert!(kept.as_object().is_some_and(|kept| kept.get("token").is_none()));
    }
});
