//! Each limit exactly, and one more.

use serde_json::{Value, json};

use crate::server::{EVENTS, House, event, pointers};

const MIB: usize = 1024 * 1024;
const REJECTED: (&str, &str) = ("audit.append_rejected", "error");

/// An event with a delegation chain whose texts take so many bytes; the rest of it has the same size each time.
fn of_size(bytes: usize) -> Value {
    let (mut event, links) = (event("size.one"), 9);
    let size = |n: usize| if n == 0 { bytes - (links - 1) * (bytes / links) } else { bytes / links };
    let chain: Vec<Value> = (0..links).map(|n| json!({"type": "human", "id": "i", "display": "d".repeat(size(n))})).collect();
    event["actor"]["chain"] = json!(chain);
    event
}

#[test]
fn ten_thousand_events_are_taken_and_one_more_is_not() {
    let house = House::start();
    let line = event("many.one").to_string() + "\n";
    let lines = |count: usize| house.ask("POST", EVENTS).header("content-type", "application/x-ndjson").body(line.repeat(count));
    let left = (house.project.as_str(), REJECTED.0, REJECTED.1);
    lines(10_001).refused(422, "event-too-large", left);
    let array = format!("[{}]", vec![line.trim(); 10_001].join(","));
    house.post(EVENTS, &array).refused(422, "event-too-large", left);
    assert!(house.log("action eq \"many.one\"").is_empty());
    let receipts = lines(10_000).send().is(201);
    let sequences: Vec<_> =
        receipts["receipts"].as_array().expect("receipts").iter().map(|r| r["sequence"].as_u64().expect("a number")).collect();
    assert_eq!(sequences.len(), 10_000);
    assert!(sequences.windows(2).all(|pair| pair[0] + 1 == pair[1]), "dense");
}

#[test]
fn an_array_is_counted_before_it_is_read() {
    let house = House::start();
    let left = (house.project.as_str(), REJECTED.0, REJECTED.1);
    let whole = event("array.one").to_string();
    // What comes after the item that is too many is not looked at.
    for text in [format!("[{}]", vec!["1"; 10_001].join(",")), "[".to_owned() + &"{},".repeat(10_001) + "no JSON"] {
        let problem = house.post(EVENTS, &text).refused(422, "event-too-large", left);
        assert_eq!((problem["detail"].as_str(), pointers(&problem)), (Some("more than 10000 events in one request"), vec![""]));
    }
    // An array that is not JSON is that and nothing else, with the place in the whole.
    let cases = [
        (format!("[{whole},{{\"action\":\"audit.read\"}},]"), 400, "malformed-json", "/2"),
        (format!("[{whole},{{\"a\":1}}"), 400, "malformed-json", ""),
        (format!("[{{}},{whole},{{\"a\":1,\"a\":2}}]"), 422, "invalid-event", "/2/a"),
    ];
    for (text, status, kind, pointer) in cases {
        let problem = house.post(EVENTS, &text).refused(status, kind, left);
        assert_eq!(pointers(&problem), [pointer], "{problem}");
    }
    let text = format!("[{whole},{{\"a\":tru}}]");
    let problem = house.post(EVENTS, &text).refused(400, "malformed-json", left);
    assert_eq!(problem["detail"], format!("not JSON at byte {}: a value was expected", whole.len() + 7));
    assert!(house.log("action eq \"array.one\"").is_empty());
}

#[test]
fn an_event_of_too_many_values_is_refused_with_the_place() {
    let house = House::start();
    let left = (house.project.as_str(), REJECTED.0, REJECTED.1);
    let with = |output: &str| event("values.one").to_string().replacen('{', &format!("{{\"content\":{{\"output\":{output}}},"), 1);
    let list = |values: usize| format!("[{}]", vec!["1"; values].join(","));
    house.post(EVENTS, &with(&list(900_000))).send().is(201);
    let problem = house.post(EVENTS, &with(&list(1_000_001))).refused(422, "event-too-large", left);
    assert!(pointers(&problem)[0].starts_with("/content/output/9999"), "{problem}");
    let problem =
        house.post(EVENTS, &format!("[{},{}]", event("values.two"), with(&list(1_000_001)))).refused(422, "event-too-large", left);
    assert!(pointers(&problem)[0].starts_with("/1/content/output/9999"), "{problem}");
    // In a string it cannot be looked into, so it is not kept.
    house.post(EVENTS, &with(&format!("{:?}", list(900_000)))).send().is(201);
    house.post(EVENTS, &with(&format!("{:?}", list(1_000_001)))).refused(422, "event-too-large", left);
    assert_eq!(house.log("action sw \"values.\"").len(), 2);
}

