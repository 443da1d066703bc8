//! An extract over HTTP: NDJSON or CSV as it is read, without a length, since how much matches is known at its end alone. What ends as
//! HTTP says (RFC 9112, section 7.1) is whole; what breaks off is not.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::Response;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use bytes::Bytes;
use hyper::body::Frame;
use indelible_core::extract::{Format, Lines};
use indelible_core::json::Value;
use indelible_engine::export::ExportError;
use indelible_engine::export::extract::{Extract, Writing};
use tokio::sync::mpsc;

use super::{PIECES_MAX, Sink, X_EVENTS_AFTER};

/// How often it is looked whether anybody reads still.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The answer; where `manifest` is asked for, what is known of it before comes on the first line.
pub(super) fn answer(extract: Extract, format: Format, manifest: bool) -> Response<Body> {
    let head = extract.head().clone();
    let name = format!("indelible-{}-{}-{}.{}", head.project_id, head.first_sequence, head.last_sequence, format.as_str());
    let (pieces, taken) = mpsc::channel(PIECES_MAX);
    let mut response = Response::new(Body::new(Download(taken)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    if let Ok(disposition) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    headers.insert(X_EVENTS_AFTER, HeaderValue::from(extract.events_after()));
    let gone = Arc::<AtomicBool>::default();
    let (weak, flag) = (pieces.downgrade(), Arc::clone(&gone));
    // What is looked for by a filter that matches nothing is told nowhere else that nobody waits for it. A sender that were kept would keep
    // whoever reads waiting for more.
    tokio::spawn(async move {
        while let Some(sender) = weak.upgrade() {
            flag.store(sender.is_closed(), Ordering::Relaxed);
            drop(sender);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    tokio::task::spawn_blocking(move || {
        let mut sink = Sink::new(pieces.clone());
        if let Err(error) = write(extract, &mut sink, format, manifest, &gone) {
            tracing::warn!(target: "indelible::http", %error, "an export was broken off");
            let _ = pieces.blocking_send(Err(io::Error::other("the export was broken off")));
        }
    });
    response
}

fn write(extract: Extract, sink: &mut Sink, format: Format, manifest: bool, gone: &AtomicBool) -> Result<(), ExportError> {
    if manifest {
        let mut line = Value::Object(extract.head().to_object()).to_canonical();
        line.push(b'\n');
        sink.write_all(&line)?;
    }
    extract.write(&mut Writing::new(Lines::new(format), sink, &mut |_, _| Ok(())), gone)?;
    Ok(())
}

/// What the connection reads from.
struct Download(mpsc::Receiver<io::Result<Bytes>>);

impl HttpBody for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
