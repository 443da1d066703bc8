//! Problems (RFC 9457): the one shape in which a request is refused. Every kind is in one table, from which the answers,
//! the OpenAPI document and `docs/problems.md` are made.
//!
//! A problem never repeats a value of the request: values may be secrets.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Response, StatusCode};
use indelible_core::json::write_string;

/// Reasons listed in one problem; `errors_total` tells how many there were.
pub(super) const ERRORS_MAX: usize = 100;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $status:literal $name:literal $title:literal;)+) => {
        /// The kinds of problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl Kind {
            /// All of them, by status.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// The last part of the `type` URI.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Self::$kind => $status,)+ }
            }

            /// The `title`.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)+ }
            }

            /// What it means and what to do, for `docs/problems.md`.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$kind => concat!($($doc,)+),)+ }
            }
        }
    };
}

kinds! {
    /// The body is not JSON, or not UTF-8. The detail says at which byte.
    MalformedJson = 400 "malformed-json" "The body is not JSON";
    /// The body could not be read: it ended early, or its compression is damaged.
    MalformedBody = 400 "malformed-body" "The body could not be read";
    /// A query parameter is unknown, given twice, out of its range, or excluded by another one.
    InvalidQuery = 400 "invalid-query" "A query parameter is not valid";
    /// The filter does not parse. `errors[0]` gives the byte; for an unknown attribute, `attributes` lists the valid ones.
    InvalidFilter = 400 "invalid-filter" "The filter is not valid";
    /// The cursor was not made by this server, or it belongs to another filter or project. Start again without it.
    InvalidCursor = 400 "invalid-cursor" "The cursor does not belong to this query";
    /// Content was asked for without saying why, or the purpose is too long. Send `purpose`.
    InvalidPurpose = 400 "invalid-purpose" "Opening content needs a purpose";
    /// What a decision is asked about breaks a rule: a member is missing, unknown, or of another type. `errors` points at it.
    InvalidEvaluation = 400 "invalid-evaluation" "The question is not valid";
    /// No key, or none that is known and in force. All failures are answered alike, and every one is recorded.
    Unauthorized = 401 "unauthorized" "A valid API key is needed";
    /// The key is in force but does not allow this. The attempt is recorded.
    Forbidden = 403 "forbidden" "The key does not allow this";
    /// The action is one that only Indelible itself writes. The attempt is recorded.
    EngineOnlyAction = 403 "engine-only-action" "Only Indelible writes this action";
    /// A browser sent this from a page of another origin.
    CrossOrigin = 403 "cross-origin" "Requests of other origins are refused";
    /// There is no such URL, or no such thing that this key may see.
    NotFound = 404 "not-found" "There is nothing here";
    /// The URL exists, the method does not. `Allow` lists those that do.
    MethodNotAllowed = 405 "method-not-allowed" "The method is not allowed here";
    /// The body did not come in time. Nothing was written.
    RequestTimeout = 408 "request-timeout" "The request did not arrive in time";
    /// The id belongs to another event. Nothing of the request was written. Choose a new id, or send what was sent first.
    IdConflict = 409 "id-conflict" "The id belongs to another event";
    /// What is there already stands against it. Nothing was changed. `detail` says what.
    Conflict = 409 "conflict" "It conflicts with what is there";
    /// Nothing that was signed covers it yet: the next anchor will. Wait `Retry-After` seconds, or seal now with `POST /v1/audit/anchors`.
    NotAnchored = 409 "not-anchored" "No anchor covers this yet";
    /// The project, or what a resource would belong to, was deleted: it is read and verified, and takes nothing more. The attempt is recorded.
    Deleted = 410 "deleted" "It was deleted";
    /// It was changed since it was looked at: `If-Match` names another version than it is at. Look again, and decide again.
    StaleVersion = 412 "stale-version" "It was changed meanwhile";
    /// The request is larger than its limit, as sent or after decompression.
    RequestTooLarge = 413 "request-too-large" "The request is too large";
    /// `Content-Type` is not one that this URL takes.
    UnsupportedMediaType = 415 "unsupported-media-type" "The media type is not supported";
    /// `Content-Encoding` is not one that this URL takes. `Accept-Encoding` lists those that are.
    UnsupportedEncoding = 415 "unsupported-encoding" "The content coding is not supported";
    /// `Range` asks for bytes that the file does not have; `detail` says how many it has.
    NoSuchRange = 416 "no-such-range" "The file has no such bytes";
    /// An event breaks a rule. `errors` points at each fault; in a batch each pointer begins with the event's index.
    InvalidEvent = 422 "invalid-event" "The event is not valid";
    /// An event sets a member that only the server sets. The attempt is recorded.
    ServerOwnedMember = 422 "server-owned-member" "Only the server sets this member";
    /// A part of an event is larger than its limit.
    EventTooLarge = 422 "event-too-large" "The event is too large";
    /// The document of a key, a project or an export breaks a rule. `errors` points at the fault where it has a place.
    InvalidResource = 422 "invalid-resource" "The document is not valid";
    /// A change names the version it is made of: send the `ETag` of the resource as `If-Match`.
    VersionRequired = 428 "version-required" "If-Match is required";
    /// The key, or a source without a valid key, has sent more requests than its rate allows. Wait `Retry-After` seconds.
    RateLimited = 429 "rate-limited" "Too many requests";
    /// The writer has more waiting than it takes. Nothing of the request was written. Wait `Retry-After` seconds.
    QueueFull = 429 "queue-full" "The queue is full";
    /// The server is at fault. The log of the server has the request id.
    Internal = 500 "internal" "The server failed";
    /// What is stored does not lead to what was signed: it was changed since. Run `indelible verify`, which names what and where.
    Unprovable = 500 "unprovable" "The stored data does not lead to what was signed";
    /// The ledger does not take or answer this now. Nothing of the request was written. Wait `Retry-After` seconds.
    Unavailable = 503 "unavailable" "Not available now";
    /// Writing had begun when the store failed: the events may be there or not. Send them again with the same ids; the answer tells.
    OutcomeUnknown = 503 "outcome-unknown" "The outcome is not known";
    /// The server refuses appends; `detail` says why. For load balancers.
    NotReady = 503 "not-ready" "Not ready";
}

