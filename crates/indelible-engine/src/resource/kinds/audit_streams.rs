//! Audit streams: where the committed events of a project are to be sent, which of them, and in what form. Delivery is not built
//! yet: what is said here is checked, kept and recorded.
//!
//! A header that holds a credential is sealed, and is given again when the address changes: nobody sends it elsewhere who does not
//! know it. Contents are sent only by who may open them, for a purpose.

use std::collections::BTreeMap;

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::filter::Filter;
use indelible_core::limits::{FILTER_BYTES_MAX, NAME_BYTES_MAX, PURPOSE_BYTES_MAX, TEXT_BYTES_MAX};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::kind::{Actions, Admission, Kind, Level, Number, Rare, Spec, Verb, schema, strict, typed};
use super::super::{Kept, MutateError};
use super::{check_text, webhook_signing_keys};
use crate::access::{Owner, Scope};

/// Headers, of either sort, at most.
const HEADERS_MAX: usize = 32;
/// Bytes of a URL at most.
const URL_BYTES_MAX: usize = 2_048;
/// Events of one delivery at most.
const BATCH_EVENTS_MAX: u32 = 1_000;

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditStream {
    /// A name for people.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) name: String,
    /// `https://`, without user, password and fragment.
    pub(crate) url: String,
    /// Headers that are sent along and hold no credential.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    /// Headers whose values are sealed, and shown as `[SEALED]`; that word leaves one as it is. They are given anew with a new `url`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) secret_headers: BTreeMap<String, String>,
    /// Events of these categories; of all, where none is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) categories: Vec<String>,
    /// Events that match, as in `GET /v1/audit/events`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<String>,
    /// What an event is sent as.
    #[serde(default)]
    pub(crate) format: Format,
    /// Events in one delivery, 1 to 1000.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) batch_events_max: u32,
    /// Send contents too, for this purpose. Needs `content:decrypt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content_purpose: Option<String>,
    /// The webhook signing key; the primary ones where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "uuid"))]
    pub(crate) signing_key_id: Option<String>,
    /// Whether it is to deliver; changed by `pause` and `resume`.
    #[serde(default)]
    pub(crate) state: State,
    /// Why it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state_reason: Option<String>,
}

/// What an event is sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// The entry.
    #[default]
    Native,
    /// OCSF.
    Ocsf,
    /// CloudEvents.
    Cloudevents,
    /// Elastic Common Schema.
    Ecs,
}

/// Whether it delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It does.
    #[default]
    Running,
    /// It does not.
    Paused,
}

/// What is said with `pause`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pause {
    /// Why, in words.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// What is said with `resume`: nothing.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resume {}

const fn one() -> u32 {
    1
}

impl Spec for AuditStream {
    fn check(&self) -> Result<(), Fault> {
        check_text("name", &self.name, NAME_BYTES_MAX)?;
        check_url(&self.url)?;
        check_headers(self)?;
        if let Some(at) = self.categories.iter().position(|category| !is_category(category)) {
            let fault = Fault::new(FaultKind::Invalid, "", "is the first part of an action, as in `policy` of `policy.create`");
            return Err(fault.within(&at.to_string()).within("categories"));
        }
        if let Some(filter) = &self.filter {
            let wrong = |message: String| Fault::new(FaultKind::Invalid, "/filter", message);
            if filter.len() > FILTER_BYTES_MAX {
                return Err(wrong(format!("has at most {FILTER_BYTES_MAX} bytes")));
            }
            Filter::parse(filter).map_err(|error| wrong(format!("at byte {}: {}", error.at, error.message)))?;
        }
        if !(1..=BATCH_EVENTS_MAX).contains(&self.batch_events_max) {
            return Err(Fault::new(FaultKind::Invalid, "/batch_events_max", format!("is 1 to {BATCH_EVENTS_MAX}")));
        }
        if let Some(purpose) = &self.content_purpose {
            check_text("content_purpose", purpose, PURPOSE_BYTES_MAX)?;
        }
        if self.signing_key_id.as_ref().is_some_and(|id| Uuid::try_parse(id).is_err()) {
            return Err(Fault::new(FaultKind::Invalid, "/signing_key_id", "is not a UUID"));
        }
        match (&self.state_reason, self.state) {
            (Some(_), State::Running) => Err(Fault::new(FaultKind::Invalid, "/state_reason", "says why a stream is paused")),
            (Some(reason), State::Paused) => check_text("state_reason", reason, TEXT_BYTES_MAX),
            (None, _) => Ok(()),
        }
    }
}

