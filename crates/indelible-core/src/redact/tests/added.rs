//! Rules that are added to the standard ones, and events of the engine, which they leave fit for verification.

use super::*;

#[test]
fn rules_that_are_added_weaken_none_and_stars_stand_for_all() {
    let others = [
        ("token", Strategy::Hmac),
        ("password", Strategy::Exclude),
        ("stripe.customer.id", Strategy::Redact),
        ("/content/*/ssn", Strategy::Hmac),
        ("/content/before_state/ssn", Strategy::Redact),
        ("/content/before_state/key", Strategy::Hmac),
        ("/content/*/*/deep", Strategy::Redact),
    ];
    let rules = Rules::standard().strengthened(others).expect("rules");
    let names = ["token", "password", "stripe_customer_id", "private_key"].map(|name| rules.name(name));
    assert_eq!(names, [Strategy::Exclude, Strategy::Exclude, Strategy::Redact, Strategy::Exclude].map(Some));
    let content = rules.top("content").expect("there");
    let at = |path: &[&str]| path.iter().try_fold(content, |node, name| node.child(name)).and_then(|node| node.strategy);
    assert_eq!(at(&["before_state", "ssn"]), Some(Strategy::Redact));
    assert_eq!(at(&["before_state", "key"]), Some(Strategy::Exclude));
    assert_eq!(at(&["after_state", "ssn"]), Some(Strategy::Hmac), "beside the standard rules for key and value");
    assert_eq!(at(&["output", "ssn"]), Some(Strategy::Hmac));
    for path in [&["before_state", "ssn", "deep"], &["after_state", "value", "deep"], &["output", "x", "deep"]] {
        assert_eq!(at(path), Some(Strategy::Redact), "{path:?}");
    }
    let many: Vec<String> = (0..14).map(|n| format!("/content/{}a{}", "*/".repeat(n), "/*".repeat(14 - n))).collect();
    let refused = Rules::standard().strengthened(many.iter().map(|place| (place.as_str(), Strategy::Hmac)));
    assert_eq!(refused.expect_err("refused"), RuleError::TooMany);
}

/// Envelope and content of an event of the engine after redaction by rules of a project.
fn own(rules: &Rules, envelope: &str, content: &str) -> (String, String) {
    let made = rules.redact_own(submission(envelope, content), &keys(), "document", &Rules::standard()).expect("small enough");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(Value::Object(made.envelope).to_verbatim()), made.content.map(text).unwrap_or_default())
}

#[test]
fn what_is_sealed_stays_marked_and_its_change_is_told() {
    let before = r#"{"secret":"[SEALED:1]","headers":{"Authorization":"[SEALED:2]"},"token":"S3cret"}"#;
    let after = r#"{"secret":"[SEALED:9]","headers":{"Authorization":"[SEALED:2]"},"token":"S3cret"}"#;
    let (envelope, content) = own(&Rules::standard(), "{}", &format!(r#"{{"before_state":{before},"after_state":{after}}}"#));
    assert_eq!(envelope, r#"{"changes":["/secret"],"changes_total":1}"#);
    let kept = r#"{"secret":"[SEALED]","headers":{"Authorization":"[SEALED]"}}"#;
    assert_eq!(content, format!(r#"{{"after_state":{kept},"before_state":{kept},"diff":[]}}"#));
    let (_, of_a_caller) = redacted("{}", &format!(r#"{{"after_state":{after}}}"#));
    assert_eq!(of_a_caller, r#"{"after_state":{"headers":{}}}"#);
}

#[test]
fn what_verification_needs_of_an_event_of_the_engine_no_rule_takes_away() {
    let places = ["document", "attempts", "/context/document", "/context/*"].map(|place| (place, Strategy::Exclude));
    let rules = Rules::standard().strengthened(places).expect("rules");
    let (envelope, _) = own(&rules, r#"{"context":{"attempts":"2","document":"1:1:ab"}}"#, "");
    assert_eq!(envelope, r#"{"context":{"document":"1:1:ab"}}"#);
    let made = rules.redact(submission(r#"{"context":{"attempts":"2","document":"1:1:ab"}}"#, ""), &keys()).expect("small");
    assert!(made.envelope.is_empty(), "{:?}", made.envelope);
}

/// A rule of a project is never weaker than what is done without it, in whatever place the name stands.
#[test]
fn a_weaker_rule_changes_nothing_where_a_stronger_one_fits() {
    let names = ["token", "authorization", "client_secret", "/content/*/password", "x-api-key", "/content/output/*", "id_token"];
    let rules = Rules::standard().strengthened(names.map(|name| (name, Strategy::Hmac))).expect("rules");
    let contents = [
        r#"{"request":{"headers":{"Authorization":"Bearer S3cretS3cret","X-Api-Key":"S3cret"}}}"#,
        r#"{"arguments":{"token":"S3cret","password":"S3cret"}}"#,
        r#"{"output":["client_secret=S3cret&id_token=S3cret&a=1"]}"#,
        r#"{"arguments":[{"name":"authorization","value":"S3cret"},{"op":"add","path":"/token/x","value":"S3cret"}]}"#,
        r#"{"error":"Authorization: Bearer S3cretS3cret1 --password=S3cret \"token\":\"S3cret\""}"#,
    ];
    for content in contents {
        let made = rules.redact(submission("{}", content), &keys()).expect("small enough");
        let made = String::from_utf8(made.content.unwrap_or_default()).expect("UTF-8");
        let (_, standard) = redacted("{}", content);
        assert!(!made.contains("S3cret"), "{made}");
        if !content.contains("output") {
            assert_eq!(made, standard);
        }
    }
}
