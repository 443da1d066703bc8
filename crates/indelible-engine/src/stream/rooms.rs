//! How many streams have what they read in memory at one time: bounded, and so that nobody's slow receivers cost others anything.
//!
//! Streams whose receiver failed or was slow of late have rooms of their own, and of either sort one organization never has all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// Streams whose receiver answers at once.
const QUICK_MAX: usize = 32;
/// Streams whose receiver failed last, or was slow of late.
const SLOW_MAX: usize = 24;

/// One sort of them.
struct Sort {
    all: Arc<Semaphore>,
    /// Those of each organization.
    of_one: Mutex<HashMap<Uuid, Arc<Semaphore>>>,
    of_one_max: usize,
}

/// All of them.
pub(super) struct Rooms {
    quick: Sort,
    slow: Sort,
}

/// One of them; given back when it is dropped.
pub(super) struct Room {
    _own: OwnedSemaphorePermit,
    _any: OwnedSemaphorePermit,
}

impl Default for Rooms {
    fn default() -> Self {
        Self { quick: Sort::new(QUICK_MAX), slow: Sort::new(SLOW_MAX) }
    }
}

impl Rooms {
    /// Waits for one, for a stream of this organization.
    pub(super) async fn take(&self, organization: Uuid, is_slow: bool) -> Room {
        if is_slow { self.slow.take(organization).await } else { self.quick.take(organization).await }
    }
}

impl Sort {
    fn new(max: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(max)), of_one: Mutex::default(), of_one_max: max / 4 * 3 }
    }

    async fn take(&self, organization: Uuid) -> Room {
        let own = {
            let mut all = self.of_one.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(organization).or_insert_with(|| Arc::new(Semaphore::new(self.of_one_max))))
        };
        // Its own first: whoever waits among its like takes no room from others.
        let own = own.acquire_owned().await.expect("nobody closes it");
        Room { _own: own, _any: Arc::clone(&self.all).acquire_owned().await.expect("nobody closes it") }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn one_organization_never_has_all_rooms_nor_the_slow_those_of_the_quick() {
        let (rooms, slow, other) = (Rooms::default(), Uuid::from_u128(1), Uuid::from_u128(2));
        let take = |organization, is_slow| timeout(Duration::from_millis(20), rooms.take(organization, is_slow));
        let mut taken = Vec::new();
        while let Ok(room) = take(slow, true).await {
            taken.push(room);
        }
        assert_eq!(taken.len(), SLOW_MAX / 4 * 3);
        assert!(take(other, true).await.is_ok() && take(slow, false).await.is_ok());
        taken.pop();
        assert!(take(slow, true).await.is_ok());
    }
}
