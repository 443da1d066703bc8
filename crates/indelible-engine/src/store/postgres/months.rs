//! Where rows lie: the first row of each month of `recorded_at`, which a session asks for once, so that a row is looked for in one partition
//! and not in all of them.
//!
//! Rows get their `recorded_at` in their order, so months follow each other as rows do. What is known stays right for ever: rows that came
//! since are in the last month that is known or in a later one. Where the database was tampered with, and says that months do not follow each
//! other, every partition is looked into. Verification looks into all of them in any case.

use std::time::{Duration, Instant};

use super::session::Session;
use crate::store::sql::SqlResult;

/// How long a session goes on with what it knows. A month that began since is not missed: it is looked for in all the months there may be.
const KNOWN_FOR: Duration = Duration::from_hours(1);

/// Before and after every month, seconds since 1970: the years 1 and 10000 begin.
const EVER: (i64, i64) = (-62_135_596_800, 253_402_300_800);

/// Each month that has a row, in their order.
const MONTHS: &str = "SELECT first.row, extract(epoch FROM since)::bigint
    FROM (SELECT make_timestamptz(substr(relname, 8, 4)::integer, substr(relname, 13, 2)::integer, 1, 0, 0, 0, 'UTC') AS since
          FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
          WHERE inhparent = 'audit.events'::regclass AND relname ~ '^events_[0-9]{4}_[0-9]{2}$') AS months,
        LATERAL (SELECT row FROM audit.events
                 WHERE recorded_at >= since AND recorded_at < (since AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'
                 ORDER BY row LIMIT 1) AS first
    ORDER BY first.row";

/// The months that have rows, as a session knows them.
#[derive(Debug)]
pub(super) struct Months {
    /// The first row of a month, and when it began, in seconds since 1970. Both ascend.
    begun: Vec<(i64, i64)>,
    asked_at: Instant,
}

impl Months {
    /// Asks for them.
    pub(super) fn ask(session: &Session) -> SqlResult<Self> {
        let months = session.query(&session.prepare(MONTHS)?, &[])?;
        let mut begun = Vec::with_capacity(months.len());
        for month in months {
            begun.push((month.try_get(0)?, month.try_get(1)?));
        }
        Ok(Self::of(begun))
    }

    fn of(mut begun: Vec<(i64, i64)>) -> Self {
        if !begun.is_sorted_by(|before, after| before.0 < after.0 && before.1 < after.1) {
            begun.clear();
        }
        Self { begun, asked_at: Instant::now() }
    }

    /// Whether to ask anew.
    pub(super) fn is_old(&self) -> bool {
        self.asked_at.elapsed() > KNOWN_FOR
    }

    /// Between which moments the rows from `first` to `last` were recorded: from the one until before the other, seconds since 1970.
    pub(super) fn around(&self, (first, last): (i64, i64)) -> (i64, i64) {
        let from = self.begun.partition_point(|(row, _)| *row <= first).checked_sub(1);
        let until = self.begun.partition_point(|(row, _)| *row <= last);
        let since = |at: usize| self.begun.get(at).map(|(_, since)| *since);
        (from.and_then(since).unwrap_or(EVER.0), since(until).unwrap_or(EVER.1))
    }
}

/// Which rows a statement looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `?1` alone.
    One,
    /// Those from about `?1` to about `?2`.
    Range,
    /// Those from about `?1` on.
    From,
}

/// A statement that looks for events by row, told in which months to look: `row = ?1`, or `row > ?1`, and then perhaps `AND row <= ?2`.
/// The moments of [`Months::around`] become two more parameters, after those that there are. A statement of another form is not told anything.
pub(super) fn by_row(sql: &str) -> Option<(String, Wanted)> {
    let params = (1..10).take_while(|n| sql.contains(&format!("?{n}"))).count();
    let condition = ["row = ?1", "row > ?1", "row >= ?1"].into_iter().find(|condition| sql.contains(condition))?;
    let wanted = match condition {
        "row = ?1" => Wanted::One,
        _ if sql.contains("row <= ?2") || sql.contains("row < ?2") => Wanted::Range,
        _ => Wanted::From,
    };
    let told = format!(
        "recorded_at >= to_timestamp(?{}::bigint) AND recorded_at < to_timestamp(?{}::bigint) AND {condition}",
        params + 1,
        params + 2
    );
    Some((sql.replacen(condition, &told, 1), wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_in_the_months_between_which_they_came() {
        let months = Months::of(vec![(1, 100), (10, 200), (20, 400)]);
        for (rows, expected) in [
            ((1, 1), (100, 200)),
            ((9, 9), (100, 200)),
            ((10, 10), (200, 400)),
            ((5, 12), (100, 400)),
            // Newer than what is known: in the last month, or in any later one.
            ((20, 20), (400, EVER.1)),
            ((500, 600), (400, EVER.1)),
            // Older than the first, which may have been taken away.
            ((0, 0), (EVER.0, 100)),
            ((-5, i64::MAX), EVER),
        ] {
            assert_eq!(months.around(rows), expected, "{rows:?}");
        }
    }

    #[test]
    fn months_that_do_not_follow_each_other_tell_nothing() {
        for begun in [vec![(1, 200), (10, 100)], vec![(1, 100), (10, 100)], vec![]] {
            assert_eq!(Months::of(begun).around((3, 4)), EVER);
        }
    }

    #[test]
    fn statements_are_told_in_which_months_to_look() {
        let told = |sql: &str| by_row(sql);
        let expected = "SELECT a FROM events WHERE recorded_at >= to_timestamp(?3::bigint) AND recorded_at < to_timestamp(?4::bigint) AND row = ?1 AND project = ?2";
        assert_eq!(told("SELECT a FROM events WHERE row = ?1 AND project = ?2"), Some((expected.to_owned(), Wanted::One)));
        let range = told("SELECT a FROM events WHERE row > ?1 AND row <= ?2 AND project = ?3 ORDER BY row").expect("told");
        assert!(range.0.contains("to_timestamp(?5::bigint) AND row > ?1 AND row <= ?2 AND project = ?3"), "{}", range.0);
        assert_eq!(range.1, Wanted::Range);
        assert_eq!(told("SELECT a FROM events WHERE row > ?1").expect("told").1, Wanted::From);
        assert_eq!(told("SELECT a FROM heads WHERE project = ?1"), None);
    }
}
