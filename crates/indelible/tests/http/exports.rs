//! `/v1/audit/exports`: a bundle over the wire, who gets one, and what the log says of it.

use std::time::{Duration, Instant};

use indelible_core::bundle::{TarVerifier, Trust};
use indelible_core::verify::Verdict;
use serde_json::{Value, json};

use crate::server::{EVENTS, House, event};
use crate::wire::Wire;

const EXPORTS: &str = "/v1/audit/exports";
const SCOPES: [&str; 4] = ["audit:read", "audit:admin", "events:append", "content:decrypt"];

/// Verified with the keys that the bundle brings: here, whether it is whole is what is asked.
pub(crate) fn verify(tar: &[u8]) -> indelible_core::bundle::BundleReport {
    let read = |keys| {
        let mut verifier = TarVerifier::new(Trust { keys, earlier: None });
        verifier.piece(tar);
        verifier.finish()
    };
    read(read(Vec::new()).keys_offered)
}

fn fill(house: &House, key: &str, count: usize) {
    let batch: Vec<Value> = (0..count)
        .map(|n| {
            let mut event = event("bundle.fill");
            event["content"] = json!({"output": format!("said {n}")});
            event
        })
        .collect();
    house.post(EVENTS, &json!(batch)).key(key).send().is(201);
}

#[test]
fn a_bundle_is_a_tar_whose_size_and_counts_stand_in_its_head() {
    let house = House::start();
    fill(&house, &house.admin, 50);
    let answer = house.post(EXPORTS, &json!({"from_sequence": 3, "to_sequence": 30})).send();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-tar")), "{}", answer.text());
    let name = format!("attachment; filename=\"indelible-{}-3-30.tar\"", house.project);
    assert_eq!(answer.header("content-disposition"), Some(name.as_str()));
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    assert_eq!((answer.header("x-indelible-entries"), answer.header("x-indelible-left-out")), (Some("28"), Some("0")));
    let report = verify(&answer.body);
    assert_eq!((report.report.verdict, report.report.events), (Verdict::Intact, 28), "{:?}", report.report.findings);
    let recorded = house.log("action eq \"audit.export\"");
    let phases: Vec<_> = recorded.iter().map(|event| (event["phase"].as_str(), event["request"]["request_id"].as_str())).collect();
    assert_eq!(phases, [(Some("intent"), Some(&*answer.request_id)), (Some("outcome"), Some(&*answer.request_id))]);
    assert_eq!(recorded[1]["read"]["returned"], 28);

    let body = json!({"filter": "action eq \"bundle.fill\"", "content": true, "purpose": "an audit"});
    let answer = house.post(EXPORTS, &body).send();
    let report = verify(&answer.body);
    assert_eq!((report.report.verdict, report.contents_opened), (Verdict::Intact, 50), "{:?}", report.report.findings);
    assert_eq!(house.log("action eq \"content.decrypt\" and decrypt.purpose eq \"an audit\"").len(), 50);
}

#[test]
fn refusals_are_problems_and_are_recorded() {
    let house = House::start();
    fill(&house, &house.admin, 3);
    let project = house.project.clone();
    let left = (project.as_str(), "audit.export", "error");
    let cases = [
        (json!({"limit": 1}), 422, "invalid-resource"),
        (json!({"from_sequence": 9, "to_sequence": 3}), 422, "invalid-resource"),
        (json!({"since": "x"}), 422, "invalid-resource"),
        (json!({"filter": "nothing eq 1"}), 400, "invalid-filter"),
        (json!({"content": true}), 400, "invalid-purpose"),
    ];
    for (body, status, kind) in cases {
        house.post(EXPORTS, &body).refused(status, kind, left);
    }
    let denied = (project.as_str(), "audit.export", "deny");
    for (scopes, body) in [
        (&["events:append"][..], json!({})),
        (&["audit:read"], json!({"content": true, "purpose": "p"})),
        (&["audit:admin", "content:decrypt"], json!({"content": true, "purpose": "p"})),
    ] {
        let key = house.make_key(&project, "application", scopes);
        house.post(EXPORTS, &body).key(&key).refused(403, "forbidden", denied);
    }
    assert!(house.log("action eq \"content.decrypt\"").is_empty());
    house.post(EXPORTS, "{}").header("content-type", "text/plain").refused(415, "unsupported-media-type", left);
}

#[test]
fn without_audit_admin_the_newest_checkpoint_is_taken_as_it_is() {
    let house = House::start();
    let (project, admin) = (house.project.clone(), house.admin.clone());
    let reader = house.make_key(&project, "application", &["audit:read"]);
    let answer = house.post(EXPORTS, &json!({})).key(&reader).send();
    answer.problem(503, "unavailable");
    fill(&house, &admin, 10);
    house.post(EXPORTS, &json!({})).send();
    fill(&house, &admin, 7);
    let answer = house.post(EXPORTS, &json!({})).key(&reader).send();
    assert_eq!(verify(&answer.body).report.verdict, Verdict::Intact);
    let after: u64 = answer.header("x-indelible-events-after").and_then(|after| after.parse().ok()).expect("a number");
    assert!(after >= 7, "{after}");
}

#[test]
fn a_tenant_exports_its_own_and_no_other() {
    let house = House::start();
    let (one, other) = (house.tenant("north").0, house.tenant("south").0);
    let (key, other_key) = (house.make_key(&one, "application", &SCOPES), house.make_key(&other, "application", &SCOPES));
    fill(&house, &key, 5);
    fill(&house, &other_key, 9);
    let answer = house.post(EXPORTS, &json!({})).key(&key).send();
    let report = verify(&answer.body);
    assert_eq!(report.manifest.map(|of| of.project_id.to_string()), Some(one.clone()));
    assert!(!answer.body.windows(36).any(|bytes| bytes == other.as_bytes()), "nothing of the other is in it");
    let asked = format!("{EXPORTS}?project_id={other}");
    house.post(&asked, &json!({})).key(&key).refused(404, "not-found", (&one, "audit.export", "deny"));
    assert_eq!(house.log_of(&other, "action eq \"audit.export\"").len(), 0);
}

#[test]
fn a_reader_that_goes_away_leaves_its_end_on_record_and_no_place_taken() {
    let house = House::start();
    let event =
        json!({"action": "bundle.fill", "outcome": "allow", "actor": {"type": "human", "id": "alice"}, "reason": "r".repeat(8_000)});
    for _ in 0..4 {
        house.post(EVENTS, &json!(vec![event.clone(); 1_000])).send().is(201);
    }
    // More than any socket takes, six times: there are four places.
    for n in 1..=6 {
        let mut wire = Wire::open(house.address);
        wire.write(format!(
            "POST {EXPORTS} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
            house.admin
        ));
        assert!(wire.some().starts_with("HTTP/1.1 200"), "{n}");
        drop(wire);
        let until = Instant::now() + Duration::from_secs(30);
        let broken = || house.log("action eq \"audit.export\" and outcome eq \"partial\"");
        while broken().len() < n && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
        let broken = broken();
        assert_eq!(broken.len(), n);
        assert!(broken[n - 1]["read"]["returned"].as_u64().is_some_and(|entries| entries < 4_000), "{}", broken[n - 1]);
    }
}
