//! The objects of OCSF that an event has something for.

use core::net::IpAddr;

use super::class::{self, Class};
use super::{VERSION, millis};
use crate::form::record::{list, object};
use crate::form::{Origin, PRODUCT, PRODUCT_VERSION, Record};
use crate::json::Value;
use crate::time::Timestamp;

/// The largest `integer_t`.
const INTEGER_MAX: i64 = i32::MAX as i64;

/// `metadata`.
pub(super) fn metadata<'a>(record: &mut Record<'a>, origin: &Origin<'a>, profiles: &[&'static str]) -> Option<Value<'a>> {
    let is_number = |value: &Value<'_>| value.as_integer().is_some_and(|number| number > 0);
    let log_version = match record.take_if(&["schema_version"], is_number) {
        Some(Value::Number(number)) => Some(Value::String(number)),
        _ => None,
    };
    let recorded_at = record.text(&["recorded_at"]).and_then(|time| Timestamp::parse(&time));
    let logger = object([("name", Some(Value::string(PRODUCT))), ("uid", Some(Value::string(origin.instance)))]);
    object([
        ("version", Some(Value::string(VERSION))),
        ("profiles", Some(Value::Array(profiles.iter().map(|name| Value::string(*name)).collect()))),
        ("product", product()),
        ("uid", record.take_text(&["id"])),
        ("event_code", Some(Value::String(record.action.clone()))),
        ("sequence", record.take_count(&["sequence"], INTEGER_MAX)),
        ("correlation_uid", record.take_text(&["operation_id"])),
        ("tenant_uid", record.take_text(&["organization_id"])),
        ("log_name", record.take_text(&["project_id"])),
        ("log_provider", Some(Value::string(PRODUCT))),
        ("log_version", log_version),
        ("logged_time", recorded_at.map(millis)),
        ("logged_time_dt", record.take_time(&["recorded_at"])),
        ("original_time", record.take_text(&["claimed_at"])),
        ("reporter", object([("uid", record.take_text(&["recorder", "api_key_id"]))])),
        ("loggers", list(logger)),
    ])
}

/// `product`: this program.
pub(super) fn product<'a>() -> Option<Value<'a>> {
    let text = |text: &'static str| Some(Value::string(text));
    object([("name", text(PRODUCT)), ("vendor_name", text(PRODUCT)), ("version", text(PRODUCT_VERSION))])
}

/// `actor`: who did it, with the key that was used and the decision about it.
pub(super) fn actor<'a>(record: &mut Record<'a>) -> Option<Value<'a>> {
    let key = object([("uid", record.take_text(&["request", "api_key_id"]))]);
    let key = list(key);
    let user = user(record, key);
    // A policy without an id is none.
    let policy = record.text(&["decision", "policy_id"]).and_then(|_| {
        object([("uid", record.take_text(&["decision", "policy_id"])), ("version", record.take_text(&["decision", "policy_version"]))])
    });
    let decision = object([("decision", record.take_text(&["decision", "decision"])), ("policy", policy)]);
    object([("user", user), ("authorizations", list(decision))])
}

fn user<'a>(record: &mut Record<'a>, keys: Option<Value<'a>>) -> Option<Value<'a>> {
    let kind = record.text(&["actor", "type"]);
    // The name goes with the number; a sort that the schema has no number for keeps its own.
    let (type_id, type_name) = match kind.as_deref() {
        Some("human") => (1, Some(Value::string("User"))),
        Some("system") => (3, Some(Value::string("System"))),
        Some("service_account") => (4, Some(Value::string("Service"))),
        Some("agent") => (99, record.take_text(&["actor", "type"])),
        _ => (0, Some(Value::string("Unknown"))),
    };
    let id = record.take_text(&["actor", "id"]);
    let name = record.take_text(&["actor", "display"]);
    // One of both has to be there.
    let name = name.or_else(|| id.is_none().then(|| Value::String(kind.unwrap_or("unknown".into()))));
    object([
        ("uid", id),
        ("name", name),
        ("type", type_name),
        ("type_id", Some(Value::integer(type_id))),
        ("programmatic_credentials", keys),
    ])
}

/// An object whose `uid` is this member, and that is called unknown where there is none.
pub(super) fn named<'a>(record: &mut Record<'a>, path: &[&str]) -> Option<Value<'a>> {
    match record.take_text(path) {
        Some(id) => object([("uid", Some(id))]),
        None => object([("name", Some(Value::string("unknown")))]),
    }
}

/// `resource_details`: what it was done to.
pub(super) fn resource<'a>(record: &mut Record<'a>) -> Option<Value<'a>> {
    record.get(&["resource", "id"])?.as_str()?;
    object([("uid", record.take_text(&["resource", "id"])), ("type", record.take_text(&["resource", "type"]))])
}

