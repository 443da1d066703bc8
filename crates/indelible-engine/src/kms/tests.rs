//! The client against a KMS of the tests that verifies each signature of a request and misbehaves as it is told.

#[path = "../../tests/kms_server/mod.rs"]
mod kms_server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use indelible_core::limits::SIGNED_TEXT_BYTES_MAX;
use object_store::StaticCredentialProvider;
use object_store::aws::AwsCredential;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::wire::Wire;
use super::{KeyArn, Kms, KmsError, Purpose};
use kms_server::{ACCESS_KEY_ID, KmsServer, SECRET_ACCESS_KEY, SESSION_TOKEN, Trouble};

fn client(url: &str, secret: &str, token: Option<&str>) -> Kms {
    let endpoint = Endpoint::set(|_| Some(url.to_owned())).expect("a URL");
    let credential = AwsCredential { key_id: ACCESS_KEY_ID.to_owned(), secret_key: secret.to_owned(), token: token.map(ToOwned::to_owned) };
    Kms::over(Wire::new(endpoint, Arc::new(StaticCredentialProvider::new(credential))).expect("a wire"))
}

/// A server, a client of it, and an Ed25519 key.
fn house() -> (KmsServer, Kms, KeyArn) {
    let server = KmsServer::start();
    let kms = client(&server.url, SECRET_ACCESS_KEY, None);
    let key = server.signing_key().parse().expect("an ARN");
    (server, kms, key)
}

fn kind(error: KmsError) -> String {
    if let KmsError::Refused { kind, .. } = error { kind } else { panic!("{error}") }
}

#[test]
fn a_signature_of_kms_holds_under_the_key_that_it_names() {
    let (server, kms, key) = house();
    let public_key = kms.public_key(&key).expect("a key");
    for message in [&b"x"[..], b"a checkpoint\n7\n", &[7; SIGNED_TEXT_BYTES_MAX]] {
        let signature = kms.sign(&key, message).expect("signed");
        UnparsedPublicKey::new(&ED25519, public_key).verify(message, &signature).expect("it holds");
    }
    assert_eq!(server.asked(), ["GetPublicKey", "Sign", "Sign", "Sign"]);
    assert!(matches!(kms.sign(&key, &[7; SIGNED_TEXT_BYTES_MAX + 1]), Err(KmsError::Setup(_))));
    assert!(server.asked().is_empty(), "what KMS would not take is not sent");
}

#[test]
fn a_data_key_is_opened_for_its_purpose_and_for_no_other() {
    let (server, kms, signing) = house();
    let [key, other]: [KeyArn; 2] = [server.symmetric_key(), server.symmetric_key()].map(|arn| arn.parse().expect("an ARN"));
    let purpose = Purpose { instance: "log", organization_id: Uuid::from_u128(7) };
    let made = kms.generate_data_key(&key, &purpose).expect("made");
    assert!(kms.decrypt(&key, &made.ciphertext, &purpose).expect("opened") == made.secret);
    let again = kms.generate_data_key(&key, &purpose).expect("made");
    assert!(again.secret != made.secret && again.ciphertext != made.ciphertext);
    for (key, purpose) in [
        (&key, Purpose { instance: "log", organization_id: Uuid::from_u128(8) }),
        (&key, Purpose { instance: "lag", organization_id: Uuid::from_u128(7) }),
        (&other, purpose.clone()),
    ] {
        let error = kms.decrypt(key, &made.ciphertext, &purpose).map(drop).expect_err("another purpose");
        assert_eq!(kind(error), "InvalidCiphertextException");
    }
    assert_eq!(kind(kms.generate_data_key(&signing, &purpose).map(drop).expect_err("a key that signs")), "InvalidKeyUsageException");
    assert_eq!(kind(kms.sign(&key, b"x").expect_err("one that does not")), "InvalidKeyUsageException");
}

