//! Kubernetes audit events as clouds deliver them: Google Cloud's AuditLog (`protoPayload`, methods such as
//! `io.k8s.core.v1.pods.exec.create`), and Azure's diagnostic lines, which hold the event as JSON in a string.

use indelible_core::event::derived_id;
use indelible_core::fault::Fault;
use indelible_core::json::{self, Value};

use super::super::compose::{Composer, at, instant, name, snake, text, text_at, told, word};
use super::super::invalid;

/// The event inside an Azure diagnostic line; any other record as it is.
pub(super) fn unwrap_azure(record: Value<'_>) -> Result<Value<'_>, Fault> {
    let Some(log) = at(&record, &["properties", "log"]) else { return Ok(record) };
    match log {
        Value::String(log) => {
            let inner = json::parse(log.as_bytes()).map_err(|fault| fault.within("log").within("properties"))?;
            Ok(inner.into_owned())
        }
        Value::Object(_) => Ok(log.clone()),
        _ => Err(invalid("/properties/log", "the audit event was expected, as JSON or as a string that is JSON")),
    }
}

/// A record of Google Cloud's audit log.
pub(super) fn google(record: Value<'_>) -> Result<Value<'_>, Fault> {
    let get = |path: &[&str]| text_at(&record, path);
    let method =
        get(&["protoPayload", "methodName"]).ok_or_else(|| invalid("/protoPayload/methodName", "an audit log entry has a methodName"))?;
    let method = told(method);
    let method = method.as_ref();
    let mut event = Composer::new(id(&record), action(method));
    if let Some(time) = get(&["timestamp"]).or(get(&["protoPayload", "timestamp"])).or(get(&["receiveTimestamp"])) {
        let time = instant(time).ok_or_else(|| invalid("/timestamp", "a time of RFC 3339 was expected"))?;
        event.put("occurred_at", Some(Value::string(time.to_string())));
    }
    super::who(&mut event, get(&["protoPayload", "authenticationInfo", "principalEmail"]), None);
    outcome(&mut event, &record);
    event
        .put_in("resource", "type", name(get(&["protoPayload", "resourceName"]).and(Some(noun(method).as_str()))))
        .put_in("resource", "id", name(get(&["protoPayload", "resourceName"])))
        .put_in("resource", "parent", name(get(&["protoPayload", "resourceName"]).and(get(&["resource", "labels", "cluster_name"]))))
        .put_in("request", "request_id", name(get(&["insertId"])))
        .put_in(
            "request",
            "source_ip",
            name(get(&["protoPayload", "requestMetadata", "callerIp"]).or(get(&["protoPayload", "requestMetadata", "callerIP"]))),
        )
        .put_in("request", "user_agent", text(get(&["protoPayload", "requestMetadata", "callerSuppliedUserAgent"])))
        .put("channel", word("api"))
        .label("source", Some("gcp_audit"))
        .label("method_name", Some(method))
        .label("service_name", get(&["protoPayload", "serviceName"]))
        .label("project", get(&["resource", "labels", "project_id"]))
        .label("cluster", get(&["resource", "labels", "cluster_name"]));
    let Value::Object(mut members) = record else { return Err(invalid("", "an audit log entry is an object")) };
    if let Some(Value::Object(payload)) = members.get_mut("protoPayload") {
        event.content("arguments", payload.remove("request")).content("result", payload.remove("response"));
    }
    event.content("extra", Some(Value::Object(members)));
    Ok(event.finish())
}

fn id(record: &Value<'_>) -> uuid::Uuid {
    match (text_at(record, &["insertId"]), text_at(record, &["timestamp"])) {
        (Some(insert_id), Some(time)) => {
            let log = text_at(record, &["logName"]).unwrap_or_default();
            derived_id("gcp audit", &[log.as_bytes(), time.as_bytes(), insert_id.as_bytes()])
        }
        _ => derived_id("gcp audit record", &[&record.to_canonical()]),
    }
}

/// `io.k8s.core.v1.pods.exec.create` is `pods.exec.create`; of other methods the last two parts count.
fn action(method: &str) -> String {
    let parts: Vec<&str> = method.split('.').filter(|part| !part.is_empty()).collect();
    let is_version = |part: &&str| part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let after_version = parts.iter().position(is_version).map(|n| &parts[n + 1..]).filter(|rest| rest.len() >= 2);
    let kept = match after_version {
        Some(rest) if parts.starts_with(&["io", "k8s"]) => rest,
        _ => &parts[parts.len().saturating_sub(2)..],
    };
    let mut kept: Vec<String> = kept.iter().map(|part| snake(part)).collect();
    if kept.len() < 2 {
        kept.insert(0, "gcp".to_owned());
    }
    kept.join(".")
}

fn noun(method: &str) -> String {
    let action = action(method);
    action.split('.').next().unwrap_or_default().to_owned()
}

fn outcome(event: &mut Composer<'_>, record: &Value<'_>) {
    let empty = super::nothing();
    let payload = record.get("protoPayload").unwrap_or(&empty);
    let checks = at(payload, &["authorizationInfo"]).or(at(record, &["authorizationInfo"])).and_then(Value::as_array).unwrap_or_default();
    let refused = checks.iter().find(|check| matches!(check.get("granted"), Some(Value::Bool(false))));
    let code = at(payload, &["status", "code"]).and_then(Value::as_integer);
    // google.rpc.Code: 4 DEADLINE_EXCEEDED, 7 PERMISSION_DENIED, 16 UNAUTHENTICATED
    let (outcome, detail) = match code {
        Some(7 | 16) => ("deny", "policy_denial"),
        Some(4) => ("error", "timeout"),
        Some(1..) => ("error", "provider_error"),
        _ if refused.is_some() => ("deny", "policy_denial"),
        _ => ("allow", "success"),
    };
    event.put("outcome", word(outcome)).put("outcome_detail", word(detail));
    event.put("reason", text(text_at(payload, &["status", "message"])));
    if let Some(check) = refused.or(checks.first()) {
        event
            .put_in("decision", "engine", word("gcp_iam"))
            .put_in("decision", "decision", word(if refused.is_some() { "deny" } else { "allow" }))
            .put_in("decision", "rules", name(text_at(check, &["permission"])).map(|rule| Value::Array(vec![rule])));
    }
}
