//! Kill -9 of a server that seals without end: whatever step it is killed in, no tree has two roots of one size, and what was signed is
//! there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::Note;
use rusqlite::Connection;

use crate::load::Client;
use crate::process::{Server, verify_with};

/// Kills; each is a start of the program, which is most of the time that this takes.
const KILLS: u64 = 12;

/// The root of each tree at each size that was ever seen signed.
#[derive(Default)]
struct Roots(BTreeMap<(String, u64), [u8; 32]>);

impl Roots {
    /// Takes note of what is published and of what the checkpoint store holds; the checkpoints that it holds now.
    fn look(&mut self, data: &Path, store: &Path) -> Vec<Checkpoint> {
        let published = "SELECT checkpoint FROM anchors UNION ALL SELECT checkpoint FROM instance_checkpoints";
        self.note(read(&data.join("ledger.db"), published));
        let mut files = std::fs::read_dir(store).into_iter().flatten().map(|entry| entry.expect("an entry").path());
        let file = files.find(|path| path.extension().is_some_and(|end| end == "checkpoints"));
        file.map(|file| self.note(read(&file, "SELECT checkpoint FROM checkpoints"))).unwrap_or_default()
    }

    fn note(&mut self, notes: Vec<String>) -> Vec<Checkpoint> {
        let read = |note: String| {
            let note = Note::parse(note.as_bytes()).expect("a note");
            Checkpoint::parse(note.text()).expect("a checkpoint")
        };
        let checkpoints: Vec<Checkpoint> = notes.into_iter().map(read).collect();
        for Checkpoint { origin, size, root } in &checkpoints {
            let before = self.0.insert((origin.as_str().to_owned(), *size), *root);
            assert!(before.is_none_or(|before| before == *root), "two roots of {size} leaves: {origin}");
        }
        checkpoints
    }
}

fn read(database: &Path, sql: &str) -> Vec<String> {
    let connection = Connection::open(database).expect("it opens");
    let mut select = connection.prepare(sql).expect("a statement");
    select.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("notes")
}

/// Appends and has it sealed, until nobody answers; counts.
fn press(url: &str, key: &str, from: u64, sealed: &AtomicU64) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(Duration::from_secs(20)));
    let agent: ureq::Agent = config.build().into();
    for n in from.. {
        let event = crate::load::event(n);
        let post = |path: &str, body: &str| {
            let request = agent.post(format!("{url}{path}")).header("authorization", format!("Bearer {key}"));
            request.header("content-type", "application/json").send(body).map(|answer| answer.status().as_u16())
        };
        match post("/v1/audit/events", &event).and_then(|_| post("/v1/audit/anchors", "")) {
            Ok(200) => drop(sealed.fetch_add(1, Ordering::SeqCst)),
            Ok(status) => panic!("sealing is answered {status}"),
            Err(_) => break,
        }
    }
}

#[test]
fn kill_nine_never_leaves_two_roots_for_one_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, store) = (folder.path().join("data"), folder.path().join("store"));
    let named = store.display().to_string();
    let arguments = ["--checkpoints", named.as_str(), "--anchor-interval-seconds", "1"];
    let (mut roots, sealed) = (Roots::default(), Arc::<AtomicU64>::default());
    for kill in 0..KILLS {
        let server = Server::start(&data, &arguments);
        let (url, key) = (server.url.clone(), server.key());
        let (counted, before) = (Arc::clone(&sealed), sealed.load(Ordering::SeqCst));
        let killer = std::thread::spawn(move || {
            // Every other is killed wherever it is, however slow that is.
            let until = Instant::now() + Duration::from_mins(1);
            while kill % 2 == 0 && counted.load(Ordering::SeqCst) < before + 3 && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
            // Primes apart, so that the moments lie all over the steps of a sealing, which takes some milliseconds.
            std::thread::sleep(Duration::from_millis(60 + kill * 37 % 110) + Duration::from_micros(kill * 613));
            server.kill();
        });
        press(&url, &key, kill * 100_000, &sealed);
        killer.join().expect("killed");
        let held = roots.look(&data, &store);
        // What the store holds covers no row that is not there.
        for checkpoint in held {
            let Some((_, project)) = checkpoint.origin.as_str().rsplit_once('/') else { continue };
            let sql = format!("SELECT CAST(size AS TEXT) FROM heads JOIN ledgers USING (project) WHERE project_id = '{project}'");
            let size: u64 = read(&data.join("ledger.db"), &sql)[0].parse().expect("a number");
            assert!(size >= checkpoint.size, "kill {kill}: {} leaves of {} were signed", checkpoint.size, checkpoint.origin);
        }
    }
    let sealed = sealed.load(Ordering::SeqCst);
    assert!(sealed > KILLS, "it was sealing when it was killed: {sealed}");
    let server = Server::start(&data, &arguments);
    press_once(&server);
    server.stop();
    roots.look(&data, &store);
    let (code, report) = verify_with(&data, &["--checkpoints", &named]);
    assert_eq!(code, 0, "{report}");
    assert!(report["projects"].as_array().is_some_and(|all| all.iter().all(|one| one["unanchored"] == 0)), "{report}");
}

/// The next start goes on.
fn press_once(server: &Server) {
    let client = Client { url: &server.url, key: &server.key() };
    assert_eq!(client.load(10, 10, 1).statuses.keys().collect::<Vec<_>>(), [&201]);
}
