//! `POST /v1/audit/events`: one event, an array, or lines; all of it or nothing; receipts once it is durable.
//!
//! Refused, and recorded before the refusal is answered: whatever a known caller submits and may not, or in a form that is not
//! an event's. What never became a submission (a body that did not arrive, a wrong media type) is recorded by the route table.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Response, StatusCode};
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::limits::REQUEST_BYTES_MAX;
use indelible_engine::access::Scope;
use indelible_engine::append::{AppendError, Receipt, other_event};
use indelible_engine::resource::Project;
use serde_json::json;

use super::super::app::App;
use super::super::body::{self, Reader};
use super::super::call::{self, Call, PROJECT_ID};
use super::super::json::{Document, listing};
use super::super::problem::{Kind, Problem};
use super::super::refusal::Faults;
use super::super::route::{Audit, Handler, Route, Verb};
use super::super::schema;
use super::check;
use super::prepare::{Batch, Desk, Piece};

/// From so many bytes on, preparing them is work that must not hold up the other tasks of this thread.
const INLINE_BYTES_MAX: usize = 32 * 1024;
/// Lines are prepared in blocks of so many bytes.
const BLOCK_BYTES: usize = 256 * 1024;

pub(in super::super) static ROUTE: Route = Route {
    name: "submit_events",
    verb: Verb::Post,
    path: "/v1/audit/events",
    summary: "Append events",
    description: "One event (an object), many (an array, or one a line as `application/x-ndjson`), at most 10,000 and 24 MiB, gzip or zstd if \
                  you like. Accepted whole or not at all, and durable when answered. The same id with the same event is answered with the first \
                  receipt, so a retry is safe; `duplicate` then says so. `X-Indelible-Path: import` says that the events come from another log: \
                  their assurance is `self_reported`, whatever the key. An object is answered with its receipt, the others with `receipts`. \
                  Needs `events:append`.",
    variables: &[],
    parameters: &[PROJECT_ID],
    body: bodies,
    status: 201,
    answers: |_| {
        let receipt = schema::reference("Receipt");
        let receipts = json!({"type": "object", "required": ["receipts"], "properties": {"receipts": {"type": "array", "items": receipt}}});
        vec![("application/json", json!({"oneOf": [receipt, receipts]}))]
    },
    problems: &[
        Kind::MalformedJson,
        Kind::MalformedBody,
        Kind::Forbidden,
        Kind::EngineOnlyAction,
        Kind::Deleted,
        Kind::NotFound,
        Kind::RequestTimeout,
        Kind::IdConflict,
        Kind::RequestTooLarge,
        Kind::UnsupportedMediaType,
        Kind::UnsupportedEncoding,
        Kind::InvalidEvent,
        Kind::ServerOwnedMember,
        Kind::EventTooLarge,
        Kind::QueueFull,
        Kind::OutcomeUnknown,
    ],
    audit: Audit::Refusal("audit.append_rejected", "what is appended are the events themselves"),
    handler: Handler::Keyed(|call, unread| Box::pin(handle(call, unread, Wish::Append))),
};

/// What is to be done with the events of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// They are appended.
    Append,
    /// It is said what would become of them.
    Check,
}

/// The forms of a body of events.
pub(super) fn bodies(_: &Route) -> Vec<(&'static str, serde_json::Value)> {
    let event = schema::reference("Event");
    vec![
        ("application/json", json!({"oneOf": [event, {"type": "array", "items": event, "maxItems": 10_000}]})),
        ("application/x-ndjson", json!({"type": "string", "description": "One event a line."})),
    ]
}

/// Says how the events came, where it is not as they happened. It can only lower their assurance.
pub(in super::super) const X_INDELIBLE_PATH: HeaderName = HeaderName::from_static("x-indelible-path");

/// The `recorder.path` of a request. `import` is all that a caller may say.
fn path(headers: &HeaderMap) -> Result<&'static str, Problem> {
    let mut said = headers.get_all(X_INDELIBLE_PATH).iter();
    match (said.next().map(HeaderValue::as_bytes), said.next()) {
        (None, _) => Ok("http"),
        (Some(b"import"), None) => Ok("import"),
        _ => Err(Problem::new(Kind::MalformedBody, "X-Indelible-Path is `import`, once, or not there")),
    }
}

/// How events lie in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Lines,
}

impl Form {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Some(Self::Json),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Some(Self::Lines),
            _ => None,
        }
    }
}

pub(super) async fn handle(call: Call, mut unread: Body, wish: Wish) -> Result<Response<Body>, Problem> {
    let result = submit(&call, &mut unread, wish).await;
    if let Err(problem) = &result
        && problem.kind != Kind::RequestTimeout
    {
        body::drain(&mut unread, body::COURTESY_BYTES_KNOWN).await;
    }
    result
}

async fn submit(call: &Call, unread: &mut Body, wish: Wish) -> Result<Response<Body>, Problem> {
    let project = call.project().await?;
    if !call.caller.has(Scope::EventsAppend) {
        let fault = Fault::new(FaultKind::Invalid, "", format!("the key lacks {}", Scope::EventsAppend.as_str()));
        call.app.ledger.reject(&call.caller, &project, &fault, true).await?;
        return Err(Problem::new(Kind::Forbidden, fault.message).recorded());
    }
    let form = Form::of(&call.headers)
        .ok_or_else(|| Problem::new(Kind::UnsupportedMediaType, "Content-Type must be application/json or application/x-ndjson"))?;
    let path = path(&call.headers)?;
    // The reader holds the memory that was paid for; it lives until the writer has answered.
    let mut reader = Reader::new(&call.app, &call.headers, unread, REQUEST_BYTES_MAX);
    let read = match &mut reader {
        Ok(reader) => read(call, &project, reader, form, path).await,
        Err(problem) => Err(problem.clone()),
    };
    let (batch, single) = match read {
        Ok(read) => read,
        Err(problem) => return Err(recorded(call, &project, problem).await),
    };
    if batch.faults.total > 0 {
        return Err(refuse(call, &project, &batch.faults).await);
    }
    if wish == Wish::Check {
        return check::answer(call, &project, &batch.events, single).await;
    }
    match call.app.ledger.append(batch.events).await {
        Ok(receipts) => Ok(call::json(StatusCode::CREATED, render(&receipts, single))),
        Err(error) => Err(failed(call, &project, error, single).await),
    }
}

