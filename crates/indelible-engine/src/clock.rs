//! The clock, handed in so that tests can turn it.

use std::time::Duration;

use indelible_core::time::Timestamp;

/// Where the ledger takes the time from.
pub trait Clock: Send + Sync + 'static {
    /// Wall time.
    fn now(&self) -> Timestamp;
    /// Time since some fixed point, that no one can set; against it a jump of the wall clock shows.
    fn monotonic(&self) -> Duration;
}