impl Kind {
    /// The `type` URI.
    pub fn uri(self) -> String {
        format!("urn:indelible:problem:{}", self.name())
    }
}

/// One refusal.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    /// What sort.
    pub(super) kind: Kind,
    /// One sentence about this occurrence.
    pub(super) detail: String,
    /// Where and what, as JSON Pointer and message.
    pub(super) errors: Vec<(String, String)>,
    /// How many errors there were, listed or not.
    pub(super) errors_total: usize,
    /// When to come back.
    pub(super) retry_after: Option<Duration>,
    /// Valid filter attributes, where an unknown one was named.
    pub(super) attributes: Vec<String>,
    /// Whether the ledger has the event of this refusal already, or could not take it.
    pub(super) recorded: bool,
}

impl Problem {
    /// A problem of one sentence.
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            errors_total: 0,
            retry_after: None,
            attributes: Vec::new(),
            recorded: false,
        }
    }

    /// Adds a place and its message.
    #[must_use]
    pub(super) fn at(mut self, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors.push((pointer.into(), message.into()));
        self.errors_total += 1;
        self
    }

    /// Says that the ledger has recorded it.
    #[must_use]
    pub(super) const fn recorded(mut self) -> Self {
        self.recorded = true;
        self
    }

    /// Says when to come back.
    #[must_use]
    pub(super) const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The problem as JSON.
    fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        let member = |name: &str, text: &str, out: &mut Vec<u8>| {
            write_string(name, out);
            out.push(b':');
            write_string(text, out);
            out.push(b',');
        };
        out.push(b'{');
        member("type", &self.kind.uri(), &mut out);
        member("title", self.kind.title(), &mut out);
        out.extend_from_slice(format!("\"status\":{},", self.kind.status()).as_bytes());
        member("detail", &self.detail, &mut out);
        if !self.errors.is_empty() {
            list(&mut out, "errors", &self.errors, |(pointer, message), out| {
                out.extend_from_slice(b"{\"pointer\":");
                write_string(pointer, out);
                out.extend_from_slice(b",\"message\":");
                write_string(message, out);
                out.push(b'}');
            });
            if self.errors_total > self.errors.len() {
                out.extend_from_slice(format!("\"errors_total\":{},", self.errors_total).as_bytes());
            }
        }
        if !self.attributes.is_empty() {
            list(&mut out, "attributes", &self.attributes, |attribute, out| write_string(attribute, out));
        }
        out.pop();
        out.push(b'}');
        out
    }

    /// The answer that carries it.
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let wait = self.retry_after.or_else(|| matches!(self.kind.status(), 429 | 503).then_some(Duration::from_secs(1)));
        if let Some(wait) = wait {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_millis().div_ceil(1_000).clamp(1, 86_400) as u64));
        }
        match self.kind {
            Kind::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"indelible\""));
            }
            Kind::UnsupportedEncoding => {
                headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd, identity"));
            }
            Kind::RequestTimeout => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

fn list<T>(out: &mut Vec<u8>, name: &str, items: &[T], write: impl Fn(&T, &mut Vec<u8>)) {
    write_string(name, out);
    out.extend_from_slice(b":[");
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.extend_from_slice(b"],");
}

/// The text of `docs/problems.md`, which a test compares with the file.
pub fn reference() -> String {
    let mut text = String::from(
        "# Problems\n\nEvery refusal is `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail`, and where a place can be \
         named, `errors[]` of `pointer` (JSON Pointer, RFC 6901) and `message`. `type` is stable; the words of `title` and `detail` are not. \
         At most 100 errors are listed; `errors_total` then says how many there were.\n\nThis page is made from the table in \
         `crates/indelible/src/http/problem.rs`.\n\n| status | type | title | meaning |\n|---|---|---|---|\n",
    );
    for kind in Kind::ALL {
        let _ = writeln!(text, "| {} | `{}` | {} | {} |", kind.status(), kind.uri(), kind.title(), kind.explanation().trim());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_ordered_and_names_are_distinct() {
        assert!(Kind::ALL.is_sorted_by_key(|kind| kind.status()));
        for (n, kind) in Kind::ALL.iter().enumerate() {
            assert!(Kind::ALL[..n].iter().all(|other| other.name() != kind.name()), "{}", kind.name());
        }
    }

    #[test]
    fn the_page_of_problems_is_the_table() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/problems.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(file, reference()).expect("docs/ can be written");
        }
        assert_eq!(std::fs::read_to_string(file).expect("docs/problems.md"), reference(), "run with UPDATE_DOCS=1");
    }

    #[test]
    fn a_problem_is_one_json_object() {
        let mut problem = Problem::new(Kind::InvalidEvent, "two \"faults\"").at("/0/actor", "must be an object").at("/1", "x");
        problem.errors_total = 7;
        problem.attributes = vec!["a".to_owned()];
        let text = String::from_utf8(problem.body()).expect("UTF-8");
        assert_eq!(
            text,
            r#"{"type":"urn:indelible:problem:invalid-event","title":"The event is not valid","status":422,"detail":"two \"faults\"","errors":[{"pointer":"/0/actor","message":"must be an object"},{"pointer":"/1","message":"x"}],"errors_total":7,"attributes":["a"]}"#
        );
    }
}