#[test]
fn throttling_and_errors_of_kms_are_tried_again_and_nothing_else_is() {
    let (server, kms, key) = house();
    for (trouble, tries, expected) in [
        (Trouble::Refuse(2, 400, "ThrottlingException"), 3, None),
        (Trouble::Refuse(3, 500, "KMSInternalException"), 4, None),
        (Trouble::Refuse(1, 503, "SomethingNew"), 2, None),
        (Trouble::Refuse(9, 400, "ThrottlingException"), 4, Some("ThrottlingException")),
        (Trouble::Refuse(9, 400, "AccessDeniedException"), 1, Some("AccessDeniedException")),
        (Trouble::Refuse(9, 400, "DisabledException"), 1, Some("DisabledException")),
        (Trouble::Refuse(9, 404, "SomethingNew"), 1, Some("SomethingNew")),
        (Trouble::Refuse(9, 302, "SomethingNew"), 1, Some("SomethingNew")),
        (Trouble::Forbid("Sign", "AccessDeniedException"), 1, Some("AccessDeniedException")),
        (Trouble::Forbid("Decrypt", "AccessDeniedException"), 1, None),
    ] {
        server.trouble(Some(trouble.clone()));
        let signed = kms.sign(&key, b"x");
        assert_eq!((signed.err().map(kind).as_deref(), server.asked().len()), (expected, tries), "{trouble:?}");
        server.trouble(None);
    }
}

#[test]
fn what_is_no_answer_is_told_from_what_is_none_in_time() {
    let (server, kms, key) = house();
    for (trouble, words) in [(Trouble::Garbage, "not JSON"), (Trouble::Oversized, "64 KiB"), (Trouble::OtherKey, "another key")] {
        server.trouble(Some(trouble.clone()));
        for error in [kms.sign(&key, b"x").map(drop), kms.public_key(&key).map(drop)] {
            let error = error.expect_err("no answer");
            assert!(matches!(error, KmsError::Answer { .. }) && !error.may_pass(), "{trouble:?}: {error}");
            assert!(error.to_string().contains(words), "{trouble:?}: {error}");
        }
    }
    server.asked();
    for trouble in [Trouble::Away, Trouble::Hang] {
        server.trouble(Some(trouble.clone()));
        let begun = Instant::now();
        let error = kms.sign(&key, b"x").expect_err("no answer");
        assert!(matches!(error, KmsError::Unreachable { .. }) && error.may_pass(), "{trouble:?}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{trouble:?}");
    }
    assert!(server.asked().len() <= 3, "nobody who does not answer is asked over and over");
    server.trouble(None);
    kms.sign(&key, b"x").expect("it answers again");
}

#[test]
fn the_server_of_these_tests_takes_no_request_that_is_not_signed() {
    let (server, _, key) = house();
    for (secret, token, expected) in [
        ("another", None, Some("InvalidSignatureException")),
        (SECRET_ACCESS_KEY, Some("another"), Some("UnrecognizedClientException")),
        (SECRET_ACCESS_KEY, Some(SESSION_TOKEN), None),
    ] {
        let signed = client(&server.url, secret, token).sign(&key, b"x");
        assert_eq!(signed.err().map(kind).as_deref(), expected);
    }
    let elsewhere: KeyArn = key.as_str().replace("eu-central-1", "eu-west-1").parse().expect("an ARN");
    let error = client(&server.url, SECRET_ACCESS_KEY, None).sign(&elsewhere, b"x").expect_err("another region");
    assert_eq!(kind(error), "UnrecognizedClientException", "the region of the ARN is what is signed for");
}

#[test]
fn it_is_called_and_dropped_on_anybodys_runtime() {
    let (server, kms, key) = house();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        kms.sign(&key, b"x").expect("signed");
        drop(kms);
    });
    drop(Kms::default());
    let gone = client("http://127.0.0.1:1", SECRET_ACCESS_KEY, None).sign(&key, b"x").expect_err("nobody listens");
    assert!(matches!(gone, KmsError::Unreachable { .. }), "{gone}");
    server.exchange(key.as_str());
}
