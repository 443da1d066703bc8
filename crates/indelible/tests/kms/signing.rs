//! A key in KMS signs: from the first start on, through everything that is made of signatures; and what happens where it does not.

use indelible_core::anchor::Anchor;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::{Name, Note, VerifierKey};
use serde_json::{Value, json};

use crate::house::{By, Place, run, signatures};
use crate::kms_server::{KmsServer, Trouble};

fn keys(texts: &[String]) -> Vec<VerifierKey> {
    texts.iter().map(|text| text.parse().expect("a verifier key")).collect()
}

#[test]
fn a_key_in_kms_signs_from_the_first_start_and_everything_verifies() {
    let (kms, place) = (KmsServer::start(), Place::new());
    let arn = kms.signing_key();
    let house = place.serve(&kms.url, &["--signing-kms", &arn]);
    let id = house.append("alice");
    let (checkpoint, note) = house.sealed();
    // Before it was taken it had to sign something; then an anchor and two checkpoints of each tree that grew.
    let asked = kms.asked();
    assert_eq!(asked[..3], ["GetPublicKey", "Sign", "GetPublicKey"], "{asked:?}");
    assert!(asked[3..].iter().all(|operation| operation == "Sign") && asked.len() > 5, "{asked:?}");

    let published = house.verifier_keys();
    let verifier = keys(&published);
    assert_eq!(published.len(), 1);
    let opened = Checkpoint::open(&Note::parse(checkpoint.as_bytes()).expect("a note"), &verifier).expect("signed");
    let anchor = Anchor::parse(house.get("/v1/audit/anchors/latest")["latest"]["anchor_text"].as_str().expect("text").as_bytes());
    let (anchor, origin) = (anchor.expect("an anchor"), opened.checkpoint.origin.clone());
    anchor.verify(&Note::parse(note.as_bytes()).expect("a note"), &origin, &verifier).expect("signed");
    assert_eq!(verifier[0].name(), &Name::new(origin.as_str()).expect("a name"));

    // The file names the key and holds no secret of its own; the event of its making names it too.
    let file = place.key_file("signing-1.key");
    let public_key = indelible_core::hex::encode(verifier[0].public_key());
    assert!(file.starts_with(&format!("kms {arn}\npublic-key {public_key}\nmac ")), "{file}");
    let told = house.told("action eq \"key.create\"");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["resource"]["type"], "signing_key");

    // A proof, a bundle, and the server's own verification.
    let (code, proof) = house.command(By::Admin, &["proof", &id]);
    assert_eq!(code, 0, "{proof}");
    let key_file = place.text("verifier-keys");
    let (_, all) = house.ask(By::Admin, "GET", "/v1/audit/keys", &Value::Null);
    let all: Vec<&str> = all["keys"].as_array().expect("keys").iter().filter_map(|key| key["verifier_key"].as_str()).collect();
    std::fs::write(&key_file, all.join("\n") + "\n").expect("written");
    let bundle = place.text("all.tar");
    let (code, said) = house.command(By::Admin, &["export", "bundle", "--out", &bundle]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = run("", &["verify-bundle", &bundle, "--keys-file", &key_file]);
    assert_eq!(code, 0, "{said}");
    let report = house.get("/v1/audit/verify");
    assert!(report["findings"].as_array().is_some_and(Vec::is_empty), "{report}");
    house.stop();

    // Offline, without any KMS.
    let (code, said) = place.verify("");
    assert_eq!(code, 0, "{said}");
    assert!(place.key_file("signing-1.key").contains(&arn));
}

