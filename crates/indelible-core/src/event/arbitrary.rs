//! Random valid events for property tests, made from the table of members: a member that is added there is tested
//! without a line here.

use std::borrow::Cow;

use proptest::prelude::*;
use proptest::sample::select;

use super::members::{ENTRY, Member, Owner, Shape};
use crate::json::{Object, Value};

/// Events that [`super::Submission::read`] accepts from a caller; members in any order, no content.
pub(crate) fn event() -> impl Strategy<Value = Value<'static>> {
    object(ENTRY).prop_map(|mut event| {
        join(&mut event);
        Value::Object(event)
    })
}

/// Adds what the rules ask for that join several members.
fn join(event: &mut Object<'static>) {
    let is = |value: Option<&Value<'_>>, text: &str| value.and_then(Value::as_str) == Some(text);
    if let Some(Value::Object(actor)) = event.get_mut("actor")
        && actor.get("id").is_none()
        && !is(actor.get("type"), "anonymous")
    {
        actor.insert("id", Value::string("u"));
    }
    if let Some(Value::Object(run)) = event.get_mut("run")
        && run.get("id").is_none()
        && run.get("thread_id").is_none()
    {
        run.insert("thread_id", Value::string("t"));
    }
    if event.get("outcome").is_none() && !is(event.get("phase"), "intent") {
        event.insert("outcome", Value::string("deny"));
    }
    if event.get("phase").is_some() && event.get("operation_id").is_none() {
        event.insert("operation_id", Value::string("o"));
    }
}

fn object(members: &'static [Member]) -> BoxedStrategy<Object<'static>> {
    let each: Vec<_> = members
        .iter()
        .filter(|member| member.owner == Owner::Caller)
        .map(|member| {
            let given = value(member.shape);
            let given = if member.required { given.prop_map(Some).boxed() } else { proptest::option::weighted(0.3, given).boxed() };
            (Just(member.name), given)
        })
        .collect();
    each.prop_shuffle()
        .prop_map(|members| {
            let given = members.into_iter().filter_map(|(name, value)| Some((Cow::Borrowed(name), value?)));
            Object::from_distinct(given.collect())
        })
        .boxed()
}

fn value(shape: Shape) -> BoxedStrategy<Value<'static>> {
    let text = |strategy: BoxedStrategy<String>| strategy.prop_map(Value::string).boxed();
    match shape {
        Shape::Text(bytes_max) if bytes_max < 8 => text("[A-Z]{1,3}".boxed()),
        Shape::Text(_) => text(prop_oneof!["[a-z]{1,8}", "\\PC{1,6}", "[\u{0}-\u{1f}\"\\\\/é€😀]{1,4}"].boxed()),
        Shape::Choice(choices) => select(choices).prop_map(Value::string).boxed(),
        Shape::Action => text("[b-j][a-z0-9_]{0,8}(\\.[a-z][a-z0-9_]{0,8}){1,2}".boxed())
            .prop_filter("the engine's", |action| !super::action::is_engine_only(action.as_str().unwrap_or_default()))
            .boxed(),
        Shape::Category => text("[a-z][a-z0-9_]{0,8}".boxed()),
        Shape::Uuid => text("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}".boxed()),
        Shape::Time => text("20[0-3][0-9]-0[1-9]-1[0-9][Tt][01][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|z|[+-]0[0-9]:30)".boxed()),
        Shape::Integer(least, most) => (least..=most).prop_map(Value::integer).boxed(),
        Shape::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Shape::Hex(bytes) => text(proptest::string::string_regex(&format!("[0-9a-f]{{{}}}", bytes * 2)).expect("an expression").boxed()),
        Shape::Texts(_, bytes_max) => proptest::collection::vec(value(Shape::Text(bytes_max)), 0..3).prop_map(Value::Array).boxed(),
        Shape::Object(members) => object(members).prop_map(Value::Object).boxed(),
        Shape::Objects(_, members) => {
            proptest::collection::vec(object(members).prop_map(Value::Object), 0..3).prop_map(Value::Array).boxed()
        }
        Shape::Labels => labels().prop_map(Value::Object).boxed(),
    }
}

fn labels() -> BoxedStrategy<Object<'static>> {
    proptest::collection::btree_map("[a-d]{1,4}|\\PC{1,3}|[\u{ff00}-\u{ff20}😀-😂]{1,3}", "\\PC{0,6}", 0..6)
        .prop_map(|map| Object::from_distinct(map.into_iter().map(|(key, value)| (Cow::Owned(key), Value::string(value))).collect()))
        .boxed()
}
