//! When the ledger is patrolled: some time after the start, then an interval after each round. One thread a ledger, which ends within a
//! batch of rows when the ledger is closed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indelible_core::time::Timestamp;

use super::{Pace, Parts, PatrolOptions, PatrolStatus, Round};
use crate::verify::told::Told;
use crate::verify::{Progress, VerifyError};

/// After a round that could not be done, or findings that could not be told; never longer than the interval.
const RETRY: Duration = Duration::from_mins(1);

/// How the patrol goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// The last round that came to its end.
    pub(crate) last: Option<Arc<Round>>,
    /// When the round under way began, and how far it has come.
    pub(crate) running: Option<(Timestamp, Progress)>,
    /// Why the last round did not come to its end, or was not told.
    pub(crate) failing: Option<String>,
    /// Findings that the ledger told of at the start.
    recalled: u64,
    rounds: u64,
    /// When a round last came to its end, or the thread began, by the monotonic clock.
    since: Duration,
}

#[derive(Default)]
struct State {
    closing: bool,
    report: Report,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// The same as `closing`, for walks.
    stop: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; says whether to go on.
    fn rest(&self, time: Duration) -> bool {
        let state = self.lock();
        let waited = self.wake.wait_timeout_while(state, time, |state| !state.closing);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closing
    }
}

/// The handle of the thread.
pub(crate) struct Patrol {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Patrol {
    /// Starts it.
    pub(crate) fn start(parts: Parts, options: PatrolOptions) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        shared.lock().report.since = parts.clock.monotonic();
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("indelible-patrol".to_owned()).spawn(move || run(&own, &parts, options))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// How it goes.
    pub(crate) fn report(&self) -> Report {
        self.shared.lock().report.clone()
    }

    /// Figures, at a time of the monotonic clock.
    pub(crate) fn status(&self, now: Duration) -> PatrolStatus {
        let report = &self.shared.lock().report;
        PatrolStatus {
            findings: report.last.as_ref().map_or(report.recalled, |last| last.findings()),
            rows_verified: report.last.as_ref().map_or(0, |last| last.rows),
            since: now.saturating_sub(report.since),
            rounds_total: report.rounds,
            failing: report.failing.is_some(),
        }
    }

    /// Returns when the thread has ended. Safe to call twice.
    pub(crate) fn close(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.lock().closing = true;
        self.shared.wake.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the patrol panicked");
        }
    }
}

fn run(shared: &Shared, parts: &Parts, options: PatrolOptions) {
    match parts.recall(&|| !shared.stop.load(Ordering::Relaxed)) {
        Ok(told) => shared.lock().report.recalled = told.map_or(0, |told| told.open.len() as u64),
        Err(error) => tracing::warn!(%error, "earlier findings could not be looked up; the first round tells"),
    }
    let mut due = Instant::now() + options.first_after;
    while shared.rest(due.saturating_duration_since(Instant::now())) {
        let wait = match round(shared, parts, options) {
            Ok((round, told)) => tell(shared, parts, &round, told, options.interval),
            Err(VerifyError::Stopped) => return,
            Err(error) => {
                fail(shared, Some(error.to_string()));
                RETRY.min(options.interval)
            }
        };
        due = Instant::now() + wait;
    }
}

/// One round, as everybody may see it.
fn round(shared: &Shared, parts: &Parts, options: PatrolOptions) -> Result<(Arc<Round>, Told), VerifyError> {
    let (mut pace, begun_at) = (Pace::new(options.share_percent), parts.clock.now());
    let result = parts.round(&shared.stop, &mut |progress| {
        shared.lock().report.running = Some((begun_at, progress));
        pace.step(&mut |time| shared.rest(time))
    });
    let report = &mut shared.lock().report;
    report.running = None;
    let (round, told) = result?;
    let round = Arc::new(round);
    report.last = Some(Arc::clone(&round));
    report.since = parts.clock.monotonic();
    report.rounds += 1;
    Ok((round, told))
}

/// Tells until it is told or the next round is due; says how long from now that is.
fn tell(shared: &Shared, parts: &Parts, round: &Round, mut told: Told, interval: Duration) -> Duration {
    let due = Instant::now() + interval;
    while let Err(error) = parts.tell(round, &mut told) {
        fail(shared, Some(format!("what was found could not be recorded: {error}")));
        let left = due.saturating_duration_since(Instant::now());
        if left < RETRY || !shared.rest(RETRY) {
            return left;
        }
    }
    fail(shared, None);
    due.saturating_duration_since(Instant::now())
}

/// Takes note of why it does not work, or that it does; the log has each once.
fn fail(shared: &Shared, why: Option<String>) {
    let failing = &mut shared.lock().report.failing;
    match &why {
        Some(error) if failing.as_ref() != Some(error) => {
            tracing::error!(error, "verification in the background failed; it is tried again");
        }
        None if failing.is_some() => tracing::info!("verification in the background works again"),
        _ => {}
    }
    *failing = why;
}