/// `managed_entity`: what was managed, by its noun where the event names nothing.
pub(super) fn entity<'a>(record: &mut Record<'a>) -> Option<Value<'a>> {
    let noun = Value::string(record.noun().to_owned());
    let id = record.take_text(&["resource", "id"]);
    let kind = record.text(&["resource", "type"]).unwrap_or_else(|| record.noun().to_owned().into());
    // As with actors: the schema's name goes with its number.
    let (type_id, type_name) = match kind.as_ref() {
        "user" => (2, Value::string("User")),
        "group" => (3, Value::string("Group")),
        "organization" => (4, Value::string("Organization")),
        "policy" => (5, Value::string("Policy")),
        _ => (99, record.take_text(&["resource", "type"]).unwrap_or(Value::String(kind))),
    };
    let name = id.is_none().then_some(noun);
    object([("uid", id), ("name", name), ("type", Some(type_name)), ("type_id", Some(Value::integer(type_id)))])
}

/// `group`, and the `user` who came into it or left it: a membership names its group as its parent.
pub(super) fn group<'a>(record: &mut Record<'a>) -> super::Members<'a> {
    if record.noun() == "group_member" && record.text(&["resource", "parent"]).is_some() {
        return vec![("group", named(record, &["resource", "parent"])), ("user", named(record, &["resource", "id"]))];
    }
    vec![("group", named(record, &["resource", "id"]))]
}

/// Who signs in, to what. `user` is the actor again, since the class asks for both.
pub(super) fn authentication<'a>(record: &mut Record<'a>, origin: &Origin<'a>) -> super::Members<'a> {
    let id = record.text(&["actor", "id"]).map(Value::String);
    let name = record.text(&["actor", "display"]).or_else(|| record.text(&["actor", "type"]));
    let name = name.or_else(|| id.is_none().then(|| "unknown".into())).map(Value::String);
    let method = record.take_text(&["request", "auth_method"]);
    let protocol_id = method.is_some().then(|| Value::integer(99));
    let is_mfa = (record.noun() == "mfa").then_some(Value::Bool(true));
    vec![
        ("user", object([("uid", id), ("name", name)])),
        ("service", object([("name", Some(Value::string(origin.instance)))])),
        ("auth_protocol", method),
        ("auth_protocol_id", protocol_id),
        ("is_mfa", is_mfa),
    ]
}

/// `finding_info`: the finding is called by what it is about.
pub(super) fn finding<'a>(record: &mut Record<'a>) -> Option<Value<'a>> {
    let about = record.text(&["resource", "id"]).unwrap_or_else(|| record.id.clone());
    object([("uid", Some(Value::String(about))), ("title", Some(Value::String(record.action.clone())))])
}

/// `api`.
pub(super) fn api<'a>(record: &mut Record<'a>) -> Option<Value<'a>> {
    let request = object([("uid", record.take_text(&["request", "request_id"]))]);
    object([("operation", Some(Value::String(record.action.clone()))), ("request", request)])
}

/// `http_request`: the brokered one where the event has it, else the one by which it was asked for.
pub(super) fn http_request<'a>(record: &mut Record<'a>, class: Class) -> Option<Value<'a>> {
    if record.get(&["http"]).is_none() {
        let uid = if class == Class::ApiActivity { None } else { record.take_text(&["request", "request_id"]) };
        return object([("user_agent", record.take_text(&["request", "user_agent"])), ("uid", uid)]);
    }
    let url = object([("url_string", record.take_text(&["http", "url"]))]);
    let is_known = |value: &Value<'_>| value.as_str().is_some_and(|method| class::method(method).is_some());
    object([
        ("http_method", record.take_if(&["http", "method"], is_known)),
        ("url", url),
        ("body_length", record.take_count(&["http", "request_bytes"], INTEGER_MAX)),
    ])
}

/// `http_response`: what has no status is no answer.
pub(super) fn http_response<'a>(record: &mut Record<'a>) -> Option<Value<'a>> {
    let code = record.take_count(&["http", "status"], INTEGER_MAX)?;
    object([
        ("code", Some(code)),
        ("latency", record.take_count(&["http", "latency_ms"], INTEGER_MAX)),
        ("body_length", record.take_count(&["http", "response_bytes"], INTEGER_MAX)),
    ])
}

/// `src_endpoint`. API Activity asks for one always.
pub(super) fn source<'a>(record: &mut Record<'a>, class: Class) -> Option<Value<'a>> {
    let is_address = |value: &Value<'_>| value.as_str().is_some_and(|text| text.parse::<IpAddr>().is_ok());
    if let Some(address) = record.take_if(&["request", "source_ip"], is_address) {
        return object([("ip", Some(address))]);
    }
    let name = record.take_text(&["request", "source_ip"]);
    let name = name.or_else(|| (class == Class::ApiActivity).then(|| Value::string("unknown")));
    object([("name", name)])
}
