//! The names that a tenant redacts count in SQL from the acknowledgement of the rule on; and nothing that is to be redacted, by whatever
//! rule, is in the database once the inbox was drained.

use indelible_engine::Ledger;
use indelible_engine::access::Owner;
use indelible_engine::resource::{Kind, kind};
use uuid::Uuid;

use crate::place::{Place, event, wait};

fn rules() -> &'static Kind {
    kind("redaction_rule").expect("a kind")
}

fn make(place: &Place, ledger: &Ledger, owner: Owner, rule: &str) -> Uuid {
    wait(ledger.create_resource(&place.instance(ledger), rules(), Some(owner), rule, None)).expect("made").kept.id
}

/// The names of a project, as SQL has them.
fn names(place: &Place, project: Uuid) -> String {
    let select = "SELECT coalesce(string_agg(name || ' ' || strategy, ', ' ORDER BY name), '') FROM audit.redaction_names WHERE project_id = $1::text::uuid";
    place.owner.rows(select, &[&project.to_string()])[0].get(0)
}

#[test]
fn names_are_those_of_the_rules_of_the_project_and_its_organization_at_any_time() {
    let (place, ledger) = Place::new();
    let (instance, project) = (place.instance(&ledger), place.project(&ledger, ledger.default_project_id()));
    let (here, organization) = (Owner::Project(project.id), Owner::Organization(project.organization_id));
    let second = wait(ledger.create_project(&instance, None, "second")).expect("made").id;
    let both = || (names(&place, project.id), names(&place, second));
    let told = |first: &str, other: &str| (first.to_owned(), other.to_owned());
    let iban = make(&place, &ledger, here, r#"{"name":"iban","action":"hmac"}"#);
    assert_eq!(both(), told("iban hmac", ""));
    make(&place, &ledger, here, r#"{"path":"/after_state/ssn","action":"exclude"}"#);
    let of_all = make(&place, &ledger, organization, r#"{"name":"iban","action":"redact","actions":["a.b"]}"#);
    assert_eq!(both(), told("iban redact", "iban redact"), "the strongest counts");
    let third = wait(ledger.create_project(&instance, None, "third")).expect("made").id;
    assert_eq!(names(&place, third), "iban redact", "a new project has its organization's");
    wait(ledger.update_resource(&instance, rules(), iban, None, r#"{"action":"exclude"}"#)).expect("changed");
    assert_eq!(both(), told("iban exclude", "iban redact"));
    wait(ledger.delete_resource(&instance, rules(), of_all, None)).expect("ended");
    assert_eq!((both(), names(&place, third)), (told("iban exclude", ""), String::new()));
    wait(ledger.delete_resource(&instance, rules(), iban, None)).expect("ended");
    assert_eq!(both(), told("", ""));
    let other = wait(ledger.create_resource(&instance, kind("organization").expect("a kind"), None, r#"{"name":"other"}"#, None));
    let other = other.expect("made").kept.id;
    make(&place, &ledger, Owner::Organization(other), r#"{"name":"iban","action":"redact"}"#);
    assert_eq!(both(), told("", ""), "no rule of another's");
    place.verify();
}

/// Without pgcrypto, so that the row can be looked into.
#[test]
fn what_a_tenant_redacts_by_name_is_in_no_row_once_the_rule_is_acknowledged() {
    let place = Place::empty();
    let ledger = place.open("a");
    place.owner.run("DROP EXTENSION pgcrypto; SELECT audit.inbox_use_pgcrypto()");
    let project = ledger.default_project_id();
    place.bind(&ledger, project);
    let (instance, host) = (place.instance(&ledger), place.host());
    let refused = host.append(&event(1, "x")).expect_err("nothing is in plain unless that was accepted");
    assert!(refused.starts_with("IN006"), "{refused}");
    assert!(wait(ledger.accept_plaintext_inbox(&place.admin(&ledger))).is_err(), "for the instance alone");
    assert!(wait(ledger.accept_plaintext_inbox(&instance)).expect("accepted"));
    assert!(!wait(ledger.accept_plaintext_inbox(&instance)).expect("accepted before"));
    let accepted = place.events(&ledger, ledger.system_project_id(), r#"action eq "plaintext_inbox.accept""#);
    assert_eq!((accepted.len(), &accepted[0]["outcome"]), (1, &serde_json::json!("allow")), "{accepted:?}");
    make(&place, &ledger, Owner::Project(project), r#"{"name":"iban","action":"redact"}"#);
    host.run("BEGIN");
    let secret = event(1, "x").replace(r#""text""#, r#""I-ban":"S3cret1","password":"S3cret2","path":{"ssn":"S3cret3"},"text""#);
    host.append(&secret).expect("taken");
    make(&place, &ledger, Owner::Project(project), r#"{"path":"/arguments/path/ssn","action":"exclude"}"#);
    ledger.close();
    host.run("COMMIT");
    let row: String = place.owner.rows("SELECT convert_from(event, 'UTF8') FROM audit.inbox", &[])[0].get(0);
    assert!(!row.contains("S3cret1") && !row.contains("S3cret2") && row.contains("S3cret3") && row.contains("[REDACTED]"), "{row}");
    let ledger = place.open("a");
    place.drained();
    let opened = place.events(&ledger, project, r#"action eq "account.transfer""#);
    let kept = &opened[0]["content"]["arguments"];
    assert_eq!(kept, &serde_json::json!({"I-ban": "[REDACTED]", "password": "[REDACTED]", "path": {}, "text": "x"}));
    place.owner.run("VACUUM FULL audit.inbox");
    place.holds_none_of(&["S3cret"]);
    place.verify();
}
