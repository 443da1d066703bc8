//! Instants in microseconds, and the one form in which the ledger writes them.

use std::fmt::{self, Display, Formatter};

use jiff::civil;

/// An instant: microseconds since 1970-01-01T00:00:00Z, within the years 0001 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const MICROS_A_SECOND: i64 = 1_000_000;

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
        let number = |from: usize, to: usize| b[from..to].iter().fold(0_i32, |n, c| n * 10 + i32::from(c - b'0'));
        let mut rest = &b[19..];
        let mut micros = 0_i64;
        if let Some(fraction) = rest.strip_prefix(b".") {
            let digits = fraction.iter().take_while(|c| c.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            micros = (0..6).fold(0, |n, at| n * 10 + if at < digits { i64::from(fraction[at] - b'0') } else { 0 });
            rest = &fraction[digits..];
        }
        let offset_seconds = match rest {
            b"Z" | b"z" => 0,
            [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|c| c.is_ascii_digit()) => {
                let two = |a: &u8, b: &u8| i64::from(a - b'0') * 10 + i64::from(b - b'0');
                let (hours, minutes) = (two(h1, h2), two(m1, m2));
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let seconds = hours * 3_600 + minutes * 60;
                if *sign == b'-' { -seconds } else { seconds }
            }
            _ => return None,
        };
        let year = i16::try_from(number(0, 4)).ok().filter(|year| *year > 0)?;
        let small = |from, to| i8::try_from(number(from, to)).ok();
        let date = civil::Date::new(year, small(5, 7)?, small(8, 10)?).ok()?;
        let time = civil::Time::new(small(11, 13)?, small(14, 16)?, small(17, 19)?, 0).ok()?;
        let seconds = date.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second() - offset_seconds;
        Self::from_micros(seconds * MICROS_A_SECOND + micros)
    }

    /// Appends the written form.
    pub fn write(self, out: &mut Vec<u8>) {
        let (seconds, micros) = (self.0.div_euclid(MICROS_A_SECOND), self.0.rem_euclid(MICROS_A_SECOND));
        let civil = jiff::Timestamp::from_second(seconds).map(|t| jiff::tz::Offset::UTC.to_datetime(t)).unwrap_or_default();
        let two = |n: i8| [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        let year = civil.year();
        out.extend_from_slice(&two((year / 100) as i8));
        out.extend_from_slice(&two((year % 100) as i8));
        for (mark, part) in
            [(b'-', civil.month()), (b'-', civil.day()), (b'T', civil.hour()), (b':', civil.minute()), (b':', civil.second())]
        {
            out.push(mark);
            out.extend_from_slice(&two(part));
        }
        out.push(b'.');
        let digits: [u8; 6] = std::array::from_fn(|n| b'0' + (micros / 10_i64.pow(5 - n as u32) % 10) as u8);
        out.extend_from_slice(&digits);
        out.push(b'Z');
    }
}

impl Display for Timestamp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut out = Vec::with_capacity(Self::WRITTEN_BYTES);
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
