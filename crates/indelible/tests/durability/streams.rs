//! Streams of the real program, over TLS: killed again and again while receivers do what receivers do; a hundred streams of which one is
//! dead; a backlog that is far greater than the memory it may take.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::load::Client;
use crate::process::{Server, verify};
use crate::receiver::{Came, Receiver, Say, TAKE, tls_file, wait};

const STREAMS: &str = "/v1/audit_streams";

fn start(data: &Path) -> Server {
    Server::start(data, &["--stream-allow", "127.0.0.1", "--stream-ca-file", &tls_file("ca.pem")])
}

/// A client of a server, and what it asks of streams.
pub(crate) struct Desk {
    pub(crate) url: String,
    pub(crate) key: String,
}

impl Desk {
    fn of(server: &Server) -> Self {
        Self { url: server.url.clone(), key: server.key() }
    }

    fn client(&self) -> Client<'_> {
        Client { url: &self.url, key: &self.key }
    }

    /// Makes the key that signs.
    pub(crate) fn sign(&self) {
        assert_eq!(self.client().post("/v1/webhook_signing_keys", &json!({"name": "k", "primary": true})).0, 201);
    }

    /// Makes a stream to this URL; its own in the API.
    pub(crate) fn make(&self, url: &str, members: &Value) -> String {
        let mut document = json!({"name": "n", "url": url, "start": "beginning"});
        for (name, value) in members.as_object().expect("an object") {
            document[name] = value.clone();
        }
        let (status, made) = self.client().post(STREAMS, &document);
        assert_eq!(status, 201, "{made}");
        format!("{STREAMS}/{}", made["id"].as_str().expect("an id"))
    }

    fn status(&self, stream: &str) -> Value {
        let (status, told) = self.client().get(&format!("{stream}/status"));
        assert_eq!(status, 200, "{told}");
        told
    }

    /// Has a stream go on that was paused.
    fn resume(&self, stream: &str) {
        if self.status(stream)["running"] == false {
            assert_eq!(self.client().post(&format!("{stream}/resume"), &json!({})).0, 200);
        }
    }
}

/// Of one stream, what came.
#[derive(Default)]
pub(crate) struct Heard {
    /// Sequences, in the order in which each came first.
    pub(crate) first: Vec<u64>,
    pub(crate) came: BTreeSet<u64>,
    pub(crate) taken: BTreeSet<u64>,
    /// The digest of the body under each id.
    bodies: HashMap<String, u64>,
    requests: u64,
    repeated: u64,
}

/// What came, by path.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) heard: BTreeMap<String, Heard>,
    digest: RandomState,
    /// What went wrong: the test's own threads say so, receivers cannot.
    pub(crate) wrong: Vec<String>,
}

impl Log {
    /// One more request, and what it is answered.
    pub(crate) fn note(&mut self, came: &Came, say: Say) {
        let digest = self.digest.hash_one(&came.body);
        let heard = self.heard.entry(came.path.clone()).or_default();
        heard.requests += 1;
        let id = came.header("webhook-id");
        match heard.bodies.insert(id.to_owned(), digest) {
            Some(earlier) if earlier != digest => self.wrong.push(format!("{} came at {} with two bodies", id, came.path)),
            Some(_) => heard.repeated += 1,
            None => {}
        }
        for sequence in came.sequences() {
            if heard.came.insert(sequence) {
                heard.first.push(sequence);
            }
            if say.takes() {
                heard.taken.insert(sequence);
            }
        }
    }
}

/// What a receiver does that is not well: at every third request, something else each time.
fn misdeed(n: u64) -> Say {
    let deeds = [
        Say::status(500),
        Say::TakeAndBreak,
        Say::Garbage,
        Say::Slowly(200, Duration::from_millis(50)),
        Say::Hang,
        Say::Half,
        Say::Answer(429, "Retry-After: 1\r\n", ""),
        Say::Slowly(503, Duration::from_millis(50)),
    ];
    if n.is_multiple_of(3) { deeds[usize::try_from(n / 3).expect("few") % deeds.len()] } else { TAKE }
}