#[test]
fn while_kms_is_away_appends_go_on_and_sealing_says_so_and_resumes() {
    let (kms, place) = (KmsServer::start(), Place::new());
    let house = place.serve(&kms.url, &["--signing-kms", &kms.signing_key()]);
    house.append("alice");
    let (before, _) = house.sealed();
    for trouble in [Trouble::Away, Trouble::Forbid("Sign", "DisabledException"), Trouble::Garbage, Trouble::WrongSignature] {
        kms.trouble(Some(trouble.clone()));
        house.append("bob");
        let status = house.seal();
        assert_eq!((&status["failing"], &status["failing_at"]), (&json!(true), &json!("signing_key")), "{trouble:?}: {status}");
        assert_eq!(status["latest"]["checkpoint"].as_str(), Some(before.as_str()), "nothing is published");
        let ready = house.get("/readyz");
        assert!(ready["status"] == "degraded" && ready["detail"].as_str().is_some_and(|detail| detail.contains("key")), "{ready}");
        assert_eq!(house.figure("indelible_sealing_failing"), Some(1.0));
    }
    let log = place.log();
    for words in ["cannot be reached", "DisabledException", "enable the key", "cannot be used", "does not verify"] {
        assert!(log.contains(words), "{words} in {log}");
    }
    kms.trouble(None);
    let (after, _) = house.sealed();
    assert_ne!(before, after);
    assert_eq!((house.get("/readyz")["status"].as_str(), house.figure("indelible_sealing_failing")), (Some("ready"), Some(0.0)));
    // It ends in order as well while KMS is away, and goes on at the next start.
    house.append("carol");
    kms.trouble(Some(Trouble::Away));
    house.stop();
    let (code, said) = place.verify("");
    assert!(code == 0 && said.contains("unanchored"), "{said}");
    let house = place.serve(&kms.url, &[]);
    house.append("dave");
    assert_eq!(house.seal()["failing"], true);
    kms.trouble(None);
    house.sealed();
    house.stop();
    assert_eq!(place.verify("").0, 0);
}

#[test]
fn another_key_under_the_same_name_signs_nothing() {
    let (kms, place) = (KmsServer::start(), Place::new());
    let arn = kms.signing_key();
    let house = place.serve(&kms.url, &["--signing-kms", &arn]);
    house.append("alice");
    let (before, _) = house.sealed();
    house.stop();
    kms.exchange(&arn);
    let house = place.serve(&kms.url, &[]);
    kms.asked();
    house.append("bob");
    let status = house.seal();
    assert_eq!(
        (&status["failing_at"], status["latest"]["checkpoint"].as_str()),
        (&json!("signing_key"), Some(before.as_str())),
        "{status}"
    );
    assert_eq!(kms.asked(), ["GetPublicKey"], "it is not even asked to sign");
    assert!(place.log().contains("has another public key") && place.log().contains(&arn), "{}", place.log());
    // A key of the ledger's own takes its place; the one before it would sign beside it for a while, and that it cannot stops nothing.
    assert_eq!(house.rotate(None).0, 201);
    let status = house.seal();
    assert_eq!(status["failing_at"], serde_json::Value::Null, "{status}");
    assert_ne!(status["latest"]["checkpoint"].as_str(), Some(before.as_str()), "{status}");
}

#[test]
fn a_file_that_was_turned_to_another_key_is_refused_at_the_start() {
    let (kms, place) = (KmsServer::start(), Place::new());
    let (arn, other) = (kms.signing_key(), kms.signing_key());
    place.serve(&kms.url, &["--signing-kms", &arn]).stop();
    let path = place.path("data/keys/signing-1.key");
    let good = std::fs::read_to_string(&path).expect("a file");
    std::fs::write(&path, good.replace(&arn, &other)).expect("written");
    let said = place.try_serve(&kms.url, &[]).map(|_| ()).expect_err("it was changed");
    assert!(said.contains("signing-1.key") && said.contains("was changed"), "{said}");
    std::fs::write(&path, good).expect("written");
    place.serve(&kms.url, &[]).stop();
}

#[test]
fn a_first_start_that_kms_refuses_leaves_nothing_in_the_way_of_the_next() {
    let (kms, place) = (KmsServer::start(), Place::new());
    let arn = kms.signing_key();
    for (trouble, words) in [
        (Trouble::Away, "cannot be reached"),
        (Trouble::Forbid("Sign", "AccessDeniedException"), "allow kms:Sign"),
        (Trouble::WrongSignature, "does not verify"),
    ] {
        kms.trouble(Some(trouble));
        let said = place.try_serve(&kms.url, &["--signing-kms", &arn]).map(|_| ()).expect_err("it does not sign");
        assert!(said.contains(words) && said.contains(&arn), "{said}");
    }
    kms.trouble(None);
    let said = place.try_serve(&kms.url, &["--signing-kms", &kms.symmetric_key()]).map(|_| ()).expect_err("another kind");
    assert!(said.contains("ECC_NIST_EDWARDS25519"), "{said}");
    let house = place.serve(&kms.url, &["--signing-kms", &arn]);
    house.append("alice");
    assert_eq!(signatures(&house.sealed().0), 1);
    house.stop();
    assert_eq!(place.verify("").0, 0);
    // An option that names another key than the one that signs is said to do nothing.
    let house = place.serve(&kms.url, &["--signing-kms", &kms.signing_key()]);
    assert!(place.log().contains("does not sign"), "{}", place.log());
    house.stop();
}
