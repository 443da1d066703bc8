//! `POST /v1/audit/exports`: an evidence bundle, streamed as a tar; or an extract, streamed as lines (`lines.rs`).
//!
//! A thread of its own makes it, and waits for whoever reads: no more than [`PIECES_MAX`] pieces lie between them. A reader that goes
//! away, takes nothing for as long as a connection may stand still, or drips ([`sink`]) ends it, and the ledger records how far it came.

mod lines;
mod sink;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use indelible_core::extract::{Columns, Format};
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::{Object, Value};
use indelible_core::time::Timestamp;
use indelible_engine::export::jobs::Form;
use indelible_engine::export::{Export, ExportRequest};
use indelible_engine::query::{Opening, ReadError};
use serde_json::json;
use tokio::sync::mpsc;

use super::call::{Call, PROJECT_ID};
use super::json::{boolean, members, sequence, string};
use super::problem::{Kind, Problem};
use super::route::{Audit, Handler, Route, Verb};
use super::{document, refusal};
pub(super) use sink::Sink;

/// Pieces on the way.
pub(super) const PIECES_MAX: usize = 4;
/// Entries in the bundle.
const X_ENTRIES: HeaderName = HeaderName::from_static("x-indelible-entries");
/// Entries of the range that are not in it.
const X_LEFT_OUT: HeaderName = HeaderName::from_static("x-indelible-left-out");
/// Events after the checkpoint.
const X_EVENTS_AFTER: HeaderName = HeaderName::from_static("x-indelible-events-after");
/// Those of any export.
const MEMBERS: [&str; 10] = ["filter", "from_sequence", "to_sequence", "from", "to", "content", "purpose", "since", "format", "columns"];

pub(super) static ROUTE: Route = Route {
    name: "export_bundle",
    verb: Verb::Post,
    path: "/v1/audit/exports",
    summary: "Export an evidence bundle, or events as lines",
    description: "A tar that proves entries to whoever has the log's public key, and nothing else. Without `filter`, `from` and `to` it is a range, \
                  which proves that nothing in it is missing; with any of them a selection. It is made against the newest signed checkpoint; a key \
                  with `audit:admin` has everything sealed first, which appends `audit.anchor`. Events after the checkpoint are left out: `X-Indelible-Events-After` says how \
                  many. Appends `audit.export` before the first byte (the intent) and before the last ones (the outcome), and `content.decrypt` for \
                  each content before its key leaves. Needs `audit:read`, and `content:decrypt` with a purpose for `content`.\n\n\
                  With `format` `ndjson` or `csv` the events themselves, a line each and by sequence, up to the newest signed checkpoint; contents \
                  are opened. It has no length: what does not end as HTTP says was broken off, and goes on with `from_sequence`.",
    variables: &[],
    parameters: &[PROJECT_ID],
    body: |_| {
        let mut schema = schema();
        schema["properties"]["manifest"] =
            json!({"type": "boolean", "description": "Of ndjson: what is known of it before comes on the first line."});
        vec![("application/json", schema)]
    },
    status: 200,
    answers: |_| {
        let text = || json!({"type": "string"});
        vec![("application/x-tar", json!({"type": "string", "format": "binary"})), ("application/x-ndjson", text()), ("text/csv", text())]
    },
    problems: &[
        Kind::InvalidQuery,
        Kind::InvalidFilter,
        Kind::InvalidPurpose,
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
    ],
    audit: Audit::Action("audit.export"),
    handler: Handler::Keyed(|call, unread| Box::pin(handle(call, unread))),
};

/// The schema of what any export takes.
pub(super) fn schema() -> serde_json::Value {
    let sequence = json!({"type": "integer", "minimum": 0});
    let time = json!({"type": "string", "format": "date-time"});
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "filter": {"type": "string"},
            "from_sequence": sequence,
            "to_sequence": sequence,
            "from": time,
            "to": time,
            "content": {"type": "boolean"},
            "purpose": {"type": "string"},
            "since": {"type": "string", "description": "Of a bundle: the file `checkpoint` of an earlier one."},
            "format": {"type": "string", "enum": ["bundle", "ndjson", "csv"]},
            "columns": {"type": "array", "items": {"type": "string"}, "description": "Of csv: members by their dotted path, `context.<key>`."},
        },
    })
}

