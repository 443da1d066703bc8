//! When sealing happens: at the interval, when somebody asks, and once more at the end. One thread a ledger.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indelible_core::note::Name;
use tokio::sync::oneshot;

use super::checkpoints::{Closer, closing};
use super::interval::rows_anchored;
use super::seal::{Parts, Sealer};
use super::state::Standing;
use super::{Refusal, SealingFailure};
use crate::write::{Privilege, Work};

/// How sealing goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// When a pass last came to its end, or the thread began, by the monotonic clock.
    pub(crate) sealed: Duration,
    /// Why the last pass did not, in kind and as a sentence.
    pub(crate) failing: Option<(SealingFailure, String)>,
    /// Trees that are not signed, by origin.
    pub(crate) refused: BTreeMap<Name, Refusal>,
    /// Of those, what an adoption takes; nothing of one that contradicts itself.
    pub(crate) standings: BTreeMap<Name, Standing>,
    /// Keys that should sign beside the newest and do not.
    pub(crate) failing_keys: u64,
    /// Rows that anchors cover, of all projects.
    pub(crate) rows_anchored: u64,
    /// Passes that came to their end since start.
    pub(crate) passes: u64,
}

#[derive(Default)]
struct State {
    asked: Vec<oneshot::Sender<()>>,
    /// Trees that the next pass signs whatever was signed before.
    adopting: BTreeMap<Name, Standing>,
    closing: bool,
    /// When the next pass begins if nobody asks for one; `None` before the thread has said so.
    due: Option<Instant>,
    report: Report,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handle of the sealing thread.
pub(crate) struct Anchoring {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Tells the checkpoint store.
    closer: Closer,
}

impl Anchoring {
    /// Starts it. The first pass comes after an interval, and finishes what the last process left. `rows_anchored` is what
    /// anchors cover now.
    pub(crate) fn start(parts: Parts, interval: Duration, rows_anchored: u64) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        {
            let report = &mut shared.lock().report;
            (report.sealed, report.rows_anchored) = (parts.clock.monotonic(), rows_anchored);
        }
        let (closer, closing) = closing();
        let (own, sealer) = (Arc::clone(&shared), Sealer::new(parts, closing));
        let thread = std::thread::Builder::new().name("indelible-sealer".to_owned()).spawn(move || run(&own, sealer, interval))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)), closer })
    }

    /// Seals now: returns after a pass that began after the call. [`Self::report`] says how it went.
    pub(crate) async fn seal(&self) {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.shared.lock();
            if state.closing {
                return;
            }
            state.asked.push(sender);
        }
        self.shared.wake.notify_one();
        // An error is the thread's end, which the report tells.
        let _ = receiver.await;
    }

    /// Seals now, and these trees whatever was signed of them before.
    pub(crate) async fn adopt(&self, trees: BTreeMap<Name, Standing>) {
        self.shared.lock().adopting.extend(trees);
        self.seal().await;
    }

    /// How it goes.
    pub(crate) fn report(&self) -> Report {
        self.shared.lock().report.clone()
    }

    /// Until the next pass begins, if nobody asks for one.
    pub(crate) fn next_pass(&self) -> Duration {
        let due = self.shared.lock().due;
        due.map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now()))
    }

    /// Seals what is committed, and returns when the thread has ended, whatever the checkpoint store does. Safe to call twice.
    pub(crate) fn close(&self) {
        self.shared.lock().closing = true;
        self.closer.close();
        self.shared.wake.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the sealing thread panicked");
        }
    }
}

fn run(shared: &Shared, mut sealer: Sealer, interval: Duration) {
    // Whoever is the first to come is the one that seals.
    if let Err(error) = sealer.claim() {
        tracing::warn!(%error, "it cannot be told which server seals");
    }
    let mut due = Instant::now() + interval;
    loop {
        let (asked, adopting, closing) = {
            let idle = |state: &mut State| state.asked.is_empty() && !state.closing;
            let wait = due.saturating_duration_since(Instant::now());
            let mut state = shared.lock();
            state.due = Some(due);
            let waited = shared.wake.wait_timeout_while(state, wait, idle);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
            (std::mem::take(&mut state.asked), std::mem::take(&mut state.adopting), state.closing)
        };
        if closing {
            // What was handed to the writer without waiting is committed first. If the writer is gone, there is nothing more to seal.
            let barrier = Work::new(Vec::new(), Privilege::Engine);
            let _ = sealer.parts.writer.submit_blocking(barrier);
        }
        sealer.adopting = adopting;
        let result = sealer.pass(!asked.is_empty(), closing);
        due = Instant::now() + interval;
        report(shared, &sealer, result.map_err(|error| (error.kind(), error.to_string())));
        for sender in asked {
            // Nobody waits any more: the caller went away.
            let _ = sender.send(());
        }
        if closing {
            return;
        }
    }
}

fn report(shared: &Shared, sealer: &Sealer, passed: Result<bool, (SealingFailure, String)>) {
    let is_ours = passed == Ok(true);
    let failing = passed.err();
    let anchored = match &sealer.state {
        Some(state) => Some(state.intervals.rows_anchored()),
        // By another server, as far as it can be told now.
        None => sealer.parts.source.open_reader().and_then(|ledger| rows_anchored(&ledger)).ok(),
    };
    let mut state = shared.lock();
    let report = &mut state.report;
    match &failing {
        Some(found) if report.failing.as_ref() != Some(found) => tracing::error!(error = found.1, "sealing failed; it is tried again"),
        None if report.failing.is_some() => tracing::info!("sealing works again"),
        _ => {}
    }
    if failing.is_none() {
        report.sealed = sealer.parts.clock.monotonic();
        report.passes += u64::from(is_ours);
    }
    report.failing = failing;
    let refused = || sealer.refused.iter();
    report.refused = refused().map(|(origin, refused)| (origin.clone(), refused.refusal.clone())).collect();
    report.standings = refused().filter_map(|(origin, refused)| Some((origin.clone(), refused.standing.clone()?))).collect();
    report.failing_keys = sealer.failing_keys.len() as u64;
    if let Some(rows) = anchored {
        report.rows_anchored = rows;
    }
}
