//! What a webhook is signed with: Standard Webhooks 1.0.0, the symmetric scheme, and the id of a delivery.
//!
//! Signed is `<id>.<seconds>.<body>`, so neither id nor time can be given to another body. A secret is `whsec_` and the
//! base64 of its bytes; what is not of that form signs nothing. A UUID has no full stop, so no two deliveries are signed as
//! the same bytes.

use aws_lc_rs::hmac;
use uuid::Uuid;

use crate::event::derived_id;
use crate::lines;

/// How a secret is told from other texts.
const SECRET_PREFIX: &str = "whsec_";
/// The scheme: HMAC-SHA256.
const VERSION: &str = "v1,";

/// One signature: `v1,` and the base64 of `HMAC-SHA256(secret, id ‖ "." ‖ seconds ‖ "." ‖ body)`. `None` where the secret is
/// not `whsec_` and base64, or is empty.
pub fn sign(secret: &str, id: &str, timestamp_seconds: i64, body: &[u8]) -> Option<String> {
    let secret = lines::decode(secret.strip_prefix(SECRET_PREFIX)?).filter(|secret| !secret.is_empty())?;
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &secret));
    for part in [id.as_bytes(), b".", timestamp_seconds.to_string().as_bytes(), b".", body] {
        context.update(part);
    }
    Some(VERSION.to_owned() + &lines::encode(context.sign().as_ref()))
}

/// The `webhook-signature` header: a signature by each secret, in their order, a space between them; a receiver takes a
/// delivery of which one is right. `None` where there is no secret, or one of them is none.
pub fn signatures<'a>(secrets: impl IntoIterator<Item = &'a str>, id: &str, timestamp_seconds: i64, body: &[u8]) -> Option<String> {
    let each: Vec<String> = secrets.into_iter().map(|secret| sign(secret, id, timestamp_seconds, body)).collect::<Option<_>>()?;
    (!each.is_empty()).then(|| each.join(" "))
}

/// The id of a delivery of these events, in this order: the event's own where it is one, else a UUIDv8 made of all of them,
/// so that it stays the same however often the delivery is tried.
pub fn batch_id(ids: &[Uuid]) -> Uuid {
    if let [id] = ids {
        return *id;
    }
    let parts: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
    derived_id("webhook-batch", &parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    /// The vector of the reference libraries of standard-webhooks/standard-webhooks (Apache-2.0, MIT), which all of them test.
    #[test]
    fn a_signature_is_that_of_the_reference_libraries() {
        let signature = sign(SECRET, ID, 1_614_265_330, BODY);
        assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    /// The second was computed with Python's `hmac` and `base64`.
    #[test]
    fn each_secret_signs_and_one_that_is_none_stops_all() {
        let other = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,O4Gjv1HqPqsMrjmczoggs/sWA8gZD0VyHG+fLh4+ktI=";
        assert_eq!(signatures([SECRET, other], ID, 1_614_265_330, BODY).as_deref(), Some(expected));
        assert_eq!(signatures([], ID, 1_614_265_330, BODY), None);
        for bad in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "whsk_AAAA", "whsec_####"] {
            assert_eq!(sign(bad, ID, 1_614_265_330, BODY), None, "{bad}");
            assert_eq!(signatures([SECRET, bad], ID, 1_614_265_330, BODY), None, "{bad}");
        }
    }

    #[test]
    fn id_time_and_body_are_all_signed() {
        let signature = sign(SECRET, ID, 1_614_265_330, BODY);
        assert_ne!(signature, sign(SECRET, "msg", 1_614_265_330, BODY));
        assert_ne!(signature, sign(SECRET, ID, 1_614_265_331, BODY));
        assert_ne!(signature, sign(SECRET, ID, 1_614_265_330, &BODY[1..]));
    }

    /// Computed with Python as those of `event::derived_id`.
    #[test]
    fn a_batch_has_one_id_whenever_it_is_sent() {
        let ids: Vec<Uuid> = (1..=3).map(Uuid::from_u128).collect();
        assert_eq!(batch_id(&ids[..1]), ids[0]);
        assert_eq!(batch_id(&ids).to_string(), "ec6135ba-dc42-8dd0-ad0c-fef41ad7b937");
        assert_ne!(batch_id(&ids), batch_id(&[ids[1], ids[0], ids[2]]));
        assert_ne!(batch_id(&ids), batch_id(&ids[..2]));
    }
}
