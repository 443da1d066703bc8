//! What opens something: `ind_<id>_<43 characters>`, drawn here, shown once, and known from then on by its SHA-256 alone.
//!
//! A new one may take the place of an old one that goes on working for a while, so that whoever uses it can be given the new one first.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indelible_core::hex;
use indelible_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::document::optional_time_text;
use crate::access::{credential, secret_digest};
use crate::keystore::{KeyError, random_bytes};

/// What is stored of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Credential {
    /// SHA-256 of the 43 characters, hex.
    sha256: String,
    /// When it works no more, where another took its place.
    #[serde(with = "optional_time_text", default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Timestamp>,
}

impl Credential {
    /// A new one for what has this id, and the text of it, which is nowhere stored.
    pub(super) fn draw(id: Uuid) -> Result<(Self, String), KeyError> {
        let secret = URL_SAFE_NO_PAD.encode(random_bytes::<32>()?);
        Ok((Self { sha256: hex::encode(&secret_digest(&secret)), until: None }, credential(id, &secret)))
    }

    /// Whether a secret is this one, and works at `now`.
    pub(crate) fn opens(&self, secret: &str, now: Timestamp) -> bool {
        let is_it =
            hex::decode_array::<32>(&self.sha256).is_some_and(|stored| verify_slices_are_equal(&stored, &secret_digest(secret)).is_ok());
        is_it && self.until.is_none_or(|until| now < until)
    }
}

/// Credentials after a new one took the place of the newest, which works on for `grace`. What that one took the place of ends at once, so that
/// there are never more than two.
pub(super) fn renewed(new: Credential, before: &[Credential], now: Timestamp, grace: Duration) -> Vec<Credential> {
    let end = now.saturating_add_micros(i64::try_from(grace.as_micros()).unwrap_or(i64::MAX));
    let ending = before.iter().take(1).map(|old| Credential { until: Some(old.until.map_or(end, |until| until.min(end))), ..old.clone() });
    let still = ending.filter(|old| old.until.is_some_and(|until| now < until));
    std::iter::once(new).chain(still).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_one_works_until_its_grace_is_over_and_there_are_never_more_than_two() {
        let at = |text: &str| Timestamp::parse(text).expect("a time");
        let (noon, one, two) = (at("2026-03-01T12:00:00Z"), at("2026-03-01T13:00:00Z"), at("2026-03-01T14:00:00Z"));
        let draw = || {
            let (credential, text) = Credential::draw(Uuid::nil()).expect("random bytes");
            (credential, text[text.len() - 43..].to_owned())
        };
        let ((first, old), (second, new), (third, newest)) = (draw(), draw(), draw());
        assert!(first.opens(&old, two) && !first.opens(&new, noon) && !first.opens("", noon));
        let held = renewed(second, &[first], noon, Duration::from_hours(1));
        let opens = |held: &[Credential], secret: &str, now| held.iter().any(|one| one.opens(secret, now));
        assert!(opens(&held, &old, noon) && !opens(&held, &old, one) && opens(&held, &new, two));
        let held = renewed(third, &held, noon, Duration::from_hours(9));
        assert!(!opens(&held, &old, noon), "there are never more than two");
        assert!(opens(&held, &new, two) && opens(&held, &newest, two));
        assert_eq!(renewed(held[0].clone(), &held, noon, Duration::ZERO).len(), 1, "what works no more is not kept");
    }
}
