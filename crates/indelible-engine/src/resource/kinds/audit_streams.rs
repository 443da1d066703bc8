//! Audit streams: where the committed events of a project are sent, which of them, and in what form. What is said here is checked, kept and
//! recorded; delivery itself is in `stream/`.
//!
//! A header that holds a credential is sealed, and is given again when the address changes: nobody sends it elsewhere who does not
//! know it. Contents are sent only by who may open them, for a purpose.

use std::collections::BTreeMap;

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::filter::Filter;
use indelible_core::limits::{FILTER_BYTES_MAX, NAME_BYTES_MAX, PURPOSE_BYTES_MAX, TEXT_BYTES_MAX};
use indelible_core::{form, frame};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::kind::{Actions, Admission, Kind, Level, Number, Rare, Spec, Verb, schema, strict, typed};
use super::super::{Kept, MutateError};
use super::{check_text, webhook_signing_keys};
use crate::access::{Owner, Scope};
use crate::stream::Route;
use crate::stream::host::{self, Host, HttpsUrl, check_file_name};

/// Headers, of either sort, at most.
const HEADERS_MAX: usize = 32;
/// Bytes of a URL at most.
const URL_BYTES_MAX: usize = 2_048;
/// Events of one delivery at most.
const BATCH_EVENTS_MAX: u32 = 1_000;
/// Events of one delivery to what is no webhook, where nobody says how many.
const BATCH_EVENTS: u32 = 500;
/// Tries before a dead letter at most.
const TRIES_MAX: u32 = 20;
/// Categories of a stream at most.
const CATEGORIES_MAX: usize = 64;
/// Of syslog over TLS (RFC 5425, section 4.1).
const SYSLOG_PORT: u16 = 6514;

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditStream {
    /// A name for people.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) name: String,
    /// What receives it.
    #[serde(default)]
    pub(crate) destination: Destination,
    /// Of a webhook, of Splunk and of OTLP: `https://`, without user, password and fragment, as it is called. Of syslog: `tls://HOST` or `tls://HOST:PORT`; 6514 if no port is said. Of a file: `file:NAME`, its name in the folder of the server.
    pub(crate) url: String,
    /// Headers that are sent along and hold no credential. Refused are names that end with what names a credential (`key`, `auth`, `token`, `secret`, `password`, `signature` and the like, whatever the case, `-` and `_`): those belong into `secret_headers`.
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
    /// Events in one delivery, 1 to 1000. If absent, 1 of a webhook and 500 of anything else. A webhook that is sent several gets an array, of one event too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) batch_events_max: Option<u32>,
    /// With which event it begins. Said when the stream is made, and not changed; what came before is sent by `replay`.
    #[serde(default)]
    pub(crate) start: Start,
    /// After so many tries, 1 to 20, an event that the receiver refuses (a 4xx that speaks of the event: not 401, 403, 404, 407, 408, 410, 421, 425, 429) becomes a dead letter, and delivery goes on with the next. If absent it does not: the event is tried for a day, then the stream pauses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub(crate) dead_letter_after: Option<u32>,
    /// Send contents too, for this purpose. Needs `content:decrypt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content_purpose: Option<String>,
    /// The key that signs deliveries to a webhook; the primary ones where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "uuid"))]
    pub(crate) signing_key_id: Option<String>,
    /// The key that signs beside that one, while it takes this one's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "uuid"))]
    pub(crate) previous_signing_key_id: Option<String>,
    /// Whether it is to deliver; changed by `pause` and `resume`.
    #[serde(default)]
    pub(crate) state: State,
    /// Why it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state_reason: Option<String>,
}

/// What receives a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Destination {
    /// Whoever understands Standard Webhooks.
    #[default]
    Webhook,
    /// The HTTP event collector of Splunk.
    SplunkHec,
    /// A collector of OpenTelemetry, OTLP/HTTP with JSON.
    Otlp,
    /// A syslog server, RFC 5424 over TLS.
    Syslog,
    /// A file of the server, one JSON text a line.
    File,
}

impl Destination {
    /// As it is framed.
    pub(crate) const fn framed(self) -> frame::Destination {
        match self {
            Self::Webhook => frame::Destination::Webhook,
            Self::SplunkHec => frame::Destination::SplunkHec,
            Self::Otlp => frame::Destination::Otlp,
            Self::Syslog => frame::Destination::Syslog,
            Self::File => frame::Destination::File,
        }
    }
}

