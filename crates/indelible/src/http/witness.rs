//! The listener of a witness: `POST /add-checkpoint` (c2sp.org/tlog-witness) and nothing else, without keys, for the signature on the
//! checkpoint is all that counts. Bounded in connections, bytes and patience as the server is.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use indelible_core::witness::{Answer, SIZE_MEDIA_TYPE};
use indelible_engine::witness::{REQUEST_BYTES_MAX, Reply, Witness};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::body::{COURTESY_BYTES, drain};
use super::patience::Patient;
use super::server::accept;

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS_MAX: u32 = 256;
/// Time for the head of a request, the wait between two requests included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a whole body, and without one byte of an answer being taken.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that requests under way get when the witness stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers in a request, and the bytes of its head.
const HEADERS_MAX: usize = 64;
/// See [`HEADERS_MAX`].
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A witness that is bound and not yet running.
pub struct WitnessServer {
    listener: TcpListener,
    witness: Arc<Witness>,
}

impl WitnessServer {
    /// Binds the listener.
    pub async fn bind(witness: Witness, listen: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(listen).await?, witness: Arc::new(witness) })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` comes, then lets requests under way finish.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, witness } = self;
        let (stopping, stopped) = watch::channel(false);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
        let accepting = accept(&listener, &places, |stream, _, place| {
            let (witness, stopped) = (Arc::clone(&witness), stopped.clone());
            tokio::spawn(async move {
                connection(witness, stream, stopped).await;
                drop(place);
            });
        });
        tokio::select! {
            () = accepting => {}
            () = stop => {}
        }
        drop(listener);
        let _ = stopping.send(true);
        if timeout(DRAIN_TIMEOUT, places.acquire_many(CONNECTIONS_MAX)).await.is_err() {
            tracing::warn!(target: "indelible::witness", "some connections did not end in time and were cut");
        }
    }
}

async fn connection(witness: Arc<Witness>, stream: TcpStream, mut stopped: watch::Receiver<bool>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let witness = Arc::clone(&witness);
        async move { Ok::<_, Infallible>(answer(witness, request.map(Body::new)).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Patient::new(stream, BODY_TIMEOUT)), service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

async fn answer(witness: Arc<Witness>, request: Request<Body>) -> Response<Body> {
    let (head, mut body) = request.into_parts();
    if head.uri.path() != "/add-checkpoint" || head.method != Method::POST {
        drain(&mut body, COURTESY_BYTES).await;
        if head.uri.path() != "/add-checkpoint" {
            return text(StatusCode::NOT_FOUND, "there is only /add-checkpoint here\n");
        }
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "it is a POST\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let announced = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > REQUEST_BYTES_MAX as u64) {
        drain(&mut body, COURTESY_BYTES).await;
        return too_large();
    }
    let bytes = match timeout(BODY_TIMEOUT, Limited::new(&mut body, REQUEST_BYTES_MAX).collect()).await {
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n"),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            drain(&mut body, COURTESY_BYTES).await;
            return too_large();
        }
        Ok(Err(_)) => return text(StatusCode::BAD_REQUEST, "the body ended early\n"),
        Ok(Ok(collected)) => collected.to_bytes(),
    };
    // Signatures are verified and files synced: not on the runtime's threads.
    match tokio::task::spawn_blocking(move || witness.add_checkpoint(&bytes)).await {
        Ok(Ok(reply)) => render(reply),
        Ok(Err(error)) => {
            tracing::error!(target: "indelible::witness", %error, "a request could not be answered");
            text(StatusCode::SERVICE_UNAVAILABLE, "the witness cannot remember now; nothing was cosigned\n")
        }
        Err(error) => {
            tracing::error!(target: "indelible::witness", %error, "a request could not be answered");
            text(StatusCode::INTERNAL_SERVER_ERROR, "nothing was cosigned\n")
        }
    }
}

fn render(reply: Reply) -> Response<Body> {
    let answer = match reply {
        Reply::Cosigned(lines) => return text(StatusCode::OK, lines),
        Reply::Malformed(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        Reply::Refused(answer) => answer,
    };
    let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match answer {
        Answer::OtherSize(size) => {
            let mut response = text(status, format!("{size}\n"));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(SIZE_MEDIA_TYPE));
            response
        }
        Answer::OldBeyondNew => text(status, "the old size is larger than the checkpoint's\n"),
        Answer::Unsigned => text(status, "no key that this witness trusts signed the checkpoint\n"),
        Answer::UnknownLog => text(status, "this witness does not know the log\n"),
        Answer::OtherRoot => text(status, "another root was cosigned for this size\n"),
        Answer::Inconsistent => text(status, "the consistency proof does not hold\n"),
        Answer::Cosign => text(StatusCode::INTERNAL_SERVER_ERROR, "nothing was cosigned\n"),
    }
}

fn too_large() -> Response<Body> {
    text(StatusCode::PAYLOAD_TOO_LARGE, format!("a request has at most {REQUEST_BYTES_MAX} bytes\n"))
}

fn text(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
