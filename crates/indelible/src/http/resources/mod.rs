//! Resources of every kind: the same five URLs for each, made from its [`Kind`]. What a kind does not do has no URL.

mod act;
mod create;
mod delete;
mod list;
mod reference;
mod show;
mod update;

use axum::body::Body;
use axum::http::header::{ETAG, HeaderName, HeaderValue, IF_MATCH};
use axum::http::{Response, StatusCode};
use indelible_core::json::Value as Shape;
use indelible_engine::Ledger;
use indelible_engine::resource::{Done, ENVELOPE, Figure, Kept, Kind, Once, PREVIOUS_UNTIL, Shown, Verb};
use serde_json::{Value, json};

use super::call::{self, Call};
use super::owner;
use super::problem::{self, Problem};
use super::route::{Handler, IDEMPOTENCY_KEY, Route};
use super::schema;

pub use reference::reference;

/// Made once, when the table is first looked at.
fn kept(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// The URLs of a kind.
pub(super) fn routes(kind: &'static Kind) -> Vec<&'static Route> {
    let actions = kind.actions;
    let routes = [
        actions.create.map(|action| create::route(kind, action)),
        Some(list::route(kind)),
        Some(show::route(kind)),
        actions.update.map(|action| update::route(kind, action)),
        actions.delete.map(|action| delete::route(kind, action)),
    ];
    let verbs = kind.rare.verbs.iter().map(|verb| act::route(kind, verb));
    routes.into_iter().flatten().chain(verbs).map(|route| &*Box::leak(Box::new(route))).collect()
}

fn collection(kind: &Kind) -> &'static str {
    kept(format!("/v1/{}", kind.plural))
}

fn item(kind: &Kind) -> &'static str {
    kept(format!("/v1/{}/{{id}}", kind.plural))
}

/// The name of its schema: `model_price` is `ModelPrice`.
fn schema_name(kind: &Kind) -> String {
    kind.noun.split('_').map(capital).collect()
}

fn capital(word: &str) -> String {
    word.chars().next().map(|first| first.to_uppercase().to_string() + &word[first.len_utf8()..]).unwrap_or_default()
}

fn own_schema(route: &Route) -> Value {
    route.kind().map_or_else(|| json!({}), |kind| schema::reference(&schema_name(kind)))
}

fn document_schema(route: &Route) -> Value {
    route.kind().map_or_else(|| json!({}), |kind| schema::reference(&format!("{}Document", schema_name(kind))))
}

/// The schemas of a kind: of its document as it is sent, and of the resource as it is shown.
pub(super) fn schemas(kind: &'static Kind) -> Vec<(String, Value)> {
    let mut document = (kind.schema)();
    let mut shown = document.clone();
    shown["description"] = json!(kind.doc);
    let time = json!({"type": "string", "format": "date-time"});
    let version = json!({"type": "integer", "minimum": 0, "description": "Counted from 1. 0 where nobody has changed it yet."});
    let envelope = [json!({"type": "string", "format": "uuid"}), owner::schema(), version, time.clone(), time.clone()];
    let mut required: Vec<Value> = shown["required"].as_array().cloned().unwrap_or_default();
    for (name, schema) in ENVELOPE.iter().zip(envelope) {
        shown["properties"][*name] = schema;
        required.push(json!(name));
    }
    for Figure { name, doc, is_time } in kind.rare.figures {
        shown["properties"][*name] = if *is_time { time.clone() } else { json!({"type": "integer", "minimum": 0}) };
        shown["properties"][*name]["description"] = json!(doc);
        if !is_time {
            required.push(json!(name));
        }
    }
    if let Some(name) = kind.rare.ended {
        shown["properties"][name] = described(&time, "When it ended; absent while it goes on.");
    }
    if let Some(name) = kind.rare.credential {
        shown["properties"][name] =
            json!({"type": "string", "description": "The credential, in the answer that made it and nowhere else."});
        if kind.rare.verbs.iter().any(Verb::renews_credential) {
            shown["properties"][PREVIOUS_UNTIL] = described(&time, "Until when the credential works that this one took the place of.");
        }
    }
    for own in kind.rare.own {
        if let Some(members) = document["properties"].as_object_mut() {
            members.remove(*own);
        }
        required.push(json!(own));
    }
    shown["required"] = json!(required);
    // A later version of the server may add members.
    shown["additionalProperties"] = json!(true);
    let mut owner = owner::schema();
    let levels: Vec<&str> = kind.levels.iter().map(|level| level.as_str()).collect();
    owner["description"] =
        json!(format!("What it belongs to, one of: {}. By default what the caller's key belongs to.", levels.join(", ")));
    document["properties"]["owner"] = owner;
    let said = kind.rare.verbs.iter().map(|verb| (act::said_name(kind, verb), (verb.schema)()));
    said.chain([(format!("{}Document", schema_name(kind)), document), (schema_name(kind), shown)]).collect()
}

