//! Identifiers drawn by the server: request ids, and the ids of events that come without one. UUIDv7 (RFC 9562,
//! section 5.7): milliseconds by the ledger's clock, then 74 bits of a keyed pseudo-random function over a counter.
//!
//! The function is the standard library's SipHash under a key that the operating system drew for this process; it is
//! asked never to repeat, not to be secret.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indelible_core::event::timed_id;
use indelible_engine::clock::Clock;
use uuid::Uuid;

/// Draws identifiers, from any thread.
pub(crate) struct Ids {
    clock: Arc<dyn Clock>,
    function: RandomState,
    count: AtomicU64,
}

impl Ids {
    /// Draws times from `clock` and a key from the operating system.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, function: RandomState::new(), count: AtomicU64::new(0) }
    }

    /// The next identifier.
    pub(crate) fn draw(&self) -> Uuid {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut bits = [0; 10];
        bits[..8].copy_from_slice(&self.function.hash_one((count, 0_u8)).to_be_bytes());
        bits[8..].copy_from_slice(&self.function.hash_one((count, 1_u8)).to_be_bytes()[..2]);
        timed_id(self.clock.now(), &bits)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use indelible_core::time::Timestamp;

    use super::*;

    struct Standing;

    impl Clock for Standing {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(1_700_000_000_123_456).expect("in range")
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[test]
    fn a_standing_clock_still_gives_distinct_ids_of_version_7() {
        let ids = Ids::new(Arc::new(Standing));
        let drawn: HashSet<Uuid> = (0..10_000).map(|_| ids.draw()).collect();
        assert_eq!(drawn.len(), 10_000);
        for id in drawn {
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(id.as_u128() >> 80, 1_700_000_000_123);
        }
    }
}
