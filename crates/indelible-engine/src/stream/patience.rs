//! How long a stream waits before it tries again: twice as long each time, somewhere between half of that and all of it, so that streams whose
//! receiver came back do not all come at once; and when it gives up.

use std::time::Duration;

use indelible_core::time::Timestamp;

use crate::keystore::random_bytes;

/// When deliveries that failed are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The first wait.
    pub retry_min: Duration,
    /// The longest, unless the receiver asks for a longer one.
    pub retry_max: Duration,
    /// After so long without success the stream pauses. No receiver can ask for a longer wait.
    pub give_up_after: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { retry_min: Duration::from_secs(1), retry_max: Duration::from_hours(1), give_up_after: Duration::from_hours(24) }
    }
}

impl Patience {
    /// The wait after so many attempts, of which the receiver asked for `asked` at least.
    pub(super) fn wait(&self, attempts: u32, asked: Option<Duration>) -> Duration {
        let longest = self.retry_min.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX)).min(self.retry_max);
        // Without random bytes all wait alike, which is no harm to this one.
        let random = random_bytes::<2>().map_or(u16::MAX, u16::from_le_bytes);
        let wait = longest / 2 + longest.mul_f64(f64::from(random) / f64::from(u16::MAX)) / 2;
        wait.max(asked.unwrap_or_default()).min(self.give_up_after)
    }

    /// Whether it is long enough since it began to fail.
    pub(super) fn is_over(&self, since: Timestamp, now: Timestamp) -> bool {
        now.as_micros().saturating_sub(since.as_micros()) >= i64::try_from(self.give_up_after.as_micros()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_a_receiver_may_ask_for_a_day_at_most() {
        let patience = Patience::default();
        for (attempts, longest) in [(1, 1), (2, 2), (3, 4), (10, 512), (12, 2_048), (13, 3_600), (33, 3_600), (u32::MAX, 3_600)] {
            let longest = Duration::from_secs(longest);
            let waits: Vec<Duration> = (0..50).map(|_| patience.wait(attempts, None)).collect();
            assert!(waits.iter().all(|wait| (longest / 2..=longest).contains(wait)), "{attempts}: {waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "they differ");
        }
        assert_eq!(patience.wait(1, Some(Duration::from_mins(2))), Duration::from_mins(2));
        assert_eq!(patience.wait(1, Some(Duration::from_hours(1_000))), Duration::from_hours(24));
        let at = |text: &str| Timestamp::parse(text).expect("a time");
        let since = at("2026-03-01T12:00:00Z");
        assert!(!patience.is_over(since, at("2026-03-02T11:59:59Z")) && patience.is_over(since, at("2026-03-02T12:00:00Z")));
    }
}
