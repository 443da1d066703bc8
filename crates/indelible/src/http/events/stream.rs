//! `GET /v1/audit/events/stream`: the events of a project as they are committed, as server-sent events (HTML Standard, section 9.2).
//!
//! A task of its own asks the engine and waits for whoever reads: no more than one batch lies between them, so a slow reader holds up
//! itself and nobody else. It ends before the server does, and its end is recorded before the connection's.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::Response;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use bytes::Bytes;
use hyper::body::Frame;
use indelible_core::limits::INTEGER_MAX;
use indelible_engine::query::follow::{Batch, Ended, FollowRequest, Following};
use serde_json::json;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{mpsc, watch};

use super::super::call::{Call, PROJECT_ID, PURPOSE};
use super::super::problem::{Kind, Problem};
use super::super::query::{Parameter, Values};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::list::FILTER;

/// What a browser waits before it comes again, milliseconds.
const RETRY_MS: u32 = 2_000;
/// Batches on the way.
const BATCHES_MAX: usize = 1;
/// How long a batch may lie untaken: no reader that drips stays past its hour, or past the end of its key.
const UNTAKEN_MAX: Duration = Duration::from_secs(30);
/// Where whoever comes again had come to.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Asks a proxy of the nginx family not to gather the answer.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(in super::super) static ROUTE: Route = Route {
    name: "stream_events",
    verb: Verb::Get,
    path: "/v1/audit/events/stream",
    summary: "Follow events live",
    description: "Server-sent events, for as long as the connection lasts: `event: audit_event`, `id:` the `sequence`, `data:` the record as \
                  in the list. Begins now, or after `after_sequence`; whoever comes again sends `Last-Event-ID` and misses nothing and gets \
                  nothing twice. Something is sent every 15 seconds. Ends when the server stops, the key is revoked or the project deleted, \
                  and after an hour, or where a batch lies untaken for 30 seconds: then come again. Contents are not opened here. Appends `audit.read` when it begins (the intent) and when \
                  it ends (the outcome, with the number returned). At most 256 at once on a server, 32 of one key and 192 of one organization. Needs `audit:read`.",
    variables: &[],
    parameters: &[
        FILTER,
        Parameter {
            name: "after_sequence",
            values: Values::Integer(0, INTEGER_MAX as u64),
            doc: "Begin after this sequence; `Last-Event-ID` counts where both are there.",
        },
        PURPOSE,
        PROJECT_ID,
    ],
    body: bodiless,
    status: 200,
    answers: |_| vec![("text/event-stream", json!({"type": "string"}))],
    problems: &[
        Kind::InvalidQuery,
        Kind::InvalidFilter,
        Kind::InvalidPurpose,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::Deleted,
        Kind::QueueFull,
    ],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let project = call.project().await?;
    let query = &call.query;
    let request = FollowRequest {
        filter: query.text(FILTER.name).filter(|filter| !filter.is_empty()).map(str::to_owned),
        after: last_event_id(&call)?.or_else(|| query.integer("after_sequence")),
        purpose: call.opening().purpose,
    };
    let following = call.app.ledger.follow(&call.caller, &project, request).await?;
    let (pieces, taken) = mpsc::channel(BATCHES_MAX);
    let waits = Waits { keep_alive: call.app.options.keep_alive, untaken: UNTAKEN_MAX };
    tokio::spawn(hand_over(following, pieces, waits, call.app.stopping.subscribe()));
    let mut response = Response::new(Body::new(Stream(taken)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

fn last_event_id(call: &Call) -> Result<Option<u64>, Problem> {
    let wrong = || Problem::new(Kind::InvalidQuery, format!("Last-Event-ID must be an integer from 0 to {INTEGER_MAX}"));
    let Some(value) = call.headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let text = value.to_str().map_err(|_| wrong())?;
    // Browsers send none where there was none; some clients send it empty.
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id <= INTEGER_MAX as u64).map(Some).ok_or_else(wrong)
}

/// How long it is waited.
#[derive(Clone, Copy)]
struct Waits {
    /// For events, until something is sent for them.
    keep_alive: Duration,
    /// For the reader.
    untaken: Duration,
}

/// Until either side ends it.
async fn hand_over(mut following: Following, pieces: mpsc::Sender<Bytes>, waits: Waits, mut stopping: watch::Receiver<bool>) {
    // At once, so that whoever loses the connection before the first event knows after what to come again.
    let mut next = opened(following.through());
    let ended = loop {
        let taken = tokio::select! {
            taken = pieces.send_timeout(next, waits.untaken) => taken,
            _ = stopping.wait_for(|stopping| *stopping) => break Ended::Stopping,
        };
        match taken {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(_)) => break Ended::TooSlow,
            Err(SendTimeoutError::Closed(_)) => break Ended::Gone,
        }
        next = tokio::select! {
            came = tokio::time::timeout(waits.keep_alive, following.next()) => match came {
                Ok(Ok(batch)) => render(&batch),
                Ok(Err(ended)) => break ended,
                Err(_) => alive(following.through()),
            },
            () = pieces.closed() => break Ended::Gone,
            _ = stopping.wait_for(|stopping| *stopping) => break Ended::Stopping,
        };
    };
    tracing::debug!(target: "indelible::http", reason = %ended, "somebody follows no more");
    // What is sent ends after this.
    following.close(&ended).await;
}

