//! `/v1/audit/events/stream`: events as they come, after whatever was read last; and what the log says of whoever follows.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Lines};
use std::time::{Duration, Instant};

use indelible::http::HttpOptions;
use serde_json::{Value, json};
use ureq::BodyReader;

use crate::server::{EVENTS, House, encode, event};

const STREAM: &str = "/v1/audit/events/stream";
const OF_STREAMS: &str = "action eq \"audit.read\" and resource.type eq \"audit_event_stream\"";

/// An open stream.
struct Stream(Lines<BufReader<BodyReader<'static>>>);

/// What stands between two empty lines.
#[derive(Debug, Default)]
struct Block {
    comment: bool,
    id: Option<u64>,
    event: Option<String>,
    data: Option<Value>,
}

impl Stream {
    fn open(house: &House, query: &str, key: &str, last: Option<u64>) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_mins(1)));
        let agent: ureq::Agent = config.build().into();
        let mut asked = agent.get(format!("http://{}{STREAM}{query}", house.address)).header("authorization", format!("Bearer {key}"));
        if let Some(last) = last {
            asked = asked.header("last-event-id", last.to_string());
        }
        let answer = asked.call().expect("an answer");
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!((answer.status().as_u16(), header("content-type")), (200, Some("text/event-stream")));
        assert_eq!((header("cache-control"), header("x-accel-buffering")), (Some("no-store"), Some("no")));
        Self(BufReader::new(answer.into_body().into_reader()).lines())
    }

    /// The next block; `None` where the server ended it.
    fn block(&mut self) -> Option<Block> {
        let (mut block, mut some) = (Block::default(), false);
        loop {
            let line = self.0.next()?.expect("it does not break off");
            match line.split_once(':') {
                None if line.is_empty() && some => return Some(block),
                Some(("", _)) => block.comment = true,
                Some(("id", id)) => block.id = Some(id.trim().parse().expect("a sequence")),
                Some(("event", event)) => block.event = Some(event.trim().to_owned()),
                Some(("data", data)) => block.data = Some(serde_json::from_str(data.trim()).expect("JSON")),
                _ => {}
            }
            some |= !line.is_empty();
        }
    }

    /// The next so many events.
    fn events(&mut self, count: usize) -> Vec<(u64, Value)> {
        let mut events = Vec::new();
        while events.len() < count {
            let block = self.block().expect("it goes on");
            if let Some(record) = block.data {
                let id = block.id.expect("an event has an id");
                assert_eq!((block.event.as_deref(), record["sequence"].as_u64()), (Some("audit_event"), Some(id)));
                events.push((id, record));
            }
        }
        events
    }

    /// Whether the server ends it, after whatever it still sends.
    fn ends(mut self) -> bool {
        let until = Instant::now() + Duration::from_secs(20);
        while self.block().is_some() {
            assert!(Instant::now() < until, "it goes on");
        }
        true
    }
}

fn house() -> House {
    House::with(HttpOptions { keep_alive: Duration::from_millis(200), ..HttpOptions::default() }, |_| ())
}

fn append(house: &House, key: &str, action: &str, count: usize) {
    house.post(EVENTS, &json!(vec![event(action); count])).key(key).send().is(201);
}

/// The events that whoever followed left, once there are so many.
fn told(house: &House, project: &str, count: usize) -> Vec<Value> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let told = house.log_of(project, OF_STREAMS);
        if told.len() >= count || Instant::now() > until {
            assert_eq!(told.len(), count, "{told:?}");
            return told;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn whoever_comes_again_misses_nothing_and_gets_nothing_twice() {
    let house = house();
    append(&house, &house.admin, "live.step", 100);
    let filter = format!("?after_sequence=0&filter={}", encode("action eq \"live.step\""));
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..40).for_each(|_| append(&house, &house.admin, "live.step", 10)));
        }
        // Cut off where it happens to be, again and again, while others append.
        while seen.len() < 1_300 {
            let mut stream = Stream::open(&house, &filter, &house.admin, seen.last().copied());
            let some = stream.events((1_300 - seen.len()).min(170));
            seen.extend(some.iter().map(|(id, _)| *id));
        }
    });
    assert!(seen.is_sorted_by(|a, b| a < b), "in order, each once");
    let mut all = BTreeSet::new();
    let mut after = 0;
    while all.len() < 1_300 {
        let page = house.get(&format!("{EVENTS}?order=asc&limit=1000&after_sequence={after}&filter={}", encode("action eq \"live.step\"")));
        let page = page.send().is(200);
        all.extend(page["data"].as_array().expect("data").iter().filter_map(|event| event["sequence"].as_u64()));
        after = page["next_after_sequence"].as_u64().expect("a sequence");
    }
    assert_eq!(seen, all.into_iter().collect::<Vec<_>>());
}