/// How often the server is killed, and what is appended each time.
const KILLS: u64 = 10;
const ROUND: u64 = 400;

#[test]
fn kill_nine_skips_no_event_of_any_stream_whatever_its_receiver_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let log = Arc::<Mutex<Log>>::default();
    let noting = |deed: fn(&str, u64) -> Say| {
        let log = Arc::clone(&log);
        move |came: &Came| {
            let mut log = log.lock().expect("no panic");
            let say = deed(&came.path, log.heard.get(&came.path).map_or(1, |heard| heard.requests + 1));
            log.note(came, say);
            say
        }
    };
    let receiver = Receiver::start(noting(|path, n| match path {
        "/fickle" | "/fickle-batches" => misdeed(n),
        "/gone" if n.is_multiple_of(20) => Say::status(410),
        _ => TAKE,
    }));
    let mut server = start(&data);
    let desk = Desk::of(&server);
    desk.sign();
    let only = |events: u64| json!({"filter": "action eq \"load.step\"", "batch_events_max": events});
    let streams = [
        ("/steady", only(1)),
        ("/fickle", only(1)),
        ("/fickle-batches", only(30)),
        ("/gone", only(10)),
        ("/all", json!({"batch_events_max": 100})),
    ];
    let streams = streams.map(|(path, members)| (path, desk.make(&receiver.url(path), &members)));
    let random = RandomState::new().hash_one(());
    for round in 0..KILLS {
        let desk = Desk::of(&server);
        for (_, stream) in &streams {
            desk.resume(stream);
        }
        let after = Duration::from_millis(200 + (random >> (4 * round)) % 1_000);
        eprintln!("kill {round}: after {after:?}");
        let killer = std::thread::spawn(move || {
            std::thread::sleep(after);
            server.kill();
        });
        desk.client().load_noting(&AtomicU64::new(round * ROUND), (round + 1) * ROUND, 20, 4);
        killer.join().expect("killed");
        server = start(&data);
    }
    receiver.says(noting(|_, _| TAKE));
    let desk = Desk::of(&server);
    for (_, stream) in &streams {
        desk.resume(stream);
    }
    // What was cut off is sent by its client again, so that everything is there in the end.
    assert_eq!(desk.client().load(KILLS * ROUND, 20, 4).statuses.keys().collect::<Vec<_>>(), [&201]);
    let all = desk.client().everything();
    for (path, stream) in &streams {
        let expected: BTreeSet<u64> =
            all.iter().filter(|(.., action)| *path == "/all" || action == "load.step").map(|(sequence, ..)| *sequence).collect();
        let arrived = || log.lock().expect("no panic").heard.get(*path).is_some_and(|heard| expected.is_subset(&heard.taken));
        wait(|| arrived().then_some(()), || format!("{path}: {}", desk.status(stream)));
        let log = log.lock().expect("no panic");
        let heard = &log.heard[*path];
        eprintln!("{path}: {} requests, {} of them again", heard.requests, heard.repeated);
        assert!(heard.first.is_sorted(), "{path}: {:?}", heard.first);
        assert!(*path == "/all" || heard.came == expected, "{path}: it gets its own events alone");
    }
    let log = log.lock().expect("no panic");
    assert!(log.wrong.is_empty(), "{:?}", log.wrong);
    assert!(log.heard["/fickle"].repeated > 0 && log.heard["/fickle-batches"].repeated > 0);
    server.stop();
    let (code, report) = verify(&data);
    assert_eq!(code, 0, "{report}");
}

