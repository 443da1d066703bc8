//! Secrets planted everywhere: none may come out. And what is no secret comes out as it went in.

mod added;
mod golden;
mod planted;

use uuid::Uuid;

use super::*;
use crate::key::Secret;

fn keys() -> ProjectKeys {
    ProjectKeys::derive(1, &Secret::new([7; 32]), Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001))
}

/// A submission with this `content` and, in `envelope`, other members than the required ones.
fn submission<'a>(envelope: &'a str, content: &'a str) -> Submission<'a> {
    let object = |text: &'a str| match crate::json::parse(text.as_bytes()) {
        Ok(Value::Object(object)) => object,
        other => panic!("{text}: {other:?}"),
    };
    let content = (!content.is_empty()).then(|| object(content));
    Submission { envelope: object(envelope), content, canonical: Vec::new(), id: Uuid::nil(), occurred_at: None }
}

/// Envelope and content after redaction, as JSON.
fn redacted(envelope: &str, content: &str) -> (String, String) {
    let made = Rules::standard().redact(submission(envelope, content), &keys()).expect("small enough");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let canonical = text(Value::Object(made.envelope.clone()).to_canonical());
    assert_eq!(text(Value::Object(made.envelope).to_verbatim()), canonical, "the envelope stays in canonical order");
    (canonical, made.content.map(text).unwrap_or_default())
}

fn quoted(text: &str) -> String {
    String::from_utf8(Value::string(text).to_verbatim()).expect("UTF-8")
}