/// With which event a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Start {
    /// With the first that was recorded after it was made.
    #[default]
    Now,
    /// With the first of all.
    Beginning,
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

impl Format {
    /// As it is written.
    pub(crate) const fn written(self) -> form::Format {
        match self {
            Self::Native => form::Format::Native,
            Self::Ocsf => form::Format::Ocsf,
            Self::Cloudevents => form::Format::Cloudevents,
            Self::Ecs => form::Format::Ecs,
        }
    }
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

impl AuditStream {
    /// Events in one delivery.
    pub(crate) fn batch_events(&self) -> u32 {
        self.batch_events_max.unwrap_or(if self.destination == Destination::Webhook { 1 } else { BATCH_EVENTS })
    }

    /// The keys that it names, each with where it does.
    pub(crate) fn signing_keys(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let named = [("/signing_key_id", &self.signing_key_id), ("/previous_signing_key_id", &self.previous_signing_key_id)];
        named.into_iter().filter_map(|(pointer, id)| Some((pointer, id.as_deref()?)))
    }

    /// Where it is sent, read as it is read when something is sent; a sentence where it can be sent nowhere.
    pub(crate) fn route(&self) -> Result<Route, String> {
        match self.destination {
            Destination::Webhook | Destination::SplunkHec | Destination::Otlp => {
                HttpsUrl::parse(&self.url).map(|_| Route::Https { url: self.url.clone() })
            }
            Destination::Syslog => {
                let place = self.url.strip_prefix("tls://").ok_or("it is tls://HOST or tls://HOST:PORT")?;
                // The last colon, unless it is within the brackets of an IPv6 address.
                let (host, port) = match place.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
                    Some((host, port)) => (host, host::port(port)?),
                    None => (place, SYSLOG_PORT),
                };
                Host::parse(host).map(|_| Route::Tls { host: host.to_owned(), port })
            }
            Destination::File => {
                let name = self.url.strip_prefix("file:").ok_or("it is file:NAME")?;
                check_file_name(name).map(|()| Route::File { name: name.to_owned() })
            }
        }
    }
}

impl Spec for AuditStream {
    fn check(&self) -> Result<(), Fault> {
        check_text("name", &self.name, NAME_BYTES_MAX)?;
        check_url(self)?;
        check_headers(self)?;
        if self.categories.len() > CATEGORIES_MAX {
            return Err(Fault::new(FaultKind::Invalid, "/categories", format!("at most {CATEGORIES_MAX}")));
        }
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
        for (member, number, max) in
            [("batch_events_max", self.batch_events_max, BATCH_EVENTS_MAX), ("dead_letter_after", self.dead_letter_after, TRIES_MAX)]
        {
            if number.is_some_and(|number| !(1..=max).contains(&number)) {
                return Err(Fault::new(FaultKind::Invalid, "", format!("is 1 to {max}")).within(member));
            }
        }
        if self.signing_key_id.is_some() && self.destination != Destination::Webhook {
            return Err(Fault::new(FaultKind::Invalid, "/signing_key_id", "only deliveries to a webhook are signed"));
        }
        if self.previous_signing_key_id.is_some() && self.signing_key_id.is_none() {
            return Err(Fault::new(FaultKind::Invalid, "/previous_signing_key_id", "is said beside signing_key_id"));
        }
        if let Some(purpose) = &self.content_purpose {
            check_text("content_purpose", purpose, PURPOSE_BYTES_MAX)?;
        }
        if let Some((pointer, _)) = self.signing_keys().find(|(_, id)| Uuid::try_parse(id).is_err()) {
            return Err(Fault::new(FaultKind::Invalid, pointer, "is not a UUID"));
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

fn check_url(stream: &AuditStream) -> Result<(), Fault> {
    let wrong = |message: String| Fault::new(FaultKind::Invalid, "/url", message);
    if stream.url.len() > URL_BYTES_MAX {
        return Err(wrong(format!("has at most {URL_BYTES_MAX} bytes")));
    }
    stream.route().map(drop).map_err(|why| wrong(format!("is of no use to this destination: {why}")))
}

fn check_headers(stream: &AuditStream) -> Result<(), Fault> {
    if matches!(stream.destination, Destination::Syslog | Destination::File) {
        let given = [("headers", &stream.headers), ("secret_headers", &stream.secret_headers)];
        let given = given.iter().find(|(_, headers)| !headers.is_empty());
        return given.map_or(Ok(()), |(member, _)| Err(Fault::new(FaultKind::Invalid, "", "are sent over HTTP alone").within(member)));
    }
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
                    "expect",
                ]
                .contains(&lower.as_str())
            {
                return fault("is set by Indelible itself");
            }
            if value.is_empty() || value.len() > TEXT_BYTES_MAX || !value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
                return fault(&format!("has 1 to {TEXT_BYTES_MAX} printable ASCII characters"));
            }
            if member == "headers" && carries_credential(&lower) {
                return fault("is the name of a header that carries a credential, and would be stored readable: say it in secret_headers");
            }
        }
    }
    Ok(())
}