/// Reads and prepares the whole request. Returns whether it was a single object.
async fn read(
    call: &Call,
    project: &Arc<Project>,
    reader: &mut Reader<'_>,
    form: Form,
    path: &'static str,
) -> Result<(Batch, bool), Problem> {
    let mut batch = Batch::default();
    let single = match form {
        Form::Json => {
            let text = reader.whole().await?;
            apart(text.len(), || batch.json(desk(&call.app, call, project, path), &text))
        }
        Form::Lines => {
            lines(desk(&call.app, call, project, path), reader, &mut batch).await?;
            false
        }
    };
    if batch.seen == 0 && batch.faults.total == 0 {
        batch.faults.push(Fault::new(FaultKind::Invalid, "", "there is no event in the request"));
    }
    Ok((batch, single))
}

fn desk<'a>(app: &'a App, call: &'a Call, project: &'a Project, path: &'static str) -> Desk<'a> {
    Desk { ledger: &app.ledger, caller: &call.caller, project, ids: &app.ids, path }
}

/// Does work on so many bytes, beside the runtime where it may take long.
fn apart<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes > INLINE_BYTES_MAX { tokio::task::block_in_place(work) } else { work() }
}

/// Prepares whole lines as they come, so that no more of the text than a block lies in memory.
async fn lines(desk: Desk<'_>, reader: &mut Reader<'_>, batch: &mut Batch) -> Result<(), Problem> {
    let mut searched = 0;
    loop {
        let more = reader.fill().await?;
        let text = reader.decoded();
        if more && text.len() - searched < BLOCK_BYTES {
            continue;
        }
        // What was searched before holds no line end: it is the beginning of a long line.
        let line_end = memchr::memrchr(b'\n', &text[searched..]).map(|at| searched + at + 1);
        let end = if more { line_end.unwrap_or(0) } else { text.len() };
        if end > 0 && !batch.is_overfull() {
            let block = &text[..end];
            let ends = memchr::memchr_iter(b'\n', block).chain([end]);
            let mut from = 0;
            let lines = ends.map(|to| &block[std::mem::replace(&mut from, to + 1)..to]);
            let pieces: Vec<_> = lines.filter(|line| !line.trim_ascii().is_empty()).map(Piece::Line).collect();
            apart(end, || batch.add(desk, pieces));
        }
        text.drain(..end);
        searched = text.len();
        if !more {
            return Ok(());
        }
    }
}

/// Records a refusal, and makes its answer; where it cannot be recorded, that is the answer.
pub(super) async fn refuse(call: &Call, project: &Project, faults: &Faults) -> Problem {
    match call.app.ledger.reject_all(&call.caller, project, &faults.rejections, false).await {
        Ok(()) => faults.problem().recorded(),
        Err(error) => error.into(),
    }
}

/// Records the refusal of a request that was never read to its end, where it is one of size.
async fn recorded(call: &Call, project: &Project, problem: Problem) -> Problem {
    if problem.kind != Kind::RequestTooLarge {
        return problem;
    }
    let fault = Fault::new(FaultKind::TooLarge, "", problem.detail.clone());
    match call.app.ledger.reject(&call.caller, project, &fault, false).await {
        Ok(()) => problem.recorded(),
        Err(error) => error.into(),
    }
}

/// The answer to what the writer refused. Pointers into a single object have no index.
async fn failed(call: &Call, project: &Project, error: AppendError, single: bool) -> Problem {
    let at = |index: usize, fault: Fault| if single { fault } else { fault.within(&index.to_string()) };
    match error {
        AppendError::Fault { index, fault } => refuse(call, project, &at(index, fault).into()).await,
        AppendError::Conflict { index, .. } => conflict(call, project, &at(index, other_event()).into()).await,
        other => other.into(),
    }
}

/// The answer where ids are other events'.
pub(super) async fn conflict(call: &Call, project: &Project, faults: &Faults) -> Problem {
    match call.app.ledger.reject_all(&call.caller, project, &faults.rejections, false).await {
        Ok(()) => {
            let mut problem = faults.problem();
            problem.kind = Kind::IdConflict;
            "another event of this project has the id; nothing was written".clone_into(&mut problem.detail);
            problem.recorded()
        }
        Err(error) => error.into(),
    }
}

fn render(receipts: &[Receipt], single: bool) -> Vec<u8> {
    let receipt = |receipt: &Receipt| {
        let document = Document::new()
            .uuid("id", receipt.id)
            .number("sequence", receipt.sequence)
            .time("recorded_at", receipt.recorded_at)
            .hex("row_hash", &receipt.row_hash)
            .hex("leaf_hash", &receipt.leaf_hash);
        if receipt.duplicate { document.flag("duplicate", true).end() } else { document.end() }
    };
    match receipts {
        [only] if single => receipt(only),
        many => listing("receipts", many.iter().map(receipt)),
    }
}