#[test]
fn of_a_hundred_streams_one_is_dead_and_the_others_get_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Arc::<Mutex<Log>>::default();
    let noted = Arc::clone(&log);
    let receiver = Receiver::start(move |came| {
        let say = if came.path == "/50" { Say::Hang } else { TAKE };
        noted.lock().expect("no panic").note(came, say);
        say
    });
    let server = start(&folder.path().join("data"));
    let desk = Desk::of(&server);
    desk.sign();
    let only = json!({"filter": "action eq \"load.step\""});
    let streams: Vec<String> = (0..100).map(|n| desk.make(&receiver.url(&format!("/{n}")), &only)).collect();
    assert_eq!(desk.client().load(20, 5, 4).acknowledged.len(), 20);
    let through = || {
        let log = log.lock().expect("no panic");
        let through = |n: &usize| log.heard.get(&format!("/{n}")).is_some_and(|heard| heard.taken.len() == 20 && heard.first.is_sorted());
        (0..100).filter(through).count()
    };
    wait(|| (through() == 99).then_some(()), || format!("{} have everything", through()));
    let status = desk.status(&streams[50]);
    assert!(status["running"] == true && status["lag_events"].as_u64() >= Some(20), "{status}");
    let dead = &log.lock().expect("no panic").heard["/50"];
    assert!(dead.taken.is_empty() && dead.came.len() == 1, "it stands at its first event");
}

/// Events of the backlog, and what delivering it may cost the server beside what it takes to start.
const BACKLOG: usize = 200_000;
const BACKLOG_MIB_MAX: u64 = 64;
const MIB: u64 = 1024 * 1024;

/// What one stream has of the backlog.
#[derive(Default)]
struct Reached {
    /// The next sequence.
    next: u64,
    bytes: u64,
    /// Whether one was left out.
    gap: bool,
}

#[test]
fn a_backlog_takes_no_more_memory_however_long_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let loading = start(&data);
    let desk = Desk::of(&loading);
    desk.sign();
    let event = format!(
        "{{\"action\":\"backlog.step\",\"outcome\":\"allow\",\"actor\":{{\"type\":\"human\",\"id\":\"a\"}},\"reason\":\"{}\"}}\n",
        "why ".repeat(60)
    );
    for _ in 0..BACKLOG / 5_000 {
        let sent = ureq::post(format!("{}/v1/audit/events", desk.url)).header("authorization", format!("Bearer {}", desk.key));
        sent.header("content-type", "application/x-ndjson").send(event.repeat(5_000)).expect("taken");
    }
    loading.stop();

    let reached = Arc::<Mutex<BTreeMap<String, Reached>>>::default();
    let noted = Arc::clone(&reached);
    let receiver = Receiver::start(move |came| {
        if came.path == "/dead" {
            return Say::Hang;
        }
        let mut all = noted.lock().expect("no panic");
        let reached = all.entry(came.path.clone()).or_default();
        reached.bytes += came.body.len() as u64;
        for at in memchr::memmem::find_iter(&came.body, b"\"sequence\":") {
            let digits = came.body[at + 11..].iter().take_while(|byte| byte.is_ascii_digit());
            let sequence = digits.fold(0, |n, digit| n * 10 + u64::from(digit - b'0'));
            reached.gap |= sequence > reached.next;
            reached.next = reached.next.max(sequence + 1);
        }
        TAKE
    });
    let server = start(&data);
    let desk = Desk::of(&server);
    let before = server.resident_max();
    let batches = json!({"batch_events_max": 1_000});
    let streams = ["/a", "/b", "/c", "/dead"].map(|path| desk.make(&receiver.url(path), &batches));
    let through = || {
        let all = reached.lock().expect("no panic");
        all.values().filter(|reached| reached.next >= BACKLOG as u64).count() == 3
    };
    let begun = Instant::now();
    while !through() {
        assert!(begun.elapsed() < Duration::from_mins(10), "{}", streams.map(|stream| desk.status(&stream).to_string()).join("\n"));
        std::thread::sleep(Duration::from_millis(100));
    }
    let cost = server.resident_max().saturating_sub(before);
    let all = reached.lock().expect("no panic");
    for (path, reached) in all.iter() {
        assert!(!reached.gap && reached.next >= BACKLOG as u64, "{path} has come to {}", reached.next);
        assert!(reached.bytes > 4 * BACKLOG_MIB_MAX * MIB / 3, "{} bytes would fit into the bound", reached.bytes);
    }
    assert!(cost < BACKLOG_MIB_MAX * MIB, "{} MiB for three times {BACKLOG} events", cost / MIB);
}
