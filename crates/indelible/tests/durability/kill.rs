//! Kill -9 at any moment of a load of 100,000 events over 32 connections.

use std::time::Duration;

use crate::load::{Client, Outcome};
use crate::process::{Server, verify};

const TOTAL: u64 = 100_000;

#[test]
fn kill_nine_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut seen = Outcome::default();
    // The moments differ: while the first batches are under way, amid the load, and late in it.
    for (round, milliseconds) in [150, 700, 1_900].into_iter().enumerate() {
        let server = Server::start(&data, &[]);
        let (url, key) = (server.url.clone(), server.key());
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(milliseconds));
            server.kill();
        });
        let outcome = Client { url: &url, key: &key }.load(TOTAL, 20, 32);
        killer.join().expect("killed");
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
