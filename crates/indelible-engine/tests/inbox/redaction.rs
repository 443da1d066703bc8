//! Redaction in SQL is held to that of the core: the same vectors, and what is gone of generated documents.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use indelible_core::event::{Source, Submission};
use indelible_core::json;
use indelible_core::key::{ProjectKeys, Secret};
use indelible_core::redact::{Rules, Strategy};
use proptest::prelude::{Just, Strategy as _, any, prop, prop_oneof};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value};
use tokio_postgres::Client;
use uuid::Uuid;

use super::server::Database;

fn core_file(name: &str) -> Value {
    let path = format!("{}/../indelible-core/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).expect("there")).expect("JSON")
}

/// What becomes of a whole event.
async fn redacted(owner: &Client, events: &[String], project: Uuid) -> Vec<String> {
    let statement = "SELECT audit.redact(e::jsonb, audit.redact_names($2::text::uuid))::text FROM unnest($1::text[]) WITH ORDINALITY AS t (e, n) ORDER BY n";
    let rows = owner.query(statement, &[&events, &project.to_string()]).await.expect("redacted");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn texts_become_what_they_become_in_the_core() {
    let database = Database::new(None).await;
    let file = core_file("redaction-texts.json");
    let becomes = file["becomes"].as_object().expect("groups").values().flat_map(|cases| cases.as_array().expect("cases"));
    let pairs: Vec<(&str, &str)> = becomes
        .map(|pair| (pair[0].as_str().expect("text"), pair[1].as_str().expect("text")))
        .chain(file["stays"].as_array().expect("texts").iter().map(|text| (text.as_str().expect("text"), text.as_str().expect("text"))))
        .collect();
    assert!(pairs.len() > 60);
    let statement = "SELECT coalesce(audit.redact_text($1, audit.redact_names(NULL), 0, false, 0), $1)";
    for (text, expected) in pairs {
        let row = database.owner.query_one(statement, &[&text]).await.expect("redacted");
        // JSON inside of a string is written as the core does: compact, in its own order.
        assert_eq!(row.get::<_, &str>(0), expected, "{text}");
    }
}

/// What is expected of the core, as it is here: what was hashed is gone, bodies are as they came, and what the server adds is not there.
fn as_in_sql(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, value| {
                let hashed = value.as_str().is_some_and(|text| text.starts_with("hmac-sha256:") && text.len() == 76);
                !hashed
                    && !matches!(name.as_str(), "diff" | "changes" | "changes_total")
                    && !name.starts_with("request_")
                    && !name.starts_with("response_")
            });
            if let Some(Value::String(text)) = members.get("text").cloned() {
                *value = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(unhashed(&text)));
            } else {
                members.values_mut().for_each(as_in_sql);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(as_in_sql),
        _ => {}
    }
}

fn unhashed(text: &str) -> String {
    text.split("hmac-sha256:").enumerate().fold(String::new(), |mut out, (n, part)| {
        write!(out, "{}", if n == 0 { part.to_owned() } else { format!("[REDACTED]{}", &part[64..]) }).expect("to a string");
        out
    })
}

#[tokio::test]
async fn the_vectors_of_the_core_hold() {
    let database = Database::new(None).await;
    let file = core_file("redaction.json");
    let vectors = file["vectors"].as_array().expect("vectors");
    assert_eq!(vectors.len(), 5);
    for vector in vectors {
        let with_content = |envelope: &Value, content: &Value| {
            let mut event = envelope.as_object().cloned().unwrap_or_default();
            if content.as_object().is_some_and(|content| !content.is_empty()) {
                event.insert("content".to_owned(), content.clone());
            }
            Value::Object(event)
        };
        let event = with_content(&vector["envelope"], &vector["content"]);
        let mut expected = with_content(&vector["redacted_envelope"], &vector["redacted_content"]);
        as_in_sql(&mut expected);
        let made = redacted(&database.owner, &[event.to_string()], Uuid::nil()).await;
        assert_eq!(serde_json::from_str::<Value>(&made[0]).expect("JSON"), expected, "{}", vector["name"]);
    }
}

