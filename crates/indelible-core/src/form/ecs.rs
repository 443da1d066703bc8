//! A document of the Elastic Common Schema 9.4.0, its fields nested.
//!
//! Only what means the same goes into a field; the rest is under `indelible`, a field set of our own, under the names that it has in a record.
//! An index that takes it as `flattened` needs no mapping for it. `event.category` and `event.type` are of the schema's allowed values, and each
//! type is one that the schema expects with the category; they follow from the class that the action is of in OCSF.

use core::net::IpAddr;
use std::borrow::Cow;

use super::ocsf::class::{Activity, Class, activity};
use super::record::{list, object};
use super::{Origin, PRODUCT, PRODUCT_VERSION, Record};
use crate::json::{Object, Value};

/// The version of the schema.
pub(crate) const VERSION: &str = "9.4.0";

/// The largest `integer` of an index.
const INTEGER_MAX: i64 = i32::MAX as i64;
/// Nanoseconds in a millisecond.
const NANOS_A_MILLI: i64 = 1_000_000;

/// Nouns of who may do something, and of what lets them.
const IAM: &[&str] = &[
    "agent",
    "api_key",
    "database_reader",
    "grant",
    "group",
    "group_member",
    "identity_provider",
    "invitation",
    "member",
    "ownership",
    "share",
    "user",
];

/// The document.
pub(crate) fn document<'a>(mut record: Record<'a>, origin: &Origin<'a>) -> Value<'a> {
    let text = |text: &'static str| Some(Value::string(text));
    let event = event(&mut record);
    let user = user(&mut record);
    let source = source(&mut record);
    let related = related(user.as_ref(), source.as_ref());
    let observer = object([
        ("vendor", text(PRODUCT)),
        ("product", text(PRODUCT)),
        ("version", text(PRODUCT_VERSION)),
        ("name", Some(Value::string(origin.instance))),
    ]);
    let rule = object([
        ("id", record.take_text(&["decision", "policy_id"])),
        ("version", record.take_text(&["decision", "policy_version"])),
        ("ruleset", record.take_text(&["decision", "engine"])),
    ]);
    object([
        ("@timestamp", record.take_text(&["occurred_at"])),
        ("ecs", object([("version", text(VERSION))])),
        ("event", event),
        ("user", user),
        ("organization", object([("id", record.take_text(&["organization_id"]))])),
        ("source", source),
        ("user_agent", object([("original", record.take_text(&["request", "user_agent"]))])),
        ("http", http(&mut record)),
        ("url", object([("original", record.take_text(&["http", "url"]))])),
        ("trace", object([("id", record.take_text(&["request", "trace_id"]))])),
        ("span", object([("id", record.take_text(&["request", "span_id"]))])),
        ("gen_ai", gen_ai(&mut record)),
        ("rule", rule),
        ("labels", labels(&mut record)),
        ("related", related),
        ("observer", observer),
        ("indelible", record.into_rest()),
    ])
    .unwrap_or(Value::Null)
}

/// `event.*`.
fn event<'a>(record: &mut Record<'a>) -> Option<Value<'a>> {
    let text = |text: &'static str| Some(Value::string(text));
    let action = record.action.clone();
    let activity = activity(&action);
    let is_alert = activity.class == Class::DetectionFinding && activity.id == 1;
    let (categories, types) = kinds(record, activity);
    let outcome = match record.text(&["outcome"]).as_deref() {
        Some("allow") => "success",
        Some("deny" | "error") => "failure",
        _ => "unknown",
    };
    let fits = |value: &Value<'_>| value.as_integer().is_some_and(|millis| millis >= 0 && millis.checked_mul(NANOS_A_MILLI).is_some());
    let duration = record.take_if(&["duration_ms"], fits).and_then(|value| value.as_integer());
    object([
        ("id", record.take_text(&["id"])),
        ("kind", text(if is_alert { "alert" } else { "event" })),
        ("action", record.take_text(&["action"])),
        ("category", Some(array(categories))),
        ("type", Some(array(&types))),
        ("outcome", text(outcome)),
        ("reason", record.take_text(&["reason"])),
        ("sequence", record.take_count(&["sequence"], i64::MAX)),
        ("created", record.take_time(&["recorded_at"])),
        ("duration", duration.map(|millis| Value::integer(millis * NANOS_A_MILLI))),
        ("module", text("indelible")),
        ("dataset", text("indelible.audit")),
        ("provider", text("indelible")),
    ])
}

fn array<'a>(texts: &[&'static str]) -> Value<'a> {
    Value::Array(texts.iter().map(|text| Value::string(*text)).collect())
}

