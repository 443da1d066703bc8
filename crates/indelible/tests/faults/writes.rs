//! Each write of the writer failing, and failing after it persisted: 503, nothing acknowledged, and a retry with the
//! same ids tells the truth.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indelible_engine::faults::{Faults, When, Write};
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::server::{Running, unlimited};

/// Strikes once, where it was last aimed, at the n-th such write.
#[derive(Default)]
struct Aimed(Mutex<Option<Aim>>);

type Aim = (Write, When, u32);

impl Aimed {
    fn aim(&self, at: Option<Aim>) -> Option<Aim> {
        std::mem::replace(&mut self.0.lock().expect("not poisoned"), at)
    }
}

impl Faults for Aimed {
    fn strikes(&self, write: Write, when: When) -> bool {
        let mut aim = self.0.lock().expect("not poisoned");
        let Some((_, _, before)) = aim.as_mut().filter(|aim| (aim.0, aim.1) == (write, when)) else { return false };
        if *before > 0 {
            *before -= 1;
            return false;
        }
        *aim = None;
        true
    }
}

fn events(batch: u128) -> (String, usize) {
    // More than a tile, so that every sort of write is done.
    let event = |n: u128| {
        json!({
            "id": uuid::Uuid::from_u128(batch << 32 | n).to_string(),
            "actor": {"type": "agent", "id": "loader"},
            "action": "load.step",
            "outcome": "allow",
            "content": {"arguments": {"n": n}},
        })
    };
    let events: Vec<Value> = (0..300).map(event).collect();
    (Value::Array(events).to_string(), 300)
}

/// Sends until it is taken, for at most half a minute; what is refused on the way must be a 503.
fn insist(client: &Client, body: &str) -> Answer {
    let started = Instant::now();
    loop {
        let answer = client.append(body);
        if answer.status == 201 {
            return answer;
        }
        assert_eq!(answer.problem().0, 503, "{}", answer.text());
        assert!(started.elapsed() < Duration::from_secs(30), "the service does not resume: {}", answer.text());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_write_that_fails_is_a_503_and_a_retry_tells_the_truth() {
    let faults = Arc::new(Aimed::default());
    let server = Running::start_with(unlimited(), Some(Arc::clone(&faults) as Arc<dyn Faults>));
    let client = server.admin();
    // A head is written level by level of its tree, itself last.
    let writes = [
        (Write::Begin, 0),
        (Write::Event, 0),
        (Write::Event, 299),
        (Write::Content, 299),
        (Write::Wrap, 299),
        (Write::Tile, 0),
        (Write::Head, 0),
        (Write::Head, 1),
        (Write::Head, 2),
        (Write::Commit, 0),
    ];
    let mut expected = 0;
    let aims = writes.into_iter().flat_map(|(write, nth)| [When::Before, When::After].map(|when| (write, when, nth)));
    for (batch, (write, when, nth)) in aims.enumerate() {
        let (body, count) = events(batch as u128 + 1);
        faults.aim(Some((write, when, nth)));
        let refused = client.append(&body);
        assert_eq!(faults.aim(None), None, "{write:?} {when:?} {nth} was done, and failed");
        let (status, name, _) = refused.problem();
        assert_eq!(status, 503, "{write:?} {when:?}");
        assert!(["outcome-unknown", "unavailable"].contains(&name.as_str()), "{name}");
        // What may be there must not be called refused.
        let persisted = write == Write::Commit && when == When::After;
        if persisted {
            assert_eq!(name, "outcome-unknown");
        }
        let receipts = insist(&client, &body).ok();
        let duplicates = receipts["receipts"].as_array().expect("receipts").iter().filter(|r| r["duplicate"] == true).count();
        assert_eq!(duplicates, if persisted { count } else { 0 }, "{write:?} {when:?}");
        expected += count;
    }
    let verified = client.get("/v1/audit/verify").ok();
    assert_eq!(verified["findings"], json!([]), "{verified}");
    assert_eq!(everything(&client, "load.step"), expected);
    assert_eq!(crate::client::send(server.address, "GET", "/readyz", &[], b"").status, 200);
}

#[test]
fn a_key_whose_event_cannot_be_written_is_not_made() {
    let faults = Arc::new(Aimed::default());
    let server = Running::start_with(unlimited(), Some(Arc::clone(&faults) as Arc<dyn Faults>));
    let client = server.admin();
    let names = || -> Vec<String> {
        let keys = client.get("/v1/api_keys").ok();
        keys["data"].as_array().expect("data").iter().map(|key| key["name"].as_str().expect("a name").to_owned()).collect()
    };
    let before = names();
    for (n, at) in
        [(Write::Event, When::Before, 0), (Write::Resource, When::Before, 0), (Write::Commit, When::Before, 0)].into_iter().enumerate()
    {
        faults.aim(Some(at));
        let body = json!({"name": format!("unlucky-{n}"), "scopes": ["audit:read"]}).to_string();
        let refused = client.post("/v1/api_keys", &body);
        assert_eq!(faults.aim(None), None, "{at:?} was done, and failed");
        assert_eq!(refused.problem().0, 503, "{at:?}");
        insist(&client, &events(1_000 + n as u128).0);
        assert_eq!(names(), before, "{at:?}");
    }
}

#[test]
fn a_read_that_cannot_be_recorded_is_not_answered() {
    let faults = Arc::new(Aimed::default());
    let server = Running::start_with(unlimited(), Some(Arc::clone(&faults) as Arc<dyn Faults>));
    let client = server.admin();
    insist(&client, &events(1).0);
    faults.aim(Some((Write::Commit, When::Before, 0)));
    let refused = client.get("/v1/audit/events?limit=1");
    assert_eq!(faults.aim(None), None, "the read was to be recorded");
    assert_eq!(refused.problem().0, 503);
    assert!(!refused.text().contains("load.step"));
}

#[test]
fn a_decision_that_cannot_be_recorded_is_not_answered() {
    let faults = Arc::new(Aimed::default());
    let server = Running::start_with(unlimited(), Some(Arc::clone(&faults) as Arc<dyn Faults>));
    let client = server.admin();
    let question = json!({"subject": {"type": "user", "id": "a"}, "action": {"name": "read"}, "resource": {"type": "d", "id": "1"}});
    let many = json!({"subject": {"type": "user", "id": "a"}, "action": {"name": "read"}, "evaluations": [{"resource": {"type": "d", "id": "1"}}]});
    for (path, body) in [("/access/v1/evaluation", &question), ("/access/v1/evaluations", &many)] {
        for (write, when) in [(Write::Event, When::Before), (Write::Commit, When::Before), (Write::Commit, When::After)] {
            faults.aim(Some((write, when, 0)));
            let refused = client.post(path, &body.to_string());
            assert_eq!(faults.aim(None), None, "the decision was to be recorded");
            assert_eq!(refused.problem().0, 503, "{path} {write:?} {when:?}");
            assert!(!refused.text().contains("\"decision\""), "{}", refused.text());
            insist(&client, &events(2_000).0);
        }
        assert_eq!(client.post(path, &body.to_string()).status, 200);
    }
}

/// How many events of this action the feed brings, page after page.
fn everything(client: &Client, action: &str) -> usize {
    let (mut after, mut count) = (String::new(), 0);
    loop {
        let page = client.get(&format!("/v1/audit/events?order=asc&limit=1000{after}")).ok();
        let rows = page["data"].as_array().expect("data");
        count += rows.iter().filter(|row| row["action"] == action).count();
        if rows.len() < 1_000 {
            return count;
        }
        after = format!("&after_sequence={}", page["next_after_sequence"]);
    }
}