/// Names in several spellings: secret ones, those of headers and parameters, of a tenant, and others.
fn name() -> impl proptest::strategy::Strategy<Value = String> {
    let listed: Vec<String> =
        std::fs::read_to_string(format!("{}/../indelible-core/testdata/secret-names.txt", env!("CARGO_MANIFEST_DIR")))
            .expect("there")
            .lines()
            .map(str::to_owned)
            .chain(
                [
                    "Authorization",
                    "Cookie",
                    "X-Api-Key",
                    "X-Foo-Token",
                    "set-cookie",
                    "sig",
                    "key",
                    "value",
                    "name",
                    "auth",
                    "client_secret",
                ]
                .map(String::from),
            )
            .chain(["ssn", "n\u{e9}", "tokens", "max_tokens", "a", "title", "headers", "path", "op", "body", "id_token"].map(String::from))
            .collect();
    let spelling = |(name, spelling): (String, u8)| match spelling {
        0 => name.replace('_', "-"),
        1 => name.to_uppercase().replace('_', "."),
        2 => name.replace('_', ""),
        3 => name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect(),
        4 => format!("_{name}"),
        _ => name,
    };
    (proptest::sample::select(listed), 0_u8..8).prop_map(spelling)
}

/// Texts with a place (`^`) for what is planted, and `~` for a name.
const TEXTS: &[&str] = &[
    "^",
    "~=^",
    "~: ^",
    "a=1&~=^&b=^",
    "x=1;~=^;y=^",
    "https://u:^@h/p?~=^&z=^#~=^",
    "see //u:^@h/x",
    "{\"~\":\"^\",\"q\":\"^\"}",
    "[{\"name\":\"~\",\"value\":\"^\"}]",
    "log {\"~\": \"^\", \"b\": [\"^\"]} end",
    "{\"a\":{\"~\":{\"deep\":[\"^\"",
    "{'~': '^', 'n': ^}",
    "--~=^ --a=^",
    "~=\"^ b\"",
    "{\"a\":1}\n{\"~\":\"^\"}\n",
    "data: {\"~\":\"^\"}",
    "curl -u u:^ -H \"~: Bearer ^1\" https://h",
    "Bearer ^1234567",
    "a%3D1=%7B%22~%22%3A%22^%22%7D",
    "x?~=^&amp;~=^",
    "user[~]=^&user.~=^",
    "\\\"~\\\":\\\"^\\\" x",
    "{\"m\":\"{\\\"~\\\":\\\"^\\\"}\"}",
    "[\"--~\",\"^\"]",
    "[[\"~\",\"^\"],[\"b\",\"^\"]]",
    "form-data; name=\"~\"\r\n\r\n^\r\n--b",
    "~: ^\r\nHost: ^",
    "{\"~\":\"^\",\"~\":\"^\"}",
    "{\"headers\":{\"~\":\"^\"},\"u\":\"\\u0000\"}",
    "Server=h;User Id=u;~=^;Encrypt=^",
    "redis://:^@h:1/0",
    "https://h/;~=^;v=^/q",
    "{\"op\":\"add\",\"path\":\"/a/~/b.~\",\"value\":\"^\"}",
    "\u{e9}~=^\u{10ffff}&~=^",
];

fn text() -> impl proptest::strategy::Strategy<Value = String> {
    let template =
        (prop::collection::vec(proptest::sample::select(TEXTS), 1..3), proptest::sample::select(vec![" ", "&", ";", "\n", "", ", "]))
            .prop_map(|(parts, by)| parts.join(by));
    let noise = "[a-z:=&?/'\"\\\\{}\\[\\] \n%0-9#;,~^@-]{0,40}".prop_map(String::from);
    (prop_oneof![4 => template, 1 => noise], prop::collection::vec(name(), 1..3), 0_u8..6).prop_map(|(text, names, quoted)| {
        let mut names = names.iter().cycle();
        let text: String = text
            .split('~')
            .enumerate()
            .fold(String::new(), |out, (n, part)| if n == 0 { part.to_owned() } else { out + names.next().expect("one") + part });
        if quoted == 0 { Value::String(text).to_string() } else { text }
    })
}

