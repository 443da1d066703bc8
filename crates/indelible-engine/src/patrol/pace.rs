//! The pace of the patrol: short stretches of work, and rests in proportion, which end at once when the thread has to.

use std::time::{Duration, Instant};

/// Work between two rests, at least.
const WORK_MIN: Duration = Duration::from_millis(10);

/// Work and rest in turn.
pub(crate) struct Pace {
    share_percent: u32,
    began: Instant,
}

impl Pace {
    /// For a share of one core, 1 to 100 percent.
    pub(crate) fn new(share_percent: u8) -> Self {
        Self { share_percent: u32::from(share_percent.clamp(1, 100)), began: Instant::now() }
    }

    /// Called between two pieces of work: rests if it is time, by `rest`, which says whether to go on.
    pub(crate) fn step(&mut self, rest: &mut dyn FnMut(Duration) -> bool) -> bool {
        let worked = self.began.elapsed();
        if worked < WORK_MIN {
            return rest(Duration::ZERO);
        }
        let going = rest(worked * (100 - self.share_percent) / self.share_percent);
        self.began = Instant::now();
        going
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_are_in_proportion_to_work() {
        for (share, least) in [(10, 9), (50, 1), (100, 0), (0, 99)] {
            let mut pace = Pace::new(share);
            pace.began = Instant::now().checked_sub(WORK_MIN).expect("the machine runs for longer");
            let (mut rested, since) = (Duration::ZERO, Instant::now());
            assert!(pace.step(&mut |rest| {
                rested = rest;
                true
            }));
            assert!(rested >= WORK_MIN * least, "{share}: {rested:?}");
            assert!(pace.step(&mut |rest| rest == Duration::ZERO || since.elapsed() >= WORK_MIN), "there was no work since");
            assert!(!pace.step(&mut |_| false), "it ends when it has to");
        }
    }
}