async fn handle(call: Call, unread: Body) -> Result<Response<Body>, Problem> {
    let text = document::read(&call, unread).await?;
    let asked = document::parse(&text).and_then(|value| Streamed::read(&value)).map_err(|fault| refusal::resource(&fault))?;
    let project = call.project().await?;
    let ledger = &call.app.ledger;
    let Asked { request, form } = asked.export;
    let made = match form {
        Form::Bundle => ledger.export(&call.caller, &project, request).await.map(answer),
        Form::Lines(format) => {
            let made = ledger.extract(&call.caller, &project, request, format.as_str()).await;
            made.map(|extract| lines::answer(extract, format, asked.manifest))
        }
    };
    made.map_err(refused)
}

/// What is at fault is in the document here, not in the query.
pub(super) fn refused(error: ReadError) -> Problem {
    match error {
        ReadError::Options(detail) => Problem::new(Kind::InvalidResource, detail).recorded(),
        error => error.into(),
    }
}

/// An export that is streamed.
struct Streamed {
    export: Asked,
    manifest: bool,
}

impl Streamed {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        let object = members(value, &[&MEMBERS[..], &["manifest"]].concat())?;
        let (export, manifest) = (Asked::of(object)?, boolean(object, "manifest")?);
        if manifest && export.form != Form::Lines(Format::Ndjson) {
            return Err(wrong("manifest", "is of ndjson alone"));
        }
        Ok(Self { export, manifest })
    }
}

/// An export, as any document asks for it.
pub(super) struct Asked {
    pub(super) request: ExportRequest,
    pub(super) form: Form,
}

impl Asked {
    /// Of a document that says nothing else.
    pub(super) fn read(value: &Value<'_>) -> Result<Self, Fault> {
        Self::of(members(value, &MEMBERS)?)
    }

    fn of(object: &Object<'_>) -> Result<Self, Fault> {
        let text = |name: &str| Ok::<_, Fault>(string(object, name)?.filter(|text| !text.is_empty()).map(str::to_owned));
        let request = ExportRequest {
            filter: text("filter")?,
            first_sequence: sequence(object, "from_sequence")?,
            last_sequence: sequence(object, "to_sequence")?,
            from: time(object, "from")?,
            to: time(object, "to")?,
            opening: Opening { content: boolean(object, "content")?, purpose: text("purpose")? },
            since: text("since")?,
        };
        let form = form(object, request.opening.content)?;
        if request.since.is_some() && form != Form::Bundle {
            return Err(wrong("since", "is of a bundle alone"));
        }
        Ok(Self { request, form })
    }
}

