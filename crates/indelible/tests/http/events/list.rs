//! Pages, cursors and the feed; each wrong question is answered exactly, and recorded.

use serde_json::{Value, json};

use crate::server::{Answer, EVENTS, House, encode, event};

const READ: (&str, &str) = ("audit.read", "error");

fn filled(count: usize) -> House {
    let house = House::start();
    let batch: Vec<Value> = (0..count)
        .map(|n| {
            let mut event = event("list.item");
            event["occurred_at"] = json!(format!("2024-01-01T00:{:02}:00Z", n * 7 % count));
            event["context"] = json!({"n": n.to_string()});
            event
        })
        .collect();
    house.post(EVENTS, &json!(batch)).send().is(201);
    house
}

fn numbers(page: &Value) -> Vec<String> {
    page["data"].as_array().expect("data").iter().map(|event| event["occurred_at"].as_str().expect("a time")[14..16].to_owned()).collect()
}

/// Follows `Link: rel="next"` to its end.
fn walk(house: &House, first: &str) -> Vec<Value> {
    let (mut path, mut pages) = (first.to_owned(), Vec::new());
    loop {
        let answer = house.get(&path).send();
        let page = answer.is(200);
        assert!(timed(&answer));
        let last = page["data"].as_array().is_none_or(Vec::is_empty);
        pages.push(page);
        match answer.header("link") {
            Some(link) if !last && pages.len() < 50 => {
                let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a link");
                next.clone_into(&mut path);
            }
            _ => return pages,
        }
    }
}

/// Whether the answer says how long it took, in numbers.
fn timed(answer: &Answer) -> bool {
    let header = answer.header("server-timing").expect("Server-Timing");
    let (search, record) = header.split_once(", ").expect("two figures");
    let figure = |text: &str, name: &str| text.strip_prefix(name).is_some_and(|value| value.parse::<f64>().is_ok_and(|ms| ms >= 0.0));
    figure(search, "search;dur=") && figure(record, "record;dur=")
}

#[test]
fn pages_are_newest_first_and_lose_nothing() {
    let house = filled(30);
    let path = format!("{EVENTS}?limit=7&filter={}", encode("action eq \"list.item\" and context.n pr"));
    let pages = walk(&house, &path);
    let seen: Vec<_> = pages.iter().flat_map(numbers).collect();
    let expected: Vec<_> = (0..30).rev().map(|n| format!("{n:02}")).collect();
    assert_eq!(seen, expected);
    assert_eq!(pages.last().expect("pages")["next_cursor"], Value::Null);
    let records = house.log("action eq \"audit.read\" and read.filter co \"list.item\" and outcome eq \"allow\"");
    let returned: Vec<_> = records.iter().filter_map(|record| record["read"]["returned"].as_u64()).collect();
    assert_eq!(returned, [7, 7, 7, 7, 2]);
}

