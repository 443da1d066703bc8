//! The types have every member that a caller may set, of its shape and words, and no other.

use indelible_core::event::members::{self, CONTENT, ENTRY, Owner};
use serde_json::{Map, Value, json};

use crate::parts::{Body, Content};
use crate::{Actor, Event, Http, Outcome};

/// A member as the types have it.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) needed: bool,
    pub(crate) shape: Shape,
}

/// Its shape. What a text may say, and how long it may be, is not told by a type.
pub(crate) enum Shape {
    Text,
    Uuid,
    Time,
    Integer,
    Bool,
    Choice(&'static [&'static str]),
    Texts,
    Object(&'static [Member]),
    Objects(&'static [Member]),
    Labels,
    /// Inside of `content`, where the ledger knows names alone.
    Content,
}

fn typed(members: &[Member]) -> Value {
    let shape = |shape: &Shape| match shape {
        Shape::Text => json!("text"),
        Shape::Uuid => json!("uuid"),
        Shape::Time => json!("time"),
        Shape::Integer => json!("integer"),
        Shape::Bool => json!("bool"),
        Shape::Choice(of) => json!({ "one of": of }),
        Shape::Texts => json!("texts"),
        Shape::Object(inner) => json!({ "object": typed(inner) }),
        Shape::Objects(inner) => json!({ "objects": typed(inner) }),
        Shape::Labels => json!("labels"),
        Shape::Content => json!("content"),
    };
    members.iter().map(|member| (member.name.to_owned(), json!([shape(&member.shape), member.needed]))).collect::<Map<_, _>>().into()
}

/// The same of the table from which `event_members.sql` is made.
fn known(members: &[members::Member]) -> Value {
    let shape = |shape: members::Shape| match shape {
        members::Shape::Text(_) | members::Shape::Action | members::Shape::Category | members::Shape::Hex(_) => json!("text"),
        members::Shape::Choice(of) => json!({ "one of": of }),
        members::Shape::Uuid => json!("uuid"),
        members::Shape::Time => json!("time"),
        members::Shape::Integer(..) => json!("integer"),
        members::Shape::Bool => json!("bool"),
        members::Shape::Texts(..) => json!("texts"),
        members::Shape::Object(inner) => json!({ "object": known(inner) }),
        members::Shape::Objects(_, inner) => json!({ "objects": known(inner) }),
        members::Shape::Labels => json!("labels"),
    };
    let callers = members.iter().filter(|member| member.owner == Owner::Caller);
    callers.map(|member| (member.name.to_owned(), json!([shape(member.shape), member.required]))).collect::<Map<_, _>>().into()
}

#[test]
fn the_types_have_the_members_that_a_caller_may_set_and_no_other() {
    let mut expected = known(ENTRY);
    // The type always has an id, and the ledger lists `content` apart.
    expected["id"] = json!(["uuid", true]);
    expected["content"] = json!([{ "object": typed(Content::MEMBERS) }, false]);
    assert_eq!(typed(Event::MEMBERS), expected);
    let mut content: Vec<&str> = Content::MEMBERS.iter().map(|member| member.name).collect();
    content.sort_unstable();
    assert_eq!(content, CONTENT);
}

#[test]
fn json_has_what_was_set_under_the_names_of_the_ledger() {
    let event = Event::new("account.transfer", Actor::agent("a-1").on_behalf_of("alice"), Outcome::Allow).resource("account", "7");
    let event = event.before(1).after(Value::Null).context("tool", "t").http(Http::new().status(200)).subjects(["bob"]);
    let expected = json!({
        "id": event.id(), "action": "account.transfer", "actor": {"type": "agent", "id": "a-1", "on_behalf_of": "alice"}, "outcome": "allow",
        "resource": {"type": "account", "id": "7"}, "content": {"before_state": 1, "after_state": null}, "context": {"tool": "t"},
        "http": {"status": 200}, "subjects": ["bob"],
    });
    assert_eq!(serde_json::to_value(&event).expect("JSON"), expected);
}

#[test]
fn nothing_that_an_event_says_is_in_its_debug_text() {
    let body = Body::new().header("authorization", "planted").body("planted");
    let content = Content::new().extra("planted").request(body.clone());
    let event =
        Event::new("a.b", Actor::human("planted"), Outcome::Deny).content(content.clone()).reason("planted").context("k", "planted");
    for text in [format!("{event:?}"), format!("{content:#?}"), format!("{body:?}"), format!("{:?}", Http::new().url("planted"))] {
        assert!(!text.contains("planted"), "{text}");
    }
}