#[test]
fn from_now_on_is_after_the_record_of_its_own_beginning_and_nobody_is_shown_what_they_were_shown() {
    let house = house();
    append(&house, &house.admin, "before.it", 5);
    let mut stream = Stream::open(&house, "?purpose=a%20watch", &house.admin, None);
    let first = stream.block().expect("at once");
    let begun = told(&house, &house.project, 1).remove(0);
    assert_eq!((first.id, first.data.is_none()), (begun["sequence"].as_u64(), true));
    append(&house, &house.admin, "after.it", 1);
    let came = stream.events(1);
    // What was asked of the log meanwhile is in it; after that it is quiet.
    assert!(came[0].1["action"] == "audit.read" || came[0].1["action"] == "after.it", "{came:?}");
    while stream.events(1)[0].1["action"] != "after.it" && came[0].1["action"] != "after.it" {}
    let quiet = stream.block().expect("something");
    assert!(quiet.comment && quiet.data.is_none() && quiet.id.is_some(), "{quiet:?}");
    assert!((0..5).all(|_| stream.block().expect("something").comment), "a stream makes no events of its own");
    drop(stream);
    let told = told(&house, &house.project, 2);
    let (begun, ended) = (&told[0], &told[1]);
    assert_eq!((begun["phase"].as_str(), ended["phase"].as_str()), (Some("intent"), Some("outcome")));
    assert_eq!((&begun["operation_id"], &begun["read"]["purpose"]), (&ended["operation_id"], &json!("a watch")));
    assert_eq!((ended["outcome"].as_str(), ended["reason"].as_str()), (Some("allow"), Some("whoever asked went away")));
    assert!(ended["read"]["returned"].as_u64().is_some_and(|returned| (1..5).contains(&returned)), "{ended}");
}

#[test]
fn a_filter_lets_through_what_it_matches_of_ones_own_project_alone() {
    let house = house();
    let (one, key) = house.tenant("north");
    let (other, other_key) = house.tenant("south");
    let mut stream = Stream::open(&house, &format!("?filter={}", encode("action co \"wanted\"")), &key, None);
    for n in 0..20 {
        append(&house, &other_key, "wanted.there", 1);
        append(&house, &key, if n % 2 == 0 { "not.this" } else { "wanted.here" }, 1);
    }
    let came = stream.events(10);
    assert!(came.iter().all(|(_, event)| event["action"] == "wanted.here" && event["project_id"] == one.as_str()), "{came:?}");
    assert!(stream.block().expect("something").comment);
    let asked = format!("{STREAM}?project_id={other}");
    house.get(&asked).key(&key).refused(404, "not-found", (&one, "audit.read", "deny"));
    assert!(house.log_of(&other, OF_STREAMS).is_empty());
}

#[test]
fn it_ends_with_the_key_with_the_project_and_with_the_server_and_that_is_on_record() {
    let mut house = house();
    let (project, key) = house.tenant("short");
    append(&house, &key, "live.step", 3);
    let reader = house.make_key(&project, "application", &["audit:read"]);
    let mut of_key = Stream::open(&house, "?after_sequence=0", &reader, None);
    of_key.events(2);
    house.ask("DELETE", &format!("/v1/api_keys/{}", &reader[4..40])).key(&house.instance).send();
    assert!(of_key.ends());
    let reason = |house: &House, count: usize| told(house, &project, count).pop().expect("one")["reason"].clone();
    assert_eq!(reason(&house, 2), "the key does not allow it any more");
    // Of the instance's own key the project's end is the end.
    let of_project = Stream::open(&house, &format!("?project_id={project}"), &house.instance, None);
    house.ask("DELETE", &format!("/v1/projects/{project}")).key(&house.instance).send();
    assert!(of_project.ends());
    assert_eq!(reason(&house, 4), "the project was deleted");
    house.get(&format!("{STREAM}?project_id={project}")).key(&house.instance).refused(410, "deleted", (&project, "audit.read", "error"));
    let of_server = Stream::open(&house, "", &house.admin, None);
    let begun = Instant::now();
    house.close();
    assert!(begun.elapsed() < Duration::from_secs(20), "a stream does not hold up the end of the server");
    assert!(of_server.ends());
    let session = indelible_engine::query::sql::SqlSession::open(&house.data()).expect("a ledger");
    let mut last = Vec::new();
    let take = &mut |_: &[String], cells: Vec<indelible_engine::query::sql::Cell>| {
        last.push(format!("{cells:?}"));
        Ok(())
    };
    let asked =
        "SELECT reason FROM audit_events WHERE resource_type = 'audit_event_stream' AND phase = 'outcome' AND reason = 'the server stops'";
    session.query(asked, take).expect("rows");
    assert_eq!(last.len(), 1, "{last:?}");
}

#[test]
fn what_is_refused_is_refused_before_it_begins_and_recorded() {
    let house = house();
    let (project, admin) = (house.project.clone(), house.admin.clone());
    let wrong = (project.as_str(), "audit.read", "error");
    for id in ["x", "-1", "1.5", "+1", "99999999999999999"] {
        house.get(STREAM).header("last-event-id", id).refused(400, "invalid-query", wrong);
    }
    house.get(&format!("{STREAM}?filter=nothing%20eq%201")).refused(400, "invalid-filter", wrong);
    house.get(&format!("{STREAM}?include=content&purpose=x")).refused(400, "invalid-query", wrong);
    let denied = (project.as_str(), "audit.read", "deny");
    let writer = house.make_key(&project, "application", &["events:append"]);
    house.get(STREAM).key(&writer).refused(403, "forbidden", denied);
    // A plain member would learn from the numbers how much there is that it does not see.
    house.get(STREAM).key(&house.member("member")).refused(403, "forbidden", denied);
    let open: Vec<_> = (0..32).map(|_| Stream::open(&house, "", &admin, None)).collect();
    let refused = house.get(STREAM).send();
    refused.problem(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    refused.left(&house, wrong);
    drop(Stream::open(&house, "", &house.instance, None));
    drop(open);
    let until = Instant::now() + Duration::from_secs(20);
    while house.log(&format!("{OF_STREAMS} and phase eq \"outcome\"")).len() < 33 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(Stream::open(&house, "", &admin, None));
}
