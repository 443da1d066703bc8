//! Row numbers that are not there: `row` is dense from 1 over all projects, so that even a project of which nothing is
//! left leaves holes.
//!
//! Holes that the heads account for (a chain that lost rows names them itself) are not told a second time.

use std::ops::RangeInclusive;

/// Holes that are told by their numbers.
const TOLD_MAX: usize = 8;

/// The holes so far.
pub(super) struct Gaps {
    next: i64,
    absent: u64,
    told: Vec<RangeInclusive<i64>>,
}

impl Gaps {
    /// Looks for those from a row on.
    pub(super) const fn from(next: i64) -> Self {
        Self { next, absent: 0, told: Vec::new() }
    }

    /// The next row there is; rows come in ascending order.
    pub(super) fn row(&mut self, row: i64) {
        self.reach(row);
        self.next = self.next.max(row.saturating_add(1));
    }

    /// Everything before `row` should be there.
    pub(super) fn reach(&mut self, row: i64) {
        if row <= self.next {
            return;
        }
        self.absent = self.absent.saturating_add(row.abs_diff(self.next));
        if self.told.len() < TOLD_MAX {
            self.told.push(self.next..=row - 1);
        }
        self.next = row;
    }

    /// One sentence, if more rows are absent than the `accounted` ones.
    pub(super) fn beyond(&self, accounted: u64) -> Option<String> {
        if self.absent <= accounted {
            return None;
        }
        let ranges = self.told.iter().map(|range| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first} to {last}"),
        });
        let more = if self.told.len() == TOLD_MAX { " and more" } else { "" };
        let numbers = ranges.collect::<Vec<_>>().join(", ");
        Some(format!("{} rows are gone, of which the chains account for {accounted}: row {numbers}{more}", self.absent))
    }
}