/// What is made, as `format` and `columns` say; a bundle, where they say nothing.
fn form(object: &Object<'_>, content: bool) -> Result<Form, Fault> {
    let names = match object.get("columns") {
        None => None,
        Some(value) => {
            let names = value.as_array().and_then(|names| names.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
            Some(names.ok_or_else(|| wrong("columns", "must be an array of strings"))?)
        }
    };
    match (string(object, "format")?, names) {
        (None | Some("bundle"), None) => Ok(Form::Bundle),
        (Some("ndjson"), None) => Ok(Form::Lines(Format::Ndjson)),
        (Some("csv"), None) => Ok(Form::Lines(Format::Csv(Columns::all(content)))),
        (Some("csv"), Some(names)) => Ok(Form::Lines(Format::Csv(Columns::read(names).map_err(|message| wrong("columns", &message))?))),
        (None | Some("bundle" | "ndjson"), Some(_)) => Err(wrong("columns", "is of csv alone")),
        _ => Err(wrong("format", "must be one of: bundle, ndjson, csv")),
    }
}

/// A fault of one member.
pub(super) fn wrong(name: &str, message: &str) -> Fault {
    Fault::new(FaultKind::Invalid, "", message.to_owned()).within(name)
}

fn time(object: &Object<'_>, name: &str) -> Result<Option<Timestamp>, Fault> {
    let read = |text: &str| Timestamp::parse(text).ok_or_else(|| wrong(name, "must be a time of RFC 3339"));
    string(object, name)?.map(read).transpose()
}

fn answer(export: Export) -> Response<Body> {
    let manifest = export.manifest();
    let name = format!("indelible-{}-{}-{}.tar", manifest.project_id, manifest.first_sequence, manifest.last_sequence);
    let counts =
        [(X_ENTRIES, manifest.entries_included), (X_LEFT_OUT, manifest.entries_left_out()), (X_EVENTS_AFTER, export.events_after())];
    let (pieces, taken) = mpsc::channel(PIECES_MAX);
    let mut response = Response::new(Body::new(Download::new(taken, export.bytes())));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    if let Ok(disposition) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    for (name, count) in counts {
        headers.insert(name, HeaderValue::from(count));
    }
    tokio::task::spawn_blocking(move || {
        let mut sink = Sink::new(pieces.clone());
        if let Err(error) = export.write(&mut sink, &mut |_| {}) {
            tracing::warn!(target: "indelible::http", %error, "an export was broken off");
            // Whoever still reads is told; the length that was announced tells as well.
            let _ = pieces.blocking_send(Err(io::Error::other("the export was broken off")));
        }
    });
    response
}

/// What the connection reads from.
pub(super) struct Download {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl Download {
    /// So many bytes.
    pub(super) const fn new(pieces: mpsc::Receiver<io::Result<Bytes>>, bytes: u64) -> Self {
        Self { pieces, left: bytes }
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.pieces.poll_recv(context).map(|piece| {
            let piece = piece?;
            if let Ok(bytes) = &piece {
                self.left = self.left.saturating_sub(bytes.len() as u64);
            }
            Some(piece.map(Frame::data))
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use indelible_core::json::parse;

    use super::*;

    #[test]
    fn faults_point_at_their_place() {
        let cases = [
            ("[]", ""),
            (r#"{"limit":1}"#, "/limit"),
            (r#"{"filter":1}"#, "/filter"),
            (r#"{"from_sequence":-1}"#, "/from_sequence"),
            (r#"{"to_sequence":"7"}"#, "/to_sequence"),
            (r#"{"from":"yesterday"}"#, "/from"),
            (r#"{"to":1}"#, "/to"),
            (r#"{"content":"yes"}"#, "/content"),
            (r#"{"since":{}}"#, "/since"),
            (r#"{"format":"xml"}"#, "/format"),
            (r#"{"format":"csv","columns":"id"}"#, "/columns"),
            (r#"{"format":"csv","columns":["colour"]}"#, "/columns"),
            (r#"{"format":"csv","columns":[]}"#, "/columns"),
            (r#"{"format":"ndjson","columns":["id"]}"#, "/columns"),
            (r#"{"columns":["id"]}"#, "/columns"),
            (r#"{"format":"bundle","columns":["id"]}"#, "/columns"),
            (r#"{"format":"csv","since":"x"}"#, "/since"),
            (r#"{"format":"csv","manifest":true}"#, "/manifest"),
            (r#"{"manifest":true}"#, "/manifest"),
        ];
        for (text, pointer) in cases {
            assert_eq!(Streamed::read(&parse(text.as_bytes()).expect(text)).err().expect(text).pointer, pointer, "{text}");
        }
        let text = br#"{"filter":"","from_sequence":3,"to_sequence":9,"content":true,"purpose":"p","to":"2026-01-01T00:00:00Z"}"#;
        let Asked { request, form } = Asked::read(&parse(text).expect("JSON")).expect("valid");
        assert_eq!(form, Form::Bundle);
        assert_eq!((request.filter, request.first_sequence, request.last_sequence), (None, Some(3), Some(9)));
        assert_eq!((request.opening.content, request.opening.purpose.as_deref()), (true, Some("p")));
        assert!(request.from.is_none() && request.to.is_some());
    }
}
