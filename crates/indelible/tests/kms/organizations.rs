//! Organizations' keys that KMS wraps: contents open after a restart, and where KMS does not open the key nothing starts.

use serde_json::Value;

use crate::house::{By, House, Place, copy};
use crate::kms_server::{KmsServer, Trouble};

/// What was said in an event, opened.
fn said(house: &House, id: &str) -> String {
    let event = house.get(&format!("/v1/audit/events/{id}?include=content&purpose=a%20test"));
    event["content"]["arguments"]["said"].as_str().unwrap_or_default().to_owned()
}

/// The files of the organizations' keys, by name.
pub(crate) fn files(place: &Place) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(place.path("data/keys")).expect("readable").map(|entry| entry.expect("an entry").file_name());
    let names = entries.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("organization-"));
    names.map(|name| (name.clone(), place.key_file(&name))).collect()
}

#[test]
fn contents_open_after_a_restart_with_kms_and_without_it_nothing_starts() {
    let (kms, place) = (KmsServer::start(), Place::new());
    let arn = kms.symmetric_key();
    let house = place.serve(&kms.url, &["--organization-kms", &arn, "--instance-name", "log.example/a"]);
    let id = house.append("alice");
    assert_eq!(said(&house, &id), "secret of alice");
    // Each new key is opened again before it is used.
    assert_eq!(kms.asked(), ["GenerateDataKey", "Decrypt", "GenerateDataKey", "Decrypt"]);
    house.stop();
    let files = files(&place);
    assert_eq!(files.len(), 2);
    assert!(files.iter().all(|(_, text)| text.starts_with(&format!("kms {arn}\ninstance log.example/a\nciphertext "))), "{files:?}");
    for (trouble, words) in [
        (Trouble::Away, "cannot be reached"),
        (Trouble::Refuse(9, 400, "DisabledException"), "enable the key"),
        (Trouble::Refuse(9, 400, "AccessDeniedException"), "allow kms:Decrypt"),
        (Trouble::Refuse(9, 400, "KMSInvalidStateException"), "deletion"),
    ] {
        kms.trouble(Some(trouble));
        let said = place.try_serve(&kms.url, &[]).map(|_| ()).expect_err("no key");
        assert!(said.contains("cannot be opened") && said.contains(words) && said.contains(&arn), "{said}");
        kms.trouble(None);
    }
    // Verification opens contents, so it needs the keys: it could not tell, and says why.
    let (code, told) = place.verify("");
    assert!(code == 2 && told.contains("cannot be opened"), "{code} {told}");
    let (code, told) = place.verify(&kms.url);
    assert_eq!(code, 0, "{told}");
    // The option is for new organizations: those that are there know their key.
    let house = place.serve(&kms.url, &[]);
    assert_eq!(said(&house, &id), "secret of alice");
    let (status, _) = house.ask(By::Instance, "POST", "/v1/audit/keys/rotate", &serde_json::json!({"kind": "data"}));
    assert_eq!(status, 201);
    let new = house.append("bob");
    house.stop();
    let house = place.serve(&kms.url, &[]);
    assert_eq!((said(&house, &id), said(&house, &new)), ("secret of alice".to_owned(), "secret of bob".to_owned()));
}

#[test]
fn a_key_of_one_organization_opens_nothing_in_the_place_of_another() {
    let (kms, place) = (KmsServer::start(), Place::new());
    place.serve(&kms.url, &["--organization-kms", &kms.symmetric_key()]).stop();
    let files = files(&place);
    let [(one, _), (other, text)] = &files[..] else { panic!("{files:?}") };
    copy(&place.path("data"), &place.path("kept"));
    std::fs::write(place.path("data/keys").join(one), text).expect("written");
    let said = place.try_serve(&kms.url, &[]).map(|_| ()).expect_err("they were exchanged");
    assert!(said.contains(one) && said.contains("was changed"), "{said} {other}");
}

#[test]
fn a_ledger_of_before_stays_as_it_is_and_one_that_kms_refuses_is_not_begun() {
    let (kms, place) = (KmsServer::start(), Place::new());
    let arn = kms.symmetric_key();
    let house = place.serve(&kms.url, &[]);
    let id = house.append("alice");
    house.stop();
    let house = place.serve("", &["--organization-kms", &arn]);
    assert_eq!(said(&house, &id), "secret of alice");
    house.stop();
    assert!(files(&place).iter().all(|(_, text)| !text.starts_with("kms ")));

    let other = Place::new();
    // May make keys, and may not open them: found out before anything is sealed under one.
    kms.trouble(Some(Trouble::Forbid("Decrypt", "AccessDeniedException")));
    let told = other.try_serve(&kms.url, &["--organization-kms", &arn]).map(|_| ()).expect_err("it could not be opened again");
    assert!(told.contains("allow kms:Decrypt"), "{told}");
    assert!(files(&other).is_empty());
    kms.trouble(None);
    let told = other.try_serve(&kms.url, &["--organization-kms", &kms.signing_key()]).map(|_| ()).expect_err("a key that signs");
    assert!(told.contains("SYMMETRIC_DEFAULT"), "{told}");
    let house = other.serve(&kms.url, &["--organization-kms", &arn, "--signing-kms", &kms.signing_key()]);
    house.append("bob");
    house.sealed();
    assert_eq!(house.ask(By::Admin, "GET", "/v1/audit/verify", &Value::Null).1["findings"], serde_json::json!([]));
}
