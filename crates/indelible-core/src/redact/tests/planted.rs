//! Every default field, in every spelling, in every place: the planted text is nowhere in what comes out.

use std::sync::LazyLock;

use proptest::prelude::{Just, any, prop, prop_assert, prop_assert_eq, prop_assume, prop_oneof, proptest};
use proptest::strategy::Strategy as _;

use super::*;

/// Names that are secret by default; those of `redact::rule`, written down once more for the tests.
static FIELDS: LazyLock<Vec<&str>> = LazyLock::new(|| include_str!("../../../testdata/secret-names.txt").lines().collect());
const PLANTED: &str = "pl4nted0S3cretT3xt";

fn spellings(field: &str) -> Vec<String> {
    let camel: String = field.split('_').enumerate().map(|(n, word)| if n == 0 { word.to_owned() } else { capital(word) }).collect();
    let pascal: String = field.split('_').map(capital).collect();
    vec![
        field.to_owned(),
        field.replace('_', "-"),
        field.to_uppercase().replace('_', "."),
        field.to_uppercase(),
        field.replace('_', ""),
        camel,
        pascal,
        format!("_{field}"),
    ]
}

fn capital(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

/// Texts in which `name` has the planted value.
fn texts(name: &str) -> Vec<String> {
    let object = format!(r#"{{"a":1,"{name}":"{PLANTED}"}}"#);
    let nested = format!(r#"{{"body":{}}}"#, quoted(&object));
    let percent = format!("%{}", name.bytes().map(|b| crate::hex::encode(&[b])).collect::<Vec<_>>().join("%"));
    vec![
        object.clone(),
        format!("\n  {object}  "),
        nested.clone(),
        quoted(&nested),
        format!(r#"[{{"x":[{object}]}}]"#),
        format!("{{\"a\":1}}\n{object}\n"),
        format!("event: x\ndata: {object}\n\ndata: [DONE]\n"),
        format!("data:{object}"),
        format!("INFO payload={object} done"),
        format!("INFO payload={} done", quoted(&nested)),
        format!(r#"{{"a":{object},"b":[1,"#),
        format!(r#"{{"a":{nested},"b":"#),
        format!(r#"{{"b":1,"{name}":"{PLANTED}"#),
        format!(r#"{{"b":1,"{name}" : {{"deep":["{PLANTED}"]"#),
        format!("{{'a': 1, '{name}': '{PLANTED}'}}"),
        format!("```json\n{{\n  \"{name}\": \"{PLANTED}\"\n}}\n```"),
        format!("a=b&{name}={PLANTED}&c=d"),
        format!("{name}={PLANTED}"),
        format!("a=1&{percent}={PLANTED}"),
        format!("a=1;{name}={PLANTED};c=d"),
        format!("Server=my host; {name}={PLANTED}; c=d"),
        format!("https://host/path;{name}={PLANTED};v=1/file?x=1"),
        format!("https://host/path?a=b;{name}={PLANTED}"),
        format!("user.{name}={PLANTED}&a=b"),
        format!(r#"{{"argv":["run","--{name}","{PLANTED}"],"pairs":[["a","b"],["{name}","{PLANTED}"]]}}"#),
        format!("a=1&user%5B{name}%5D={PLANTED}"),
        format!("x=%7B%22{name}%22%3A%22{PLANTED}%22%7D"),
        format!("https://host/path?a=b&{name}={PLANTED}"),
        format!("https://host/path?{name}={PLANTED}#x"),
        format!("https://host/path#{name}={PLANTED}&x=1"),
        format!("see <https://host/?{name}={PLANTED}> or \"/rel?x=1&{name}={PLANTED}\""),
        format!("https://host/?next=https%3A%2F%2Fother%2F%3F{name}%3D{PLANTED}"),
        format!("{{\"url\":\"https://host/?a=1\\u0026{name}={PLANTED}\",\"cut"),
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{PLANTED}\r\n--x--\r\n"),
        format!(r#"[{{"name":"{name}","value":"{PLANTED}"}},{{"key":"{name}","value":{{"stringValue":"{PLANTED}"}}}}]"#),
        format!(r#"cut [{{"name":"{name}","value":"{PLANTED}"}},"#),
        format!(r#"[{{"op":"add","path":"/x/{name}","value":"{PLANTED}"}}]"#),
        format!("curl -d '{name}={PLANTED}&x=1' https://host"),
    ]
}

fn check(envelope: &str, content: &str) {
    let (envelope_out, content_out) = redacted(envelope, content);
    assert!(!envelope_out.contains(PLANTED), "{envelope}\n-> {envelope_out}");
    assert!(!content_out.contains(PLANTED), "{content}\n-> {content_out}");
}

#[test]
fn the_names_of_these_tests_are_those_of_the_rules() {
    assert_eq!(*FIELDS, crate::redact::rule::standard_names().collect::<Vec<_>>());
}

#[test]
fn default_fields_go_in_every_spelling_from_every_place() {
    for name in FIELDS.iter().flat_map(|field| spellings(field)) {
        let member = format!(r#"{{"{name}":"{PLANTED}"}}"#);
        check(&format!(r#"{{"context":{member}}}"#), "");
        for value in [format!("\"{PLANTED}\""), format!(r#"{{"a":["{PLANTED}"]}}"#), format!(r#"["{PLANTED}"]"#)] {
            let member = format!(r#"{{"{name}":{value}}}"#);
            check("{}", &format!(r#"{{"before_state":{member},"after_state":{{"x":[{member}]}},"extra":{{"a":{{"b":{member}}}}}}}"#));
            check("{}", &format!(r#"{{"request":{{"body":{member}}},"response":{{"body":[[{member}]],"headers":{member}}}}}"#));
        }
        for text in texts(&name) {
            let text = quoted(&text);
            check(
                &format!(
                    r#"{{"actor":{{"display":{text},"id":{text}}},"context":{{"a":{text}}},"http":{{"url":{text}}},"reason":{text},"resource":{{"id":{text}}}}}"#
                ),
                "",
            );
            check(
                "{}",
                &format!(r#"{{"messages":[{{"content":{text}}}],"output":{text},"request":{{"body":{text}}},"after_state":{text}}}"#),
            );
        }
    }
}

#[test]
fn credentials_in_urls_and_headers_go() {
    let headers = [
        "Authorization",
        "authorization",
        "PROXY-AUTHORIZATION",
        "Cookie",
        "Set-Cookie",
        "set_cookie",
        "X-Api-Key",
        "x_api_key",
        "Api-Key",
        "X-Auth-Token",
        "X-Amz-Security-Token",
        "X-Amz-Signature",
        "X-Amz-Credential",
        "X-Goog-Api-Key",
        "Ocp-Apim-Subscription-Key",
        "X-Vault-Token",
        "X-Gitlab-Token",
        "Private-Token",
        "X-Csrf-Token",
        "X-Shopify-Access-Token",
    ];
    for name in headers {
        let text = quoted(&format!("Host: h\r\n{name}: Bearer {PLANTED}\r\nAccept: */*"));
        for headers in [
            format!(r#"{{"{name}":"{PLANTED}"}}"#),
            format!(r#"{{"{name}":["{PLANTED}"]}}"#),
            format!(r#"[{{"name":"{name}","value":"{PLANTED}"}}]"#),
            format!(r#"[{{"key":"{name}","value":{{"stringValue":"{PLANTED}"}}}}]"#),
            format!(r#"[["{name}","{PLANTED}"]]"#),
            format!(r#"["Host","h","{name}","{PLANTED}"]"#),
            quoted(&format!(r#"{{"{name}":"{PLANTED}"}}"#)),
        ] {
            check("{}", &format!(r#"{{"request":{{"headers":{headers}}},"extra":{{"a":{{"Headers":{headers}}}}}}}"#));
        }
        if !name.contains('_') {
            let text = if name.eq_ignore_ascii_case("cookie") { text.replace("Bearer ", "a=") } else { text };
            check("{}", &format!(r#"{{"request":{{"headers":{text}}},"output":{text}}}"#));
            let curl = quoted(&format!("curl -H \"{name}: {PLANTED}\" -H '{name}: {PLANTED}' https://h/"));
            check("{}", &format!(r#"{{"output":{curl}}}"#));
        }
    }
    let parameters = [
        "access_token",
        "id_token",
        "client_secret",
        "sig",
        "signature",
        "X-Amz-Signature",
        "X-Amz-Security-Token",
        "X-Amz-Credential",
        "X-Goog-Signature",
        "X-Goog-Credential",
        "AWSAccessKeyId",
        "code_verifier",
        "api-key",
        "apikey",
        "key",
        "auth",
    ];
    for name in parameters {
        for url in [
            format!("https://h/?{name}={PLANTED}"),
            format!("https://h/?x=1&{name}={PLANTED}&y=2#z"),
            format!("text https://h/#{name}={PLANTED} text"),
            format!("/relative?{name}={PLANTED}"),
        ] {
            let url = quoted(&url);
            check(&format!(r#"{{"http":{{"url":{url}}}}}"#), &format!(r#"{{"output":{url},"request":{{"body":{{"u":{url}}}}}}}"#));
        }
    }
    for url in [
        "https://u:PLANTED@h/",
        "x postgres://u:PLANTED@h:1/d y",
        "amqp://:PLANTED@h",
        "https:\\/\\/u:PLANTED@h",
        "ftp://u:a/PLANTED@h/",
        "//u:PLANTED@h/x",
        "see //u:PLANTED@h",
        "curl -u u:PLANTED https://h",
    ] {
        let url = quoted(&url.replace("PLANTED", PLANTED));
        check(&format!(r#"{{"http":{{"url":{url}}}}}"#), &format!(r#"{{"output":{url}}}"#));
    }
}

fn json(depth: u32) -> impl proptest::strategy::Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::integer),
        "[a-z ]{0,8}".prop_map(Value::string),
        "\\PC{0,12}".prop_map(Value::string),
    ];
    leaf.prop_recursive(depth, 30, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::btree_map("[a-z]{1,3}[0-9]", inner, 0..5)
                .prop_map(|members| Value::Object(Object::from_distinct(members.into_iter().map(|(k, v)| (k.into(), v)).collect()))),
        ]
    })
}

/// Puts `plant` somewhere into `value`, at the place that `path` chooses.
fn plant(value: &mut Value<'static>, path: &[usize], name: &str, planted: Value<'static>) {
    match value {
        Value::Array(items) if !items.is_empty() && !path.is_empty() => {
            let at = path[0] % items.len();
            plant(&mut items[at], &path[1..], name, planted);
        }
        Value::Object(object) if !object.is_empty() && !path.is_empty() => {
            let at = path[0] % object.len();
            let (_, inner) = object.iter_mut().nth(at).expect("within");
            plant(inner, &path[1..], name, planted);
        }
        Value::Object(object) => drop(object.insert(name.to_owned(), planted)),
        other => *other = Value::Object(Object::from_distinct(vec![(name.to_owned().into(), planted)])),
    }
}

proptest! {
    #[test]
    fn what_is_planted_at_random_goes_and_nothing_else_does(
        value in json(4), path in prop::collection::vec(0_usize..5, 0..5), field in 0..FIELDS.len(), spelling in 0_usize..8,
        inner in json(2), as_text in 0_u8..4,
    ) {
        let name = &spellings(FIELDS[field])[spelling];
        let mut with_plant = value.clone();
        let secret = Value::Array(vec![Value::string(PLANTED), inner]);
        plant(&mut with_plant, &path, name, secret);
        let mut text = String::from_utf8(with_plant.to_verbatim()).expect("UTF-8");
        for _ in 0..as_text {
            text = quoted(&text);
        }
        let (_, content) = redacted("{}", &format!(r#"{{"result":{text}}}"#));
        prop_assert!(!content.contains(PLANTED), "{}", content);
        let (_, again) = redacted("{}", &content);
        prop_assert_eq!(&again, &content);
        // Cut off anywhere, and as a line of text.
        let cut = text.floor_char_boundary(text.len() * 3 / 4);
        prop_assert!(!looked_into(&text[..cut]).contains(PLANTED));
        let around = looked_into(&["x ", &text, " y"].concat());
        prop_assert!(!around.contains(PLANTED), "{}", around);
    }

    #[test]
    fn values_under_other_names_survive(value in json(4)) {
        let text = String::from_utf8(value.to_verbatim()).expect("UTF-8");
        prop_assume!(!text.contains(['=', ':', '/']) || value.as_str().is_none());
        let content = format!(r#"{{"result":{text}}}"#);
        let (_, made) = redacted("{}", &content);
        prop_assert_eq!(made, content);
    }

    #[test]
    fn any_text_is_redacted_once(text in "[a-z:=&?/'\"\\\\{}\\[\\] \n%0-9@#;,-]{0,40}|\\PC{0,40}", name in 0..FIELDS.len()) {
        let text = format!("{text}{}{text}", FIELDS[name]);
        let once = looked_into(&text);
        prop_assert_eq!(looked_into(&once), once);
    }
}