#[test]
fn a_feed_brings_late_events_too() {
    let house = filled(10);
    let mut late = event("list.item");
    late["occurred_at"] = json!("1999-01-01T00:00:00Z");
    let filter = encode("action eq \"list.item\"");
    let first = house.get(&format!("{EVENTS}?order=asc&limit=1000&filter={filter}")).send().is(200);
    assert_eq!(first["data"].as_array().map(Vec::len), Some(10));
    let sequences: Vec<_> = first["data"].as_array().expect("data").iter().map(|event| event["sequence"].as_u64().expect("one")).collect();
    assert!(sequences.is_sorted());
    house.post(EVENTS, &late).send().is(201);
    let next = first["next_after_sequence"].as_u64().expect("where to go on");
    let more = house.get(&format!("{EVENTS}?order=asc&after_sequence={next}&filter={filter}")).send().is(200);
    assert_eq!(more["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(more["data"][0]["occurred_at"], "1999-01-01T00:00:00.000000Z");
    let paged = walk(&house, &format!("{EVENTS}?order=asc&limit=4&filter={filter}"));
    assert_eq!(paged.iter().map(|page| page["data"].as_array().map_or(0, Vec::len)).sum::<usize>(), 11);
}

#[test]
fn wrong_questions_are_refused_and_recorded() {
    let house = filled(3);
    let cursor = house.get(&format!("{EVENTS}?limit=1&filter={}", encode("action eq \"list.item\""))).send().is(200)["next_cursor"].clone();
    let cursor = cursor.as_str().expect("a cursor");
    let nobody = "00000000-0000-4000-8000-000000000000";
    let cases: Vec<(String, u16, &str)> = vec![
        ("colour=red".to_owned(), 400, "invalid-query"),
        ("Filter=x".to_owned(), 400, "invalid-query"),
        ("limit=1&limit=1".to_owned(), 400, "invalid-query"),
        ("limit=0".to_owned(), 400, "invalid-query"),
        ("limit=1001".to_owned(), 400, "invalid-query"),
        ("limit=-1".to_owned(), 400, "invalid-query"),
        ("limit=ten".to_owned(), 400, "invalid-query"),
        ("limit=99999999999999999999999".to_owned(), 400, "invalid-query"),
        ("order=sideways".to_owned(), 400, "invalid-query"),
        ("after_sequence=5".to_owned(), 400, "invalid-query"),
        ("order=desc&after_sequence=5".to_owned(), 400, "invalid-query"),
        ("order=asc&after_sequence=9007199254740992".to_owned(), 400, "invalid-query"),
        (format!("order=asc&cursor={cursor}"), 400, "invalid-query"),
        ("include=everything".to_owned(), 400, "invalid-query"),
        ("project_id=mine".to_owned(), 400, "invalid-query"),
        ("filter=%ff".to_owned(), 400, "invalid-query"),
        ("filter=%zz".to_owned(), 400, "invalid-query"),
        (format!("cursor={cursor}"), 400, "invalid-cursor"),
        (format!("cursor={cursor}&filter={}", encode("action eq \"other.item\"")), 400, "invalid-cursor"),
        (format!("cursor={}x&filter={}", cursor, encode("action eq \"list.item\"")), 400, "invalid-cursor"),
        ("cursor=e30".to_owned(), 400, "invalid-cursor"),
        (format!("filter={}", encode("action eq")), 400, "invalid-filter"),
        (format!("filter={}", encode("colour eq \"red\"")), 400, "invalid-filter"),
        (format!("filter={}", encode(&format!("{}action pr{}", "(".repeat(1_000), ")".repeat(1_000)))), 400, "invalid-filter"),
        ("include=content".to_owned(), 400, "invalid-purpose"),
        ("include=content&purpose=".to_owned(), 400, "invalid-purpose"),
        ("include=content&purpose=%20%20".to_owned(), 400, "invalid-purpose"),
        (format!("purpose={}", "p".repeat(1_025)), 400, "invalid-purpose"),
        (format!("project_id={nobody}"), 404, "not-found"),
    ];
    for (query, status, kind) in cases {
        let outcome = if status == 404 { "deny" } else { READ.1 };
        house.get(&format!("{EVENTS}?{query}")).refused(status, kind, (&house.project, READ.0, outcome));
    }
}

#[test]
fn a_filter_of_ten_thousand_bytes_is_read_and_one_more_is_not() {
    let house = filled(3);
    let of = |bytes: usize| {
        let (open, close) = ("action eq \"list.item\" or reason eq \"", "\"");
        let text = format!("{open}{}{close}", "é".repeat((bytes - open.len() - close.len()) / 2));
        format!("{text}{}", " ".repeat(bytes - text.len()))
    };
    let whole = of(10_000);
    let page = house.get(&format!("{EVENTS}?filter={}", encode(&whole))).send().is(200);
    assert_eq!((whole.len(), page["data"].as_array().map(Vec::len)), (10_000, Some(3)));
    let path = format!("{EVENTS}?filter={}", encode(&(whole + " ")));
    house.get(&path).refused(400, "invalid-filter", (&house.project, READ.0, READ.1));
}

#[test]
fn an_unknown_attribute_is_answered_with_the_known_ones() {
    let house = House::start();
    let problem = house.get(&format!("{EVENTS}?filter={}", encode("colour eq 1"))).send().problem(400, "invalid-filter");
    let attributes = problem["attributes"].as_array().expect("a list");
    assert!(attributes.contains(&json!("actor.id")) && attributes.contains(&json!("action")));
    let problem = house.get(&format!("{EVENTS}?filter={}", encode("action eq"))).send().problem(400, "invalid-filter");
    assert!(problem.get("attributes").is_none());
}

#[test]
fn a_read_is_recorded_before_it_is_answered() {
    let house = filled(3);
    let reader = house.make_key(&house.project, "application", &["audit:read"]);
    let filter = "action eq \"list.item\"";
    let ask = house.get(&format!("{EVENTS}?purpose=ticket-7&filter={}", encode(filter))).key(&reader);
    let answer =
        ask.header("user-agent", "auditor/1").header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").send();
    answer.left(&house, (&house.project, "audit.read", "allow"));
    let record = &house.log(&format!("request.request_id eq \"{}\"", answer.request_id))[0];
    assert_eq!(record["read"], json!({"filter": filter, "purpose": "ticket-7", "returned": 3}));
    assert_eq!((&record["request"]["user_agent"], &record["request"]["source_ip"]), (&json!("auditor/1"), &json!("127.0.0.1")));
    assert_eq!(record["request"]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(reader.contains(record["request"]["api_key_id"].as_str().expect("the key's id")));
    assert_eq!(answer.is(200)["data"].as_array().map(Vec::len), Some(3));
}

#[test]
fn what_a_key_does_not_allow_is_denied_and_recorded() {
    let house = filled(1);
    let writer = house.make_key(&house.project, "application", &["events:append"]);
    let reader = house.make_key(&house.project, "application", &["audit:read"]);
    let left = (house.project.as_str(), "audit.read", "deny");
    house.get(EVENTS).key(&writer).refused(403, "forbidden", left);
    house.get(&format!("{EVENTS}?order=asc")).key(&writer).refused(403, "forbidden", left);
    house.get(&format!("{EVENTS}?include=content&purpose=x")).key(&reader).refused(403, "forbidden", left);
    assert_eq!(house.get(EVENTS).key(&reader).send().status, 200);
}

#[test]
fn opened_content_leaves_one_record_for_each() {
    let house = House::start();
    let mut said = event("list.said");
    said["content"] = json!({"messages": [{"role": "user", "content": "what was said"}]});
    house.post(EVENTS, &json!([said, event("list.said"), said])).send().is(201);
    let filter = encode("action eq \"list.said\"");
    let answer = house.get(&format!("{EVENTS}?include=content&purpose=ticket-8&filter={filter}")).send();
    let page = answer.is(200);
    let opened: Vec<_> = page["data"].as_array().expect("data").iter().filter(|event| event.get("content").is_some()).collect();
    assert!(opened.len() == 2 && opened.iter().all(|event| event["content"] == said["content"]));
    let left = house.log(&format!("request.request_id eq \"{}\" and action eq \"content.decrypt\"", answer.request_id));
    assert_eq!(left.len(), 2);
    for record in left {
        assert_eq!((&record["decrypt"]["purpose"], &record["decrypt"]["record_type"]), (&json!("ticket-8"), &json!("event")));
        assert!(opened.iter().any(|event| event["id"] == record["decrypt"]["record_id"]));
    }
}

#[test]
fn an_empty_poll_of_the_feed_does_not_feed_itself() {
    let house = filled(1);
    let mut after = 0;
    for _ in 0..6 {
        let page = house.get(&format!("{EVENTS}?order=asc&limit=1000&after_sequence={after}")).send().is(200);
        after = page["next_after_sequence"].as_u64().expect("where to go on");
    }
    let page = house.get(&format!("{EVENTS}?order=asc&after_sequence={after}")).send().is(200);
    assert_eq!(page["data"].as_array().map(Vec::len), Some(0), "{page}");
}