#[test]
fn a_request_of_24_mib_is_taken_and_one_byte_more_is_not() {
    let house = House::start();
    for content_type in ["application/json", "application/x-ndjson"] {
        let mut body = event("whole.request").to_string().into_bytes();
        body.resize(24 * MIB, b' ');
        let ask = |body: Vec<u8>| house.ask("POST", EVENTS).header("content-type", content_type).body(body);
        ask(body.clone()).send().is(201);
        body.push(b' ');
        ask(body).refused(413, "request-too-large", (&house.project, REJECTED.0, REJECTED.1));
    }
}

#[test]
fn an_entry_of_65_535_bytes_is_taken_and_one_more_is_not() {
    let house = House::start();
    let entry = |event: &Value| -> usize {
        let id = house.post(EVENTS, &event).send().is(201)["id"].as_str().expect("an id").to_owned();
        let answer = house.get(&format!("{EVENTS}/{id}")).send();
        let at = answer.text().find(",\"prev_hash\"").expect("hashes follow the entry");
        at + 1
    };
    // Past sequence 10, so that the number of digits stays.
    house.post(EVENTS, &json!(vec![event("fill.up"); 12])).send().is(201);
    let overhead = entry(&of_size(60_000)) - 60_000;
    assert_eq!(entry(&of_size(65_535 - overhead)), 65_535);
    let left = (house.project.as_str(), REJECTED.0, REJECTED.1);
    let problem = house.post(EVENTS, &of_size(65_536 - overhead)).refused(422, "event-too-large", left);
    assert_eq!(pointers(&problem), [""]);
    let batch = json!([event("size.two"), of_size(65_636 - overhead)]);
    let problem = house.post(EVENTS, &batch).refused(422, "event-too-large", left);
    assert_eq!(pointers(&problem), ["/1"]);
    assert!(house.log("action eq \"size.two\"").is_empty());
}

#[test]
fn content_of_16_mib_is_taken_and_one_byte_more_is_not() {
    let house = House::start();
    let text = "a".repeat(16 * MIB - "{\"output\":\"\"}".len());
    let mut event = event("content.big");
    event["action"] = json!("model.invoke");
    event["content"] = json!({"output": text});
    let id = house.post(EVENTS, &event).send().is(201)["id"].as_str().expect("an id").to_owned();
    let opened = house.get(&format!("{EVENTS}/{id}?include=content&purpose=test")).send().is(200);
    assert_eq!(opened["content"]["output"], text);
    assert_eq!(opened["sealed"]["plain_bytes"], 16 * MIB);
    event["content"]["output"] = json!(text + "a");
    let problem = house.post(EVENTS, &event).refused(422, "event-too-large", (&house.project, REJECTED.0, REJECTED.1));
    assert_eq!(pointers(&problem), ["/content"]);
}

#[test]
fn deep_json_is_refused_before_it_hurts() {
    let house = House::start();
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let with = |value: String| event("deep.one").to_string().replacen('{', &format!("{{\"content\":{{\"output\":{value}}},"), 1);
    house.post(EVENTS, &with(deep(126))).send().is(201);
    for text in [with(deep(127)), with(deep(1_000)), deep(1_000), "[".repeat(MIB), "{\"a\":".repeat(100_000)] {
        house.post(EVENTS, &text).refused(422, "event-too-large", (&house.project, REJECTED.0, REJECTED.1));
    }
}
