//! Kubernetes audit events (audit.k8s.io/v1, <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>),
//! plain or as two clouds wrap them.
//!
//! The id is made of `auditID` and `stage`: one request is reported at several stages, as an intent
//! (`RequestReceived`) and as its outcome, joined by `operation_id`.

mod wrapped;

use indelible_core::event::derived_id;
use indelible_core::fault::Fault;
use indelible_core::json::{Object, Value};

use super::compose::{Composer, at, instant, name, snake, text, text_at, told, word};
use super::{Mapper, invalid};

/// The mapping of Kubernetes audit events.
pub struct Kubernetes;

impl Mapper for Kubernetes {
    fn record<'a>(&mut self, record: Value<'a>, _number: u64) -> Result<Vec<Value<'a>>, Fault> {
        if record.get("protoPayload").is_some() {
            return Ok(vec![wrapped::google(record)?]);
        }
        Ok(vec![map(wrapped::unwrap_azure(record)?)?])
    }
}

fn map(record: Value<'_>) -> Result<Value<'_>, Fault> {
    // Some collectors leave the verb of a request out, but never that there was one.
    let verb = text_at(&record, &["verb"]).or(at(&record, &["requestURI"]).and(Some("request")));
    let verb = verb.ok_or_else(|| invalid("/verb", "a Kubernetes audit event has a verb"))?;
    let sort = text_at(&record, &["objectRef", "resource"]);
    let mut action = snake(sort.unwrap_or("nonresource"));
    if let Some(subresource) = text_at(&record, &["objectRef", "subresource"]) {
        action.push('.');
        action.push_str(&snake(subresource));
    }
    action.push('.');
    action.push_str(&snake(verb));
    let mut event = Composer::new(id(&record), action);
    for member in ["requestReceivedTimestamp", "stageTimestamp", "timestamp"] {
        if let Some(time) = text_at(&record, &[member]) {
            let time = instant(time).ok_or_else(|| invalid(&format!("/{member}"), "a time of RFC 3339 was expected"))?;
            event.put("occurred_at", Some(Value::string(time.to_string())));
            break;
        }
    }
    who(&mut event, text_at(&record, &["user", "username"]), text_at(&record, &["impersonatedUser", "username"]));
    outcome(&mut event, &record);
    resource(&mut event, &record);
    let address = at(&record, &["sourceIPs"]).and_then(Value::as_array).and_then(<[_]>::first).and_then(Value::as_str);
    event
        .put_in("request", "request_id", name(text_at(&record, &["auditID"])))
        .put_in("request", "source_ip", name(address))
        .put_in("request", "user_agent", text(text_at(&record, &["userAgent"])))
        .put("channel", word("api"));
    let groups = at(&record, &["user", "groups"]).and_then(Value::as_array).unwrap_or_default();
    let groups: Vec<_> = groups.iter().filter_map(Value::as_str).map(told).collect();
    event
        .label("source", Some("kubernetes"))
        .label("verb", Some(verb))
        .label("stage", text_at(&record, &["stage"]))
        .label("level", text_at(&record, &["level"]))
        .label("namespace", text_at(&record, &["objectRef", "namespace"]))
        .label("api_group", text_at(&record, &["objectRef", "apiGroup"]))
        .label("user_uid", text_at(&record, &["user", "uid"]))
        .label("groups", Some(&groups.join(",")))
        .label("status_reason", text_at(&record, &["responseStatus", "reason"]));
    content(&mut event, record);
    Ok(event.finish())
}

fn id(record: &Value<'_>) -> uuid::Uuid {
    match text_at(record, &["auditID"]) {
        Some(audit_id) => {
            let stage = text_at(record, &["stage"]).unwrap_or_default();
            derived_id("kubernetes", &[audit_id.as_bytes(), stage.as_bytes()])
        }
        None => derived_id("kubernetes record", &[&record.to_canonical()]),
    }
}

/// What sort of actor a Kubernetes user is, by the names that Kubernetes itself reserves.
fn actor_type(username: &str) -> &'static str {
    match username {
        "system:anonymous" | "system:unauthenticated" => "anonymous",
        _ if username.starts_with("system:serviceaccount:") || username.ends_with("gserviceaccount.com") => "service_account",
        _ if username.starts_with("system:") => "system",
        _ => "human",
    }
}

/// The actor is who authenticated; whom they impersonate is on whose behalf, and whose authority was used.
fn who(event: &mut Composer<'_>, username: Option<&str>, impersonated: Option<&str>) {
    let sort = username.map_or("anonymous", actor_type);
    event.put_in("actor", "type", word(sort)).put_in("actor", "id", name(username)).put_in("actor", "on_behalf_of", name(impersonated));
    if let Some(principal) = impersonated.or(username) {
        let sort = if actor_type(principal) == "human" { "user" } else { "system" };
        event.put_in("principal", "type", word(sort)).put_in("principal", "id", name(Some(principal)));
    }
}