/// What the names of headers end with that carry credentials.
const CREDENTIALS: &[&str] = &[
    "auth",
    "authorization",
    "cookie",
    "cookie2",
    "credential",
    "credentials",
    "key",
    "pass",
    "passwd",
    "password",
    "secret",
    "signature",
    "token",
];

/// Whether a header of this name, in lower case, carries a credential.
fn carries_credential(lower: &str) -> bool {
    let name = lower.replace(['-', '_', '.'], "");
    CREDENTIALS.iter().any(|end| name.ends_with(end))
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
        if was.start != stream.start {
            return fault("/start", "is said when a stream is made");
        }
        let stays =
            admission.before.is_some_and(|before| after.sealed.values().any(|sealed| before.sealed.values().any(|was| was == sealed)));
        if was.url != stream.url && stays {
            return fault("/secret_headers", "are given anew with a new url, so that nobody sends them elsewhere who does not know them");
        }
    }
    // Nor does a credential change, by which a receiver that is many people's tells them apart.
    let stays_sealed = admission.before.is_some_and(|before| before.sealed == after.sealed);
    let same = |was: &AuditStream| {
        stays_sealed && AuditStream { state: stream.state, state_reason: stream.state_reason.clone(), ..was.clone() } == stream
    };
    // Nor does it go on after a pause by who could not have made it.
    let is_resumed = admission.verb == Some("resume");
    if stream.content_purpose.is_some() && (is_resumed || !was.as_ref().is_some_and(same)) && !admission.caller.has(Scope::ContentDecrypt) {
        return Err(MutateError::Forbidden(Scope::ContentDecrypt.as_str().to_owned()));
    }
    let organization = match admission.owner {
        Owner::Project(project) => admission.registry.project(project).map(|project| Owner::Organization(project.organization_id)),
        owner => Some(owner),
    };
    let is_there = |id: &str| {
        let key = Uuid::try_parse(id).ok().and_then(|id| admission.registry.kept(&webhook_signing_keys::KIND, id));
        key.is_some_and(|key| key.owner == admission.owner || Some(key.owner) == organization)
    };
    match stream.signing_keys().find(|(_, id)| !is_there(id)) {
        None => Ok(()),
        Some((pointer, _)) => fault(pointer, "is no webhook signing key of the same project or its organization"),
    }
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
    doc: "Where the committed events of a project, or of all projects of an organization, are to be sent.",
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
            Verb {
                name: "pause",
                action: "audit_stream.pause",
                doc: "Pause a stream.",
                schema: schema::<Pause>,
                apply: pause,
                renews: None,
            },
            Verb {
                name: "resume",
                action: "audit_stream.resume",
                doc: "Let a paused stream go on.",
                schema: schema::<Resume>,
                apply: resume,
                renews: None,
            },
        ],
        ..Rare::NONE
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_carry_credentials_are_refused_where_they_would_be_readable() {
        let read = |member: &str, name: &str| {
            strict::<AuditStream>(&format!(r#"{{"name":"n","url":"https://siem.example/in","{member}":{{"{name}":"abc"}}}}"#))
        };
        let secret = ["Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X_API_KEY", "dd-api-key", "X-Auth", "X-Vault-Token"];
        for name in secret.into_iter().chain([
            "X-Client-Secret",
            "X-Password",
            "x-pass",
            "X-Hub-Signature",
            "X-AWS-Credential",
            "Ocp-Apim-Subscription-Key",
        ]) {
            let fault = read("headers", name).expect_err(name);
            assert_eq!(fault.pointer, format!("/headers/{name}"));
            assert!(fault.message.contains("secret_headers"), "{fault}");
            read("secret_headers", name).expect(name);
        }
        for name in ["X-Source", "X-Tenant", "Accept", "X-Keyring-Name", "X-Author"] {
            read("headers", name).expect(name);
        }
    }
}
