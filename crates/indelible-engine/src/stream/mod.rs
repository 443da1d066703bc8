//! Streams: every committed event of a project, delivered to whoever an `audit_stream` names, at least once and in the order of the chain.
//!
//! A stream is a cursor over the ledger, and no copy of it (`row`). `thread` starts a `worker` for each, on one server at a time; a worker
//! reads on (`gather`), sends (`attempt`), and settles what came of it (`settle`). What it goes by is read anew each time (`target`). How
//! requests are sent is handed in ([`Transport`]). A ledger delivers nothing until somebody asks it to ([`Ledger::deliver_streams`]).

mod ask;
mod attempt;
mod board;
mod gather;
pub mod host;
mod judge;
mod lag;
mod patience;
mod rooms;
mod row;
mod settle;
mod shared;
mod stored;
mod target;
mod thread;
mod transport;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

pub use ask::{DeliveriesAsked, DeliveryPage, Position, Replay, Replayed, StreamStatus, Tested};
pub use board::StreamsStatus;
pub use patience::Patience;
pub use row::{Delivery, DeliveryState};
pub use transport::{ANSWER_BYTES_MAX, Request, Response, Route, SendError, Sending, Transport};

pub(crate) use board::Board;
pub(crate) use row::{Cursor, StreamChange};

use crate::ledger::Ledger;
use crate::sharing::Lease;
use shared::Shared;
use thread::{Deliverer, LEASE_LASTS, follow};

/// Threads that send, threads that read for them, and threads that sending itself may block: names are looked up and files written there, and
/// however many of those hang, reading goes on.
const SENDERS: usize = 2;
/// See [`SENDERS`].
const READERS: usize = 8;
/// See [`SENDERS`].
const BLOCKED_MAX: usize = 96;

/// A ledger that delivers. It is closed before the ledger is.
pub struct Streaming {
    ledger: Ledger,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Ledger {
    /// Delivers streams from now on; of servers that share a ledger one does at a time.
    pub fn deliver_streams(&self, transport: Arc<dyn Transport>, patience: Patience) -> std::io::Result<Streaming> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(SENDERS)
            .max_blocking_threads(READERS + BLOCKED_MAX)
            .thread_name("indelible-stream")
            .enable_all()
            .build()?;
        self.inner.streams.open(Arc::clone(&transport));
        let shared = Arc::new(Shared::new(self.clone(), transport, patience));
        runtime.spawn(follow(Arc::clone(&shared), self.inner.writer.committed()));
        runtime.spawn(lag::watch(Arc::downgrade(&shared)));
        let database = self.inner.readers.source().database();
        let lease = database.map(|database| Lease::new(Arc::clone(database), "stream", self.new_id(), LEASE_LASTS));
        let deliverer = Deliverer::new(shared, runtime, lease);
        let thread = std::thread::Builder::new().name("indelible-streams".to_owned()).spawn(move || deliverer.run())?;
        Ok(Streaming { ledger: self.clone(), thread: Mutex::new(Some(thread)) })
    }
}

impl Streaming {
    /// Delivers nothing more. What was sent and is not recorded is sent again by whoever delivers next. Safe to call twice.
    pub fn close(&self) {
        self.ledger.inner.streams.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that delivers streams panicked");
        }
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.close();
    }
}