fn document() -> impl proptest::strategy::Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<i32>().prop_map(Value::from),
        2 => Just(Value::String("^".to_owned())),
        4 => text().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((prop_oneof![6 => name(), 1 => text()], inner), 0..5)
                .prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// Puts a mark of its own in the place of every `^` of a text.
fn planted(text: &str, marks: &mut u32) -> String {
    text.split('^').enumerate().fold(String::new(), |out, (n, part)| {
        *marks += u32::from(n > 0);
        if n == 0 { part.to_owned() } else { format!("{out}mk{marks}zz{part}") }
    })
}

/// The same in the strings of a value, names among them.
fn plant(value: &mut Value, marks: &mut u32) {
    match value {
        Value::String(text) => *text = planted(text, marks),
        Value::Array(items) => items.iter_mut().for_each(|item| plant(item, marks)),
        Value::Object(members) => {
            for (name, mut inner) in std::mem::take(members) {
                plant(&mut inner, marks);
                members.insert(planted(&name, marks), inner);
            }
        }
        _ => {}
    }
}

/// The marks that are still to be read.
fn marks(text: &str) -> BTreeSet<&str> {
    text.match_indices("mk")
        .filter_map(|(at, _)| text[at + 2..].split_once("zz").map(|(number, _)| number))
        .filter(|number| number.bytes().all(|b| b.is_ascii_digit()))
        .collect()
}

#[tokio::test]
async fn what_is_gone_of_generated_documents_is_what_the_core_takes_away() {
    let database = Database::new(None).await;
    database
        .owner
        .batch_execute(&format!(
            "INSERT INTO audit.redaction_names VALUES ('{0}', 'S-S-N', 'hmac'), ('{0}', 'n\u{e9}', 'redact')",
            database.project
        ))
        .await
        .expect("rules");
    let rules = Rules::standard().strengthened([("ssn", Strategy::Hmac), ("n\u{e9}", Strategy::Redact)]).expect("rules");
    let keys = ProjectKeys::derive(1, &Secret::new([7; 32]), database.project);
    let mut runner = TestRunner::deterministic();
    let (mut events, mut remaining, mut count) = (Vec::new(), Vec::new(), 0);
    for _ in 0..600 {
        let values = prop::collection::vec(document(), 6).new_tree(&mut runner).expect("a tree").current();
        let names = ["before_state", "after_state", "extra", "output", "arguments", "result"];
        let mut content = Value::Object(names.iter().map(|name| (*name).to_owned()).zip(values).collect());
        plant(&mut content, &mut count);
        let reason = planted(&text().new_tree(&mut runner).expect("a tree").current(), &mut count);
        let event = serde_json::json!({"action": "a.b", "actor": {"type": "human", "id": "u"}, "outcome": "allow", "content": content, "reason": format!("r{reason}")});
        let event = event.to_string();
        let submission = Submission::read(json::parse(event.as_bytes()).expect("JSON"), Source::Caller, Uuid::nil()).expect("well formed");
        let made = rules.redact(submission, &keys).expect("small");
        let left =
            [String::from_utf8(made.content().unwrap_or_default().to_vec()).expect("UTF-8"), rules.line(&format!("r{reason}"), &keys)]
                .concat();
        remaining.push(left);
        events.push(event);
    }
    assert!(count > 5_000, "{count}");
    let mut kept = 0;
    for ((event, left), here) in events.iter().zip(&remaining).zip(redacted(&database.owner, &events, database.project).await) {
        let (core, here_left) = (marks(left), marks(&here));
        kept += core.len();
        let stays: Vec<_> = here_left.difference(&core).collect();
        assert!(stays.is_empty(), "the core takes away {stays:?} of\n{event}\ncore {left}\nhere {here}");
        let gone: Vec<_> = core.difference(&here_left).collect();
        assert!(gone.is_empty(), "the core leaves {gone:?} of\n{event}\ncore {left}\nhere {here}");
    }
    // Both sides are worth comparing: some stay, some go.
    assert!(kept > 1_000 && count as usize - kept > 1_000, "{kept} of {count}");
}
