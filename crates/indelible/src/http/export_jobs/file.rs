//! `GET /v1/audit/export_jobs/{id}/file`: the file of a job, whole or the part that `Range` names (RFC 9110, section 14).
//!
//! A range that is not one of bytes, or that names several parts, is ignored, as the RFC allows: the answer is then the whole.

use std::io;
use std::ops::Range;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE, RANGE,
};
use axum::http::{Response, StatusCode};
use indelible_engine::export::jobs::{Fetch, Job};
use serde_json::json;
use tokio::sync::mpsc;

use super::super::call::Call;
use super::super::exports::{Download, PIECES_MAX, Sink};
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};

pub(in super::super) static ROUTE: Route = Route {
    name: "download_export_job",
    verb: Verb::Get,
    path: "/v1/audit/export_jobs/{id}/file",
    summary: "Fetch the file of an export job",
    description: "The whole file, or the part that `Range: bytes=…` names (206): a download that broke off goes on with `If-Range` and the `ETag`, \
                  which is the file's SHA-256. Appends `audit.export` before the first byte (the intent) and before the last ones (the outcome). Needs \
                  `audit:read`; where contents are in it `content:decrypt` and the key that asked for them.",
    variables: &["The job."],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| {
        let text = || json!({"type": "string"});
        vec![("application/x-tar", json!({"type": "string", "format": "binary"})), ("application/x-ndjson", text()), ("text/csv", text())]
    },
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::Conflict, Kind::Deleted, Kind::NoSuchRange, Kind::QueueFull],
    audit: Audit::Action("audit.export"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let headers = call.headers.clone();
    let wanted = |job: &Job| wanted(&headers, &tag(job), job.bytes);
    let fetched = call.app.jobs.fetch(&call.caller, call.id("export job")?, &wanted).await?;
    match fetched {
        Ok(fetch) => Ok(answer(fetch)),
        Err(job) => {
            let detail = format!("the file has {} bytes", job.bytes);
            Err(Problem::new(Kind::NoSuchRange, detail).recorded())
        }
    }
}

/// The SHA-256 of the file: the bytes are the same where it is the same.
fn tag(job: &Job) -> String {
    format!("\"{}\"", job.sha256.as_deref().unwrap_or_default())
}

/// The bytes that a request asks for; `None` where there are none of them.
fn wanted(headers: &HeaderMap, tag: &str, bytes: u64) -> Option<Range<u64>> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let whole = Some(0..bytes);
    // Of another file everything is asked for.
    if text(IF_RANGE).is_some_and(|other| other != tag) {
        return whole;
    }
    let Some(asked) = text(RANGE).and_then(|range| range.trim().strip_prefix("bytes=")) else { return whole };
    let Some((from, to)) = asked.split_once('-').filter(|_| !asked.contains(',')) else { return whole };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (from.trim(), to.trim()) {
        ("", "") => whole,
        ("", last) => match number(last) {
            None => whole,
            Some(0) => None,
            Some(last) => Some(bytes.saturating_sub(last)..bytes).filter(|range| !range.is_empty()),
        },
        (from, to) => {
            let (Some(from), to) = (number(from), if to.is_empty() { Some(u64::MAX) } else { number(to) }) else { return whole };
            let Some(to) = to.filter(|to| *to >= from) else { return whole };
            (from < bytes).then(|| from..to.saturating_add(1).min(bytes))
        }
    }
}

fn answer(fetch: Fetch) -> Response<Body> {
    let (job, range) = (fetch.job().clone(), fetch.range().clone());
    let (pieces, taken) = mpsc::channel(PIECES_MAX);
    let mut response = Response::new(Body::new(Download::new(taken, range.end - range.start)));
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let disposition = format!("attachment; filename=\"{}\"", job.file_name());
    for (name, text) in [(CONTENT_TYPE, job.media_type.clone()), (ETAG, tag(&job)), (CONTENT_DISPOSITION, disposition)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
    if range != (0..job.bytes) {
        if let Ok(value) = HeaderValue::try_from(format!("bytes {}-{}/{}", range.start, range.end - 1, job.bytes)) {
            headers.insert(CONTENT_RANGE, value);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    tokio::task::spawn_blocking(move || {
        if let Err(error) = fetch.send(&mut Sink::new(pieces.clone())) {
            tracing::warn!(target: "indelible::http", %error, "a download was broken off");
            let _ = pieces.blocking_send(Err(io::Error::other("the download was broken off")));
        }
    });
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_rfc() {
        let cases = [
            (&[][..], Some(0..100)),
            (&[("range", "bytes=0-")], Some(0..100)),
            (&[("range", "bytes=10-19")], Some(10..20)),
            (&[("range", "bytes=90-1000")], Some(90..100)),
            (&[("range", "bytes=-10")], Some(90..100)),
            (&[("range", "bytes=-1000")], Some(0..100)),
            (&[("range", "bytes=99-99")], Some(99..100)),
            (&[("range", "bytes=100-")], None),
            (&[("range", "bytes=-0")], None),
            // Not well-formed, several, or of something else: ignored.
            (&[("range", "bytes=20-10")], Some(0..100)),
            (&[("range", "bytes=x-")], Some(0..100)),
            (&[("range", "bytes=-")], Some(0..100)),
            (&[("range", "bytes=0-1,5-6")], Some(0..100)),
            (&[("range", "rows=0-1")], Some(0..100)),
            (&[("range", "bytes=50-"), ("if-range", "\"same\"")], Some(50..100)),
            (&[("range", "bytes=50-"), ("if-range", "\"other\"")], Some(0..100)),
        ];
        for (pairs, expected) in cases {
            let headers: HeaderMap =
                pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
            assert_eq!(wanted(&headers, "\"same\"", 100), expected, "{pairs:?}");
        }
    }
}
