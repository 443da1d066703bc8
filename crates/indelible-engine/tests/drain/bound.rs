//! Binding a host role: an event and a row, or neither; and only by who may.

use indelible_engine::access::{Caller, Envelope, KeyKind, Owner, Scope};
use indelible_engine::resource::{MutateError, NewApiKey};
use indelible_engine::{Ledger, Options};
use serde_json::json;
use uuid::Uuid;

use crate::place::{Place, event, wait};

fn key(place: &Place, ledger: &Ledger, owner: Owner, scopes: &[Scope]) -> Caller {
    let new = NewApiKey { name: "n".to_owned(), owner, kind: KeyKind::Application, scopes: scopes.to_vec(), expires_at: None };
    let (_, text) = wait(ledger.create_api_key(&place.instance(ledger), new)).expect("made");
    wait(ledger.recognise(Some(&text), Envelope::default())).expect("a key")
}

#[test]
fn a_role_is_bound_and_unbound_by_events_and_by_who_may() {
    let place = Place::empty();
    place.owner.run("CREATE EXTENSION pgcrypto");
    let ledger = place.open("a");
    let project = place.project(&ledger, ledger.default_project_id());
    let of_organization = key(&place, &ledger, Owner::Organization(project.organization_id), &[Scope::ControlWrite]);
    let without = key(&place, &ledger, Owner::Organization(project.organization_id), &[Scope::AuditAdmin]);
    let bind = |caller: &Caller, role: &str, to: Uuid| wait(ledger.bind_host(caller, role, to));
    let refused = |caller: &Caller, role: &str, to: Uuid| bind(caller, role, to).expect_err("refused");
    assert_eq!(refused(&without, &place.role, project.id), MutateError::Forbidden("control:write".to_owned()));
    assert_eq!(refused(&place.admin(&ledger), &place.role, project.id), MutateError::Forbidden("the organization".to_owned()));
    assert_eq!(refused(&of_organization, &place.role, ledger.system_project_id()), MutateError::NotFound("project"));
    for (role, to, pointer) in
        [("nobody-here", project.id, "/role"), ("tests", project.id, "/role"), (&place.role, ledger.system_project_id(), "/project_id")]
    {
        let MutateError::Fault(fault) = refused(&place.instance(&ledger), role, to) else { panic!("{role}") };
        assert_eq!(fault.pointer, pointer, "{role}");
    }
    assert_eq!(place.owner.number("SELECT count(*) FROM audit.bindings"), 0);

    assert!(bind(&of_organization, &place.role, project.id).expect("bound"));
    assert!(!bind(&of_organization, &place.role, project.id).expect("bound before"));
    let other = wait(ledger.create_project(&place.instance(&ledger), None, "other")).expect("made").id;
    assert!(matches!(refused(&of_organization, &place.role, other), MutateError::Conflict(_)));
    assert!(!wait(ledger.unbind_host(&of_organization, &place.role, other)).expect("nothing to end"));
    assert!(wait(ledger.unbind_host(&of_organization, &place.role, project.id)).expect("ended"));
    assert_eq!(place.owner.number("SELECT count(*) FROM audit.bindings"), 0);
    let told = |project: Uuid, action: &str| place.events(&ledger, project, &format!(r#"action eq "{action}" and outcome eq "allow""#));
    let created = told(project.id, "database_binding.create");
    assert_eq!((created.len(), &created[0]["resource"]), (1, &json!({"type": "database_binding", "id": place.role})));
    assert_eq!(created[0]["content"]["after_state"], json!({"project_id": project.id.to_string(), "role": place.role}));
    let deleted = told(project.id, "database_binding.delete");
    assert_eq!(
        (deleted.len(), &deleted[0]["content"]["before_state"]),
        (1, &json!({"project_id": project.id.to_string(), "role": place.role}))
    );

    place.bind(&ledger, project.id);
    place.until("there is an inbox key", || place.owner.number("SELECT count(*) FROM audit.inbox_keys") == 1);
    let host = place.host();
    host.append(&event(1, "bound")).expect("taken");
    place.drained();
    assert!(wait(ledger.unbind_host(&place.instance(&ledger), &place.role, project.id)).expect("ended"));
    assert!(host.append(&event(2, "unbound")).expect_err("bound to nothing").starts_with("IN005"));
    place.verify();
}

/// With the rights of a server and no more: binding, a rule for a name, a key that is made, and draining.
#[test]
fn a_server_that_owns_nothing_binds_and_drains() {
    let (place, first) = Place::new();
    first.close();
    place.owner.run("DELETE FROM audit.inbox_keys");
    let ledger = place.open_as_server("a");
    let instance = place.instance(&ledger);
    let project = wait(ledger.create_project(&instance, None, "other")).expect("made").id;
    assert!(wait(ledger.unbind_host(&instance, &place.role, ledger.default_project_id())).expect("ended"));
    place.bind(&ledger, project);
    let rule = r#"{"name":"iban","action":"exclude"}"#;
    let rules = indelible_engine::resource::kind("redaction_rule").expect("a kind");
    wait(ledger.create_resource(&instance, rules, Some(Owner::Project(project)), rule, None)).expect("made");
    assert_eq!(place.owner.number("SELECT count(*) FROM audit.redaction_names"), 1);
    place.until("there is an inbox key", || place.owner.number("SELECT count(*) FROM audit.inbox_keys") == 1);
    place.host().append(&event(1, "taken")).expect("taken");
    place.drained();
    assert_eq!(place.entries(project).len(), 1);
    place.verify();
}

#[test]
fn a_ledger_in_a_file_binds_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Ledger::open(Options { disk_reserve_bytes: 0, ..Options::new(folder.path().join("data")) }).expect("it opens").ledger;
    let operator = ledger.operator();
    let refused = wait(ledger.bind_host(&operator, "app", ledger.default_project_id()));
    assert_eq!(refused, Err(MutateError::Conflict("the ledger is not in PostgreSQL")));
    assert_eq!(wait(ledger.accept_plaintext_inbox(&operator)), Err(MutateError::Conflict("the ledger is not in PostgreSQL")));
}
