//! `POST /v1/api_keys`: makes a key, within what its maker's key belongs to and allows.

use axum::body::Body;
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{Response, StatusCode};
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::{Object, Value};
use indelible_core::time::Timestamp;
use indelible_engine::access::{KeyKind, Owner, Scope};
use indelible_engine::resource::NewApiKey;
use serde_json::json;

use super::super::call::{self, Call};
use super::super::json::{members, missing, string};
use super::super::problem::Problem;
use super::super::refusal;
use super::super::route::{Audit, Handler, Route, Verb};
use super::super::{document, owner, schema};
use super::{kind_schema, render, scopes_schema};

pub(in super::super) static ROUTE: Route = Route {
    name: "create_api_key",
    verb: Verb::Post,
    path: "/v1/api_keys",
    summary: "Make an API key",
    description: "It belongs to what `owner` names (by default, to what the caller's own key belongs to) and may do no more than the caller's key. \
                  `key` is shown in this answer and never again. Needs `control:write`.",
    variables: &[],
    parameters: &[],
    body: |_| {
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["name", "scopes"],
            "properties": {
                "name": {"type": "string"},
                "scopes": scopes_schema(),
                "kind": kind_schema(),
                "owner": owner::schema(),
                "expires_at": {"type": "string", "format": "date-time"},
            },
        });
        vec![("application/json", schema)]
    },
    status: 201,
    answers: |_| vec![("application/json", schema::reference("ApiKey"))],
    problems: document::PROBLEMS,
    audit: Audit::Action("api_key.create"),
    handler: Handler::Keyed(|call, unread| Box::pin(handle(call, unread))),
};

async fn handle(call: Call, unread: Body) -> Result<Response<Body>, Problem> {
    let text = document::read(&call, unread).await?;
    let new = document::parse(&text).and_then(|value| read(&value, call.caller.owner())).map_err(|fault| refusal::resource(&fault))?;
    let (key, secret) = call.app.ledger.create_api_key(&call.caller, new).await?;
    let mut response = call::json(StatusCode::CREATED, render(&key, Some(&secret)));
    if let Ok(location) = HeaderValue::try_from(format!("{}/{}", ROUTE.path, key.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

fn read(value: &Value<'_>, own: Owner) -> Result<NewApiKey, Fault> {
    let object = members(value, &["name", "scopes", "kind", "owner", "expires_at"])?;
    let expires_at = string(object, "expires_at")?
        .map(|text| Timestamp::parse(text).ok_or_else(|| Fault::new(FaultKind::Invalid, "/expires_at", "must be a time of RFC 3339")))
        .transpose()?;
    Ok(NewApiKey {
        name: string(object, "name")?.ok_or_else(|| missing("name"))?.to_owned(),
        owner: object.get("owner").map_or(Ok(own), |owner| owner::read(owner).map_err(|fault| fault.within("owner")))?,
        kind: read_kind(object)?,
        scopes: read_scopes(object)?,
        expires_at,
    })
}

fn read_kind(object: &Object<'_>) -> Result<KeyKind, Fault> {
    let Some(word) = string(object, "kind")? else { return Ok(KeyKind::Application) };
    KeyKind::parse(word).ok_or_else(|| {
        let words = KeyKind::ALL.map(KeyKind::as_str).join(", ");
        Fault::new(FaultKind::Invalid, "/kind", format!("must be one of: {words}"))
    })
}

fn read_scopes(object: &Object<'_>) -> Result<Vec<Scope>, Fault> {
    let items = object.get("scopes").ok_or_else(|| missing("scopes"))?;
    let items = items.as_array().ok_or_else(|| Fault::new(FaultKind::Invalid, "/scopes", "must be an array of strings"))?;
    let mut scopes = Vec::new();
    for (n, item) in items.iter().enumerate() {
        let scope = item.as_str().and_then(Scope::parse).ok_or_else(|| {
            let words: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
            Fault::new(FaultKind::Invalid, format!("/scopes/{n}"), format!("must be one of: {}", words.join(", ")))
        })?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(scopes)
}

#[cfg(test)]
mod tests {
    use indelible_core::json::parse;

    use super::*;

    #[test]
    fn faults_point_at_their_place() {
        let cases = [
            ("[]", ""),
            ("{}", "/name"),
            (r#"{"name":1}"#, "/name"),
            (r#"{"name":"a"}"#, "/scopes"),
            (r#"{"name":"a","scopes":"audit:read"}"#, "/scopes"),
            (r#"{"name":"a","scopes":["audit:read","x"]}"#, "/scopes/1"),
            (r#"{"name":"a","scopes":[],"secret":"s"}"#, "/secret"),
            (r#"{"name":"a","scopes":[],"kind":"x"}"#, "/kind"),
            (r#"{"name":"a","scopes":[],"expires_at":"tomorrow"}"#, "/expires_at"),
            (r#"{"name":"a","scopes":[],"owner":{"type":"project"}}"#, "/owner/id"),
            (r#"{"name":"a","scopes":[],"owner":{"type":"project","id":"x"}}"#, "/owner/id"),
            (r#"{"name":"a","scopes":[],"owner":{"type":"galaxy"}}"#, "/owner/type"),
            (r#"{"name":"a","scopes":[],"owner":{}}"#, "/owner/type"),
        ];
        for (text, pointer) in cases {
            let fault = read(&parse(text.as_bytes()).expect(text), Owner::Instance).expect_err(text);
            assert_eq!(fault.pointer, pointer, "{text}");
        }
        let text = br#"{"name":"a","scopes":["audit:read","audit:read"]}"#;
        let new = read(&parse(text).expect("JSON"), Owner::Instance).expect("valid");
        assert_eq!((new.owner, new.kind, new.scopes), (Owner::Instance, KeyKind::Application, vec![Scope::AuditRead]));
    }
}
