//! From a key here to one in KMS, and from there to another: both sign while they overlap, and a key that cannot sign is never taken.

use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::Note;
use serde_json::json;

use crate::house::{By, Place, signatures};
use crate::kms_server::{KmsServer, Trouble};

#[test]
fn old_and_new_sign_while_they_overlap() {
    let (kms, place) = (KmsServer::start(), Place::new());
    let house = place.serve(&kms.url, &[]);
    house.append("alice");
    assert_eq!(signatures(&house.sealed().0), 1);
    assert!(kms.asked().is_empty(), "without a key in KMS nobody asks it");
    let (first, second) = (kms.signing_key(), kms.signing_key());
    for (n, arn) in [(2, &first), (3, &second)] {
        let (status, rotated) = house.rotate(Some(arn));
        assert_eq!((status, &rotated["id"]), (201, &json!(n)), "{rotated}");
        house.append("bob");
        let (checkpoint, note) = house.sealed();
        assert_eq!((signatures(&checkpoint), signatures(&note)), (n, 1), "{checkpoint}");
        let published = house.verifier_keys();
        assert_eq!(published.len(), n);
        // Each of them alone verifies it.
        let note = Note::parse(checkpoint.as_bytes()).expect("a note");
        for key in &published {
            Checkpoint::open(&note, &[key.parse().expect("a key")]).expect("signed by each");
        }
    }
    // By the command line, and back to a key of the ledger's own.
    let (third, fourth) = (kms.signing_key(), kms.signing_key());
    let (code, said) = house.command(By::Instance, &["keys", "rotate", "signing", "--kms", &third]);
    assert!(code == 0 && said.contains("signing_key 4 serves"), "{said}");
    let (code, said) = house.command(By::Instance, &["keys", "rotate", "signing"]);
    assert!(code == 0 && said.contains("signing_key 5 serves"), "{said}");
    assert_eq!(signatures(&house.sealed().0), 5);
    // No key signs under two numbers.
    let (status, problem) = house.rotate(Some(&first));
    assert!(status == 422 && problem["detail"].as_str().is_some_and(|detail| detail.contains("already")), "{problem}");
    house.stop();
    let (code, said) = place.verify("");
    assert_eq!(code, 0, "{said}");
    let (code, said) = crate::house::run(
        &kms.url,
        &["keys", "rotate", "signing", "--kms", &fourth, "--data", &place.text("data"), "--checkpoints", &place.text("checkpoints")],
    );
    assert!(code == 0 && said.contains("signing_key 6 serves"), "offline as well: {said}");
    assert_eq!(place.verify("").0, 0);
}

#[test]
fn a_key_that_does_not_sign_is_not_taken_and_the_try_is_recorded() {
    let (kms, place) = (KmsServer::start(), Place::new());
    let house = place.serve(&kms.url, &[]);
    let arn = kms.signing_key();
    let tries: [(String, Option<Trouble>, u16, &str); 9] = [
        ("arn:aws:kms:eu-central-1:111122223333:alias/audit".to_owned(), None, 422, "alias"),
        ("no arn".to_owned(), None, 422, "ARN"),
        (kms.symmetric_key(), None, 422, "ECC_NIST_EDWARDS25519"),
        (arn.replace("00000001", "99999999"), None, 422, "NotFoundException"),
        (arn.clone(), Some(Trouble::Forbid("Sign", "AccessDeniedException")), 422, "allow kms:Sign"),
        (arn.clone(), Some(Trouble::WrongSignature), 422, "does not verify"),
        (arn.clone(), Some(Trouble::OtherKey), 422, "another key"),
        (arn.clone(), Some(Trouble::Away), 503, "cannot be reached"),
        (arn.clone(), Some(Trouble::Refuse(9, 400, "ThrottlingException")), 503, "quota"),
    ];
    for (arn, trouble, expected, words) in tries {
        kms.trouble(trouble.clone());
        let (status, problem) = house.rotate(Some(&arn));
        assert_eq!(status, expected, "{arn} {trouble:?}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{trouble:?}: {problem}");
        if expected == 422 {
            assert_eq!(problem["errors"][0]["pointer"], "/kms_key", "{problem}");
        }
        assert!(!place.path("data/keys/signing-2.key").exists(), "{trouble:?}");
    }
    kms.trouble(None);
    for body in [json!({"kind": "hmac", "kms_key": arn}), json!({"kind": "data", "kms_key": arn}), json!({"kind": "signing", "kms_key": 7})]
    {
        let (status, problem) = house.ask(By::Instance, "POST", "/v1/audit/keys/rotate", &body);
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/kms_key")), "{body}: {problem}");
    }
    let (code, said) = house.command(By::Instance, &["keys", "rotate", "hmac", "--kms", &arn]);
    assert!(code != 0 && said.contains("--kms"), "{said}");
    assert_eq!(house.ask(By::Admin, "POST", "/v1/audit/keys/rotate", &json!({"kind": "signing", "kms_key": arn})).0, 403);
    // What was refused left an event each; what could not be tried for the moment did not.
    let told = house.told("action eq \"key.rotate\" and outcome eq \"error\"");
    assert_eq!(told.len(), 7 + 3, "each refusal in the chain of the instance: {told:?}");
    // And it is taken once it signs, under the number that none of the tries took.
    assert_eq!(house.rotate(Some(&arn)).1["id"], 2);
    house.append("alice");
    assert_eq!(signatures(&house.sealed().0), 2);
}
