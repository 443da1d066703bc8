//! An event of OCSF 1.8.0, with the profiles `datetime`, `host`, `security_control`, `trace` and `ai_operation` where its class has them and it says something
//! of theirs.
//!
//! Only what means the same goes into an attribute; the rest is in `unmapped`, under the names that it has in a record.
//! Refused there: a number too large for its attribute (`integer_t` is read as 32 bits), a method that the schema does not list, an address that is none.

pub(crate) mod class;
mod parts;

use class::{Activity, Class};

use super::record::{list, object};
use super::{Origin, Record, Severity};
use crate::json::Value;
use crate::time::Timestamp;

/// The version of the schema.
pub(crate) const VERSION: &str = "1.8.0";

/// The event.
pub(crate) fn event<'a>(mut record: Record<'a>, origin: &Origin<'a>) -> Value<'a> {
    let action = record.action.clone();
    let activity = activity(&action, &record);
    let severity = severity(&record);
    let outcome = Outcome::of(&record, activity);
    // What the class asks for comes first: it is taken before anything else is.
    let of_class = of_class(&mut record, origin, activity.class);
    let mut profiles = vec!["datetime"];
    let ai = ai(&mut record, activity.class, &mut profiles);
    let trace = trace(&mut record, activity.class, &mut profiles);
    if matches!(activity.class, Class::DetectionFinding | Class::HttpActivity | Class::ApplicationLifecycle) {
        profiles.push("host");
    }
    if outcome.action_id.is_some() {
        profiles.push("security_control");
    }
    let actor = parts::actor(&mut record);
    let metadata = parts::metadata(&mut record, origin, &profiles);
    record.take_text(&["action"]);
    record.take_text(&["occurred_at"]);
    let text = |text: &'static str| Some(Value::string(text));
    let name = activity.name.to_owned();
    let members = [
        ("activity_id", Some(Value::integer(activity.id))),
        ("activity_name", Some(Value::string(name))),
        ("category_uid", Some(Value::integer(activity.class.uid() / 1_000))),
        ("class_uid", Some(Value::integer(activity.class.uid()))),
        ("class_name", text(activity.class.caption())),
        ("type_uid", Some(Value::integer(activity.class.uid() * 100 + activity.id))),
        ("time", Some(millis(record.occurred_at))),
        ("time_dt", Some(Value::string(record.occurred_at.to_string()))),
        ("severity_id", Some(Value::integer(severity.0))),
        ("severity", text(severity.1)),
        ("status_id", Some(Value::integer(outcome.status.0))),
        ("status", text(outcome.status.1)),
        ("status_code", record.take_text(&["outcome"])),
        ("status_detail", record.take_text(&["outcome_detail"])),
        ("action_id", outcome.action_id.map(Value::integer)),
        ("message", record.take_text(&["reason"])),
        ("duration", record.take_count(&["duration_ms"], i64::MAX)),
        ("metadata", metadata),
        ("actor", actor),
    ];
    let members = members.into_iter().chain(of_class).chain(ai).chain([("trace", trace)]).collect::<Vec<_>>();
    object(members.into_iter().chain([("unmapped", record.into_rest())])).unwrap_or(Value::Null)
}

/// The activity of a record. That of a brokered request is its method; without one that the schema knows it is API Activity, since the class asks for it.
fn activity<'x>(action: &'x str, record: &Record<'_>) -> Activity<'x> {
    let activity = class::activity(action);
    if activity.class != Class::HttpActivity {
        return activity;
    }
    match record.text(&["http", "method"]).and_then(|method| class::method(&method)) {
        Some((id, name)) => Activity { id, name, ..activity },
        None => Activity { class: Class::ApiActivity, id: class::OTHER, name: class::last(action) },
    }
}

/// Milliseconds since 1970, as `timestamp_t` is.
fn millis(time: Timestamp) -> Value<'static> {
    Value::integer(time.as_micros().div_euclid(1_000))
}

