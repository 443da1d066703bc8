//! A client that loads events over many connections and remembers what was acknowledged.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Event number `n`: its id is made from its number, so that a retry is the same submission.
pub(crate) fn event(n: u64) -> String {
    format!(
        r#"{{"id":"{}","action":"load.step","outcome":"allow","actor":{{"type":"service_account","id":"loader-{}"}},"content":{{"arguments":{{"n":{n},"text":"what was said in step {n}"}}}}}}"#,
        id(n),
        n % 7
    )
}

/// A UUID for a number.
pub(crate) fn id(n: u64) -> String {
    format!("00000000-0000-4000-8000-{n:012x}")
}

/// What a load brought.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Sequence by event number, for everything that was acknowledged.
    pub(crate) acknowledged: BTreeMap<u64, u64>,
    /// Answers by status; 0 is no answer.
    pub(crate) statuses: HashMap<u16, u64>,
}

/// A client of one server.
pub(crate) struct Client<'a> {
    pub(crate) url: &'a str,
    pub(crate) key: &'a str,
}

impl Client<'_> {
    fn agent() -> ureq::Agent {
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_mins(1))).build().into()
    }

    /// Appends events `0..total` in batches over `connections`, each batch once, on past failures.
    pub(crate) fn load(&self, total: u64, batch: u64, connections: usize) -> Outcome {
        self.load_noting(&AtomicU64::new(0), total, batch, connections)
    }

    /// The same; `next` is the first event that was not handed to a connection yet.
    pub(crate) fn load_noting(&self, next: &AtomicU64, total: u64, batch: u64, connections: usize) -> Outcome {
        let outcome = Mutex::new(Outcome::default());
        std::thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| {
                    let agent = Self::agent();
                    loop {
                        let from = next.fetch_add(batch, Ordering::Relaxed);
                        if from >= total {
                            return;
                        }
                        let numbers: Vec<u64> = (from..total.min(from + batch)).collect();
                        let (status, sequences) = self.append(&agent, &numbers);
                        let mut outcome = outcome.lock().expect("no client panics");
                        *outcome.statuses.entry(status).or_default() += 1;
                        outcome.acknowledged.extend(numbers.into_iter().zip(sequences));
                        let refused = status == 0;
                        drop(outcome);
                        if refused && std::net::TcpStream::connect(self.url.trim_start_matches("http://")).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        outcome.into_inner().expect("no client panics")
    }

    /// Appends one batch over a connection of its own.
    pub(crate) fn append_once(&self, numbers: &[u64]) -> (u16, Vec<u64>) {
        self.append(&Self::agent(), numbers)
    }

    /// Appends one batch; the status and, where it is 201, the sequences.
    fn append(&self, agent: &ureq::Agent, numbers: &[u64]) -> (u16, Vec<u64>) {
        let body: String = numbers.iter().map(|n| event(*n) + "\n").collect();
        let sent = agent
            .post(format!("{}/v1/audit/events", self.url))
            .header("Authorization", format!("Bearer {}", self.key))
            .header("Content-Type", "application/x-ndjson")
            .send(body);
        let Ok(mut answer) = sent else { return (0, Vec::new()) };
        let status = answer.status().as_u16();
        if status != 201 {
            return (status, Vec::new());
        }
        // An answer that was cut off acknowledges nothing.
        let Ok(text) = answer.body_mut().read_to_string() else { return (0, Vec::new()) };
        let receipts: Value = serde_json::from_str(&text).expect("receipts are JSON");
        let sequences = receipts["receipts"].as_array().expect("receipts").iter().map(|r| r["sequence"].as_u64().expect("a sequence"));
        (201, sequences.collect())
    }

    /// A GET, as JSON.
    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        let sent = Self::agent().get(format!("{}{path}", self.url)).header("Authorization", format!("Bearer {}", self.key)).call();
        let mut answer = sent.expect("the server answers");
        let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().expect("a body");
        (answer.status().as_u16(), serde_json::from_str(&text).expect("JSON"))
    }

    /// A POST of JSON; the answer as JSON too.
    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = Self::agent().post(format!("{}{path}", self.url)).header("Authorization", format!("Bearer {}", self.key));
        let mut answer = request.header("Content-Type", "application/json").send(body.to_string()).expect("the server answers");
        let text = answer.body_mut().read_to_string().expect("a body");
        (answer.status().as_u16(), serde_json::from_str(&text).expect("JSON"))
    }

    /// Everything in the project, by the feed: (sequence, id, action), oldest first.
    pub(crate) fn everything(&self) -> Vec<(u64, String, String)> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let question = format!("/v1/audit/events?order=asc&limit=1000{after}");
            let (mut answer, end) = (self.get(&question), Instant::now() + Duration::from_mins(2));
            while answer.0 == 503 && answer.1["detail"].as_str().is_some_and(|detail| detail.contains("index")) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(200));
                answer = self.get(&question);
            }
            let (status, page) = answer;
            assert_eq!(status, 200, "{page}");
            let rows = page["data"].as_array().expect("data");
            for row in rows {
                let text = |name: &str| row[name].as_str().expect("text").to_owned();
                all.push((row["sequence"].as_u64().expect("a sequence"), text("id"), text("action")));
            }
            // Its own reads are in the log too: stop at a page that is not full.
            if rows.len() < 1_000 {
                return all;
            }
            after = format!("&after_sequence={}", all[all.len() - 1].0);
        }
    }

    /// The oracle: dense, each acknowledged event once and where it was said to be, nobody else's.
    pub(crate) fn check(&self, outcome: &Outcome, total: u64) -> usize {
        let all = self.everything();
        for (at, (sequence, ..)) in all.iter().enumerate() {
            assert_eq!(*sequence, at as u64, "the sequence is dense");
        }
        let mut places: HashMap<&str, u64> = HashMap::new();
        for (sequence, id, action) in &all {
            if action == "load.step" {
                assert_eq!(places.insert(id, *sequence), None, "{id} is there twice");
            }
        }
        for (n, sequence) in &outcome.acknowledged {
            assert_eq!(places.get(id(*n).as_str()), Some(sequence), "event {n} was acknowledged");
        }
        assert!(places.len() as u64 <= total);
        places.len()
    }
}
