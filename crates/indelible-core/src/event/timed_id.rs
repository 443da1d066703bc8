//! Ids that are drawn: UUIDv7 (RFC 9562, section 5.7), from a time and random bits that the caller hands in.

use uuid::{Builder, Uuid};

use crate::time::Timestamp;

/// The UUIDv7 of the millisecond of `now` (1970 for times before it) and 74 of these 80 bits.
pub fn timed_id(now: Timestamp, random: &[u8; 10]) -> Uuid {
    let millis = u64::try_from(now.as_micros().div_euclid(1_000)).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, random).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 9562, appendix A.6.
    #[test]
    fn the_example_of_the_rfc() {
        let now = Timestamp::parse("2022-02-22T14:22:22.000999-05:00").expect("a time");
        let id = timed_id(now, &[0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f]);
        assert_eq!(id.to_string(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
        let before = Timestamp::parse("1969-12-31T23:59:59Z").expect("a time");
        assert_eq!(timed_id(before, &[0; 10]).as_u128() >> 80, 0);
    }
}
