//! Several servers on one PostgreSQL database, killed and gone on with, and the database as well.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::database::Database;
use crate::load::{Client, Outcome};
use crate::process::{Server, verify_with};
use crate::receiver::{Receiver, TAKE, tls_file, wait};
use crate::streams::{Desk, Log};

/// The role of the servers.
const SERVER: &str = "log_server";
/// Whose the tables are.
const OWNER: &str = "log_owner";
const SERVERS: usize = 4;
const CLIENTS: usize = 64;
const TOTAL: u64 = 24_000;
const BATCH: u64 = 10;

/// A server of the house, which has a data folder of its own and everything else in common with the others.
fn start(house: &Path, database: &Database, n: usize) -> Server {
    let (keys, checkpoints) = (house.join("keys"), house.join("checkpoints"));
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let arguments = [
        "--database".to_owned(),
        database.address(SERVER),
        "--database-maintenance".to_owned(),
        database.address(OWNER),
        "--keys".to_owned(),
        path(&keys),
        "--checkpoints".to_owned(),
        path(&checkpoints),
        "--anchor-interval-seconds".to_owned(),
        "1".to_owned(),
        "--stream-allow".to_owned(),
        "127.0.0.1".to_owned(),
        "--stream-ca-file".to_owned(),
        tls_file("ca.pem"),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Server::start(&house.join(format!("data-{n}")), &arguments)
}

fn install(database: &Database) {
    let program = std::process::Command::new(env!("CARGO_BIN_EXE_indelible"))
        .args(["database", "install", "--database-maintenance", &database.address(OWNER)])
        .output()
        .expect("it runs");
    assert!(program.status.success(), "{}", String::from_utf8_lossy(&program.stderr));
}

fn check(house: &Path, database: &Database) -> serde_json::Value {
    let (keys, checkpoints) = (house.join("keys"), house.join("checkpoints"));
    let arguments = [
        "--database",
        &database.address(SERVER),
        "--keys",
        keys.to_str().expect("UTF-8"),
        "--checkpoints",
        checkpoints.to_str().expect("UTF-8"),
    ];
    let (code, report) = verify_with(&house.join("data-none"), &arguments);
    assert_eq!(code, 0, "{report}");
    report
}

/// Sixty-four clients, each of which goes from server to server until its batch is acknowledged.
fn load(urls: &[Mutex<Option<String>>], key: &str, handed: &AtomicU64) -> Outcome {
    let outcome = Mutex::new(Outcome::default());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let outcome = &outcome;
            scope.spawn(move || {
                let mut at = client % SERVERS;
                loop {
                    let from = handed.fetch_add(BATCH, Ordering::Relaxed);
                    if from >= TOTAL {
                        return;
                    }
                    let numbers: Vec<u64> = (from..TOTAL.min(from + BATCH)).collect();
                    let began = Instant::now();
                    loop {
                        let url = urls[at].lock().expect("no panic").clone();
                        let (status, sequences) = url.map_or((0, Vec::new()), |url| Client { url: &url, key }.append_once(&numbers));
                        let mut outcome = outcome.lock().expect("no client panics");
                        *outcome.statuses.entry(status).or_default() += 1;
                        outcome.acknowledged.extend(numbers.iter().copied().zip(sequences));
                        drop(outcome);
                        if status == 201 {
                            break;
                        }
                        assert!(began.elapsed() < Duration::from_mins(2), "batch {from} was not taken in two minutes: {status}");
                        std::thread::sleep(Duration::from_millis(20));
                        at = (at + 1) % SERVERS;
                    }
                }
            });
        }
    });
    outcome.into_inner().expect("no client panics")
}

/// Where the events of the load are delivered.
const STREAM: &str = "/load";

/// Has the events of the load delivered, takes whatever comes, and notes it.
fn listening(desk: &Desk) -> (Arc<Mutex<Log>>, Receiver) {
    let log = Arc::<Mutex<Log>>::default();
    let noted = Arc::clone(&log);
    let receiver = Receiver::start(move |came| {
        noted.lock().expect("no panic").note(came, TAKE);
        TAKE
    });
    desk.sign();
    desk.make(&receiver.url(STREAM), &json!({"filter": "action eq \"load.step\"", "batch_events_max": 100}));
    (log, receiver)
}

/// Every event of the load came, in order, and none of another kind.
fn all_were_delivered(log: &Mutex<Log>, steps: &[(u64, String, String)]) {
    let steps: BTreeSet<u64> = steps.iter().map(|(sequence, ..)| *sequence).collect();
    let come = || log.lock().expect("no panic").heard.get(STREAM).map_or(0, |heard| heard.taken.len());
    wait(|| (come() >= steps.len()).then_some(()), || format!("{} of {} came", come(), steps.len()));
    let log = log.lock().expect("no panic");
    let heard = &log.heard[STREAM];
    assert!(heard.came == steps && heard.first.is_sorted(), "{} came of {}", heard.came.len(), steps.len());
    assert!(log.wrong.is_empty(), "{:?}", log.wrong);
}

