//! Answers of KMS, read strictly: each must be about the key that was asked for, and of the one form that was asked for.
//!
//! Pure: bytes in, a key, a signature or a sentence out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indelible_core::key::Secret;
use serde::Deserialize;

use super::{DataKey, KeyArn};

/// The one key spec, usage and algorithm of keys that sign here.
pub(super) const KEY_SPEC: &str = "ECC_NIST_EDWARDS25519";
const KEY_USAGE: &str = "SIGN_VERIFY";
pub(super) const SIGNING_ALGORITHM: &str = "ED25519_SHA_512";
/// Longest wrapped data key that is kept, bytes: AWS makes them of less than 200.
pub(super) const CIPHERTEXT_BYTES_MAX: usize = 2_048;

/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410, sections 3 and 4), which has one
/// encoding in DER.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Members of all answers; each operation has some of them.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Answer {
    key_id: String,
    public_key: String,
    key_spec: String,
    key_usage: String,
    signing_algorithm: String,
    signature: String,
    plaintext: String,
    ciphertext_blob: String,
}

fn read(bytes: &[u8], key: &KeyArn) -> Result<Answer, &'static str> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|_| "it is not JSON of the form of the operation")?;
    if answer.key_id == key.as_str() { Ok(answer) } else { Err("it is about another key") }
}

fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    STANDARD.decode(text).map_err(|_| "a member is not base64")
}

/// The Ed25519 key of a SubjectPublicKeyInfo.
fn from_spki(der: &[u8]) -> Option<[u8; 32]> {
    der.strip_prefix(&SPKI_PREFIX)?.try_into().ok()
}

/// Of GetPublicKey.
pub(super) fn public_key(bytes: &[u8], key: &KeyArn) -> Result<[u8; 32], &'static str> {
    let answer = read(bytes, key)?;
    if (answer.key_spec.as_str(), answer.key_usage.as_str()) != (KEY_SPEC, KEY_USAGE) {
        return Err("the key is not of spec ECC_NIST_EDWARDS25519 and usage SIGN_VERIFY");
    }
    from_spki(&decode(&answer.public_key)?).ok_or("its public key is not the DER of an Ed25519 key (RFC 8410)")
}

/// Of Sign. Whether it holds is for the caller to see.
pub(super) fn signature(bytes: &[u8], key: &KeyArn) -> Result<[u8; 64], &'static str> {
    let answer = read(bytes, key)?;
    if answer.signing_algorithm != SIGNING_ALGORITHM {
        return Err("the signature is not of ED25519_SHA_512");
    }
    decode(&answer.signature)?.try_into().map_err(|_| "the signature does not have 64 bytes")
}

fn secret(text: &str) -> Result<Secret, &'static str> {
    decode(text)?.try_into().map(Secret::new).map_err(|_| "the key in it does not have 32 bytes")
}

/// Of GenerateDataKey.
pub(super) fn data_key(bytes: &[u8], key: &KeyArn) -> Result<DataKey, &'static str> {
    let answer = read(bytes, key)?;
    let ciphertext = decode(&answer.ciphertext_blob)?;
    if ciphertext.is_empty() || ciphertext.len() > CIPHERTEXT_BYTES_MAX {
        return Err("its ciphertext is empty or longer than a wrapped key");
    }
    Ok(DataKey { secret: secret(&answer.plaintext)?, ciphertext })
}

/// Of Decrypt.
pub(super) fn plaintext(bytes: &[u8], key: &KeyArn) -> Result<Secret, &'static str> {
    secret(&read(bytes, key)?.plaintext)
}

