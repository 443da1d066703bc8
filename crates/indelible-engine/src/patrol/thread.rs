//! When the ledger is patrolled: some time after the start, then an interval after each round. One thread a ledger, which ends within a
//! batch of rows when the ledger is closed.
//!
//! Of servers that share a ledger one patrols, under a lease that it renews all the while; the others look every minute whether it still does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indelible_core::time::Timestamp;

use super::{Pace, Parts, PatrolOptions, PatrolStatus, Round};
use crate::sharing::Lease;
use crate::verify::told::Told;
use crate::verify::{Progress, VerifyError};

/// After a round that could not be done, or findings that could not be told; never longer than the interval.
const RETRY: Duration = Duration::from_mins(1);
/// How often a lease is renewed between rounds, or looked at.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How long the lease of the patrol lasts: longer than between two renewals, so that it stays where it is.
pub(crate) const LEASE_LASTS: Duration = Duration::from_mins(3);
/// How often a server that does not patrol reads anew what the ledger tells of findings, in looks.
const RECALL_EVERY: u32 = 5;

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
    pub(crate) fn start(mut parts: Parts, options: PatrolOptions) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        shared.lock().report.since = parts.clock.monotonic();
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("indelible-patrol".to_owned()).spawn(move || run(&own, &mut parts, options))?;
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

fn run(shared: &Shared, parts: &mut Parts, options: PatrolOptions) {
    recall(shared, parts);
    let mut due = Instant::now() + options.first_after;
    let look_every = LOOK_EVERY.min(options.interval.max(options.first_after));
    let mut elsewhere = 0;
    while shared.rest(wait_for(parts, due, look_every)) {
        match parts.hold() {
            Ok(true) if elsewhere > 0 => (elsewhere, due) = (0, Instant::now() + options.first_after),
            Ok(true) => {}
            Ok(false) => {
                elsewhere += 1;
                follow(shared, parts, elsewhere % RECALL_EVERY == 1);
                continue;
            }
            Err(error) => {
                fail(shared, Some(error.to_string()));
                due = due.max(Instant::now() + RETRY.min(options.interval));
                continue;
            }
        }
        if Instant::now() >= due {
            let wait = match round(shared, parts, options) {
                Ok((round, told)) => tell(shared, parts, &round, told, options.interval),
                Err(VerifyError::Stopped) if shared.stop.load(Ordering::Relaxed) => break,
                // The lease is another server's by now.
                Err(VerifyError::Stopped) => RETRY.min(options.interval),
                Err(error) => {
                    fail(shared, Some(error.to_string()));
                    RETRY.min(options.interval)
                }
            };
            due = Instant::now() + wait;
        }
        parts.let_go(false);
    }
    parts.let_go(true);
}

/// How long the thread rests: until the next round is due, and with a lease no longer than that can do without being renewed.
fn wait_for(parts: &Parts, due: Instant, look_every: Duration) -> Duration {
    let left = due.saturating_duration_since(Instant::now());
    if parts.lease.is_some() { left.min(look_every) } else { left }
}

/// What the ledger tells of findings is known before the first round.
fn recall(shared: &Shared, parts: &Parts) {
    match parts.recall(&|| !shared.stop.load(Ordering::Relaxed)) {
        Ok(told) => shared.lock().report.recalled = told.map_or(0, |told| told.open.len() as u64),
        Err(error) => tracing::warn!(%error, "earlier findings could not be looked up; the first round tells"),
    }
}

/// Another server patrols: what it found the ledger tells, and what was found here before counts no more.
fn follow(shared: &Shared, parts: &Parts, recalls: bool) {
    if recalls {
        recall(shared, parts);
    }
    fail(shared, None);
    let report = &mut shared.lock().report;
    (report.last, report.since) = (None, parts.clock.monotonic());
}

/// One round, as everybody may see it.
fn round(shared: &Shared, parts: &mut Parts, options: PatrolOptions) -> Result<(Arc<Round>, Told), VerifyError> {
    let (mut pace, begun_at) = (Pace::new(options.share_percent), parts.clock.now());
    let mut lease = parts.lease.take();
    let result = parts.round(&shared.stop, &mut |progress| {
        shared.lock().report.running = Some((begun_at, progress));
        if let Some(Err(error)) = lease.as_mut().map(Lease::keep) {
            tracing::info!(%error, "a verification in the background was broken off");
            return false;
        }
        pace.step(&mut |time| shared.rest(time))
    });
    parts.lease = lease;
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
fn tell(shared: &Shared, parts: &mut Parts, round: &Round, mut told: Told, interval: Duration) -> Duration {
    let due = Instant::now() + interval;
    while let Err(error) = parts.tell(round, &mut told) {
        fail(shared, Some(format!("what was found could not be recorded: {error}")));
        let left = due.saturating_duration_since(Instant::now());
        // Whoever has the lease by now tells.
        let is_ours = parts.lease.as_mut().is_none_or(|lease| lease.check().is_ok());
        if left < RETRY || !is_ours || !shared.rest(RETRY) {
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
