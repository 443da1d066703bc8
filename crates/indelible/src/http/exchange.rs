//! What happens around every request: its id, its origin, the headers of every answer, one line in the log.
//!
//! The line holds method, route, status, duration and id: nothing that the caller chose but the id, and no secret.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, USER_AGENT, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Request, Response};
use hyper::body::Incoming;
use indelible_core::redact::told;
use indelible_engine::access::Envelope;
use tower::ServiceExt;

use super::app::App;
use super::problem::{Kind, Problem};
use super::routes::Answered;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Longest request id that is taken from a caller, bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// Longest part of a user agent that is kept, bytes.
const USER_AGENT_BYTES_MAX: usize = 512;

/// Where a request came from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// The peer.
    pub(super) address: IpAddr,
    /// The request id.
    pub(super) request_id: String,
}

impl Origin {
    /// What the ledger records of the request.
    pub(super) fn envelope(&self, headers: &HeaderMap) -> Envelope {
        let trace = headers.get(TRACEPARENT).and_then(|value| trace(value.to_str().ok()?));
        let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).filter(|agent| !agent.is_empty());
        Envelope {
            request_id: self.request_id.clone(),
            source_ip: Some(self.address.to_string()),
            // What is cut is redacted before: half of a URL no longer shows that it holds a password.
            user_agent: agent.map(|agent| told(agent).chars().take(USER_AGENT_BYTES_MAX).collect()),
            trace_id: trace.map(|(trace_id, _)| trace_id.to_owned()),
            span_id: trace.map(|(_, span_id)| span_id.to_owned()),
        }
    }
}

/// Trace id and span id of a `traceparent` (W3C Trace Context, section 3.2); `None` for anything malformed or all zeros.
fn trace(header: &str) -> Option<(&str, &str)> {
    let mut parts = header.split('-');
    let (version, trace_id, span_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let real = |text: &str| text.bytes().any(|byte| byte != b'0');
    let sound = hex(version, 2) && version != "ff" && hex(trace_id, 32) && hex(span_id, 16) && hex(flags, 2);
    let ends = version != "00" || parts.next().is_none();
    (sound && ends && real(trace_id) && real(span_id)).then_some((trace_id, span_id))
}

/// The caller's request id, where it is one that may stand in a log line and a header.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(X_REQUEST_ID)?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte);
    (!text.is_empty() && text.len() <= REQUEST_ID_BYTES_MAX && text.bytes().all(plain)).then(|| text.to_owned())
}

/// Whether a browser says that this comes from a page of another origin. There is no CORS here: a page of this
/// server's own has the same authority in `Origin` as in `Host`.
fn is_cross_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let authority = |origin: &str| origin.split_once("://").map(|(_, authority)| authority.to_ascii_lowercase());
    let own = headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_ascii_lowercase);
    let theirs = origin.to_str().ok().and_then(authority);
    theirs.is_none() || theirs != own
}

/// Answers one request.
pub(super) async fn answer(app: Arc<App>, router: Router, peer: SocketAddr, request: Request<Incoming>) -> Response<Body> {
    let started = Instant::now();
    let mut request = request.map(Body::new);
    let method = request.method().clone();
    let id = request_id(request.headers()).unwrap_or_else(|| app.ids.draw().to_string());
    let mut response = if is_cross_origin(request.headers()) {
        Problem::new(Kind::CrossOrigin, "the Origin header names another origin").into_response()
    } else {
        request.extensions_mut().insert(Origin { address: peer.ip().to_canonical(), request_id: id.clone() });
        match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    };
    let route = response.extensions_mut().remove::<Answered>().map_or("-", |answered| answered.0);
    let status = response.status().as_u16();
    let headers = response.headers_mut();
    // Only what never changes says otherwise.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(X_REQUEST_ID, id);
    }
    let took = started.elapsed();
    app.metrics.answered(status, took);
    tracing::info!(target: "indelible::http", %method, route, status, micros = took.as_micros() as u64, request_id = %id);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))).collect()
    }

    #[test]
    fn a_traceparent_is_whole_or_nothing() {
        let (trace_id, span_id) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let good = format!("00-{trace_id}-{span_id}-01");
        assert_eq!(trace(&good), Some((trace_id, span_id)));
        assert_eq!(trace(&format!("01-{trace_id}-{span_id}-01-later")), Some((trace_id, span_id)));
        let zeros = format!("00-{}-{span_id}-01", "0".repeat(32));
        let (longer, shouted) = (format!("{good}-x"), good.to_uppercase());
        for bad in ["", "00", "ff-a-b-c", &zeros, &longer, &shouted, &good[1..]] {
            assert_eq!(trace(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_plain_request_ids_are_taken() {
        let (long, longer) = ("a".repeat(128), "a".repeat(129));
        for (text, taken) in [("req-1_x.y:z/+=", true), (&long, true), (&longer, false), ("", false), ("a b", false), ("a\"b", false)] {
            assert_eq!(request_id(&headers(&[("x-request-id", text)])).as_deref(), taken.then_some(text), "{text}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_known() {
        let cases = [
            (&[("host", "localhost:4680")][..], false),
            (&[("host", "localhost:4680"), ("origin", "http://localhost:4680")], false),
            (&[("host", "LOCALHOST:4680"), ("origin", "http://localhost:4680")], false),
            (&[("host", "localhost:4680"), ("origin", "http://localhost:8080")], true),
            (&[("host", "localhost:4680"), ("origin", "https://evil.example")], true),
            (&[("host", "localhost:4680"), ("origin", "null")], true),
            (&[("origin", "http://localhost")], true),
        ];
        for (pairs, cross) in cases {
            assert_eq!(is_cross_origin(&headers(pairs)), cross, "{pairs:?}");
        }
    }
}