fn opened(through: Option<u64>) -> Bytes {
    let id = through.map(|through| format!("id: {through}\n")).unwrap_or_default();
    format!("retry: {RETRY_MS}\n{id}\n").into()
}

/// A comment. The id tells how far was looked, of which a filter may have let nothing through.
fn alive(through: Option<u64>) -> Bytes {
    let id = through.map(|through| format!("id: {through}\n")).unwrap_or_default();
    format!(": still here\n{id}\n").into()
}

/// A record is JSON on one line.
fn render(batch: &Batch) -> Bytes {
    let bytes: usize = batch.events.iter().map(|(_, record)| record.len() + 64).sum();
    let mut out = Vec::with_capacity(bytes);
    for (sequence, record) in &batch.events {
        out.extend_from_slice(format!("event: audit_event\nid: {sequence}\ndata: ").as_bytes());
        out.extend_from_slice(record);
        out.extend_from_slice(b"\n\n");
    }
    out.into()
}

/// What the connection reads from.
struct Stream(mpsc::Receiver<Bytes>);

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use indelible_engine::access::Envelope;
    use indelible_engine::query::Search;
    use indelible_engine::{Ledger, Options};

    use super::*;

    #[test]
    fn events_are_blocks_of_their_fields() {
        let batch = Batch { events: vec![(0, b"{\"a\":1}".to_vec()), (7, b"{}".to_vec())] };
        let expected = "event: audit_event\nid: 0\ndata: {\"a\":1}\n\nevent: audit_event\nid: 7\ndata: {}\n\n";
        assert_eq!(render(&batch), expected);
        assert_eq!(opened(Some(3)), "retry: 2000\nid: 3\n\n");
        assert_eq!(opened(None), "retry: 2000\n\n");
        assert_eq!(alive(Some(9)), ": still here\nid: 9\n\n");
    }

    #[test]
    fn a_reader_that_leaves_a_batch_untaken_loses_its_place_and_the_log_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let opened = Ledger::open(Options { disk_reserve_bytes: 0, ..Options::new(folder.path().join("data")) }).expect("it opens");
        let (ledger, first) = (opened.ledger, opened.first_start.expect("the first start"));
        let key = std::fs::read_to_string(first.admin_key_file).expect("a key");
        let caller = ledger.authenticate(Some(key.trim()), Envelope::default()).expect("recognised");
        let project = ledger.project_of(&caller, None).expect("a project");
        let follow = || ledger.follow(&caller, &project, FollowRequest::default());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        // One batch on the way, and one that waits for it.
        let (pieces, taken) = mpsc::channel(BATCHES_MAX);
        let (_running, stopping) = watch::channel(false);
        let waits = Waits { keep_alive: Duration::from_millis(10), untaken: Duration::from_millis(100) };
        runtime.block_on(async { hand_over(follow().await.expect("it follows"), pieces, waits, stopping).await });
        drop(taken);
        let filter = Some("reason eq \"it was read too slowly\"".to_owned());
        let page = runtime.block_on(ledger.search(&caller, &project, Search { filter, ..Search::default() })).expect("a page");
        assert_eq!(page.records.len(), 1);
        ledger.close();
    }
}
