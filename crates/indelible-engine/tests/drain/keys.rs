//! The inbox keys: made once, kept in the key store, and never taken for another's; nothing is rejected for a key that may come back.

use std::os::unix::fs::PermissionsExt as _;

use aws_lc_rs::digest::{SHA256, digest};
use indelible_engine::Ledger;
use indelible_engine::inbox::InboxKey;
use serde_json::{Value, json};

use crate::place::{Place, event, id};

fn public(place: &Place) -> Vec<u8> {
    place.owner.rows("SELECT public_key FROM audit.inbox_keys", &[])[0].get(0)
}

/// Every row that is written of a key is told by the organization, in the transaction that writes it, with nothing of its private half.
#[test]
fn a_key_is_made_with_the_first_binding_and_its_rows_are_events() {
    let place = Place::empty();
    place.owner.run("CREATE EXTENSION pgcrypto");
    let ledger = place.open("a");
    let first = place.project(&ledger, ledger.default_project_id());
    let told = |ledger: &Ledger| {
        let home = place.system_project(ledger, first.organization_id);
        place.events(ledger, home.id, r#"resource.type eq "inbox_key""#)
    };
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!((place.owner.number("SELECT count(*) FROM audit.inbox_keys"), told(&ledger).len()), (0, 0), "nobody is bound");
    place.bind(&ledger, first.id);
    place.host().append(&event(1, "at once")).expect("taken");
    let sha256 = |key: &[u8]| indelible_core::hex::encode(digest(&SHA256, key).as_ref());
    let made = told(&ledger);
    let [event] = made.as_slice() else { panic!("{made:?}") };
    assert_eq!((&event["action"], &event["resource"]["id"]), (&json!("key.create"), &json!(first.organization_id.to_string())));
    assert_eq!(event["content"]["after_state"], json!({"public_key_sha256": sha256(&public(&place))}));
    assert_ne!(event["actor"]["type"], "system", "who bound the role");
    place.drained();
    ledger.close();

    place.owner.run("DELETE FROM audit.inbox_keys");
    let ledger = place.open("a");
    place.until("the row is there again", || place.owner.number("SELECT count(*) FROM audit.inbox_keys") == 1);
    let again = told(&ledger);
    assert_eq!((again.len(), &again[1]["action"], &again[1]["actor"]["type"]), (2, &json!("key.create"), &json!("system")));
    assert_eq!(again[1]["reason"], "its public half was not in the database");
    ledger.close();
    let other = indelible_core::hex::encode(&InboxKey::generate().expect("made").public().expect("bytes"));
    place.owner.run(&format!("UPDATE audit.inbox_keys SET public_key = '\\x{other}'"));
    let ledger = place.open("a");
    place.until("it is that of the file again", || told(&ledger).len() == 3);
    assert_eq!(
        (&told(&ledger)[2]["action"], sha256(&public(&place))),
        (&json!("key.rotate"), text(&made[0]["content"]["after_state"]["public_key_sha256"]))
    );
    ledger.close();

    // A binding that was made by hand.
    std::fs::remove_file(place.keys().join(format!("inbox-{}.key", first.organization_id))).expect("there");
    place.owner.run("DELETE FROM audit.inbox_keys");
    let ledger = place.open("a");
    place.until("there is another key", || place.owner.number("SELECT count(*) FROM audit.inbox_keys") == 1);
    let new = &told(&ledger)[3];
    assert_eq!((&new["action"], new.get("reason")), (&json!("key.create"), None));
    place.verify();
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[test]
fn a_key_that_is_away_keeps_rows_waiting_and_one_that_was_exchanged_is_put_right() {
    let (place, ledger) = Place::new();
    let project = ledger.default_project_id();
    let organization = place.project(&ledger, project).organization_id;
    let file = place.keys().join(format!("inbox-{organization}.key"));
    assert_eq!(file.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    let (host, made) = (place.host(), public(&place));
    ledger.close();

    // The row is gone: it is that of the file again.
    place.owner.run("DELETE FROM audit.inbox_keys");
    assert!(host.append(&event(0, "no key")).expect_err("no key").starts_with("IN006"));
    let ledger = place.open("a");
    place.until("the row is there again", || place.owner.number("SELECT count(*) FROM audit.inbox_keys") == 1);
    assert_eq!(public(&place), made);
    ledger.close();

    // The file is away: what waits goes on waiting, and no other key is made.
    host.append(&event(1, "waits")).expect("taken");
    let aside = file.with_extension("aside");
    std::fs::rename(&file, &aside).expect("moved");
    let ledger = place.open("a");
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert_eq!((place.waiting(), public(&place) == made, file.exists()), (1, true, false));
    std::fs::rename(&aside, &file).expect("moved back");
    place.drained();
    assert_eq!(place.entries(project)[0]["id"], json!(id(1)), "it is found without a restart");
    ledger.close();

    // Hosts encrypt to a key that is not here: while something waits for it, it stays, and what waits too.
    let other = indelible_core::hex::encode(&InboxKey::generate().expect("made").public().expect("bytes"));
    place.owner.run(&format!("UPDATE audit.inbox_keys SET public_key = '\\x{other}'"));
    host.append(&event(2, "to another")).expect("taken");
    place.owner.run(&format!("UPDATE audit.inbox_keys SET public_key = '\\x{}'", indelible_core::hex::encode(&made)));
    host.append(&event(3, "to ours")).expect("taken");
    place.owner.run(&format!("UPDATE audit.inbox_keys SET public_key = '\\x{other}'"));
    let ledger = place.open("a");
    place.until("what opens is chained", || place.entries(project).len() == 2);
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert_eq!((place.waiting(), public(&place) == made), (1, false));
    assert_eq!(place.events(&ledger, project, r#"action eq "audit.append_rejected""#).len(), 0);
    place.owner.run("DELETE FROM audit.inbox");
    place.until("the row is that of the file again", || public(&place) == made);
    host.append(&event(4, "to ours again")).expect("taken");
    place.drained();
    assert_eq!(place.entries(project).len(), 3);
    place.verify();
}
