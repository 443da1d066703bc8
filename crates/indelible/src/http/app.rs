//! What every request shares: the ledger, the limits, the counters.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use indelible_engine::Ledger;
use indelible_engine::clock::Clock;
use indelible_engine::export::jobs::Jobs;
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use super::ids::Ids;
use super::metrics::Metrics;
use super::rate::{Buckets, Rate};

/// Limits of the HTTP side. The defaults are for one server on a small machine.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Requests a second that one key may send, and at once; 0 is without limit.
    pub key_rate: u32,
    /// Failed authentications a second that one address may send.
    pub stranger_rate: u32,
    /// Failed authentications that one address may send at once.
    pub stranger_burst: u32,
    /// Connections at a time; more wait in the kernel's queue.
    pub connections_max: usize,
    /// Bodies held in memory at a time, bytes after decompression; more is 503.
    pub bodies_bytes_max: usize,
    /// Time for the head of a request, the wait between two requests included.
    pub head_timeout: Duration,
    /// Time without one byte of a body, or without one byte of an answer being taken.
    pub idle_timeout: Duration,
    /// Time for a whole body.
    pub body_timeout: Duration,
    /// A stream of events sends something this often, so that nobody between takes the connection for dead.
    pub keep_alive: Duration,
    /// Time that requests under way get when the server stops.
    pub drain_timeout: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            key_rate: 20_000,
            stranger_rate: 1,
            stranger_burst: 20,
            connections_max: 1_024,
            bodies_bytes_max: 96 * 1024 * 1024,
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_mins(2),
            keep_alive: Duration::from_secs(15),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// One unit of [`App::bodies`], bytes.
pub(super) const BODY_UNIT_BYTES: usize = 1_024;

/// What every request shares.
pub(super) struct App {
    pub(super) ledger: Ledger,
    pub(super) options: HttpOptions,
    pub(super) ids: Ids,
    /// Memory for bodies, in units of [`BODY_UNIT_BYTES`].
    pub(super) bodies: Arc<Semaphore>,
    pub(super) keys: Buckets<Uuid>,
    pub(super) strangers: Buckets<IpAddr>,
    pub(super) metrics: Metrics,
    /// Exports in the background.
    pub(super) jobs: Jobs,
    /// Whether the server stops: what has no end of its own ends then.
    pub(super) stopping: watch::Sender<bool>,
    /// The OpenAPI document.
    pub(super) openapi: Bytes,
}

impl App {
    pub(super) fn new(ledger: Ledger, clock: Arc<dyn Clock>, options: HttpOptions) -> Self {
        Self {
            ids: Ids::new(clock),
            bodies: Arc::new(Semaphore::new(options.bodies_bytes_max / BODY_UNIT_BYTES)),
            keys: Buckets::new(Rate { per_second: options.key_rate, burst: options.key_rate }),
            strangers: Buckets::new(Rate { per_second: options.stranger_rate, burst: options.stranger_burst }),
            metrics: Metrics::default(),
            jobs: Jobs::start(&ledger),
            stopping: watch::Sender::new(false),
            openapi: Bytes::from(super::openapi::document()),
            ledger,
            options,
        }
    }
}
