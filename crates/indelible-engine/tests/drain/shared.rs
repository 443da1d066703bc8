//! Servers that share a database: each event once, whoever drains; and what one of them made is known to the others.

use std::sync::atomic::{AtomicBool, Ordering};

use indelible_engine::database::bind::Purpose;
use indelible_engine::resource::kind;
use serde_json::json;

use crate::place::{Place, event, id, wait};

/// Ends the session of whoever drains this database.
const END_DRAIN: &str = "SELECT pg_terminate_backend(pid) FROM pg_locks
    WHERE locktype = 'advisory' AND objid = 1818522222 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

#[test]
fn two_servers_chain_each_event_once_while_hosts_go_on() {
    let (place, first) = Place::new();
    let project = first.default_project_id();
    let second = place.open("b");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let hosts: Vec<_> = (0..4_u64)
            .map(|of| {
                let place = &place;
                scope.spawn(move || {
                    let host = place.host();
                    for n in 0..60 {
                        host.run("BEGIN");
                        host.append(&event(of * 1_000 + n, "kept")).expect("taken");
                        host.append(&event(of * 1_000 + 500 + n, if n % 3 == 0 { "rolled back" } else { "kept" })).expect("taken");
                        host.run(if n % 3 == 0 { "ROLLBACK" } else { "COMMIT" });
                    }
                })
            })
            .collect();
        // Whoever drains loses its session again and again, so that the other takes over.
        let (place, done) = (&place, &done);
        scope.spawn(move || {
            while !done.load(Ordering::SeqCst) {
                place.owner.rows(END_DRAIN, &[]);
                std::thread::sleep(std::time::Duration::from_millis(300));
            }
        });
        for host in hosts {
            host.join().expect("no host fails");
        }
        done.store(true, Ordering::SeqCst);
    });
    place.drained();
    let mut ids: Vec<String> = place.entries(project).iter().map(|entry| entry["id"].as_str().expect("text").to_owned()).collect();
    ids.sort_unstable();
    let committed = |of: u64| (0..60).filter(|n| n % 3 != 0).flat_map(move |n| [id(of * 1_000 + n), id(of * 1_000 + 500 + n)]);
    let mut expected: Vec<String> = (0..4).flat_map(committed).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    second.close();
    place.verify();
    drop(first);
}

/// The session of whoever drains ends while its writer waits for its turn, so that another server hands in the same rows.
#[test]
fn a_row_that_two_servers_hand_in_is_chained_by_one_of_them() {
    let (place, first) = Place::new();
    let second = place.open("b");
    let turn = place.another_owner();
    turn.run("BEGIN; SELECT 1 FROM audit.turn FOR UPDATE");
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM turn FOR UPDATE%'";
    let waits = || place.owner.number(waiting);
    let host = place.host();
    host.append(&event(1, "once")).expect("taken");
    let put = "INSERT INTO audit.inbox (id, project_id, organization_id, role, source, event, sealed)
        SELECT gen_random_uuid(), project_id, organization_id, role, 'append', 'no JSON', false FROM audit.bindings";
    place.owner.run(put);
    place.until("one server hands them in", || waits() >= 1);
    place.owner.run(END_DRAIN);
    place.until("so does the other", || waits() >= 2);
    turn.run("COMMIT");
    place.drained();
    second.close();
    first.close();
    let all = "SELECT count(*) FROM audit.events WHERE action = ";
    assert_eq!(place.owner.number(&format!("{all} 'account.transfer'")), 1);
    assert_eq!(place.owner.number(&format!("{all} 'audit.append_rejected'")), 1);
    place.verify();
}

/// The row of a transaction that commits after others that began later is found, though its number is smaller.
#[test]
fn a_transaction_that_commits_late_is_not_missed() {
    let (place, ledger) = Place::new();
    let (slow, quick) = (place.host(), place.host());
    slow.run("BEGIN");
    slow.append(&event(1, "begun first")).expect("taken");
    quick.append(&event(2, "committed first")).expect("taken");
    place.until("the second is chained", || place.entries(ledger.default_project_id()).len() == 1);
    slow.run("COMMIT");
    place.drained();
    let ids: Vec<_> = place.entries(ledger.default_project_id()).iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!(ids, [json!(id(2)), json!(id(1))]);
    place.verify();
}

#[test]
fn a_server_chains_for_an_organization_that_another_made() {
    let (place, drains) = Place::new();
    let makes = place.open("b");
    let instance = place.instance(&makes);
    let made = wait(makes.create_resource(&instance, kind("organization").expect("a kind"), None, r#"{"name":"new"}"#, None));
    let organization = made.expect("made").kept.id;
    let project = wait(makes.create_project(&instance, Some(organization), "new")).expect("made");
    assert!(wait(makes.unbind_role(&instance, Purpose::Host, &place.role, makes.default_project_id())).expect("ended"));
    place.bind(&makes, project.id);
    place.until("the organization has a key", || place.owner.number("SELECT count(*) FROM audit.inbox_keys") == 2);
    // Only the first has chained anything, for it drains.
    let host = place.host();
    host.append(&event(1, "theirs")).expect("taken");
    place.drained();
    let opened = place.events(&drains, project.id, r#"action eq "account.transfer""#);
    assert_eq!(opened[0]["content"]["arguments"]["text"], "theirs");
    let opened = place.events(&makes, project.id, r#"action eq "account.transfer""#);
    assert_eq!(opened[0]["content"]["arguments"]["text"], "theirs");
    place.verify();
}
