//! Token buckets: so many requests a second for each key, so many failures for each address.
//!
//! Time comes in as an argument. The table is bounded: buckets that are full again say nothing and are dropped.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Buckets held before full ones are dropped.
const BUCKETS_MAX: usize = 8_192;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// Tokens a second; 0 is without limit.
    pub(super) per_second: u32,
    /// Tokens in a full bucket.
    pub(super) burst: u32,
}

/// What taking a token came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// One was taken; so many are left.
    Left(u32),
    /// There was none; one will be there after this wait.
    Wait(Duration),
    /// There is no limit.
    Unlimited,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// The buckets of all keys, or of all addresses.
pub(super) struct Buckets<K> {
    rate: Rate,
    table: Mutex<HashMap<K, Bucket>>,
}

impl<K: Hash + Eq> Buckets<K> {
    /// No buckets yet; each begins full.
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, table: Mutex::new(HashMap::new()) }
    }

    /// How fast a bucket fills, and how much it holds.
    pub(super) const fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes a token from the bucket of `key`.
    pub(super) fn take(&self, key: K, now: Instant) -> Taken {
        let (rate, burst) = (f64::from(self.rate.per_second), f64::from(self.rate.burst.max(1)));
        if self.rate.per_second == 0 {
            return Taken::Unlimited;
        }
        let filled = |bucket: &Bucket| (bucket.tokens + now.saturating_duration_since(bucket.at).as_secs_f64() * rate).min(burst);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= BUCKETS_MAX && !table.contains_key(&key) {
            table.retain(|_, bucket| filled(bucket) < burst);
            if table.len() >= BUCKETS_MAX {
                table.clear();
            }
        }
        let bucket = table.entry(key).or_insert(Bucket { tokens: burst, at: now });
        let tokens = filled(bucket);
        bucket.at = now;
        if tokens < 1.0 {
            bucket.tokens = tokens;
            return Taken::Wait(Duration::from_secs_f64((1.0 - tokens) / rate));
        }
        bucket.tokens = tokens - 1.0;
        Taken::Left(bucket.tokens as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again_and_keys_do_not_share() {
        let buckets = Buckets::new(Rate { per_second: 2, burst: 3 });
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let cases = [
            ("a", 0, Taken::Left(2)),
            ("a", 0, Taken::Left(1)),
            ("a", 0, Taken::Left(0)),
            ("a", 0, Taken::Wait(Duration::from_millis(500))),
            ("b", 0, Taken::Left(2)),
            ("a", 250, Taken::Wait(Duration::from_millis(250))),
            ("a", 500, Taken::Left(0)),
            ("a", 60_000, Taken::Left(2)),
        ];
        for (key, millis, taken) in cases {
            assert_eq!(buckets.take(key, at(millis)), taken, "{key} at {millis}");
        }
        assert_eq!(Buckets::new(Rate { per_second: 0, burst: 0 }).take("a", start), Taken::Unlimited);
    }

    #[test]
    fn the_table_is_bounded() {
        let buckets = Buckets::new(Rate { per_second: 1, burst: 5 });
        let now = Instant::now();
        for key in 0..BUCKETS_MAX * 3 {
            buckets.take(key, now);
        }
        assert!(buckets.table.lock().expect("not poisoned").len() <= BUCKETS_MAX);
    }
}
