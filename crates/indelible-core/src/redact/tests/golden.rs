//! Vectors made by `testdata/redaction.py`, and a real record with a real (expired) session token.

use super::*;

fn text(value: &Value<'_>) -> String {
    String::from_utf8(value.to_verbatim()).expect("UTF-8")
}

#[test]
fn golden_vectors() {
    let file = include_bytes!("../../../testdata/redaction.json");
    let file = crate::json::parse(file).expect("valid");
    assert_eq!(file.get("ring_key").and_then(Value::as_str), Some("07".repeat(32).as_str()));
    let vectors = file.get("vectors").and_then(Value::as_array).expect("vectors");
    assert_eq!(vectors.len(), 5);
    for vector in vectors {
        let part = |name: &str| vector.get(name).expect("there");
        let (envelope, content) = redacted(&text(part("envelope")), &text(part("content")));
        let expected = match part("redacted_content") {
            Value::Null => String::new(),
            content => text(content),
        };
        assert_eq!((envelope, content), (text(part("redacted_envelope")), expected), "{}", text(part("name")));
    }
}

#[test]
fn the_session_token_of_a_cloudtrail_record_goes_in_every_form_of_the_record() {
    let file = include_bytes!("../../../testdata/cloudtrail-assume-role.json");
    let file = crate::json::parse(file).expect("valid");
    let record = file.get("record").expect("there");
    let credentials = record.get("responseElements").and_then(|elements| elements.get("credentials")).expect("there");
    let token = credentials.get("sessionToken").and_then(Value::as_str).expect("there");
    let record = text(record);
    let without = record.replace(&format!(r#","sessionToken":"{token}""#), "");
    assert_ne!(record, without);
    let (_, content) = redacted("{}", &format!(r#"{{"result":{record}}}"#));
    assert_eq!(content, format!(r#"{{"result":{without}}}"#));
    for form in [record.clone(), quoted(&record), format!("{record}\n{record}\n"), format!("log: {record}"), record[..1_500].to_owned()] {
        let clean = looked_into(&form);
        assert!(!clean.contains(&token[..40]), "{clean}");
        assert!(clean.contains("ASIATFQR7NSCYVGGBUOC") && clean.contains("AssumeRole"), "{clean}");
    }
}
