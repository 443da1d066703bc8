//! RFC 3339 in UTC with six digits, so that no library of times is needed, and any of them will do that converts to `SystemTime`.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_SECONDS: i64 = 86_400;

/// The time, cut to microseconds. A year beyond 9999 has more digits, and the database refuses it.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    let micros = match at.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        // Cut towards the past, as a time after the epoch is.
        Err(before) => i64::try_from(before.duration().as_nanos().div_ceil(1_000)).map_or(i64::MIN, |micros| -micros),
    };
    let (seconds, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (year, month, day) = civil(seconds.div_euclid(DAY_SECONDS));
    let second = seconds.rem_euclid(DAY_SECONDS);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{micros:06}Z", second % 60)
}

/// The day of the proleptic Gregorian calendar, so many days after 1970-01-01. Eras of 400 years have 146,097 days, and a year that begins
/// in March has its leap day last.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + if month <= 2 { 1 } else { 0 }, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use indelible_core::time::Timestamp;

    use super::*;

    #[test]
    fn times_are_those_of_the_ledger() {
        // Each day of four centuries and more, with a time of day that wanders, read by the ledger's own reader.
        for day in -200_000..200_000_i64 {
            let micros = day * DAY_SECONDS * 1_000_000 + day.rem_euclid(86_399) * 1_000_001;
            let span = Duration::from_micros(micros.unsigned_abs());
            let text = rfc3339(if micros < 0 { UNIX_EPOCH - span } else { UNIX_EPOCH + span });
            assert_eq!(Timestamp::parse(&text).map(|at| at.to_string()), Some(text.clone()));
            assert_eq!(Timestamp::parse(&text).map(Timestamp::as_micros), Some(micros), "{text}");
        }
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_nanos(1)), "1969-12-31T23:59:59.999999Z");
        assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_nanos(1_999)), "1970-01-01T00:00:00.000001Z");
    }
}