/// What a string in content becomes.
fn looked_into(text: &str) -> String {
    let (_, content) = redacted("{}", &format!(r#"{{"output":{}}}"#, quoted(text)));
    let value = crate::json::parse(content.as_bytes()).expect("valid");
    value.get("output").and_then(Value::as_str).expect("a string").to_owned()
}

#[test]
fn names_of_members_are_looked_into() {
    let url = "https://u:S3cret@h/?token=S3cret";
    let json = r#"{\"password\":\"S3cret\"}"#;
    let form = "token=S3cret&a=1";
    for (name, clean, pointer) in [
        (url, "https://u@h/?token=[REDACTED]", "/https:~1~1u@h~1?token=[REDACTED]"),
        (json, r#"{\"password\":\"[REDACTED]\"}"#, r#"/{\"password\":\"[REDACTED]\"}"#),
        (form, "token=[REDACTED]&a=1", "/token=[REDACTED]&a=1"),
    ] {
        let content = format!(
            r#"{{"after_state":{{"{name}":1}},"before_state":{{"{name}":2,"n":[{{"{name}":3}}]}},"output":{{"{name}":[{{"{name}":"x"}}]}}}}"#
        );
        let (envelope, content) = redacted("{}", &content);
        assert!(!envelope.contains("S3cret") && !content.contains("S3cret"), "{envelope} {content}");
        assert_eq!(envelope, format!(r#"{{"changes":["/n","{pointer}"],"changes_total":2}}"#));
        assert!(content.contains(&format!(r#""output":{{"{clean}":[{{"{clean}":"x"}}]}}"#)), "{content}");
        let (envelope, _) = redacted(&format!(r#"{{"context":{{"{name}":"x","~":"y"}}}}"#), "");
        assert_eq!(envelope, format!(r#"{{"context":{{"{clean}":"x","~":"y"}}}}"#));
    }
    // Two names that become one stay two members.
    let (_, content) = redacted("{}", r#"{"output":{"https://u:a@h/":1,"https://u:b@h/":2,"https://u@h/":3,"https://u:c@h/":4}}"#);
    assert_eq!(content, r#"{"output":{"https://u@h/ (2)":1,"https://u@h/ (3)":2,"https://u@h/":3,"https://u@h/ (4)":4}}"#);
}

/// `testdata/redaction-texts.json`, which the redaction in PostgreSQL is held to as well.
#[test]
fn texts_become_what_they_should_and_others_stay() {
    let file = crate::json::parse(include_bytes!("../../../testdata/redaction-texts.json")).expect("valid");
    let text = |value: &Value<'_>| value.as_str().expect("a string").to_owned();
    let groups = file.get("becomes").and_then(Value::as_object).expect("an object");
    let cases: Vec<&Value<'_>> = groups.iter().flat_map(|(_, cases)| cases.as_array().expect("an array")).collect();
    assert!(cases.len() > 40);
    for case in cases {
        let [before, expected] = case.as_array().expect("a pair") else { panic!("a pair") };
        let (before, expected) = (text(before), text(expected));
        assert_eq!(looked_into(&before), expected, "{before}");
        assert_eq!(looked_into(&expected), expected, "twice: {before}");
    }
    for stays in file.get("stays").and_then(Value::as_array).expect("an array") {
        assert_eq!(looked_into(&text(stays)), text(stays));
    }
}

#[test]
fn content_becomes() {
    let cases = [
        (r#"{"before_state":{"key":"a","value":"b","x":{"key":"c","value":"d"}}}"#, r#"{"before_state":{"x":{"key":"c","value":"d"}}}"#),
        (r#"{"arguments":{"key":"a","value":"b"}}"#, r#"{"arguments":{"key":"a","value":"b"}}"#),
        (
            r#"{"extra":{"credential":{"a":[1]},"tokens":[1],"password":null,"passwordHash":{"a":1}}}"#,
            r#"{"extra":{"tokens":[1],"password":"[REDACTED]","passwordHash":"[REDACTED]"}}"#,
        ),
        (
            r#"{"request":{"headers":{"authorization":"x","Accept":"y","X-Amz-Date":"z"}}}"#,
            r#"{"request":{"headers":{"Accept":"y","X-Amz-Date":"z"}}}"#,
        ),
        (
            r#"{"request":{"headers":[{"name":"Authorization","value":"x"},{"key":"a","value":"y"}]}}"#,
            r#"{"request":{"headers":[{"name":"Authorization"},{"key":"a","value":"y"}]}}"#,
        ),
        (
            r#"{"request":{"headers":[["Cookie","x"],["Accept","y"]]}}"#,
            r#"{"request":{"headers":[["Cookie","[REDACTED]"],["Accept","y"]]}}"#,
        ),
        (r#"{"request":{"headers":["Host","h","cookie","x"]}}"#, r#"{"request":{"headers":["Host","h","cookie","[REDACTED]"]}}"#),
        (
            r#"{"extra":{"rawHeaders":{"X-Foo-Token":"x"},"http.request.header.cookie":["x"],"set-cookie":"x","authorization":"required"}}"#,
            r#"{"extra":{"rawHeaders":{},"authorization":"required"}}"#,
        ),
        (
            r#"{"arguments":[{"op":"replace","path":"/a/password","value":"x"},{"op":"replace","path":"/a","value":"x"}]}"#,
            r#"{"arguments":[{"op":"replace","path":"/a/password","value":"[REDACTED]"},{"op":"replace","path":"/a","value":"x"}]}"#,
        ),
        (
            r#"{"arguments":{"argv":["run","--password","x","--token","--verbose","token","y"],"pairs":[["password","x"],["n","y"]]}}"#,
            r#"{"arguments":{"argv":["run","--password","[REDACTED]","--token","--verbose","token","y"],"pairs":[["password","[REDACTED]"],["n","y"]]}}"#,
        ),
        (r#"{"arguments":{"required":["password","email"]}}"#, r#"{"arguments":{"required":["password","email"]}}"#),
        (r#"{"messages":[{"arguments":"{\"a\":\"{\\\"api_key\\\":\\\"x\\\"}\"}"}]}"#, r#"{"messages":[{"arguments":"{\"a\":\"{}\"}"}]}"#),
        (r#"{"response":{"body":null},"result":1.50}"#, r#"{"response":{"body":null},"result":1.50}"#),
        (r#"{"before_state":"{\"key\":\"a\",\"b\":1}"}"#, r#"{"before_state":"{\"b\":1}"}"#),
    ];
    for (content, expected) in cases {
        let (_, made) = redacted("{}", content);
        assert_eq!(made, expected, "{content}");
    }
}

#[test]
fn the_envelope_is_looked_into_and_told_of_bodies_and_changes() {
    let envelope = r#"{"action":"a.b","actor":{"display":"https://u:p@h/","id":"a"},"context":{"api-key":"x","password":"y","tool":"t"},"http":{"request_bytes":1,"url":"/x?token=abc"},"reason":"{\"token\":1,\"a\":2}"}"#;
    let content =
        r#"{"after_state":{"a":1,"token":"new"},"before_state":{"a":1,"token":"old"},"request":{"body":{"b":1,"a":"\u00e9","token":"x"}}}"#;
    let (envelope, content) = redacted(envelope, content);
    assert_eq!(
        envelope,
        r#"{"action":"a.b","actor":{"display":"https://u@h/","id":"a"},"changes":["/token"],"changes_total":1,"context":{"password":"[REDACTED]","tool":"t"},"http":{"request_bytes":28,"request_truncated":false,"url":"/x?token=[REDACTED]"},"reason":"{\"a\":2}"}"#
    );
    // The digest: printf '{"a":"é","b":1,"token":"x"}' | sha256sum
    assert_eq!(
        content,
        r#"{"after_state":{"a":1},"before_state":{"a":1},"diff":[],"request":{"body":{"text":"{\"a\":\"é\",\"b\":1}","truncated":false,"bytes":28,"sha256":"6aeeba8d721bd335a833d7a6b93eee089d5b6e6f1799efec3892cc73951cdabd"}}}"#
    );
    assert_eq!(redacted(r#"{"context":{"token":"x"}}"#, "{}"), ("{}".to_owned(), String::new()));
    let states = [
        (r#"{"after_state":{"a":{"b":1},"c":2},"before_state":null}"#, r#"{"changes":["/a","/c"],"changes_total":2}"#),
        (r#"{"before_state":{"a":1}}"#, r#"{"changes":["/a"],"changes_total":1}"#),
        (r#"{"before_state":{"a":1},"after_state":{"a":1}}"#, r#"{"changes_total":0}"#),
        (r#"{"before_state":null}"#, "{}"),
    ];
    for (content, expected) in states {
        assert_eq!(redacted("{}", content).0, expected, "{content}");
    }
}

#[test]
fn bodies_are_cut_between_characters_after_redaction() {
    use crate::limits::BODY_KEPT_BYTES;
    let long = format!(r#"{{"a":"{}","token":"planted"}}"#, "é".repeat(BODY_KEPT_BYTES));
    let (envelope, content) = redacted("{}", &format!(r#"{{"response":{{"body":{}}}}}"#, quoted(&long)));
    assert_eq!(envelope, format!(r#"{{"http":{{"response_bytes":{},"response_truncated":true}}}}"#, long.len()));
    let content = crate::json::parse(content.as_bytes()).expect("valid");
    let body = content.get("response").and_then(|response| response.get("body")).expect("there");
    let text = body.get("text").and_then(Value::as_str).expect("text");
    assert_eq!(text.len(), BODY_KEPT_BYTES);
    assert!(long.starts_with(text));
    let exact = "x".repeat(BODY_KEPT_BYTES);
    assert!(redacted("{}", &format!(r#"{{"response":{{"body":"{exact}"}}}}"#)).0.contains("\"response_truncated\":false"));
    assert!(redacted("{}", &format!(r#"{{"response":{{"body":"{exact}x"}}}}"#)).0.contains("\"response_truncated\":true"));
}

#[test]
fn content_may_be_as_large_as_the_limit_and_not_larger() {
    let content = |bytes: usize| format!(r#"{{"output":"{}"}}"#, "x".repeat(bytes - r#"{"output":""}"#.len()));
    assert_eq!(redacted("{}", &content(CONTENT_PLAIN_BYTES_MAX)).1.len(), CONTENT_PLAIN_BYTES_MAX);
    let fault = Rules::standard().redact(submission("{}", &content(CONTENT_PLAIN_BYTES_MAX + 1)), &keys()).expect_err("too large");
    assert_eq!((fault.kind, fault.pointer.as_str()), (FaultKind::TooLarge, "/content"));
}

#[test]
fn rules_of_a_tenant_apply() {
    let rules = Rules::standard()
        .with("ssn", Strategy::Hmac)
        .and_then(|rules| rules.with("/content/messages/*/text", Strategy::Redact))
        .and_then(|rules| rules.with("/content/request/body", Strategy::Redact))
        .and_then(|rules| rules.with("/context/email", Strategy::Exclude))
        .expect("good rules");
    let content = r#"{"messages":[{"text":"x","n":1}],"request":{"body":"x"},"extra":{"text":"y","SSN":"078-05-1120"}}"#;
    let made = rules.redact(submission(r#"{"context":{"email":"e","tool":"t"}}"#, content), &keys()).expect("small");
    assert_eq!(made.envelope.get("context").expect("there").to_verbatim(), br#"{"tool":"t"}"#);
    let content = String::from_utf8(made.content.expect("there")).expect("UTF-8");
    assert!(content.contains(r#""messages":[{"text":"[REDACTED]","n":1}]"#), "{content}");
    assert!(content.contains(r#""body":{"text":"[REDACTED]""#) && content.contains(r#""text":"y""#), "{content}");
    assert!(content.contains(r#""SSN":"hmac-sha256:"#) && !content.contains("078-05"), "{content}");
}

/// Cost must be linear whatever the text is: each of these made of one piece many times takes far longer than a test may
/// where one look around is not bounded.
#[test]
fn hostile_text_is_scanned_in_linear_time() {
    for piece in [
        "a:",
        "cookie:",
        "\"cookie\":{",
        "\"cookie\":\"",
        "'a=1",
        "?a=1",
        "?a=%",
        "&a=&",
        "://a:b/",
        "{\"token\":",
        "\\\"key\\\":\\\\\\\"",
        " name=",
        "form-data; name=\"token\"",
        "\"name\":\"",
        "[",
        "{\"a\":",
        "\n[",
        "authorization: ",
        "earer ",
        "Bearer a",
        "=",
        ":",
        "a=%61%3D",
        ";a=1",
        ";token=(",
        "a;token=;",
        "/;token=a;b",
        ";  ",
        "//a:",
        "//a:b@c",
        "curl -u a:",
        "\"\\\"",
        "data: {\"a\":\"=\"}\n",
        "\\",
    ] {
        let text = piece.repeat(1_000_000 / piece.len());
        let _ = looked_into(&text);
    }
}
