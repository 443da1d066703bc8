//! Each refusal is told by its kind, and what the application did is rolled back with it.

use indelible_postgres::{Actor, Event, Outcome, Refusal, RefusalKind};
use serde_json::json;

use crate::driver::{Driver, Work};
use crate::place::Place;

const OWN: &str = "INSERT INTO own VALUES (1)";

/// Runs it through both drivers as a role; both are refused alike.
fn refused(place: &Place, role: &str, work: &Work<'_>) -> Refusal {
    let [first, second] = Driver::both(place, role).map(|mut driver| driver.run(work).expect_err("refused"));
    assert_eq!(first, second);
    first
}

/// Kind and place of the refusal of an event that comes after the application's own statement.
fn of_event(place: &Place, role: &str, event: &Event) -> (RefusalKind, String) {
    let refusal = refused(place, role, &Work { own: OWN, event: Some(event), ..Work::default() });
    (refusal.kind, refusal.pointer)
}

#[test]
fn each_refusal_is_told_by_its_kind_and_nothing_of_its_transaction_is_kept() {
    let (place, ledger) = Place::new();
    let (role, unbound) = (place.role.clone(), format!("{}_unbound", place.role));
    place.owner.run(&format!("CREATE ROLE {unbound} LOGIN IN ROLE audit_host; GRANT CREATE ON SCHEMA public TO {role}"));
    place.host().run(&format!("CREATE TABLE own (n integer); GRANT ALL ON own TO {unbound}"));
    let event = |action: &str| Event::new(action, Actor::human("alice"), Outcome::Allow);
    let fine = event("account.transfer");
    let cases = [
        (event("Transfer"), RefusalKind::Invalid, "/action"),
        (Event::new("account.transfer", Actor::human(""), Outcome::Allow), RefusalKind::Invalid, "/actor/id"),
        (event("audit.read"), RefusalKind::EngineAction, "/action"),
        (event("account.transfer").reason("a".repeat(8_193)), RefusalKind::TooLarge, "/reason"),
    ];
    for (event, kind, pointer) in cases {
        assert_eq!(of_event(&place, &role, &event), (kind, pointer.to_owned()));
    }
    assert_eq!(of_event(&place, &unbound, &fine), (RefusalKind::Unbound, String::new()));
    // No event has a member of the server; a statement of the application's own may.
    let own = r#"SELECT audit.append('{"action":"a.b","actor":{"type":"anonymous"},"outcome":"allow","sequence":1}')"#;
    assert_eq!(refused(&place, &role, &Work { own, ..Work::default() }).kind, RefusalKind::ServerMember);
    place.host().run("CREATE TABLE watched (id integer PRIMARY KEY, ssn text); SELECT audit.watch('watched', '{ssn}')");
    place.host().run("ALTER TABLE watched RENAME ssn TO number");
    let refusal = refused(&place, &role, &Work { own: "INSERT INTO watched VALUES (1)", ..Work::default() });
    assert_eq!(refusal.kind, RefusalKind::Unwatchable);
    place.drained();
    ledger.close();
    place.owner.run("DELETE FROM audit.inbox_keys");
    let refusal = refused(&place, &role, &Work { own: OWN, event: Some(&fine), ..Work::default() });
    assert_eq!(refusal.kind, RefusalKind::Unsealable);
    assert_eq!(refusal.message, "the organization of the project has no key for its inbox");
    assert!(refusal.hint.expect("what to do").contains("when a role is bound"));
    assert_eq!(
        place.owner.number("SELECT (SELECT count(*) FROM own) + (SELECT count(*) FROM watched) + (SELECT count(*) FROM audit.inbox)"),
        0
    );
}

#[test]
fn what_jsonb_cannot_hold_is_refused_and_stays_out_of_the_log() {
    let (place, _ledger) = Place::new();
    place.owner.run(&format!("CREATE TABLE own (n integer); GRANT ALL ON own TO {}", place.role));
    let event = || Event::new("account.transfer", Actor::human("alice"), Outcome::Allow);
    let (text, name) = (event().after(json!({"a/b": ["pl4nted", "pl4nted\0"]})), event().before(json!({"pl4nted\0": 1})));
    for (event, pointer) in [(text, "/content/after_state/a~1b/1"), (name, "/content/before_state")] {
        let refusal = refused(&place, &place.role, &Work { own: OWN, event: Some(&event), ..Work::default() });
        assert_eq!((refusal.kind, refusal.pointer.as_str()), (RefusalKind::Invalid, pointer));
        assert!(refusal.message.starts_with("U+0000"), "{refusal}");
    }
    assert_eq!(place.owner.number("SELECT count(*) FROM own"), 0);
    let log = std::fs::read_to_string(crate::postgres::folder().join("server.log")).expect("a log");
    assert!(log.contains("SELECT audit.append($1::text::jsonb)"), "it has the statements that failed");
    assert!(!log.contains("pl4nted"));
}