/// Type and sentence of a refusal, each cut to what belongs into a log line.
pub(super) fn refusal(bytes: &[u8], status: u16) -> (String, String) {
    #[derive(Deserialize, Default)]
    struct Refusal {
        #[serde(rename = "__type", default)]
        kind: String,
        #[serde(alias = "Message", default)]
        message: String,
    }
    let refusal: Refusal = serde_json::from_slice(bytes).unwrap_or_default();
    // Some services write a name space before the type, or an address after it.
    let kind = refusal.kind.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default();
    let plain = |text: &str, chars: usize| text.chars().filter(|c| !c.is_control()).take(chars).collect::<String>();
    let kind = if kind.is_empty() { format!("HTTP {status}") } else { plain(kind, 64) };
    (kind, plain(&refusal.message, 300))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/a";
    /// RFC 8410, section 10.1: a public key as `openssl pkey -pubout` writes it.
    const RFC_8410: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

    fn arn() -> KeyArn {
        ARN.parse().expect("an ARN")
    }

    #[test]
    fn the_public_key_of_the_standard_is_read() {
        let answer = json!({"KeyId": ARN, "KeySpec": KEY_SPEC, "KeyUsage": KEY_USAGE, "PublicKey": RFC_8410}).to_string();
        let key = public_key(answer.as_bytes(), &arn()).expect("a key");
        assert_eq!(indelible_core::hex::encode(&key), "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
    }

    #[test]
    fn any_other_byte_or_length_is_no_ed25519_key() {
        let der = STANDARD.decode(RFC_8410).expect("base64");
        for at in 0..SPKI_PREFIX.len() {
            let mut other = der.clone();
            other[at] ^= 1;
            assert_eq!(from_spki(&other), None, "byte {at}");
        }
        assert_eq!(from_spki(&der[..43]), None);
        assert_eq!(from_spki(&[&der[..], &[0]].concat()), None);
        assert!(from_spki(&der).is_some());
    }

    #[test]
    fn answers_about_something_else_are_refused() {
        let good = json!({
            "KeyId": ARN, "KeySpec": KEY_SPEC, "KeyUsage": KEY_USAGE, "PublicKey": RFC_8410,
            "SigningAlgorithm": SIGNING_ALGORITHM, "Signature": STANDARD.encode([7; 64]),
            "Plaintext": STANDARD.encode([8; 32]), "CiphertextBlob": STANDARD.encode([9; 184]),
        });
        let all = |answer: &serde_json::Value| {
            let bytes = answer.to_string().into_bytes();
            [
                public_key(&bytes, &arn()).is_ok(),
                signature(&bytes, &arn()).is_ok(),
                data_key(&bytes, &arn()).is_ok(),
                plaintext(&bytes, &arn()).is_ok(),
            ]
        };
        assert_eq!(all(&good), [true; 4]);
        for (member, value, expected) in [
            ("KeyId", json!("arn:aws:kms:eu-west-1:111122223333:key/b"), [false; 4]),
            ("KeyId", json!(null), [false; 4]),
            ("KeySpec", json!("ECC_NIST_P256"), [false, true, true, true]),
            ("KeyUsage", json!("ENCRYPT_DECRYPT"), [false, true, true, true]),
            ("PublicKey", json!(STANDARD.encode([0; 44])), [false, true, true, true]),
            ("SigningAlgorithm", json!("ED25519_PH_SHA_512"), [true, false, true, true]),
            ("Signature", json!(STANDARD.encode([7; 63])), [true, false, true, true]),
            ("Signature", json!("%"), [true, false, true, true]),
            ("Plaintext", json!(STANDARD.encode([8; 31])), [true, true, false, false]),
            ("CiphertextBlob", json!(""), [true, true, false, true]),
            ("CiphertextBlob", json!(STANDARD.encode(vec![9; CIPHERTEXT_BYTES_MAX + 1])), [true, true, false, true]),
        ] {
            let mut other = good.clone();
            other[member] = value;
            assert_eq!(all(&other), expected, "{member} {}", other[member]);
        }
    }

    #[test]
    fn the_type_of_an_error_is_found_in_every_form_and_never_long() {
        for (body, expected) in [
            (r#"{"__type":"DisabledException","message":"it is disabled"}"#, ("DisabledException", "it is disabled")),
            (r#"{"__type":"com.amazonaws.kms#NotFoundException","Message":"none"}"#, ("NotFoundException", "none")),
            (r#"{"__type":"AccessDeniedException:http://internal.example/"}"#, ("AccessDeniedException", "")),
            ("<html>", ("HTTP 502", "")),
            ("", ("HTTP 502", "")),
            ("{\"__type\":\"A\",\"message\":\"two\\nlines\"}", ("A", "twolines")),
        ] {
            let (kind, message) = refusal(body.as_bytes(), 502);
            assert_eq!((kind.as_str(), message.as_str()), expected, "{body}");
        }
        let (kind, message) = refusal(json!({"__type": "x".repeat(9_999), "message": "y".repeat(9_999)}).to_string().as_bytes(), 400);
        assert_eq!((kind.len(), message.len()), (64, 300));
    }
}
