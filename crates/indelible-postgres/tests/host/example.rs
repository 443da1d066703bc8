//! The example, as its own process: what it did is rolled back where its event was refused.

use std::process::Command;

use serde_json::json;

use crate::place::Place;

/// Runs the example; what it printed.
fn transfer(place: &Place, role: &str) -> String {
    // Tests are in `deps`, examples in a folder beside it. A `cargo test` that names no target makes both.
    let mut program = std::env::current_exe().expect("a path");
    program.pop();
    program.pop();
    program.push("examples/transfer");
    let ran = Command::new(&program).arg(place.address_of(role)).output();
    let ran = ran.unwrap_or_else(|error| panic!("{}: {error}; a `cargo test` that names no target makes it", program.display()));
    let text = String::from_utf8(ran.stdout).expect("UTF-8");
    assert!(ran.status.success(), "{text}{}", String::from_utf8_lossy(&ran.stderr));
    text
}

#[test]
fn the_example_moves_money_only_with_its_event() {
    let (place, ledger) = Place::new();
    let (role, unbound) = (place.role.clone(), format!("{}_unbound", place.role));
    place.owner.run(&format!("GRANT CREATE ON SCHEMA public TO {role}"));
    let balances = || {
        let rows = place.owner.rows("SELECT balance FROM accounts ORDER BY id", &[]);
        rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>()
    };

    let text = transfer(&place, &role);
    assert!(text.contains("moved 30 from 7 to 8: event "), "{text}");
    assert!(text.contains("did not move 20: the event is refused, an empty string (at /actor/id)"), "{text}");
    assert_eq!(balances(), [70, 30]);
    place.drained();
    let records = place.events(&ledger, ledger.default_project_id(), r#"action eq "account.transfer""#);
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((&record["actor"]["id"], &record["resource"]["id"]), (&json!("alice"), &json!("7")));
    assert_eq!(record["content"]["before_state"], json!({"balance": 100}));
    assert_eq!(record["content"]["after_state"], json!({"balance": 70}));

    // A role that is bound to no project moves nothing at all.
    place.owner.run(&format!(
        "CREATE ROLE {unbound} LOGIN IN ROLE audit_host; GRANT ALL ON SCHEMA public TO {unbound}; GRANT ALL ON accounts TO {unbound}"
    ));
    let text = transfer(&place, &unbound);
    assert!(text.contains(&format!("did not move 30: the event is refused, the role {unbound} is bound to no project")), "{text}");
    assert_eq!(balances(), [70, 30]);
    assert_eq!(place.waiting(), 0);
    place.verify();
}
