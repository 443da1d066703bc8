//! `event_members.sql` is made of the table of members, the catalogue of actions and the limits, and is up to date.
//! `UPDATE_EVENT_MEMBERS=1` writes it anew.

use std::fmt::Write as _;

use indelible_core::event::action::nouns;
use indelible_core::event::members::{CONTENT, ENTRY, Member, Owner, Shape};
use indelible_core::limits;
use serde_json::{Map, Value, json};

fn shape(shape: Shape) -> Value {
    match shape {
        Shape::Text(max) => json!({"shape": "text", "max": max}),
        Shape::Choice(of) => json!({"shape": "choice", "of": of}),
        Shape::Action => json!({"shape": "action", "max": limits::ACTION_BYTES_MAX}),
        Shape::Category => json!({"shape": "category", "max": limits::ACTION_BYTES_MAX}),
        Shape::Uuid => json!({"shape": "uuid"}),
        Shape::Time => json!({"shape": "time"}),
        Shape::Integer(min, max) => json!({"shape": "integer", "min": min, "max": max}),
        Shape::Bool => json!({"shape": "bool"}),
        Shape::Hex(bytes) => json!({"shape": "hex", "bytes": bytes}),
        Shape::Texts(items, max) => json!({"shape": "texts", "items": items, "max": max}),
        Shape::Object(inner) => json!({"shape": "object", "members": inner.iter().map(member).collect::<Map<_, _>>()}),
        Shape::Objects(items, inner) => {
            json!({"shape": "objects", "items": items, "members": inner.iter().map(member).collect::<Map<_, _>>()})
        }
        Shape::Labels => json!({"shape": "labels"}),
    }
}

fn member(member: &Member) -> (String, Value) {
    let mut said = shape(member.shape);
    match member.owner {
        Owner::Caller => {}
        Owner::Engine => said["owner"] = json!("engine"),
        Owner::Server => said["owner"] = json!("server"),
    }
    if member.required {
        said["required"] = json!(true);
    }
    (member.name.to_owned(), said)
}

fn quoted<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

fn sql() -> String {
    let members: Vec<String> = ENTRY.iter().map(member).map(|(name, said)| format!("    \"{name}\": {said}")).collect();
    let all: Vec<&str> = nouns().filter(|listed| listed.every_verb).map(|listed| listed.noun).collect();
    let single: Vec<String> = nouns()
        .filter(|listed| listed.engine_only && !listed.every_verb)
        .flat_map(|listed| listed.verbs.iter().map(move |verb| format!("{}.{verb}", listed.noun)))
        .collect();
    let limits = json!({
        "entry_bytes": limits::ENTRY_BYTES_MAX,
        "content_bytes": limits::CONTENT_PLAIN_BYTES_MAX,
        "json_values": limits::JSON_VALUES_MAX,
        "changes_bytes": limits::CHANGES_BYTES_MAX,
        "context_keys": limits::CONTEXT_KEYS_MAX,
        "context_key_bytes": limits::CONTEXT_KEY_BYTES_MAX,
        "context_value_bytes": limits::CONTEXT_VALUE_BYTES_MAX,
        "context_bytes": limits::CONTEXT_BYTES_MAX,
    });
    let mut out = "-- The members of an event, the actions of the engine, and limits. Made from crates/indelible-core/src/{event,limits.rs} by the test\n\
        -- `event_members_is_up_to_date`; UPDATE_EVENT_MEMBERS=1 makes it anew. Members are the caller's where nothing else is said.\n"
        .to_owned();
    let function = |out: &mut String, head: &str, body: &str| {
        write!(out, "\nCREATE FUNCTION audit.{head} LANGUAGE sql IMMUTABLE AS $$\n    {body}\n$$;\n").expect("to a string");
    };
    function(&mut out, "event_members() RETURNS jsonb", &format!("SELECT '{{\n{}\n    }}'::jsonb", members.join(",\n")));
    function(&mut out, "content_members() RETURNS text[]", &format!("SELECT ARRAY[{}]", quoted(CONTENT.iter().copied())));
    function(&mut out, "engine_nouns() RETURNS text[]", &format!("SELECT ARRAY[{}]", quoted(all.into_iter())));
    let own = format!(
        "SELECT split_part(action, '.', 1) = ANY (audit.engine_nouns()) OR action IN ({})",
        quoted(single.iter().map(String::as_str))
    );
    function(&mut out, "is_engine_action(action text) RETURNS boolean", &own);
    function(&mut out, "event_limits() RETURNS jsonb", &format!("SELECT '{limits}'::jsonb"));
    out
}

#[test]
fn event_members_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/postgres/event_members.sql");
    let made = sql();
    if std::env::var_os("UPDATE_EVENT_MEMBERS").is_some() {
        std::fs::write(path, &made).expect("writable");
    }
    assert!(std::fs::read_to_string(path).expect("readable") == made, "UPDATE_EVENT_MEMBERS=1 makes {path} anew");
}