fn outcome(event: &mut Composer<'_>, record: &Value<'_>) {
    let code = at(record, &["responseStatus", "code"]).and_then(Value::as_integer);
    let annotation = |name: &str| text_at(record, &["annotations", name]);
    let decision = annotation("authorization.k8s.io/decision");
    let (outcome, detail) = match code {
        Some(401 | 403) => ("deny", "policy_denial"),
        Some(408 | 504) => ("error", "timeout"),
        Some(400..) => ("error", "provider_error"),
        _ if decision == Some("forbid") => ("deny", "policy_denial"),
        _ if text_at(record, &["stage"]) == Some("Panic") => ("error", "provider_error"),
        _ => ("allow", "success"),
    };
    // Without an id, the stages of a request cannot be joined.
    let stage = text_at(record, &["stage"]).filter(|_| text_at(record, &["auditID"]).is_some());
    match stage {
        Some("RequestReceived") => {
            event.put("phase", word("intent"));
        }
        Some("ResponseComplete" | "Panic") => {
            event.put("phase", word("outcome")).put("outcome", word(outcome)).put("outcome_detail", word(detail));
        }
        _ => {
            event.put("outcome", word(outcome)).put("outcome_detail", word(detail));
        }
    }
    event.put("operation_id", name(text_at(record, &["auditID"])));
    let rule = annotation("authorization.k8s.io/reason");
    event.put("reason", text(text_at(record, &["responseStatus", "message"]).or(rule)));
    if decision.is_some() {
        event.put_in("decision", "engine", word("kubernetes")).put_in("decision", "decision", name(decision)).put_in(
            "decision",
            "rules",
            name(rule).map(|rule| Value::Array(vec![rule])),
        );
    }
    event.put_in("http", "url", text(text_at(record, &["requestURI"]))).put_in(
        "http",
        "status",
        code.filter(|code| (0..=999).contains(code)).map(Value::integer),
    );
}

/// `namespace/name` of the object, `*` for all of them, part of its namespace; for other requests the path.
fn resource(event: &mut Composer<'_>, record: &Value<'_>) {
    let get = |name: &str| text_at(record, &["objectRef", name]);
    let Some(sort) = get("resource") else {
        let path = text_at(record, &["requestURI"]);
        event.put_in("resource", "type", path.and_then(|_| word("url"))).put_in("resource", "id", name(path));
        return;
    };
    let part = |name: &str| get(name).map(told);
    let id = match (part("namespace"), part("name")) {
        (Some(namespace), Some(name)) => Some(format!("{namespace}/{name}")),
        (None, Some(name)) => Some(name.into_owned()),
        (Some(namespace), None) => Some(format!("{namespace}/*")),
        (None, None) => Some("*".to_owned()),
    };
    event.put_in("resource", "type", name(Some(sort))).put_in("resource", "id", name(id.as_deref())).put_in(
        "resource",
        "parent",
        name(get("namespace")),
    );
}

fn content<'a>(event: &mut Composer<'a>, record: Value<'a>) {
    let Value::Object(mut record) = record else { return };
    event.content("arguments", record.remove("requestObject")).content("result", record.remove("responseObject"));
    if record.get("responseStatus").and_then(|status| status.get("code")).and_then(Value::as_integer) >= Some(400) {
        event.content("error", record.get("responseStatus").cloned());
    }
    event.content("extra", Some(Value::Object(record)));
}

