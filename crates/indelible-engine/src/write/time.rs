//! The ledger's time: the later of the system's clock and the last recorded time, and a watch for jumps.
//!
//! A clock that steps back changes nothing: recorded times wait until it has caught up. A clock that jumps forward by
//! more than an hour against the monotonic one stops appends, for a time once recorded can never be taken back; it
//! goes on by itself if the clock comes back, or when an operator confirms it. At start, when no monotonic clock
//! reaches back, more than 366 days since the last record count as a jump.

use std::time::Duration;

use indelible_core::time::Timestamp;

use crate::clock::Clock;

/// Microseconds by which the wall clock may get ahead of the monotonic one.
const JUMP_MICROS_MAX: i64 = 3_600 * 1_000_000;
/// Microseconds that a ledger may have lain still.
const STILL_MICROS_MAX: i64 = 366 * 24 * 3_600 * 1_000_000;

/// The watch over the clock.
#[derive(Debug, Clone)]
pub(super) struct Time {
    /// The last look that was accepted and not behind: wall and monotonic.
    seen: (Timestamp, Duration),
    /// The last recorded time.
    last: Option<Timestamp>,
}

impl Time {
    /// Begins to watch. `last` is the last recorded time of the ledger.
    pub(super) fn new(clock: &dyn Clock, last: Option<Timestamp>) -> Self {
        let (now, monotonic) = (clock.now(), clock.monotonic());
        match last {
            Some(last) if now.as_micros().saturating_sub(last.as_micros()) > STILL_MICROS_MAX => {
                // As if the last record had been made just now: only then does the jump show.
                Self { seen: (last, monotonic), last: Some(last) }
            }
            // Behind the last record, it is that which the clock is expected to come back to.
            last => Self { seen: (last.map_or(now, |last| now.max(last)), monotonic), last },
        }
    }

    /// The time to record now, or why the clock is not believed.
    pub(super) fn now(&mut self, clock: &dyn Clock) -> Result<Timestamp, String> {
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        let passed = i64::try_from(monotonic.saturating_sub(self.seen.1).as_micros()).unwrap_or(i64::MAX);
        let expected = self.seen.0.saturating_add_micros(passed);
        if wall.as_micros().saturating_sub(expected.as_micros()) > JUMP_MICROS_MAX {
            return Err(format!(
                "the clock jumped forward to {wall} where {expected} was expected: set it right, or confirm it with audit:admin"
            ));
        }
        if wall >= expected {
            self.seen = (wall, monotonic);
        }
        Ok(self.last.map_or(wall, |last| wall.max(last)))
    }

    /// Takes the clock as it is for right.
    pub(super) fn confirm(&mut self, clock: &dyn Clock) {
        self.seen = (clock.now(), clock.monotonic());
    }

    /// A time was found on record after a failure. It was believed when it was written, so it is now: a confirmation
    /// may have persisted although its COMMIT failed.
    pub(super) fn found(&mut self, clock: &dyn Clock, time: Timestamp) {
        if self.last.is_none_or(|last| time > last) && time > self.seen.0 {
            self.seen = (time, clock.monotonic());
        }
        self.recorded(time);
    }

    /// A time was committed.
    pub(super) fn recorded(&mut self, time: Timestamp) {
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    struct Turned(Mutex<(Timestamp, Duration)>);

    impl Clock for Turned {
        fn now(&self) -> Timestamp {
            self.0.lock().unwrap().0
        }
        fn monotonic(&self) -> Duration {
            self.0.lock().unwrap().1
        }
    }

    impl Turned {
        fn step(&self, wall_seconds: i64, monotonic_seconds: u64) {
            let mut state = self.0.lock().unwrap();
            state.0 = state.0.saturating_add_micros(wall_seconds * 1_000_000);
            state.1 += Duration::from_secs(monotonic_seconds);
        }
    }

    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * HOUR;

    /// Wall step and monotonic step in seconds, and whether it is believed.
    type Step = (i64, u64, bool);

    #[test]
    fn a_jump_forward_is_doubted_and_nothing_goes_back() {
        let cases: &[(&str, &[Step])] = &[
            ("runs", &[(5, 5, true), (DAY, 86_400, true)]),
            ("sleeps with the machine", &[(30 * DAY, 30 * 86_400, true)]),
            ("an hour ahead is allowed", &[(HOUR, 0, true)]),
            ("an hour and a second is not", &[(HOUR + 1, 0, false)]),
            ("a century", &[(36_525 * DAY, 1, false), (1, 1, false)]),
            ("comes back by itself", &[(36_525 * DAY, 1, false), (-36_525 * DAY, 1, true)]),
            ("steps back and is set right", &[(-2 * HOUR, 1, true), (2 * HOUR, 1, true)]),
            ("steps back and jumps past", &[(-2 * HOUR, 1, true), (4 * HOUR, 1, false)]),
        ];
        for (name, steps) in cases {
            let start = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
            let clock = Turned(Mutex::new((start, Duration::from_secs(1_000))));
            let mut time = Time::new(&clock, None);
            time.recorded(start);
            let mut last = start;
            for (n, (wall, monotonic, believed)) in steps.iter().enumerate() {
                clock.step(*wall, *monotonic);
                let now = time.now(&clock);
                assert_eq!(now.is_ok(), *believed, "{name}, step {n}: {now:?}");
                if let Ok(now) = now {
                    assert!(now >= last, "{name}, step {n}");
                    time.recorded(now);
                    last = now;
                }
            }
        }
    }

    #[test]
    fn a_clock_that_was_behind_at_start_may_be_set_right() {
        let last = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        for (ahead, believed) in [(0, true), (HOUR, true), (HOUR + 2, false)] {
            let clock = Turned(Mutex::new((last.saturating_add_micros(-DAY * 1_000_000), Duration::ZERO)));
            let mut time = Time::new(&clock, Some(last));
            assert_eq!(time.now(&clock), Ok(last));
            clock.step(DAY + ahead, 1);
            assert_eq!(time.now(&clock).is_ok(), believed, "{ahead} seconds ahead");
        }
    }

    #[test]
    fn at_start_a_year_of_stillness_is_doubted_until_confirmed() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        for (days, believed) in [(0, true), (366, true), (367, false), (36_525, false)] {
            let clock = Turned(Mutex::new((now.saturating_add_micros(days * DAY * 1_000_000), Duration::ZERO)));
            let mut time = Time::new(&clock, Some(now));
            assert_eq!(time.now(&clock).is_ok(), believed, "{days} days");
            time.confirm(&clock);
            assert!(time.now(&clock).is_ok(), "{days} days, confirmed");
        }
    }
}
