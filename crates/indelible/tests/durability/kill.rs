//! Kill -9 at any moment of a load of 100,000 events over 32 connections.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::load::{Client, Outcome};
use crate::process::{Server, verify};

const TOTAL: u64 = 100_000;

#[test]
fn kill_nine_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut seen = Outcome::default();
    // While the first batches are under way, amid the load, and at a moment that differs from run to run: so many events were handed out,
    // and some microseconds went by, so that it falls anywhere in what the server does with them.
    let random = RandomState::new().hash_one(());
    let moments = [(640, 0), (20_000, random % 7_000), (2_000 + random % 90_000, random % 20_000)];
    for (round, (events, micros)) in moments.into_iter().enumerate() {
        eprintln!("kill {round}: {micros} microseconds after event {events}");
        let server = Server::start(&data, &[]);
        let (url, key) = (server.url.clone(), server.key());
        let handed = Arc::new(AtomicU64::new(0));
        let killer = std::thread::spawn({
            let handed = Arc::clone(&handed);
            move || {
                while handed.load(Ordering::Relaxed) < events {
                    std::thread::sleep(Duration::from_micros(100));
                }
                std::thread::sleep(Duration::from_micros(micros));
                server.kill();
            }
        });
        let outcome = Client { url: &url, key: &key }.load_noting(&handed, TOTAL, 20, 32);
        killer.join().expect("killed");
        assert!(outcome.statuses.contains_key(&0), "kill {round} fell into the load: {:?}", outcome.statuses);
        for (n, sequence) in &outcome.acknowledged {
            let earlier = seen.acknowledged.insert(*n, *sequence);
            assert!(earlier.is_none_or(|earlier| earlier == *sequence), "a retry is told the first receipt");
        }
        let (code, report) = verify(&data);
        assert_eq!(code, 0, "after kill {round}: {report}");
    }
    assert!(!seen.acknowledged.is_empty(), "the load was under way when it was cut");
    let server = Server::start(&data, &[]);
    let (url, key) = (server.url.clone(), server.key());
    let client = Client { url: &url, key: &key };
    client.check(&seen, TOTAL);
    let last = client.load(TOTAL, 20, 32);
    assert_eq!(last.statuses.keys().collect::<Vec<_>>(), [&201], "the whole load is taken when retried");
    for (n, sequence) in &seen.acknowledged {
        assert_eq!(last.acknowledged.get(n), Some(sequence), "a retry is told the first receipt");
    }
    assert_eq!(client.check(&last, TOTAL) as u64, TOTAL, "exactly its events");
    server.stop();
    let (code, report) = verify(&data);
    assert_eq!(code, 0, "{report}");
}