/// An empty object, for what is not there.
fn nothing<'a>() -> Value<'a> {
    Value::Object(Object::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use indelible_core::json::parse;

    /// A record, and the members that are to come of it; empty for none.
    type Case = (&'static str, &'static [(&'static str, &'static str)]);

    /// Shapes of panther-labs/panther-analysis (Apache-2.0, see `demo/SOURCES.md`), cut down to what each is about.
    const CASES: &[Case] = &[
        (
            r#"{"verb":"create","auditID":"a","stage":"ResponseComplete","user":{"username":"dev@example.com","groups":["g","h"]},"impersonatedUser":{"username":"system:admin"},"objectRef":{"resource":"pods","subresource":"exec","namespace":"prod","name":"web"},"responseStatus":{"code":403,"message":"no"},"sourceIPs":["1.2.3.4"],"requestReceivedTimestamp":"2022-11-29 00:09:04.38"}"#,
            &[
                ("action", "pods.exec.create"),
                ("occurred_at", "2022-11-29T00:09:04.380000Z"),
                ("actor.type", "human"),
                ("actor.id", "dev@example.com"),
                ("actor.on_behalf_of", "system:admin"),
                ("principal.type", "system"),
                ("principal.id", "system:admin"),
                ("outcome", "deny"),
                ("phase", "outcome"),
                ("operation_id", "a"),
                ("reason", "no"),
                ("resource.type", "pods"),
                ("resource.id", "prod/web"),
                ("resource.parent", "prod"),
                ("request.source_ip", "1.2.3.4"),
                ("context.groups", "g,h"),
                ("http.status", "403"),
            ],
        ),
        (
            r#"{"verb":"get","auditID":"a","stage":"RequestReceived","user":{"username":"system:anonymous"},"requestURI":"/version"}"#,
            &[
                ("action", "nonresource.get"),
                ("actor.type", "anonymous"),
                ("phase", "intent"),
                ("outcome", ""),
                ("resource.type", "url"),
                ("resource.id", "/version"),
            ],
        ),
        (
            r#"{"verb":"list","user":{"username":"system:serviceaccount:ns:sa"},"objectRef":{"resource":"secrets"},"annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":"r"}}"#,
            &[
                ("actor.type", "service_account"),
                ("outcome", "deny"),
                ("decision.decision", "forbid"),
                ("reason", "r"),
                ("phase", ""),
                ("resource.id", "*"),
            ],
        ),
        (
            r#"{"category":"kube-audit","properties":{"log":"{\"verb\":\"delete\",\"user\":{\"username\":\"a\"},\"objectRef\":{\"resource\":\"configmaps\",\"name\":\"c\"},\"responseStatus\":{\"code\":200}}"}}"#,
            &[("action", "configmaps.delete"), ("resource.id", "c"), ("outcome", "allow")],
        ),
        (
            r#"{"protoPayload":{"methodName":"io.k8s.authorization.rbac.v1.clusterrolebindings.create","authenticationInfo":{"principalEmail":"x@p.iam.gserviceaccount.com"},"authorizationInfo":[{"granted":false,"permission":"p"}],"resourceName":"r","request":{"a":"b"}},"timestamp":"2024-01-19 13:47:18.279921000","insertId":"i"}"#,
            &[
                ("action", "clusterrolebindings.create"),
                ("occurred_at", "2024-01-19T13:47:18.279921Z"),
                ("actor.type", "service_account"),
                ("outcome", "deny"),
                ("decision.engine", "gcp_iam"),
                ("resource.id", "r"),
                ("content.arguments.a", "b"),
            ],
        ),
        (
            r#"{"protoPayload":{"methodName":"v2.deploymentmanager.deployments.insert","status":{"code":7,"message":"m"}}}"#,
            &[("action", "deployments.insert"), ("outcome", "deny"), ("reason", "m"), ("actor.type", "anonymous")],
        ),
    ];

    #[test]
    fn members_come_from_where_the_page_says() {
        for (text, expected) in CASES {
            let made = Kubernetes.record(parse(text.as_bytes()).expect("JSON"), 0).expect(text);
            for (path, value) in *expected {
                let path: Vec<&str> = path.split('.').collect();
                assert_eq!(text_at(&made[0], &path).unwrap_or_default(), *value, "{path:?} of {text}");
            }
        }
    }

    #[test]
    fn the_stages_of_one_request_are_events_of_their_own() {
        let id = |text: &'static str| {
            let made = Kubernetes.record(parse(text.as_bytes()).expect("JSON"), 0).expect(text);
            text_at(&made[0], &["id"]).expect("an id").to_owned()
        };
        let complete = id(r#"{"verb":"get","auditID":"a","stage":"ResponseComplete"}"#);
        assert_ne!(complete, id(r#"{"verb":"get","auditID":"a","stage":"RequestReceived"}"#));
        assert_eq!(complete, id(r#"{"stage":"ResponseComplete","auditID":"a","verb":"get","level":"Metadata"}"#));
    }

    #[test]
    fn records_that_lack_what_is_needed_are_refused_with_the_place() {
        for (text, pointer) in [
            ("{}", "/verb"),
            (r#"{"verb":"get","stageTimestamp":"noon"}"#, "/stageTimestamp"),
            (r#"{"properties":{"log":"{"}}"#, "/properties/log"),
            (r#"{"properties":{"log":3}}"#, "/properties/log"),
            (r#"{"protoPayload":{}}"#, "/protoPayload/methodName"),
        ] {
            assert_eq!(Kubernetes.record(parse(text.as_bytes()).expect("JSON"), 0).expect_err(text).pointer, pointer, "{text}");
        }
    }
}
