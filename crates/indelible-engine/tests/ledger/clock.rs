//! The clock: stepping back, jumping ahead, confirmed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use indelible_core::time::Timestamp;
use indelible_engine::append::AppendError;
use indelible_engine::clock::Clock;
use indelible_engine::resource::MutateError;

use crate::bench::{Bench, event, wait};

/// A clock whose hands the test moves.
pub(crate) struct Turned(Mutex<(Timestamp, Duration)>);

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        self.0.lock().expect("not poisoned").0
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().expect("not poisoned").1
    }
}

impl Turned {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new((Timestamp::parse("2026-03-01T12:00:00Z").expect("a time"), Duration::from_secs(1_000)))))
    }

    pub(crate) fn step(&self, wall_seconds: i64, monotonic_seconds: u64) {
        let mut state = self.0.lock().expect("not poisoned");
        *state = (state.0.saturating_add_micros(wall_seconds * 1_000_000), state.1 + Duration::from_secs(monotonic_seconds));
    }
}

#[test]
fn stepping_back_an_hour_keeps_recorded_at() {
    let clock = Turned::new();
    let bench = Bench::with(|options| options.clock = Arc::<Turned>::clone(&clock));
    let before = bench.append(&[event(1, "a")]).unwrap()[0].recorded_at;
    clock.step(-3_600, 1);
    let after = bench.append(&[event(2, "b")]).unwrap()[0].recorded_at;
    assert_eq!(after, before, "it does not go back");
    bench.verify();
}

#[test]
fn a_century_ahead_stops_appends_until_the_instance_confirms_it() {
    let clock = Turned::new();
    let bench = Bench::with(|options| options.clock = Arc::<Turned>::clone(&clock));
    bench.append(&[event(1, "a")]).unwrap();
    clock.step(36_525 * 86_400, 1);
    let refused = bench.append(&[event(2, "b")]).expect_err("the clock is not believed");
    assert!(matches!(&refused, AppendError::Unavailable { reason, outcome_unknown: false } if reason == "the clock jumped"), "{refused:?}");
    assert_eq!(bench.ledger.status().refusing, Some("the clock jumped"));
    let denied = wait(bench.ledger.confirm_clock(&bench.admin())).expect_err("a project's key cannot");
    assert!(matches!(denied, MutateError::Append(_) | MutateError::Forbidden(_)), "{denied:?}");
    let confirmed = wait(bench.ledger.confirm_clock(&bench.instance())).expect("the instance's key can");
    assert!(confirmed.to_string().starts_with("2126-"), "{confirmed}");
    bench.append(&[event(2, "b")]).expect("taken again");
    assert_eq!(bench.ledger.status().refusing, None);
    bench.verify();
}

#[test]
fn whether_appends_are_taken_is_known_while_nobody_appends() {
    let clock = Turned::new();
    let bench = Bench::with(|options| options.clock = Arc::<Turned>::clone(&clock));
    bench.append(&[event(1, "a")]).unwrap();
    clock.step(7_200, 1);
    assert_eq!(bench.ledger.status().refusing, Some("the clock jumped"), "before anybody was refused");
    bench.append(&[event(2, "b")]).expect_err("refused");
    clock.step(-7_200, 1);
    assert_eq!(bench.ledger.status().refusing, None, "it came back by itself");
    bench.append(&[event(2, "b")]).expect("taken");
}
