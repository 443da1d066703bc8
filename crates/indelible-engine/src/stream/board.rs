//! What is known of the streams that this server delivers, for whoever asks; and the bell by which they are told that something changed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::transport::Transport;

/// How one stream goes, as the server that delivers it sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// Why nothing is delivered now: what failed last, or what is missing.
    pub(super) trouble: Option<String>,
    /// Attempts of the delivery that it is at.
    pub(super) attempts: u32,
    /// When that is sent again.
    pub(super) due_at: Option<Timestamp>,
}

/// How far streams are behind, and how many there are; all zero where another server delivers.
#[derive(Debug, Clone, Default)]
pub(super) struct Lag {
    pub(super) running: u64,
    pub(super) paused: u64,
    /// Events before the stream that is the furthest behind.
    pub(super) events_max: u64,
    /// When the oldest event was recorded that lies before a stream.
    pub(super) since: Option<Timestamp>,
}

/// Figures over all streams that this server delivers. Names nobody's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StreamsStatus {
    /// Streams that it delivers.
    pub running: u64,
    /// Streams that are paused.
    pub paused: u64,
    /// Of these, how many are failing.
    pub failing: u64,
    /// Events that lie before the stream that is the furthest behind.
    pub lag_events_max: u64,
    /// How old the oldest event is that a stream is at.
    pub lag_max: Duration,
    /// Deliveries that were taken, since the start.
    pub delivered_total: u64,
    /// Events in them.
    pub events_total: u64,
    /// Attempts that failed.
    pub failed_total: u64,
    /// Deliveries that became dead letters.
    pub dead_total: u64,
}

#[derive(Default)]
struct State {
    standings: HashMap<Uuid, Standing>,
    lag: Lag,
    transport: Option<Arc<dyn Transport>>,
    /// Counts what was changed.
    rung: u64,
    closing: bool,
}

/// The board.
#[derive(Default)]
pub(crate) struct Board {
    state: Mutex<State>,
    bell: Condvar,
    delivered: AtomicU64,
    events: AtomicU64,
    failed: AtomicU64,
    dead: AtomicU64,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream, a key of one, or what is to be sent again was changed.
    pub(crate) fn ring(&self) {
        self.lock().rung += 1;
        self.bell.notify_all();
    }

    /// How much was changed so far.
    pub(super) fn rung(&self) -> u64 {
        self.lock().rung
    }

    /// Waits until something was changed since `heard`, so long at most; how much was, `None` at closing.
    pub(super) fn wait(&self, heard: u64, at_most: Duration) -> Option<u64> {
        let waits = |state: &mut State| state.rung == heard && !state.closing;
        let state = self.bell.wait_timeout_while(self.lock(), at_most, waits).unwrap_or_else(PoisonError::into_inner).0;
        (!state.closing).then_some(state.rung)
    }

    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.bell.notify_all();
    }

    pub(super) fn open(&self, transport: Arc<dyn Transport>) {
        let mut state = self.lock();
        (state.transport, state.closing) = (Some(transport), false);
    }

    /// How requests are sent, where this server delivers at all.
    pub(super) fn transport(&self) -> Option<Arc<dyn Transport>> {
        self.lock().transport.clone()
    }

    /// How a stream goes, where this server delivers it.
    pub(super) fn standing(&self, stream: Uuid) -> Option<Standing> {
        self.lock().standings.get(&stream).cloned()
    }

    /// Changes how a stream goes.
    pub(super) fn note(&self, stream: Uuid, change: impl FnOnce(&mut Standing)) {
        change(self.lock().standings.entry(stream).or_default());
    }

    /// How far streams are behind now.
    pub(super) fn lagging(&self, lag: Lag) {
        self.lock().lag = lag;
    }

    /// This server delivers it no more.
    pub(super) fn forget(&self, stream: Uuid) {
        self.lock().standings.remove(&stream);
    }

    /// A delivery of so many events was taken.
    pub(super) fn took(&self, events: u64) {
        self.delivered.fetch_add(1, Relaxed);
        self.events.fetch_add(events, Relaxed);
    }

    /// An attempt failed.
    pub(super) fn failed_once(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    /// A delivery became a dead letter.
    pub(super) fn buried(&self) {
        self.dead.fetch_add(1, Relaxed);
    }

    /// Figures.
    pub(crate) fn status(&self, now: Timestamp) -> StreamsStatus {
        let state = self.lock();
        let age = |since: Timestamp| Duration::from_micros(u64::try_from(now.as_micros() - since.as_micros()).unwrap_or(0));
        StreamsStatus {
            running: state.lag.running,
            paused: state.lag.paused,
            failing: state.standings.values().filter(|standing| standing.trouble.is_some()).count() as u64,
            lag_events_max: state.lag.events_max,
            lag_max: state.lag.since.map(age).unwrap_or_default(),
            delivered_total: self.delivered.load(Relaxed),
            events_total: self.events.load(Relaxed),
            failed_total: self.failed.load(Relaxed),
            dead_total: self.dead.load(Relaxed),
        }
    }
}