/// `event.category` and `event.type`.
fn kinds(record: &Record<'_>, activity: Activity<'_>) -> (&'static [&'static str], Vec<&'static str>) {
    let noun = record.noun();
    match activity.class {
        Class::DetectionFinding => (&["intrusion_detection"], vec!["info"]),
        Class::AccountChange | Class::GroupManagement => {
            let about = if noun == "user" { "user" } else { "group" };
            (&["iam"], vec![about, lifecycle(activity.name)])
        }
        Class::Authentication => {
            let kind = match activity.id {
                1 => "start",
                2 => "end",
                _ => "info",
            };
            let categories: &[&str] = if noun == "session" { &["authentication", "session"] } else { &["authentication"] };
            (categories, vec![kind])
        }
        Class::EntityManagement if IAM.binary_search(&noun).is_ok() => {
            let about = match noun {
                "user" | "member" => "user",
                "group" => "group",
                _ => "admin",
            };
            (&["iam"], vec![about, lifecycle(activity.name)])
        }
        Class::EntityManagement if activity.name == "Read" => (&["configuration"], vec!["access"]),
        Class::EntityManagement => (&["configuration"], vec![lifecycle(activity.name)]),
        Class::HttpActivity => (&["web"], vec!["access"]),
        Class::ApplicationLifecycle => (&["process"], vec![if activity.name == "Start" { "start" } else { "end" }]),
        Class::ApiActivity => (&["api"], of_api(record, activity)),
    }
}

/// What becomes of a thing.
fn lifecycle(activity_name: &str) -> &'static str {
    match activity_name {
        "Create" => "creation",
        "Delete" => "deletion",
        "Read" => "info",
        _ => "change",
    }
}

/// What is done by an API, and what was decided about it.
fn of_api(record: &Record<'_>, activity: Activity<'_>) -> Vec<&'static str> {
    let kind = match (activity.name, super::ocsf::class::last(&record.action)) {
        ("Create", _) => "creation",
        ("Read", _) => "access",
        ("Update", _) => "change",
        ("Delete", _) => "deletion",
        (_, "start") => "start",
        (_, "finish") => "end",
        _ => "info",
    };
    let decided = match record.text(&["outcome"]).as_deref() {
        Some("allow") if record.get(&["decision"]).is_some() => Some("allowed"),
        Some("deny") => Some("denied"),
        _ => None,
    };
    [Some(kind), decided].into_iter().flatten().collect()
}

/// `user.*`: the actor, and whom it was done to.
fn user<'a>(record: &mut Record<'a>) -> Option<Value<'a>> {
    let target = match record.text(&["resource", "type"]).as_deref() {
        Some("user") => object([("id", record.text(&["resource", "id"]).map(Value::String))]),
        _ => None,
    };
    object([("id", record.take_text(&["actor", "id"])), ("name", record.take_text(&["actor", "display"])), ("target", target)])
}

/// `source.*`: an address, whatever it is, and as an address of the internet where it is one.
fn source<'a>(record: &mut Record<'a>) -> Option<Value<'a>> {
    let address = record.take_text(&["request", "source_ip"]);
    let ip = address.clone().filter(|address| address.as_str().is_some_and(|text| text.parse::<IpAddr>().is_ok()));
    object([("address", address), ("ip", ip)])
}

/// `related.*`, by which one search finds every place.
fn related<'a>(user: Option<&Value<'a>>, source: Option<&Value<'a>>) -> Option<Value<'a>> {
    let ids = [user.and_then(|user| user.get("id")), user.and_then(|user| user.get("target")?.get("id"))];
    let mut ids: Vec<Value<'a>> = ids.into_iter().flatten().cloned().collect();
    ids.dedup();
    let ip = source.and_then(|source| source.get("ip")).cloned();
    object([("user", (!ids.is_empty()).then_some(Value::Array(ids))), ("ip", list(ip))])
}

/// `http.*`: the brokered request, and the id of the one by which it was asked for.
fn http<'a>(record: &mut Record<'a>) -> Option<Value<'a>> {
    let request = object([
        ("id", record.take_text(&["request", "request_id"])),
        ("method", record.take_text(&["http", "method"])),
        ("body", object([("bytes", record.take_count(&["http", "request_bytes"], i64::MAX))])),
    ]);
    let response = object([
        ("status_code", record.take_count(&["http", "status"], i64::MAX)),
        ("body", object([("bytes", record.take_count(&["http", "response_bytes"], i64::MAX))])),
    ]);
    object([("request", request), ("response", response)])
}

/// `gen_ai.*`.
fn gen_ai<'a>(record: &mut Record<'a>) -> Option<Value<'a>> {
    let usage = object([
        ("input_tokens", record.take_count(&["usage", "input_tokens"], INTEGER_MAX)),
        ("output_tokens", record.take_count(&["usage", "output_tokens"], INTEGER_MAX)),
    ]);
    object([
        ("system", record.take_text(&["model", "provider"])),
        ("request", object([("model", record.take_text(&["model", "id"]))])),
        ("usage", usage),
    ])
}

/// `labels.*`: the context, whose values are texts. A key with a dot would become an object there, which may stand against another key; it stays in the
/// rest, as an item of a list.
fn labels<'a>(record: &mut Record<'a>) -> Option<Value<'a>> {
    let is_object = |value: &Value<'_>| value.as_object().is_some_and(|context| !context.is_empty());
    let Some(Value::Object(context)) = record.take_if(&["context"], is_object) else { return None };
    let is_plain = |(key, value): &(Cow<'_, str>, Value<'_>)| !key.contains('.') && value.as_str().is_some();
    let (plain, odd): (Vec<_>, Vec<_>) = context.into_members().into_iter().partition(is_plain);
    if !odd.is_empty() {
        let items = odd.into_iter().filter_map(|(key, value)| object([("key", Some(Value::String(key))), ("value", Some(value))]));
        record.put("context", Value::Array(items.collect()));
    }
    (!plain.is_empty()).then(|| Value::Object(Object::from_distinct(plain)))
}
