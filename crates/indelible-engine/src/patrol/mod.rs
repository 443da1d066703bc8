//! Verification in the background, as disks are patrolled: one thread a ledger reads everything again, round after round, for a small
//! share of one core, and tells what it finds.
//!
//! `round` is one round, `thread` says when, `tell` puts what was found into the ledger: once, and once more when it is there no more.
//! What was told is read from the ledger itself, so nothing is told twice after a restart. A round that could not be done says so, and
//! says nothing about the ledger.

mod fingerprint;
mod pace;
mod recall;
mod round;
mod tell;
mod thread;

use std::time::Duration;

pub(crate) use pace::Pace;
pub(crate) use round::{Parts, Round};
pub(crate) use thread::{LEASE_LASTS, Patrol};

/// When the ledger is verified in the background, and how hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatrolOptions {
    /// From the start to the first round.
    pub first_after: Duration,
    /// From the end of a round to the beginning of the next.
    pub interval: Duration,
    /// The share of one core that it takes, percent: 1 to 100.
    pub share_percent: u8,
}

impl Default for PatrolOptions {
    fn default() -> Self {
        Self { first_after: Duration::from_mins(1), interval: Duration::from_hours(24), share_percent: 10 }
    }
}

/// How verification in the background goes, over all projects. Names nobody's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatrolStatus {
    /// Findings of the last round that came to its end; before the first, those that the ledger tells of.
    pub findings: u64,
    /// Rows that this round read.
    pub rows_verified: u64,
    /// Since it ended, or since the start where none has.
    pub since: Duration,
    /// Rounds that came to their end since the start.
    pub rounds_total: u64,
    /// Whether the last one did not, or what it found could not be recorded: it is tried again.
    pub failing: bool,
}