fn severity(record: &Record<'_>) -> (i64, &'static str) {
    match Severity::of(record) {
        Severity::Informational => (1, "Informational"),
        Severity::Notice | Severity::Error => (2, "Low"),
        Severity::Warning => (3, "Medium"),
        Severity::Critical => (5, "Critical"),
    }
}

/// What an outcome is to OCSF.
struct Outcome {
    status: (i64, &'static str),
    action_id: Option<i64>,
}

impl Outcome {
    fn of(record: &Record<'_>, activity: Activity<'_>) -> Self {
        let outcome = record.text(&["outcome"]);
        // A finding has a state of its own in the place of success and failure.
        let status = match (activity.class, activity.id, outcome.as_deref()) {
            (Class::DetectionFinding, 3, _) => (4, "Resolved"),
            (Class::DetectionFinding, ..) => (1, "New"),
            (_, _, Some("allow")) => (1, "Success"),
            (_, _, Some("deny" | "error")) => (2, "Failure"),
            (_, _, Some("partial")) => (99, "partial"),
            _ => (0, "Unknown"),
        };
        let action_id = match outcome.as_deref() {
            Some("allow") => Some(1),
            Some("deny") => Some(2),
            _ => None,
        };
        Self { status, action_id }
    }
}

type Members<'a> = Vec<(&'static str, Option<Value<'a>>)>;

/// The attributes that are the class's own.
fn of_class<'a>(record: &mut Record<'a>, origin: &Origin<'a>, class: Class) -> Members<'a> {
    let mut members = match class {
        Class::DetectionFinding => vec![("finding_info", parts::finding(record)), ("resources", list(parts::resource(record)))],
        Class::AccountChange => vec![("user", parts::named(record, &["resource", "id"]))],
        Class::Authentication => parts::authentication(record, origin),
        Class::EntityManagement => vec![("entity", parts::entity(record))],
        Class::GroupManagement => parts::group(record),
        Class::HttpActivity => Vec::new(),
        Class::ApplicationLifecycle => vec![("app", parts::product())],
        Class::ApiActivity => vec![("api", parts::api(record)), ("resources", list(parts::resource(record)))],
    };
    if !matches!(class, Class::DetectionFinding | Class::ApplicationLifecycle) {
        members.push(("http_response", parts::http_response(record)));
        members.push(("http_request", parts::http_request(record, class)));
        members.push(("src_endpoint", parts::source(record, class)));
    }
    members
}

/// The model and its tokens (profile `ai_operation`).
fn ai<'a>(record: &mut Record<'a>, class: Class, profiles: &mut Vec<&'static str>) -> Members<'a> {
    let named = record.text(&["model", "id"]).zip(record.text(&["model", "provider"]));
    let Some((_, provider)) = named.filter(|_| class == Class::ApiActivity) else { return Vec::new() };
    profiles.push("ai_operation");
    let model = object([("ai_provider", record.take_text(&["model", "provider"])), ("name", record.take_text(&["model", "id"]))]);
    let tokens: Members<'a> = [("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")]
        .map(|(attribute, name)| (attribute, record.take_count(&["usage", name], i64::from(i32::MAX))))
        .into();
    let mut members = vec![("ai_model", model)];
    if tokens.iter().any(|(_, count)| count.is_some()) {
        let service = object([("name", Some(Value::String(provider)))]);
        members.push(("message_context", object([("service", service)].into_iter().chain(tokens))));
    }
    members
}

/// The trace (profile `trace`). A span has a beginning and an end there, of which an event knows nothing.
fn trace<'a>(record: &mut Record<'a>, class: Class, profiles: &mut Vec<&'static str>) -> Option<Value<'a>> {
    if !matches!(class, Class::ApiActivity | Class::HttpActivity) {
        return None;
    }
    let trace = object([("uid", record.take_text(&["request", "trace_id"]))])?;
    profiles.push("trace");
    Some(trace)
}
