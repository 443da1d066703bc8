//! The listener: connections in, bounded in number and in patience; told to stop, it answers what is under way and goes.
//!
//! Metrics have a listener of their own, so that the port for callers shows nobody's volume.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use indelible_engine::Ledger;
use indelible_engine::clock::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::app::{App, HttpOptions};
use super::problem::{Kind, Problem};
use super::{exchange, routes};

/// Largest head of a request, bytes: a filter of 10,000 bytes, all of them percent-encoded, and room for headers.
const HEAD_BYTES_MAX: usize = 128 * 1024;
/// Headers in a request; more is 431.
const HEADERS_MAX: usize = 100;
/// Connections of the metrics listener.
const METRICS_CONNECTIONS_MAX: usize = 8;

/// A server that is bound and not yet running.
pub struct Server {
    listener: TcpListener,
    metrics: Option<TcpListener>,
    app: Arc<App>,
    router: Router,
}

impl Server {
    /// Binds the listener for callers, and the one for metrics where an address is given. The clock is that of the
    /// ledger; it dates the ids that are drawn here.
    pub async fn bind(
        ledger: Ledger,
        clock: Arc<dyn Clock>,
        options: HttpOptions,
        listen: SocketAddr,
        metrics: Option<SocketAddr>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let metrics = match metrics {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        let app = Arc::new(App::new(ledger, clock, options));
        let router = routes::router(&app);
        Ok(Self { listener, metrics, app, router })
    }

    /// The address for callers.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The address for metrics.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.local_addr().ok()
    }

    /// Serves until `stop` comes, then lets requests under way finish, within [`HttpOptions::drain_timeout`].
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, metrics, app, router } = self;
        let stopped = app.stopping.subscribe();
        let metrics = metrics.map(|listener| tokio::spawn(serve_metrics(listener, Arc::clone(&app), stopped.clone())));
        let connections_max = app.options.connections_max;
        let places = Arc::new(Semaphore::new(connections_max));
        let drain_timeout = app.options.drain_timeout;
        let accepting = accept(&listener, &places, |stream, peer, place| {
            let (app, router, stopped) = (Arc::clone(&app), router.clone(), stopped.clone());
            tokio::spawn(async move {
                connection(app, router, stream, peer, stopped).await;
                drop(place);
            });
        });
        tokio::select! {
            () = accepting => {}
            () = stop => {}
        }
        drop(listener);
        app.stopping.send_replace(true);
        app.jobs.close().await;
        let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
        let quiet = tokio::time::timeout(drain_timeout, places.acquire_many(all)).await;
        if quiet.is_err() {
            tracing::warn!(target: "indelible::http", "some connections did not end in time and were cut");
        }
        if let Some(metrics) = metrics {
            metrics.abort();
        }
    }
}

/// Accepts for ever. A failure to accept (no more file descriptors) waits a little: the kernel keeps the queue.
pub(super) async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    mut each: impl FnMut(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit),
) {
    while let Ok(place) = Arc::clone(places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                each(stream, peer, place);
            }
            Err(error) => {
                tracing::warn!(target: "indelible::http", %error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// One connection, until either side ends it.
async fn connection(app: Arc<App>, router: Router, stream: TcpStream, peer: SocketAddr, mut stopped: watch::Receiver<bool>) {
    let head_timeout = app.options.head_timeout;
    let stream = super::patience::Patient::new(stream, app.options.idle_timeout);
    let service = service_fn(move |request: Request<Incoming>| {
        let (app, router) = (Arc::clone(&app), router.clone());
        async move { Ok::<_, Infallible>(exchange::answer(app, router, peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stopped.wait_for(|stopped| *stopped) => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        connection.as_mut().graceful_shutdown();
        connection.await
    };
    if let Err(error) = ended {
        tracing::debug!(target: "indelible::http", %error, "a connection ended early");
    }
}

/// Answers `GET /metrics` on a listener of its own.
async fn serve_metrics(listener: TcpListener, app: Arc<App>, stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(METRICS_CONNECTIONS_MAX));
    accept(&listener, &places, |stream, _, place| {
        let (app, mut stopped) = (Arc::clone(&app), stopped.clone());
        tokio::spawn(async move {
            let head_timeout = app.options.head_timeout;
            let service = service_fn(move |request: Request<Incoming>| {
                let response = metrics(&app, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(head_timeout)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = connection => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
            drop(place);
        });
    })
    .await;
}

fn metrics(app: &App, request: &Request<Incoming>) -> Response<Body> {
    if request.uri().path() != "/metrics" {
        return Problem::new(Kind::NotFound, "there is only /metrics here").into_response();
    }
    let mut response = Response::new(Body::from(app.metrics.text(&app.ledger.status())));
    *response.status_mut() = StatusCode::OK;
    let text = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}
