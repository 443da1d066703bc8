//! The kind of a key says how a record came to be; nothing in a request does.

use serde_json::json;

use crate::server::{EVENTS, House, event};

#[test]
fn what_is_imported_is_reported_whatever_the_key() {
    let house = House::start();
    let key = house.make_key(&house.project, "gateway", &["events:append"]);
    let line = event("import.one").to_string();
    house.post(EVENTS, &event("import.one")).key(&key).header("x-indelible-path", "import").send().is(201);
    let lines = house.ask("POST", EVENTS).key(&key).header("content-type", "application/x-ndjson").header("x-indelible-path", "import");
    lines.body(line).send().is(201);
    let stored = house.log("action eq \"import.one\"");
    assert_eq!(stored.len(), 2);
    for event in stored {
        assert_eq!(event["assurance"], "self_reported");
        assert_eq!(event["recorder"], json!({"api_key_id": &key[4..40], "path": "import"}));
    }
    for said in ["engine", "http", "", "import, import"] {
        let ask = house.post(EVENTS, &event("import.two")).key(&key).header("x-indelible-path", said);
        ask.refused(400, "malformed-body", (&house.project, "audit.append_rejected", "error"));
    }
    assert!(house.log("action eq \"import.two\"").is_empty());
}

#[test]
fn a_key_gives_the_assurance_of_its_kind_and_no_other() {
    let house = House::start();
    let kinds = [("application", "self_reported"), ("gateway", "gateway"), ("hook", "hook"), ("telemetry", "telemetry")];
    for (kind, assurance) in kinds {
        let key = house.make_key(&house.project, kind, &["events:append"]);
        let action = format!("kind.{kind}");
        house.post(EVENTS, &event(&action)).key(&key).header("x-assurance", "transactional").send().is(201);
        let line = event(&action).to_string();
        let lines = house.ask("POST", EVENTS).key(&key).header("content-type", "application/x-ndjson").body(format!("{line}\n{line}"));
        lines.send().is(201);
        let stored = house.log(&format!("action eq \"{action}\""));
        assert_eq!(stored.len(), 3);
        for event in stored {
            assert_eq!(event["assurance"], assurance, "{kind}");
            assert_eq!(event["recorder"], json!({"api_key_id": &key[4..40], "path": "http"}));
        }
        for claim in ["transactional", "gateway", "hook", "telemetry", "self_reported"] {
            let mut claimed = event("kind.claimed");
            claimed["assurance"] = json!(claim);
            let ask = house.post(EVENTS, &claimed).key(&key);
            ask.refused(422, "server-owned-member", (&house.project, "audit.append_rejected", "error"));
        }
    }
    assert!(house.log("action eq \"kind.claimed\"").is_empty());
    // The administrators' keys are an application's.
    for key in [&house.admin, &house.instance] {
        house.post(EVENTS, &event("kind.admin")).key(key).send().is(201);
    }
    assert!(house.log("action eq \"kind.admin\"").iter().all(|event| event["assurance"] == "self_reported"));
}
