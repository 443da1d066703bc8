//! The queue before the writer, bounded in events and in bytes. Full is an answer, not a wait: the caller hears it
//! at once and may come again. Records of reads have a little more room than callers, so that those cannot keep
//! an auditor out.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{GROUP_BYTES_MAX, GROUP_EVENTS_MAX, Privilege, QUEUE_EVENTS_MAX, RETRY_AFTER, Work};
use crate::append::AppendError;

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    events: usize,
    bytes: usize,
    closed: bool,
}

pub(super) struct Queue {
    state: Mutex<State>,
    bytes_max: usize,
    /// Work came, or the queue was closed.
    filled: Condvar,
    /// Work was taken.
    drained: Condvar,
}

impl Queue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), bytes_max, filled: Condvar::new(), drained: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One batch always fits into an empty queue, however large; so do those that are handed in together.
    fn has_room(&self, state: &State, works: &[Work]) -> bool {
        let share = if works.iter().all(|work| work.privilege != Privilege::Caller) { 2 } else { 1 };
        let (events, bytes) = works.iter().fold((0, 0), |(events, bytes), work| (events + work.events.len(), bytes + work.bytes));
        state.waiting.is_empty()
            || (state.events + events <= QUEUE_EVENTS_MAX * share && state.bytes + bytes <= self.bytes_max.saturating_mul(share))
    }

    fn put(&self, mut state: MutexGuard<'_, State>, works: impl IntoIterator<Item = Work>) {
        for work in works {
            state.events += work.events.len();
            state.bytes += work.bytes;
            state.waiting.push_back(work);
        }
        drop(state);
        self.filled.notify_one();
    }

    pub(super) fn push(&self, work: Work) -> Result<(), AppendError> {
        let state = self.lock();
        if state.closed {
            return Err(closed());
        }
        let works = [work];
        if !self.has_room(&state, &works) {
            return Err(AppendError::Busy { retry_after: RETRY_AFTER });
        }
        self.put(state, works);
        Ok(())
    }

    /// Hands works in together: one transaction takes all of them, where they fit into it.
    pub(super) fn push_waiting(&self, works: Vec<Work>, patience: Duration) -> Result<(), AppendError> {
        let state = self.lock();
        let full = |state: &mut State| !state.closed && !self.has_room(state, &works);
        let (state, waited) = self.drained.wait_timeout_while(state, patience, full).unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(closed());
        }
        if waited.timed_out() && !self.has_room(&state, &works) {
            return Err(AppendError::Busy { retry_after: RETRY_AFTER });
        }
        self.put(state, works);
        Ok(())
    }

    /// Takes what one transaction may hold. Waits until there is something, at most until `deadline`; `None` once the
    /// queue is closed and empty, an empty group at the deadline.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Option<Vec<Work>> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Some(Vec::new()),
                Some(wait) => self.filled.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        let (mut group, mut events, mut bytes) = (Vec::new(), 0, 0);
        while let Some(next) = state.waiting.front() {
            events += next.events.len();
            bytes += next.bytes;
            if !group.is_empty() && (events > GROUP_EVENTS_MAX || bytes > GROUP_BYTES_MAX) {
                break;
            }
            let work = state.waiting.pop_front().expect("the front was just looked at");
            state.events -= work.events.len();
            state.bytes -= work.bytes;
            group.push(work);
        }
        drop(state);
        self.drained.notify_all();
        Some(group)
    }

    /// Events and bytes that wait.
    pub(super) fn waiting(&self) -> (u64, u64) {
        let state = self.lock();
        (state.events as u64, state.bytes as u64)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.drained.notify_all();
    }
}

fn closed() -> AppendError {
    AppendError::Unavailable { reason: "the ledger is closing".to_owned(), outcome_unknown: false }
}
