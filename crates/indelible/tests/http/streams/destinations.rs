//! Each destination once, as it is really sent: what its receiver would look at is looked at.

use std::time::Duration;

use serde_json::{Value, json};

use super::inbox::{Collector, Inbox};
use super::receiver::{Came, Say, wait};
use super::reference::told;
use super::{Delivering, KEYS, append, house, make, numbers};

#[test]
fn the_reference_library_takes_single_events_and_batches_while_a_key_takes_the_place_of_another() {
    let delivering = Delivering::start();
    let (house, inbox, old) = (&delivering.house, &delivering.inbox, delivering.secret.as_str());
    delivering.stream("/single", &json!({}));
    delivering.stream("/batch", &json!({"batch_events_max": 100, "format": "cloudevents"}));
    let of_batches = |from: u64| {
        move |came: &Came| {
            came.events().iter().all(|event| event["data"]["context"]["n"].as_str().expect("one").parse::<u64>().expect("a number") >= from)
        }
    };
    let events =
        |from: u64| inbox.taken("/batch").iter().filter(|came| of_batches(from)(came)).map(|came| came.events().len()).sum::<usize>();
    delivering.append(0..8);
    inbox.until("/single", 8);
    wait(|| (events(0) == 8).then_some(()), || events(0).to_string());
    // Both sign for as long as both are there; then the new one alone.
    let key = house.post(KEYS, r#"{"name":"new","primary":true}"#).send().is(201);
    let new = key["secret"].as_str().expect("a secret");
    delivering.append(8..16);
    inbox.until("/single", 16);
    wait(|| (events(8) == 8).then_some(()), || events(8).to_string());
    let keys = house.get(KEYS).send().is(200);
    let first = keys["data"].as_array().expect("data").iter().find(|other| other["id"] != key["id"]).expect("the first key");
    assert_eq!(house.ask("DELETE", &format!("{KEYS}/{}", first["id"].as_str().expect("an id"))).send().status, 204);
    delivering.append(16..20);
    let single = inbox.until("/single", 20);
    wait(|| (events(16) == 4).then_some(()), || events(16).to_string());
    assert_eq!(numbers(&single), (0..20).collect::<Vec<_>>());

    let (accepted, refused) = ("accepted", "No matching signature found");
    let mut cases: Vec<(&Came, &str, &str)> = Vec::new();
    for (n, came) in single.iter().enumerate() {
        cases.push((came, old, if n < 16 { accepted } else { refused }));
        cases.push((came, new, if n < 8 { refused } else { accepted }));
        assert_eq!((came.events()[0]["id"].as_str(), came.header("content-type")), (Some(came.header("webhook-id")), "application/json"));
    }
    let batches = inbox.taken("/batch");
    for came in &batches {
        let number = |event: &Value| event["data"]["context"]["n"].as_str().expect("one").parse::<u64>().expect("a number");
        let (first, all) = (number(&came.events()[0]), serde_json::from_slice::<Value>(&came.body).expect("JSON"));
        assert!(all.is_array() && came.header("content-type") == "application/cloudevents-batch+json", "{all}");
        cases.push((came, old, if first < 16 { accepted } else { refused }));
        cases.push((came, new, if first < 8 { refused } else { accepted }));
    }
    let changed = Came { body: [&single[0].body[..], b" "].concat(), ..single[0].clone() };
    cases.push((&changed, old, refused));
    let case = |came: &Came, secret: &str| json!({"secret": secret, "body": came.body, "headers": came.headers});
    let said = told(&cases.iter().map(|(came, secret, _)| case(came, secret)).collect::<Vec<_>>());
    assert_eq!(said, cases.iter().map(|(.., expected)| *expected).collect::<Vec<_>>());
}

#[test]
fn a_collector_of_splunk_takes_events_with_its_token_alone() {
    let (house, inbox) = (house(&[]), Inbox::start());
    inbox.says(|came| match came.headers.get("authorization").map(String::as_str) {
        Some("Splunk 2f1c7a4e-of-the-test") => Say::Answer(200, "", r#"{"text":"Success","code":0}"#),
        _ => Say::Answer(403, "", r#"{"text":"Invalid token","code":4}"#),
    });
    let path = "/services/collector/event";
    let members = json!({"destination": "splunk_hec", "format": "ocsf", "secret_headers": {"Authorization": "Splunk wrong"}});
    let stream = make(&house, &house.admin, &inbox.url(path), &members);
    append(&house, &house.admin, 0..10);
    let status = || house.get(&format!("{stream}/status")).send().is(200);
    let told = wait(|| Some(status()).filter(|status| status["pending"].is_object()), || status().to_string());
    assert_eq!((&told["pending"]["status"], &told["dead_letters"]), (&json!(403), &json!(0)));
    let right = json!({"secret_headers": {"Authorization": "Splunk 2f1c7a4e-of-the-test"}});
    let change = house.ask("PATCH", &stream).header("content-type", "application/merge-patch+json").header("if-match", "*");
    change.body(right.to_string()).send().is(200);
    let objects = || -> Vec<Value> {
        let parse = |came: &Came| {
            serde_json::Deserializer::from_slice(&came.body).into_iter().map(|one| one.expect("JSON")).collect::<Vec<Value>>()
        };
        inbox.taken(path).iter().flat_map(parse).collect()
    };
    let all = wait(|| Some(objects()).filter(|all| all.len() == 10), || format!("{:?}", objects()));
    for (n, object) in all.iter().enumerate() {
        assert_eq!((&object["sourcetype"], &object["fields"]["action"]), (&json!("indelible:ocsf"), &json!("stream.step")));
        assert_eq!((object["event"]["class_uid"].as_u64(), object["time"].is_number()), (Some(6_003), true));
        assert!(object["event"].to_string().contains(&format!("\"n\":\"{n}\"")), "{object}");
    }
    // It says no in an answer of 200 too.
    inbox.says(|_| Say::Answer(200, "", r#"{"text":"Server is busy","code":9}"#));
    append(&house, &house.admin, 10..11);
    let told = wait(|| Some(status()).filter(|status| status["pending"].is_object()), || status().to_string());
    assert!(told["trouble"].as_str().is_some_and(|why| why.contains("Server is busy")), "{told}");
}

#[test]
fn a_collector_of_open_telemetry_gets_log_records_and_what_it_rejects_is_not_sent_again() {
    let (house, inbox) = (house(&[]), Inbox::start());
    inbox.says(|_| Say::Answer(200, "Content-Type: application/json\r\n", "{}"));
    let members = json!({"destination": "otlp", "batch_events_max": 20, "headers": {"X-Scope-OrgID": "tenant-1"}});
    let stream = make(&house, &house.admin, &inbox.url("/v1/logs"), &members);
    append(&house, &house.admin, 0..30);
    let records = || -> Vec<Value> {
        let taken = inbox.taken("/v1/logs");
        let of = |came: &Came| {
            let body: Value = serde_json::from_slice(&came.body).expect("JSON");
            assert_eq!((came.header("content-type"), came.header("x-scope-orgid")), ("application/json", "tenant-1"));
            assert_eq!(body["resourceLogs"][0]["scopeLogs"][0]["scope"]["name"], "indelible.audit");
            body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().expect("records").clone()
        };
        taken.iter().flat_map(of).collect()
    };
    let all = wait(|| Some(records()).filter(|all| all.len() == 30), || format!("{:?}", records()));
    for (n, record) in all.iter().enumerate() {
        assert_eq!((&record["eventName"], record["severityNumber"].as_u64()), (&json!("indelible.stream.step"), Some(9)));
        assert!(record["timeUnixNano"].as_str().is_some_and(|time| time.len() == 19), "{record}");
        assert!(record["body"].to_string().contains(&format!("{{\"stringValue\":\"{n}\"}}")), "{record}");
    }
    inbox.says(|_| Say::Answer(200, "", r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}"#));
    append(&house, &house.admin, 30..35);
    let dead = || house.get(&format!("{stream}/deliveries?state=dead")).send().is(200)["data"].as_array().expect("data").clone();
    let status = || house.get(&format!("{stream}/status")).send().is(200).clone();
    let paused = wait(|| Some(status()).filter(|status| status["running"] == false), || status().to_string());
    assert_eq!((&paused["state_reason"], dead().len()), (&json!("the receiver rejected 1 events: too old"), 0));
    // Who says so has it go on without what was rejected.
    let now = house.get(&stream).send();
    let patch = house.ask("PATCH", &stream).header("content-type", "application/merge-patch+json");
    patch.header("if-match", now.header("etag").expect("a version")).body(r#"{"dead_letter_after":3}"#).send().is(200);
    house.post(&format!("{stream}/resume"), "{}").send().is(200);
    let found = wait(|| Some(dead()).filter(|dead| !dead.is_empty()), || status().to_string());
    assert_eq!(found[0]["error"], "the receiver rejected 1 events: too old");
    assert_eq!(status()["running"], true);
    let sent = records().len();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(records().len(), sent, "what was rejected is not sent again");
}

#[test]
fn a_collector_of_syslog_gets_messages_by_their_octets() {
    let (house, collector) = (house(&[]), Collector::start());
    let members = json!({"destination": "syslog", "batch_events_max": 7});
    make(&house, &house.admin, &format!("tls://127.0.0.1:{}", collector.port), &members);
    append(&house, &house.admin, 0..40);
    let messages = collector.until(40);
    for (n, message) in messages.iter().enumerate() {
        let words: Vec<&str> = message.splitn(7, ' ').collect();
        // Log audit, informational; the version, the time, who speaks.
        assert_eq!((words[0], words[3], words[4], words[5]), ("<110>1", "indelible", "-", "stream.step"), "{message}");
        assert!(words[1].ends_with('Z') && words[6].starts_with("[indelible@32473 id=\""), "{message}");
        let (_, event) = message.split_once("] ").expect("the event");
        let event: Value = serde_json::from_str(event).expect("JSON");
        assert_eq!(event["context"]["n"], n.to_string());
    }
}

#[test]
fn a_file_gets_a_line_an_event_and_without_a_folder_there_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = folder.path().join("streams");
    let house = house(&["--stream-files", files.to_str().expect("UTF-8")]);
    make(&house, &house.admin, "file:audit.ndjson", &json!({"destination": "file", "format": "ecs"}));
    append(&house, &house.admin, 0..25);
    // The last may be in the midst of being written.
    let text = || std::fs::read_to_string(files.join("audit.ndjson")).unwrap_or_default();
    let lines = || text().split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect::<Vec<_>>();
    let all = wait(|| Some(lines()).filter(|lines| lines.len() == 25), || format!("{:?}", lines()));
    for (n, line) in all.iter().enumerate() {
        let document: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&document["labels"]["n"], &document["event"]["action"]), (&json!(n.to_string()), &json!("stream.step")));
    }
    // Another stream has no part in it, and says why.
    let second = make(&house, &house.admin, "file:audit.ndjson", &json!({"destination": "file"}));
    append(&house, &house.admin, 25..26);
    let trouble = || house.get(&format!("{second}/status")).send().is(200)["trouble"].clone();
    wait(|| trouble().as_str().map(drop), || trouble().to_string());
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(wait(|| Some(lines()).filter(|lines| lines.len() >= 26), || format!("{:?}", lines())).len(), 26);
    drop(house);

    let house = super::house(&[]);
    let stream = make(&house, &house.admin, "file:audit.ndjson", &json!({"destination": "file"}));
    let tested = house.ask("POST", &format!("{stream}/test")).send().is(200);
    let why = tested["delivery"]["error"].as_str().expect("why");
    assert!(tested["taken"] == false && why.contains("--stream-files"), "{tested}");
}