fn is_category(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn check_url(url: &str) -> Result<(), Fault> {
    let rest = url.strip_prefix("https://").unwrap_or_default();
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let plain =
        url.len() <= URL_BYTES_MAX && url.bytes().all(|byte| (0x21..0x7f).contains(&byte)) && !url.contains(['#', '"', '<', '>', '\\']);
    if !plain || host.is_empty() || host.starts_with(':') || host.contains('@') {
        let message = format!("is an https URL of at most {URL_BYTES_MAX} bytes, without user, password and fragment");
        return Err(Fault::new(FaultKind::Invalid, "/url", message));
    }
    Ok(())
}

fn check_headers(stream: &AuditStream) -> Result<(), Fault> {
    if stream.headers.len() + stream.secret_headers.len() > HEADERS_MAX {
        return Err(Fault::new(FaultKind::Invalid, "/headers", format!("at most {HEADERS_MAX} in all")));
    }
    for (member, headers) in [("headers", &stream.headers), ("secret_headers", &stream.secret_headers)] {
        for (name, value) in headers {
            let fault = |message: &str| Err(Fault::new(FaultKind::Invalid, "", message).within(name).within(member));
            if name.is_empty() || name.len() > 128 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
                return fault("is not the name of a header");
            }
            let lower = name.to_ascii_lowercase();
            if lower.starts_with("webhook-")
                || [
                    "host",
                    "content-type",
                    "content-length",
                    "content-encoding",
                    "transfer-encoding",
                    "connection",
                    "te",
                    "trailer",
                    "upgrade",
                ]
                .contains(&lower.as_str())
            {
                return fault("is set by Indelible itself");
            }
            if value.is_empty() || value.len() > TEXT_BYTES_MAX || !value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
                return fault("has 1 to 4096 printable ASCII characters");
            }
            let secret = ["authorization", "cookie", "token", "apikey", "secret", "password", "signature", "credential"];
            if member == "headers" && secret.iter().any(|end| lower.replace(['-', '_', '.'], "").ends_with(end)) {
                return fault("holds a credential: it belongs into secret_headers");
            }
        }
    }
    Ok(())
}

/// Its key is there, its state changes by its verbs alone, sealed headers go where they were meant to go, and contents leave by who may
/// open them.
fn admit(admission: &Admission<'_>) -> Result<(), MutateError> {
    let Some(after) = admission.after else { return Ok(()) };
    let Some(stream) = after.typed::<AuditStream>() else { return Ok(()) };
    let was = admission.before.and_then(Kept::typed::<AuditStream>);
    let fault = |pointer: &str, message: &str| Err(Fault::new(FaultKind::Invalid, pointer, message).into());
    if let Some(was) = &was {
        if admission.verb.is_none() && (was.state, &was.state_reason) != (stream.state, &stream.state_reason) {
            return fault("/state", "is changed by pause and resume");
        }
        let stays =
            admission.before.is_some_and(|before| after.sealed.values().any(|sealed| before.sealed.values().any(|was| was == sealed)));
        if was.url != stream.url && stays {
            return fault("/secret_headers", "are given anew with a new url, so that nobody sends them elsewhere who does not know them");
        }
    }
    let same = |was: &AuditStream| AuditStream { state: stream.state, state_reason: stream.state_reason.clone(), ..was.clone() } == stream;
    if stream.content_purpose.is_some() && !was.as_ref().is_some_and(same) && !admission.caller.has(Scope::ContentDecrypt) {
        return Err(MutateError::Forbidden(Scope::ContentDecrypt.as_str().to_owned()));
    }
    let Some(id) = stream.signing_key_id.as_ref().and_then(|id| Uuid::try_parse(id).ok()) else { return Ok(()) };
    let organization = match admission.owner {
        Owner::Project(project) => admission.registry.project(project).map(|project| Owner::Organization(project.organization_id)),
        owner => Some(owner),
    };
    let key = admission.registry.kept(&webhook_signing_keys::KIND, id);
    if key.is_some_and(|key| key.owner == admission.owner || Some(key.owner) == organization) {
        return Ok(());
    }
    fault("/signing_key_id", "is no webhook signing key of the same project or its organization")
}

fn turned(document: &str, state: State, reason: Option<String>, already: &'static str) -> Result<String, MutateError> {
    let mut stream: AuditStream = typed(document)?;
    if stream.state == state {
        return Err(MutateError::Conflict(already));
    }
    (stream.state, stream.state_reason) = (state, reason);
    serde_json::to_string(&stream).map_err(|error| Fault::new(FaultKind::Invalid, "", error.to_string()).into())
}

fn pause(document: &str, said: &str) -> Result<String, MutateError> {
    let Pause { reason } = typed(said)?;
    if let Some(reason) = &reason {
        check_text("reason", reason, TEXT_BYTES_MAX)?;
    }
    turned(document, State::Paused, reason, "the stream is paused already")
}

fn resume(document: &str, said: &str) -> Result<String, MutateError> {
    let Resume {} = typed(said)?;
    turned(document, State::Running, None, "the stream is running already")
}

pub(crate) static KIND: Kind = Kind {
    noun: "audit_stream",
    plural: "audit_streams",
    doc: "Where the committed events of a project, or of all projects of an organization, are to be sent. Delivery itself is not built yet.",
    levels: &[Level::Organization, Level::Project],
    number: Number::Many,
    scope: Scope::AuditWrite,
    actions: Actions { create: Some("audit_stream.create"), update: Some("audit_stream.update"), delete: Some("audit_stream.delete") },
    schema: schema::<AuditStream>,
    example: r#"{"name":"to the SIEM","url":"https://siem.example/in","headers":{"X-Source":"indelible"},"secret_headers":{"Authorization":"Splunk 2f1c7a4e-example"},"categories":["policy"],"filter":"outcome eq \"deny\"","format":"native","batch_events_max":100}"#,
    read: strict::<AuditStream>,
    admit: Some(admit),
    rare: Rare {
        secrets: &["/secret_headers/*"],
        verbs: &[
            Verb { name: "pause", action: "audit_stream.pause", doc: "Pause a stream.", schema: schema::<Pause>, apply: pause },
            Verb {
                name: "resume",
                action: "audit_stream.resume",
                doc: "Let a paused stream go on.",
                schema: schema::<Resume>,
                apply: resume,
            },
        ],
        ..Rare::NONE
    },
};