fn described(schema: &Value, doc: &str) -> Value {
    let mut schema = schema.clone();
    schema["description"] = json!(doc);
    schema
}

/// A resource as it is shown, with its figures, and with the secrets that were made with it and are shown this once.
pub(crate) fn render(ledger: &Ledger, kind: &'static Kind, kept: &Kept, shown: &[Shown]) -> Vec<u8> {
    let mut state = kept.state(kind);
    if let Shape::Object(members) = &mut state {
        for secret in shown {
            members.insert(secret.member, Shape::string(secret.text.as_str()));
        }
        for (name, figure) in ledger.figures(kind, kept.id) {
            members.insert(name, figure);
        }
    }
    state.to_canonical()
}

/// Set in an answer that repeats an earlier one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// An answer that shows a resource, with the version by which it can be changed.
fn answer(status: StatusCode, call: &Call, kind: &'static Kind, kept: &Kept) -> Response<Body> {
    tagged(status, kept, render(&call.app.ledger, kind, kept, &[]))
}

/// The same of one that was changed, with what is shown of it this once.
fn answer_done(status: StatusCode, call: &Call, kind: &'static Kind, done: &Done) -> Response<Body> {
    let mut response = tagged(status, &done.kept, render(&call.app.ledger, kind, &done.kept, &done.shown));
    if done.replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

fn tagged(status: StatusCode, kept: &Kept, body: Vec<u8>) -> Response<Body> {
    let mut response = call::json(status, body);
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", kept.version)) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Whether a request is to have its effect once, by its `Idempotency-Key`.
fn once(call: &Call, text: &[u8]) -> Result<Option<Once>, Problem> {
    let key = call.headers.get(IDEMPOTENCY_KEY.name).map(|value| value.to_str().unwrap_or_default());
    let once = key.map(|key| Once::new(key, String::from_utf8_lossy(text).into_owned())).transpose();
    once.map_err(|fault| Problem::new(problem::Kind::InvalidResource, fault.message))
}

/// What `If-Match` asks for (RFC 9110, section 13.1.1).
enum IfMatch {
    /// It is not there.
    Absent,
    /// `*`
    Anything,
    /// One ETag of ours.
    Version(u64),
}

impl IfMatch {
    fn read(call: &Call) -> Result<Self, Problem> {
        let mut values = call.headers.get_all(IF_MATCH).iter();
        let Some(value) = values.next() else { return Ok(Self::Absent) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self::Anything);
        }
        let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).filter(|_| values.next().is_none());
        // A tag that was never given is that of no version.
        match version.map(str::parse) {
            Some(Ok(version)) => Ok(Self::Version(version)),
            _ => Err(Problem::new(problem::Kind::StaleVersion, "If-Match is one ETag of this resource, or `*`")),
        }
    }

    const fn version(&self) -> Option<u64> {
        match self {
            Self::Version(version) => Some(*version),
            Self::Absent | Self::Anything => None,
        }
    }
}

/// Problems of every change of one resource.
static CHANGE_PROBLEMS: &[problem::Kind] = &[
    problem::Kind::InvalidQuery,
    problem::Kind::MalformedJson,
    problem::Kind::MalformedBody,
    problem::Kind::Forbidden,
    problem::Kind::NotFound,
    problem::Kind::RequestTimeout,
    problem::Kind::Conflict,
    problem::Kind::Deleted,
    problem::Kind::StaleVersion,
    problem::Kind::VersionRequired,
    problem::Kind::RequestTooLarge,
    problem::Kind::UnsupportedMediaType,
    problem::Kind::UnsupportedEncoding,
    problem::Kind::InvalidResource,
    problem::Kind::QueueFull,
    problem::Kind::OutcomeUnknown,
];

const fn handler(kind: &'static Kind, handler: super::route::KeptHandler) -> Handler {
    Handler::Kept(kind, handler)
}