/// The one that sealed first was killed with the lease in hand: another takes it over once that has run out.
fn wait_for_takeover(database: &Database) {
    let sealed = "SELECT EXISTS (SELECT FROM audit.anchors) AND epoch > 1 FROM audit.leases WHERE work = 'seal'";
    let until = Instant::now() + Duration::from_mins(1);
    while database.ask(sealed) != "t" {
        assert!(Instant::now() < until, "nobody took over");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn four_servers_on_one_database_lose_nothing_whichever_of_them_is_killed() {
    let (house, database) = (tempfile::tempdir().expect("a folder"), Database::start());
    let house = house.path();
    // Servers have no more rights than they need.
    database.ask(&format!("CREATE ROLE {OWNER} LOGIN CREATEROLE; GRANT CREATE ON DATABASE postgres TO {OWNER}"));
    install(&database);
    database.ask(&format!("CREATE ROLE {SERVER} LOGIN; GRANT audit_server TO {SERVER}"));
    let first = start(house, &database, 0);
    let key = first.key();
    // All but the first at once: none of them may make anything that is there.
    let rest: Vec<Server> = std::thread::scope(|scope| {
        let database = &database;
        let starting: Vec<_> = (1..SERVERS).map(|n| scope.spawn(move || start(house, database, n))).collect();
        starting.into_iter().map(|starting| starting.join().expect("started")).collect()
    });
    // One of them delivers; when it is killed, another goes on.
    let (log, _receiver) = listening(&Desk { url: rest[0].url.clone(), key: key.clone() });
    let mut servers: Vec<Option<Server>> = std::iter::once(first).chain(rest).map(Some).collect();
    let urls: Vec<Mutex<Option<String>>> = servers.iter().map(|server| Mutex::new(server.as_ref().map(|s| s.url.clone()))).collect();
    let handed = AtomicU64::new(0);
    let outcome = std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(&urls, &key, &handed));
        let reached = |events: u64| {
            while handed.load(Ordering::Relaxed) < events {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        // Each in its turn, the one that seals among them; and between them the database itself.
        for (victim, at) in [(1, TOTAL / 8), (0, TOTAL / 4), (2, TOTAL * 5 / 8)] {
            reached(at);
            *urls[victim].lock().expect("no panic") = None;
            servers[victim].take().expect("it runs").kill();
            let again = start(house, &database, victim);
            *urls[victim].lock().expect("no panic") = Some(again.url.clone());
            servers[victim] = Some(again);
            if victim == 0 {
                reached(TOTAL / 2);
                database.kill();
                std::thread::sleep(Duration::from_millis(200));
                database.go_on();
            }
        }
        loading.join().expect("no client panics")
    });
    assert_eq!(outcome.acknowledged.len() as u64, TOTAL, "{:?}", outcome.statuses);
    assert!(outcome.statuses.keys().any(|status| *status != 201), "something was under way: {:?}", outcome.statuses);
    // Every server tells the same.
    let everywhere: Vec<Vec<_>> = servers
        .iter()
        .flatten()
        .map(|server| {
            let client = Client { url: &server.url, key: &key };
            assert_eq!(client.check(&outcome, TOTAL) as u64, TOTAL);
            client.everything().into_iter().filter(|(_, _, action)| action == "load.step").collect()
        })
        .collect();
    assert!(everywhere.windows(2).all(|two| two[0] == two[1]));
    all_were_delivered(&log, &everywhere[0]);
    let dense = "SELECT count(*) = max(row) AND min(row) = 1 FROM audit.events";
    assert_eq!(database.ask(dense), "t", "rows are dense");
    wait_for_takeover(&database);
    servers.into_iter().flatten().for_each(Server::stop);
    let report = check(house, &database);
    let anchors: BTreeMap<String, u64> = report["projects"]
        .as_array()
        .expect("projects")
        .iter()
        .map(|project| (project["verdict"].as_str().expect("text").to_owned(), project["unanchored"].as_u64().expect("a number")))
        .collect();
    assert!(anchors.contains_key("intact"), "the last to close sealed what it could: {report}");
    assert_eq!(
        database.ask("SELECT count(*) FROM (SELECT project, tree_size FROM audit.anchors GROUP BY 1, 2 HAVING count(*) > 1) AS twice"),
        "0"
    );
}
