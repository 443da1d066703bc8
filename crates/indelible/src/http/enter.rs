//! The door: a credential becomes a caller, or one and the same 401, after the ledger has recorded it. So it has who comes faster
//! than its key's rate.

use std::sync::Arc;
use std::time::Instant;

use axum::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use indelible_engine::access::{Caller, Refused};

use super::app::App;
use super::exchange::Origin;
use super::problem::{Kind, Problem};
use super::rate::Taken;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What is left of a key's rate, for the headers of draft-ietf-httpapi-ratelimit-headers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    quota: u32,
    left: u32,
    limited: bool,
}

impl Standing {
    /// Adds `RateLimit` and `RateLimit-Policy`, where there is a limit.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        if !self.limited {
            return;
        }
        let policy = format!("\"key\";q={};w=1", self.quota);
        let standing = format!("\"key\";r={};t=1", self.left);
        if let (Ok(policy), Ok(standing)) = (HeaderValue::try_from(policy), HeaderValue::try_from(standing)) {
            headers.insert(RATE_LIMIT_POLICY, policy);
            headers.insert(RATE_LIMIT, standing);
        }
    }
}

/// The credential of `Authorization: Bearer`, the scheme in any case (RFC 9110, section 11.1).
fn credential(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(AUTHORIZATION)?.to_str().unwrap_or("-");
    let (scheme, credential) = text.split_once(' ').unwrap_or((text, ""));
    // Without its scheme a key is no credential: the empty text is none either.
    Some(if scheme.eq_ignore_ascii_case("bearer") { credential.trim_start_matches(' ') } else { "" })
}

/// Recognises the caller and takes one request off its rate.
pub(super) async fn enter(app: &Arc<App>, headers: &HeaderMap, origin: &Origin) -> Result<(Caller, Standing), Problem> {
    let envelope = origin.envelope(headers);
    let credential = credential(headers);
    let caller = match app.ledger.recognise(credential, envelope.clone()).await {
        Ok(caller) => caller,
        Err(Refused::Blind) => return Err(Problem::new(Kind::Unavailable, "the database cannot be reached; try again shortly")),
        Err(refused) => {
            app.ledger.stranger(Some(origin.address), credential, refused, &envelope).await?;
            return Err(stranger(app, origin, refused));
        }
    };
    let rate = app.keys.rate();
    let Some(key) = caller.known_by() else {
        return Err(Problem::new(Kind::Internal, "a caller without a key"));
    };
    match app.keys.take(key, Instant::now()) {
        Taken::Left(left) => Ok((caller, Standing { quota: rate.per_second, left, limited: true })),
        Taken::Unlimited => Ok((caller, Standing { quota: 0, left: 0, limited: false })),
        Taken::Wait(wait) => {
            app.ledger.throttled(&caller).await?;
            let detail = format!("the key may send {} requests a second", rate.per_second);
            Err(Problem::new(Kind::RateLimited, detail).retry_after(wait).recorded())
        }
    }
}

/// The answer to whoever has no valid key. A known key is never held up by the failures of its neighbours: this is
/// asked only after a failure.
fn stranger(app: &App, origin: &Origin, refused: Refused) -> Problem {
    tracing::debug!(target: "indelible::http", reason = %refused, "not recognised");
    match app.strangers.take(origin.address, Instant::now()) {
        Taken::Wait(wait) => Problem::new(Kind::RateLimited, "too many failed authentications from this address").retry_after(wait),
        Taken::Left(_) | Taken::Unlimited => Problem::new(Kind::Unauthorized, "send a valid key as: Authorization: Bearer ind_…"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_read_in_any_case_and_no_other_scheme_brings_a_credential() {
        let cases = [
            (None, None),
            (Some("Bearer ind_x"), Some("ind_x")),
            (Some("bEARER   ind_x"), Some("ind_x")),
            (Some("Bearer"), Some("")),
            (Some("Basic eDp5"), Some("")),
            (Some("ind_x"), Some("")),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(credential(&headers), expected);
        }
    }
}
