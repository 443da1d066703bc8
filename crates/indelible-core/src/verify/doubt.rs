//! Which leaves the walk could not vouch for: rows that are altered or not there. Tree hashes over them are not
//! compared, since they are sure to differ and the fault is named already.

/// Ranges kept apart; beyond, the last one swallows what follows.
const RANGES_MAX: usize = 4_096;

/// Ranges of leaves, ascending and apart.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    ranges: Vec<(u64, u64)>,
}

impl Doubt {
    /// Adds `first..=last`, which lies after everything added before.
    pub(super) fn add(&mut self, first: u64, last: u64) {
        let full = self.ranges.len() >= RANGES_MAX;
        match self.ranges.last_mut() {
            Some(range) if full || range.1.saturating_add(1) >= first => range.1 = range.1.max(last),
            _ => self.ranges.push((first, last)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether any leaf of `first..=last` is in doubt.
    pub(super) fn touches(&self, first: u64, last: u64) -> bool {
        let at = self.ranges.partition_point(|range| range.1 < first);
        self.ranges.get(at).is_some_and(|range| range.0 <= last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_and_are_found() {
        let mut doubt = Doubt::default();
        assert!(doubt.is_empty() && !doubt.touches(0, u64::MAX));
        for (first, last) in [(3, 3), (4, 9), (20, 20)] {
            doubt.add(first, last);
        }
        assert_eq!(doubt.ranges, [(3, 9), (20, 20)]);
        let cases = [(0, 2, false), (0, 3, true), (5, 5, true), (9, 12, true), (10, 19, false), (10, 20, true), (21, 99, false)];
        for (first, last, expected) in cases {
            assert_eq!(doubt.touches(first, last), expected, "{first}..={last}");
        }
        for n in 0..2 * RANGES_MAX as u64 {
            doubt.add(100 + 2 * n, 100 + 2 * n);
        }
        assert_eq!(doubt.ranges.len(), RANGES_MAX);
        assert!(doubt.touches(100 + 4 * RANGES_MAX as u64 - 2, u64::MAX));
    }
}
