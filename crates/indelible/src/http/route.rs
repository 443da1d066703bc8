//! One URL and method: its handler and its documentation in one value, so that neither can be there without the other.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use indelible_engine::resource;
use serde_json::Value;

use super::app::App;
use super::call::Call;
use super::problem::{Kind, Problem};
use super::query::Parameter;

/// What a handler comes to.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Problem>> + Send>>;

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// GET, and HEAD.
    Get,
    /// POST
    Post,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

impl Verb {
    /// As in a request line.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// How a route is audited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audit {
    /// The engine appends this action before the answer.
    Action(&'static str),
    /// The engine appends this action before it answers a refusal; of success it has none of its own, for this reason.
    Refusal(&'static str, &'static str),
    /// Nothing is appended, for this reason.
    Exempt(&'static str),
}

/// A handler for whoever has a key: it is given the request, and its body unread.
pub(super) type Keyed = fn(Call, Body) -> Answer;

/// [`Keyed`] for a kind of resource.
pub(super) type KeptHandler = fn(&'static resource::Kind, Call, Body) -> Answer;

/// [`Keyed`] for a verb of a kind of resource.
pub(super) type ActHandler = fn(&'static resource::Kind, &'static resource::Verb, Call, Body) -> Answer;

/// Who may come.
pub(super) enum Handler {
    /// Anybody.
    Open(fn(Arc<App>) -> Answer),
    /// Anybody; it is given the headers, for the name by which the server was asked.
    Named(fn(&HeaderMap) -> Answer),
    /// Whoever has a key.
    Keyed(Keyed),
    /// Whoever has a key, for a kind of resource.
    Kept(&'static resource::Kind, KeptHandler),
    /// Whoever has a key, for a verb of a kind of resource.
    Act(&'static resource::Kind, &'static resource::Verb, ActHandler),
}

/// A header field of a request.
pub(super) struct Header {
    /// Its name.
    pub(super) name: &'static str,
    /// Whether it has to be there.
    pub(super) required: bool,
    /// Its values, where it has but these.
    pub(super) words: &'static [&'static str],
    /// One line.
    pub(super) doc: &'static str,
}

/// draft-ietf-httpapi-idempotency-key-header
pub(super) const IDEMPOTENCY_KEY: Header = Header {
    name: "Idempotency-Key",
    required: false,
    words: &[],
    doc: "The same key with the same body has its effect once, and is answered alike for a day, but for what is shown once.",
};
/// RFC 9110, section 13.1.1
pub(super) const IF_MATCH: Header =
    Header { name: "If-Match", required: true, words: &[], doc: "The `ETag` that the change is made of; `*` for whatever is there." };
/// Where it may be left out.
pub(super) const MAYBE_IF_MATCH: Header = Header { required: false, ..IF_MATCH };

/// One URL and method.
pub(super) struct Route {
    /// Operation id, snake_case.
    pub(super) name: &'static str,
    /// Method.
    pub(super) verb: Verb,
    /// Path; a variable part stands in braces. The last one may be `{*name}`, for the rest of the path.
    pub(super) path: &'static str,
    /// One line.
    pub(super) summary: &'static str,
    /// The rest of what a reader needs, Markdown.
    pub(super) description: &'static str,
    /// What each variable part is, in the order of the path.
    pub(super) variables: &'static [&'static str],
    /// Query parameters.
    pub(super) parameters: &'static [Parameter],
    /// Media types and their schemas.
    pub(super) body: fn(&Self) -> Vec<(&'static str, Value)>,
    /// Status of success.
    pub(super) status: u16,
    /// Media types and schemas of success; the first is what who asks for nothing gets.
    pub(super) answers: fn(&Self) -> Vec<(&'static str, Value)>,
    /// Problems beyond those that every route may answer with.
    pub(super) problems: &'static [Kind],
    /// How it is audited.
    pub(super) audit: Audit,
    /// The handler.
    pub(super) handler: Handler,
}

impl Route {
    /// The kind of resource that it is about.
    pub(super) const fn kind(&self) -> Option<&'static resource::Kind> {
        match self.handler {
            Handler::Kept(kind, _) | Handler::Act(kind, ..) => Some(kind),
            Handler::Open(_) | Handler::Named(_) | Handler::Keyed(_) => None,
        }
    }

    /// Header fields that it reads, beside those that every route does.
    pub(super) const fn headers(&self) -> &'static [Header] {
        if let Handler::Act(..) = self.handler {
            return &[IDEMPOTENCY_KEY, MAYBE_IF_MATCH];
        }
        match (self.kind(), self.verb) {
            (Some(_), Verb::Post) => &[IDEMPOTENCY_KEY],
            (Some(_), Verb::Patch) => &[IF_MATCH],
            (Some(_), Verb::Delete) => &[MAYBE_IF_MATCH],
            _ => &[],
        }
    }

    /// Whether a key is needed.
    pub(super) const fn is_keyed(&self) -> bool {
        !matches!(self.handler, Handler::Open(_) | Handler::Named(_))
    }
}

/// No body.
pub(super) fn bodiless(_: &Route) -> Vec<(&'static str, Value)> {
    Vec::new()
}
