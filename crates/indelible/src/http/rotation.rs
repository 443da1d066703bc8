//! `POST /v1/audit/keys/rotate`: a new ring, signing or data key serves from now on.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::Value;
use indelible_engine::{KeyArn, Rotated, Rotation};
use serde_json::json;

use super::call::{self, Call};
use super::document;
use super::json::{Document, boolean, members, missing, string, uuid};
use super::problem::Problem;
use super::refusal;
use super::route::{Audit, Handler, Route, Verb};

pub(super) static ROUTE: Route = Route {
    name: "rotate_key",
    verb: Verb::Post,
    path: "/v1/audit/keys/rotate",
    summary: "Rotate a key",
    description: "`hmac` is the ring key of chains and submissions, `signing` the key that signs anchors and checkpoints, `data` the key under \
                  which an organization's new contents are sealed (which also rotates by itself every 30 days). The new key serves at once; what \
                  was made under the old ones verifies and opens under them. A KMS key signs something before it is taken: 422 where it does not. Needs `audit:admin` and a key of the instance; for `data`, one of the \
                  organization will do. An append that was under way may be told 503 and to try again.",
    variables: &[],
    parameters: &[],
    body: |_| {
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["kind"],
            "properties": {
                "kind": {"type": "string", "enum": ["hmac", "signing", "data"]},
                "organization_id": {"type": "string", "format": "uuid", "description": "For `data`; by default the default organization."},
                "kms_key": {"type": "string", "description": "For `signing`: the ARN of an Ed25519 key in AWS KMS, which signs from now on; by default a new key of the server's own."},
                "retire_old": {"type": "boolean", "description": "For `signing`: the keys before it sign no more from now on, rather than beside it for 30 days. For a key that is lost, or that somebody else has."},
            },
        });
        vec![("application/json", schema)]
    },
    status: 201,
    answers: |_| {
        let properties = json!({
            "kind": {"type": "string", "enum": ["hmac_key", "signing_key", "data_key"]},
            "id": {"type": "integer"},
            "since": {"type": "string", "format": "date-time"},
        });
        vec![("application/json", json!({"type": "object", "required": ["kind", "id", "since"], "properties": properties}))]
    },
    problems: document::PROBLEMS,
    audit: Audit::Action("key.rotate"),
    handler: Handler::Keyed(|call, unread| Box::pin(handle(call, unread))),
};

async fn handle(call: Call, unread: Body) -> Result<Response<Body>, Problem> {
    let text = document::read(&call, unread).await?;
    let rotation = document::parse(&text).and_then(|value| read(&value)).map_err(|fault| refusal::resource(&fault))?;
    let rotated = call.app.ledger.rotate_key(&call.caller, rotation).await?;
    Ok(call::json(StatusCode::CREATED, render(&rotated)))
}

fn read(value: &Value<'_>) -> Result<Rotation, Fault> {
    let object = members(value, &["kind", "organization_id", "kms_key", "retire_old"])?;
    let kind = string(object, "kind")?.ok_or_else(|| missing("kind"))?;
    let organization_id = uuid(object, "organization_id")?;
    let kms_key = string(object, "kms_key")?.map(str::parse::<KeyArn>).transpose();
    let kms_key = kms_key.map_err(|error| Fault::new(FaultKind::Invalid, "/kms_key", error.to_string()))?;
    let retire_old = boolean(object, "retire_old")?;
    match Rotation::parse(kind, organization_id) {
        Some(Rotation::Hmac | Rotation::Signing { .. }) if organization_id.is_some() => {
            Err(Fault::new(FaultKind::Invalid, "/organization_id", "only data keys belong to an organization"))
        }
        Some(Rotation::Hmac | Rotation::Data(_)) if kms_key.is_some() => {
            Err(Fault::new(FaultKind::Invalid, "/kms_key", "only keys that sign are in AWS KMS"))
        }
        Some(Rotation::Hmac | Rotation::Data(_)) if retire_old => {
            Err(Fault::new(FaultKind::Invalid, "/retire_old", "only keys that sign go on beside the new one"))
        }
        Some(Rotation::Signing { .. }) => Ok(Rotation::Signing { kms_key, retire_old }),
        Some(rotation) => Ok(rotation),
        None => Err(Fault::new(FaultKind::Invalid, "/kind", "not one of hmac, signing, data")),
    }
}

/// A key that serves now, as JSON.
pub(crate) fn render(rotated: &Rotated) -> Vec<u8> {
    Document::new().text("kind", rotated.kind).number("id", rotated.id).time("since", rotated.since).end()
}
