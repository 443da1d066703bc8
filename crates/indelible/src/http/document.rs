//! The small JSON documents that make or change a resource.

use axum::body::Body;
use indelible_core::fault::Fault;
use indelible_core::json::{self, Value};

use super::body::{self, Reader};
use super::call::Call;
use super::problem::{Kind, Problem};

/// Largest document, bytes.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// Problems of every route that takes a document.
pub(super) static PROBLEMS: &[Kind] = &[
    Kind::InvalidQuery,
    Kind::MalformedJson,
    Kind::MalformedBody,
    Kind::Forbidden,
    Kind::NotFound,
    Kind::RequestTimeout,
    Kind::RequestTooLarge,
    Kind::UnsupportedMediaType,
    Kind::UnsupportedEncoding,
    Kind::InvalidResource,
    Kind::QueueFull,
    Kind::OutcomeUnknown,
];

/// Reads the body of a request that must be JSON.
pub(super) async fn read(call: &Call, unread: Body) -> Result<Vec<u8>, Problem> {
    read_as(call, unread, &["application/json"]).await
}

/// Reads the body of a request that must be JSON, and may be larger than a document.
pub(super) async fn read_up_to(call: &Call, mut unread: Body, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let result = read_from(call, &mut unread, &["application/json"], bytes_max).await;
    courteous(&mut unread, result).await
}

/// Reads the body of a request that must be of one of these media types.
pub(super) async fn read_as(call: &Call, mut unread: Body, media_types: &[&str]) -> Result<Vec<u8>, Problem> {
    let result = read_from(call, &mut unread, media_types, DOCUMENT_BYTES_MAX).await;
    courteous(&mut unread, result).await
}

/// Lets a client that is still sending read the refusal.
async fn courteous(unread: &mut Body, result: Result<Vec<u8>, Problem>) -> Result<Vec<u8>, Problem> {
    if result.as_ref().is_err_and(|problem| problem.kind != Kind::RequestTimeout) {
        body::drain(unread, body::COURTESY_BYTES).await;
    }
    result
}

async fn read_from(call: &Call, unread: &mut Body, media_types: &[&str], bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let text = call.headers.get(axum::http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = text.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    if !media_types.iter().any(|media_type| essence.eq_ignore_ascii_case(media_type)) {
        return Err(Problem::new(Kind::UnsupportedMediaType, format!("Content-Type must be {}", media_types.join(" or "))));
    }
    Reader::new(&call.app, &call.headers, unread, bytes_max)?.whole().await
}

/// Parses it.
pub(super) fn parse(text: &[u8]) -> Result<Value<'_>, Fault> {
    json::parse(text)
}
