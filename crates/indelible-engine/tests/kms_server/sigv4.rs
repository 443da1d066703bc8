//! AWS Signature Version 4 from the other side: the signature of a request computed from its description in AWS's documentation, and
//! compared with what the request bears. Shares no code with what signs.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use indelible_core::hex;
use indelible_core::time::Timestamp;

use super::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, SESSION_TOKEN};

/// A request is good for so long, microseconds.
const FRESH_MICROS: i128 = 5 * 60 * 1_000_000;

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes).as_ref())
}

/// `20260102T030405Z`, within some minutes of now.
#[expect(clippy::disallowed_methods, reason = "another program's clock, not the ledger's")]
fn is_fresh(stamp: &str) -> bool {
    let part = |range| stamp.get(range).unwrap_or_default();
    let time = [part(0..4), "-", part(4..6), "-", part(6..11), ":", part(11..13), ":", part(13..16)].concat();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as i128;
    Timestamp::parse(&time).is_some_and(|time| (i128::from(time.as_micros()) - now).abs() < FRESH_MICROS)
}

/// Whether a request for `POST /` is signed; otherwise the type of error.
pub(super) fn check(headers: &BTreeMap<String, String>, body: &[u8]) -> Result<(), &'static str> {
    let header = |name: &str| headers.get(name).map(String::as_str).ok_or("MissingAuthenticationTokenException");
    let authorization = header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("IncompleteSignature")?;
    let field = |name: &str| {
        let found = authorization.split(", ").find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        found.ok_or("IncompleteSignature")
    };
    let (credential, signed, signature) = (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
    let stamp = header("x-amz-date")?;
    let day = stamp.get(..8).unwrap_or_default();
    let scope = format!("{day}/{REGION}/kms/aws4_request");
    if credential != format!("{ACCESS_KEY_ID}/{scope}") {
        return Err("UnrecognizedClientException");
    }
    if !is_fresh(stamp) {
        return Err("InvalidSignatureException");
    }
    let names: Vec<&str> = signed.split(';').collect();
    let with_token = headers.contains_key("x-amz-security-token");
    let needed = ["host", "x-amz-date", "x-amz-target"].into_iter().chain(with_token.then_some("x-amz-security-token"));
    if !names.is_sorted() || !needed.into_iter().all(|name| names.contains(&name)) {
        return Err("IncompleteSignature");
    }
    if with_token && header("x-amz-security-token")? != SESSION_TOKEN {
        return Err("UnrecognizedClientException");
    }
    let lines: Vec<String> = names.iter().map(|name| Ok(format!("{name}:{}\n", header(name)?))).collect::<Result<_, &'static str>>()?;
    let canonical = format!("POST\n/\n\n{}\n{signed}\n{}", lines.concat(), sha256(body));
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let key =
        [day, REGION, "kms", "aws4_request"].iter().fold(format!("AWS4{SECRET_ACCESS_KEY}").into_bytes(), |key, part| mac(&key, part));
    if hex::encode(&mac(&key, &text)) == signature { Ok(()) } else { Err("InvalidSignatureException") }
}
