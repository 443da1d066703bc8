//! Rows that a trigger captured: chained with before and after, what differs, and who did it; and what the capture tells of itself.

use serde_json::json;

use crate::place::Place;

#[test]
fn a_change_of_a_row_is_an_event_with_both_states_and_what_differs() {
    let (place, ledger) = Place::new();
    let (project, host) = (ledger.default_project_id(), place.host());
    place.owner.run(&format!("GRANT ALL ON SCHEMA public TO {}", place.role));
    host.run("CREATE TABLE policies (id int PRIMARY KEY, rate numeric(8, 2), ssn text, password text)");
    host.run("SELECT audit.watch('public.policies', leave_out => '{ssn}', noun => 'rule')");
    host.run("BEGIN; SELECT audit.set_actor('human', 'bob'); INSERT INTO policies VALUES (7, 1.50, '078-05-1120', 'S3cret'); COMMIT");
    host.run("BEGIN; UPDATE policies SET rate = 2; ROLLBACK");
    host.run("BEGIN; SELECT audit.set_actor('human', 'eve'); UPDATE policies SET rate = 2.25, password = 'S3cret2'; COMMIT");
    host.run("DELETE FROM policies; SELECT audit.unwatch('public.policies')");
    place.drained();
    let entries = place.entries(project);
    let told: Vec<_> = entries.iter().map(|entry| json!([entry["action"], entry["actor"]["id"], entry["resource"]["id"]])).collect();
    let role = &place.role;
    let expected = [
        json!(["row_capture.start", role, "public.policies"]),
        json!(["rule.create", "bob", "7"]),
        json!(["rule.update", "eve", "7"]),
        json!(["rule.delete", role, "7"]),
        json!(["row_capture.stop", role, "public.policies"]),
    ];
    assert_eq!(told, expected);
    assert!(entries.iter().all(|entry| entry["recorder"] == json!({"path": "row_capture"}) && entry["assurance"] == "transactional"));
    let opened = place.events(&ledger, project, r#"action eq "rule.update""#);
    let content = &opened[0]["content"];
    assert_eq!(content["before_state"], json!({"id": 7, "rate": 1.5, "password": "[REDACTED]"}));
    assert_eq!(content["after_state"], json!({"id": 7, "rate": 2.25, "password": "[REDACTED]"}));
    assert!(content.get("diff").is_some(), "{content}");
    assert_eq!(opened[0]["changes"], json!(["/rate"]));
    assert_eq!(opened[0]["context"]["also_changed"], "password");
    place.owner.run("DROP TABLE policies");
    let dump = place.dump();
    assert!(dump.contains("rule.update") && !dump.contains("S3cret") && !dump.contains("078-05-1120"));
    place.verify();
}
