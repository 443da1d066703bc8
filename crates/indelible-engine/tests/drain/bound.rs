//! Binding a host role: an event and a row, or neither; and only by who may.

use indelible_engine::access::{Caller, Envelope, KeyKind, Owner, Scope};
use indelible_engine::database::bind::Purpose;
use indelible_engine::resource::{MutateError, NewApiKey, kind};
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
    let bind = |caller: &Caller, role: &str, to: Uuid| wait(ledger.bind_role(caller, Purpose::Host, role, to));
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
    assert!(!wait(ledger.unbind_role(&of_organization, Purpose::Host, &place.role, other)).expect("nothing to end"));
    assert!(wait(ledger.unbind_role(&of_organization, Purpose::Host, &place.role, project.id)).expect("ended"));
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
    assert!(wait(ledger.unbind_role(&place.instance(&ledger), Purpose::Host, &place.role, project.id)).expect("ended"));
    assert!(host.append(&event(2, "unbound")).expect_err("bound to nothing").starts_with("IN005"));
    place.verify();
}

/// A reader's binding is an event of the project that he reads, system projects and deleted ones as well; and who is bound reads.
#[test]
fn a_reader_is_let_in_and_out_by_events() {
    let place = Place::empty();
    indelible_engine::database::install_in(&place.database()).expect("installed");
    let ledger = place.open_as_server("a");
    let (instance, first) = (place.instance(&ledger), place.project(&ledger, ledger.default_project_id()));
    let system = place.system_project(&ledger, first.organization_id);
    let other = wait(ledger.create_project(&instance, None, "other")).expect("made").id;
    let of_organization = key(&place, &ledger, Owner::Organization(first.organization_id), &[Scope::ControlWrite]);
    let without = key(&place, &ledger, Owner::Organization(first.organization_id), &[Scope::AuditAdmin]);
    let bind = |caller: &Caller, role: &str, to: Uuid| wait(ledger.bind_role(caller, Purpose::Reader, role, to));
    let refused = |caller: &Caller, role: &str, to: Uuid| bind(caller, role, to).expect_err("refused");
    assert_eq!(refused(&without, &place.role, first.id), MutateError::Forbidden("control:write".to_owned()));
    assert_eq!(refused(&place.admin(&ledger), &place.role, first.id), MutateError::Forbidden("the organization".to_owned()));
    assert_eq!(refused(&of_organization, &place.role, ledger.system_project_id()), MutateError::NotFound("project"));
    place.owner.run(&format!("CREATE ROLE owns_{0} LOGIN IN ROLE tests; CREATE ROLE above_{0} LOGIN BYPASSRLS", place.role));
    for role in ["nobody-here".to_owned(), "tests".to_owned(), format!("owns_{}", place.role), format!("above_{}", place.role)] {
        let MutateError::Fault(fault) = refused(&instance, &role, first.id) else { panic!("{role}") };
        assert_eq!(fault.pointer, "/role", "{role}");
    }
    assert_eq!(place.owner.number("SELECT count(*) FROM audit.readers"), 0);

    for project in [first.id, other, system.id] {
        assert!(bind(&of_organization, &place.role, project).expect("bound"));
        assert!(!bind(&of_organization, &place.role, project).expect("bound before"));
        indelible_engine::database::let_in(&place.database(), Purpose::Reader, &place.role, project).expect("a member");
    }
    let reads = |project: Uuid| {
        let count = "SELECT count(*) FROM audit.audit_events WHERE project_id = $1::text::uuid";
        place.host().rows(count, &[&project.to_string()])[0].get::<_, i64>(0)
    };
    assert!(reads(first.id) > 0 && reads(other) > 0 && reads(system.id) > 0);
    assert_eq!(reads(ledger.system_project_id()), 0, "the instance's own chain is not his");
    assert!(wait(ledger.unbind_role(&of_organization, Purpose::Reader, &place.role, other)).expect("ended"));
    assert!(!wait(ledger.unbind_role(&of_organization, Purpose::Reader, &place.role, other)).expect("nothing to end"));
    assert!(reads(first.id) > 0 && reads(other) == 0);
    let told = |project: Uuid, action: &str| place.events(&ledger, project, &format!(r#"action eq "{action}" and outcome eq "allow""#));
    let state = json!({"project_id": other.to_string(), "role": place.role});
    let created = told(other, "database_reader.create");
    assert_eq!((created.len(), &created[0]["content"]["after_state"]), (1, &state));
    assert_eq!(created[0]["resource"], json!({"type": "database_reader", "id": place.role}));
    let deleted = told(other, "database_reader.delete");
    assert_eq!((deleted.len(), &deleted[0]["content"]["before_state"]), (1, &state));
    assert_eq!(told(system.id, "database_reader.create").len(), 1);

    // A deleted project is still read; its chain takes nothing more, so its organization tells.
    wait(ledger.delete_resource(&instance, kind("project").expect("a kind"), other, None)).expect("deleted");
    assert!(bind(&instance, &place.role, other).expect("bound"));
    assert!(reads(other) > 0);
    assert_eq!((told(other, "database_reader.create").len(), told(system.id, "database_reader.create").len()), (1, 2));
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
    assert!(wait(ledger.unbind_role(&instance, Purpose::Host, &place.role, ledger.default_project_id())).expect("ended"));
    place.bind(&ledger, project);
    let rule = r#"{"name":"iban","action":"exclude"}"#;
    let rules = kind("redaction_rule").expect("a kind");
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
    let refused = wait(ledger.bind_role(&operator, Purpose::Host, "app", ledger.default_project_id()));
    assert_eq!(refused, Err(MutateError::Conflict("the ledger is not in PostgreSQL")));
    assert_eq!(wait(ledger.accept_plaintext_inbox(&operator)), Err(MutateError::Conflict("the ledger is not in PostgreSQL")));
}

/// The bindings of hosts end with their project, each by an event of its own in the same transaction, and the host's next transaction
/// fails; a reader stays.
#[test]
fn what_is_deleted_takes_nothing_more_and_is_read() {
    let (place, ledger) = Place::new();
    let instance = place.instance(&ledger);
    let organization = wait(ledger.create_resource(&instance, kind("organization").expect("a kind"), None, r#"{"name":"other"}"#, None));
    let organization = organization.expect("made").kept.id;
    let project = wait(ledger.create_project(&instance, Some(organization), "short-lived")).expect("made").id;
    let host = place.host();
    host.append(&event(1, "of the default project")).expect("taken");
    assert!(wait(ledger.unbind_role(&instance, Purpose::Host, &place.role, ledger.default_project_id())).expect("ended"));
    place.bind(&ledger, project);
    let second = format!("second_{}", place.role);
    place.owner.run(&format!("CREATE ROLE {second} LOGIN; CREATE ROLE reads_{second} LOGIN"));
    assert!(wait(ledger.bind_role(&instance, Purpose::Host, &second, project)).expect("bound"));
    assert!(wait(ledger.bind_role(&instance, Purpose::Reader, &format!("reads_{second}"), project)).expect("bound"));
    place.until("the host appends", || host.append(&event(2, "alive")).is_ok());
    place.drained();

    wait(ledger.delete_resource(&instance, kind("project").expect("a kind"), project, None)).expect("deleted");
    assert!(host.append(&event(3, "gone")).expect_err("bound to nothing").starts_with("IN005"));
    assert_eq!(place.owner.number("SELECT count(*) FROM audit.bindings"), 0);
    assert_eq!(place.owner.number("SELECT count(*) FROM audit.readers"), 1);
    let ended = place.events(&ledger, project, r#"action eq "database_binding.delete""#);
    let mut told: Vec<_> = ended.iter().collect();
    told.sort_by_key(|event| event["resource"]["id"].to_string());
    let states: Vec<_> = told.iter().map(|event| &event["content"]["before_state"]["role"]).collect();
    let told: Vec<_> =
        told.iter().map(|event| (&event["resource"]["id"], &event["resource"]["parent"], &event["cascade_root_id"])).collect();
    let root = json!(project.to_string());
    assert_eq!(told, [(&json!(place.role), &root, &root), (&json!(second), &root, &root)]);
    assert_eq!(states, [&json!(place.role), &json!(second)]);
    let at_once = "SELECT count(DISTINCT recorded_at) FROM audit.events WHERE action IN ('project.delete', 'database_binding.delete') AND cascade_root_id IS NOT NULL";
    assert_eq!(place.owner.number(at_once), 1, "one transaction");

    // A binding that is there although its project is gone, as an earlier version left it, ends with the organization.
    let put = format!("INSERT INTO audit.bindings VALUES ('{second}', '{project}', '{organization}')");
    place.owner.run(&put);
    let home = place.system_project(&ledger, organization).id;
    wait(ledger.delete_resource(&instance, kind("organization").expect("a kind"), organization, None)).expect("deleted");
    assert_eq!(place.owner.number("SELECT count(*) FROM audit.bindings"), 0);
    let ended = place.events(&ledger, home, r#"action eq "database_binding.delete""#);
    assert_eq!((ended.len(), &ended[0]["cascade_root_id"]), (1, &json!(organization.to_string())));
    place.verify();
}
