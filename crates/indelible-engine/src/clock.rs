//! The clock, handed in so that tests can turn it.

use std::time::Duration;

use indelible_core::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Where the ledger takes the time from.
pub trait Clock: Send + Sync + 'static {
    /// Wall time.
    fn now(&self) -> Timestamp;
    /// Time since some fixed point, that no one can set; against it a jump of the wall clock shows.
    fn monotonic(&self) -> Duration;
}

/// The system's clock: CLOCK_REALTIME, and CLOCK_BOOTTIME, which goes on while the machine sleeps.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let time = clock_gettime(ClockId::Realtime);
        let micros = time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000);
        Timestamp::from_micros(micros).unwrap_or(if micros < 0 { Timestamp::MIN } else { Timestamp::MAX })
    }

    fn monotonic(&self) -> Duration {
        let time = clock_gettime(ClockId::Boottime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    }
}
