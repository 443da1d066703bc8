//! Instants in microseconds, and the one form in which the ledger writes them.
//!
//! Refuses what is not RFC 3339, leap seconds and years outside 0001 to 9999. The calendar arithmetic is the
//! proleptic Gregorian one in whole days since 1970; a property test holds it to that of `jiff`.

use std::fmt::{self, Display, Formatter};

/// An instant: microseconds since 1970-01-01T00:00:00Z, within the years 0001 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const MICROS_A_SECOND: i64 = 1_000_000;
const SECONDS_A_DAY: i64 = 86_400;
/// Days of 400 years, after which the calendar repeats.
const DAYS_AN_ERA: i64 = 146_097;
/// Days from 0000-03-01, where an era begins, to 1970-01-01.
const DAYS_BEFORE_1970: i64 = 719_468;

impl Timestamp {
    /// Bytes of the written form: `2026-11-21T17:48:00.000000Z`.
    pub const WRITTEN_BYTES: usize = 27;
    /// 9999-12-31T23:59:59.999999Z
    pub const MAX: Self = Self(253_402_300_799_999_999);
    /// 0001-01-01T00:00:00.000000Z
    pub const MIN: Self = Self(-62_135_596_800_000_000);

    /// The instant that is `micros` microseconds after 1970, if it lies in the years 0001 to 9999.
    pub const fn from_micros(micros: i64) -> Option<Self> {
        if micros < Self::MIN.0 || micros > Self::MAX.0 { None } else { Some(Self(micros)) }
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Later by so many microseconds, held within the range.
    #[must_use]
    pub fn saturating_add_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros).clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Reads RFC 3339 with any offset. Digits finer than a microsecond are cut; a leap second and a missing
    /// offset are refused.
    pub fn parse(text: &str) -> Option<Self> {
        let b = text.as_bytes();
        let shape = b.len() >= 20
            && b[..19].iter().enumerate().all(|(n, c)| match n {
                4 | 7 => *c == b'-',
                10 => matches!(c, b'T' | b't'),
                13 | 16 => *c == b':',
                _ => c.is_ascii_digit(),
            });
        if !shape {
            return None;
        }
        let number = |from: usize, to: usize| b[from..to].iter().fold(0_i64, |n, c| n * 10 + i64::from(c - b'0'));
        let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
        let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
        let exists = year > 0 && (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
        if !exists || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let (micros, rest) = fraction(&b[19..])?;
        let seconds = days_since_1970(year, month, day) * SECONDS_A_DAY + hour * 3_600 + minute * 60 + second - offset_seconds(rest)?;
        Self::from_micros(seconds * MICROS_A_SECOND + micros)
    }

    /// Appends the written form.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.written());
    }

    /// The written form, ASCII.
    pub fn written(self) -> [u8; Self::WRITTEN_BYTES] {
        let (seconds, micros) = (self.0.div_euclid(MICROS_A_SECOND), self.0.rem_euclid(MICROS_A_SECOND));
        let (days, of_day) = (seconds.div_euclid(SECONDS_A_DAY), seconds.rem_euclid(SECONDS_A_DAY));
        let (year, month, day) = civil(days);
        let mut out = *b"0000-00-00T00:00:00.000000Z";
        let mut put = |end: usize, digits: usize, mut number: i64| {
            for place in out[end - digits..end].iter_mut().rev() {
                *place = b'0' + (number % 10) as u8;
                number /= 10;
            }
        };
        put(4, 4, year);
        put(7, 2, month);
        put(10, 2, day);
        put(13, 2, of_day / 3_600);
        put(16, 2, of_day / 60 % 60);
        put(19, 2, of_day % 60);
        put(26, 6, micros);
        out
    }
}

impl Display for Timestamp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.written()).map_err(|_| fmt::Error)?)
    }
}

/// The microseconds of a fraction, if there is one, and what follows it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(fraction) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let digits = fraction.iter().take_while(|c| c.is_ascii_digit()).count();
    let micros = (0..6).fold(0, |n, at| n * 10 + if at < digits { i64::from(fraction[at] - b'0') } else { 0 });
    (digits > 0).then(|| (micros, &fraction[digits..]))
}

fn offset_seconds(text: &[u8]) -> Option<i64> {
    match text {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|c| c.is_ascii_digit()) => {
            let two = |a: &u8, b: &u8| i64::from(a - b'0') * 10 + i64::from(b - b'0');
            let (hours, minutes) = (two(h1, h2), two(m1, m2));
            let seconds = hours * 3_600 + minutes * 60;
            (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Years are counted from March here, so that the leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * DAYS_AN_ERA + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - DAYS_BEFORE_1970
}

/// The year, month and day that is so many days after 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_BEFORE_1970;
    let (era, day) = (days.div_euclid(DAYS_AN_ERA), days.rem_euclid(DAYS_AN_ERA));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_second_is_that_of_another_calendar(seconds in -62_135_596_800_i64..253_402_207_200, micros in 0..1_000_000_i64) {
            let time = Timestamp::from_micros(seconds * MICROS_A_SECOND + micros).expect("in range");
            let other = jiff::Timestamp::from_second(seconds).expect("in range");
            let written = format!("{}.{micros:06}Z", other.strftime("%Y-%m-%dT%H:%M:%S"));
            prop_assert_eq!(time.to_string(), &*written);
            prop_assert_eq!(Timestamp::parse(&written), Some(time));
        }

        #[test]
        fn any_date_is_read_or_refused_as_by_another_calendar(year in 1..10_000_i16, month in 0..14_i8, day in 0..33_i8) {
            let text = format!("{year:04}-{month:02}-{day:02}T12:00:00Z");
            prop_assert_eq!(Timestamp::parse(&text).is_some(), jiff::civil::Date::new(year, month, day).is_ok(), "{}", text);
        }

        #[test]
        fn no_text_panics(text in "[0-9TZ:.+-]{0,40}") {
            if let Some(time) = Timestamp::parse(&text) {
                prop_assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
            }
        }
    }

    #[test]
    fn any_offset_is_read_and_one_form_is_written() {
        let cases = [
            ("2026-11-21T17:48:00Z", "2026-11-21T17:48:00.000000Z"),
            ("2026-11-21t17:48:00.1234567z", "2026-11-21T17:48:00.123456Z"),
            ("2026-11-21T17:48:00.5+02:30", "2026-11-21T15:18:00.500000Z"),
            ("1969-12-31T23:59:59.999999-00:00", "1969-12-31T23:59:59.999999Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z"),
        ];
        for (input, written) in cases {
            let time = Timestamp::parse(input).expect(input);
            assert_eq!(time.to_string(), written);
            assert_eq!(Timestamp::parse(written), Some(time));
        }
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        let cases = [
            "",
            "2026-11-21",
            "2026-11-21 17:48:00Z",
            "2026-11-21T17:48:00",
            "2026-11-21T17:48Z",
            "2026-02-29T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T23:59:60Z",
            "2026-11-21T17:48:00.Z",
            "2026-11-21T17:48:00+0200",
            "2026-11-21T17:48:00+24:00",
            "0000-01-01T00:00:00Z",
            "+2026-11-21T17:48:00Z",
            "2026-11-21T17:48:00Z ",
            "0001-01-01T00:00:00+00:01",
            "２026-11-21T17:48:00Z",
        ];
        for input in cases {
            assert_eq!(Timestamp::parse(input), None, "{input}");
        }
    }
}
