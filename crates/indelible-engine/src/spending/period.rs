//! Days, ISO weeks and months of UTC.

use indelible_core::time::Timestamp;

use crate::resource::kinds::budgets::Period;

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// Days since 1970-01-01.
pub(crate) type Day = i32;

/// The day of a time.
pub(crate) const fn day(at: Timestamp) -> Day {
    // All times that there are lie within a few million days.
    at.as_micros().div_euclid(DAY_MICROS) as Day
}

/// When a day begins.
pub(crate) fn begin(day: Day) -> Timestamp {
    Timestamp::from_micros(i64::from(day) * DAY_MICROS).unwrap_or(Timestamp::MAX)
}

/// The first day of the period that holds a day, and the first one after it; `None` for what has neither.
pub(crate) fn bounds(period: Period, day: Day) -> Option<(Day, Day)> {
    match period {
        Period::Day => Some((day, day + 1)),
        Period::Week => {
            // 1970-01-01 was a Thursday.
            let monday = day - (day + 3).rem_euclid(7);
            Some((monday, monday + 7))
        }
        Period::Month => {
            let first = first_of_month(day);
            Some((first, first_of_month(first + 31)))
        }
        Period::Total => None,
    }
}

fn first_of_month(day: Day) -> Day {
    // `2026-11-29T…`
    let written = begin(day).written();
    let of_month = written[8..10].iter().fold(0, |number, digit| number * 10 + Day::from(digit - b'0'));
    day - (of_month - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect(text)
    }

    #[test]
    fn periods_begin_and_end_where_the_calendar_has_them() {
        let cases = [
            (Period::Day, "2026-11-29T23:59:59.999999Z", "2026-11-29", "2026-11-30"),
            // A Sunday, and a Monday.
            (Period::Week, "2026-11-29T12:00:00Z", "2026-11-23", "2026-11-30"),
            (Period::Week, "2026-11-30T00:00:00Z", "2026-11-30", "2026-12-07"),
            (Period::Week, "1969-12-31T00:00:00Z", "1969-12-29", "1970-01-05"),
            (Period::Month, "2026-11-29T12:00:00Z", "2026-11-01", "2026-12-01"),
            (Period::Month, "2028-02-29T12:00:00Z", "2028-02-01", "2028-03-01"),
            (Period::Month, "2026-12-31T23:00:00Z", "2026-12-01", "2027-01-01"),
        ];
        for (period, now, from, until) in cases {
            let (first, next) = bounds(period, day(at(now))).expect("a period");
            let midnight = |date: &str| at(&format!("{date}T00:00:00Z"));
            assert_eq!((begin(first), begin(next)), (midnight(from), midnight(until)), "{now}");
        }
        assert_eq!(bounds(Period::Total, 0), None);
    }
}
