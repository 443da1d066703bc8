//! Proofs are asked for while events come in and the sealer runs: each answer holds, whatever the moment.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indelible::http::HttpOptions;
use serde_json::Value;

use super::{append, independent, keys, text};
use crate::server::{EVENTS, House};

/// Stops the others when the test ends, also where it fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn proofs_hold_while_events_come_in_and_are_sealed() {
    let house = House::with(HttpOptions::default(), |options| options.anchor_interval = Duration::from_millis(15));
    let keys = keys(&house);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = Done(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                append(&house, 30);
            }
        });
        let tiles = scope.spawn(|| {
            let mut sizes = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let answer = house.get(&format!("/tlog/{}/checkpoint", house.project)).send();
                if answer.status == 409 {
                    continue;
                }
                let (_, size, root) = independent::checkpoint(answer.text(), &keys[..1]);
                sizes.push((size, root));
                if size < 256 {
                    // Small enough to be one tile, and the checkpoint may be an older one by now.
                    let tile = house
                        .get(&format!("/tlog/{}/tile/0/000.p/{size}", house.project))
                        .cached("public, max-age=31536000, immutable")
                        .send();
                    assert_eq!(independent::root(tile.body.as_chunks::<32>().0), root);
                }
            }
            sizes
        });
        let (mut proved, mut waited) = (0, 0);
        // One that is proved before its anchor is there does not wait; that some do is what this is for.
        while proved < 60 || (waited == 0 && proved < 3_000) {
            let receipts = append(&house, 3);
            for receipt in &receipts {
                let path = format!("{EVENTS}/{}/proof", text(receipt, "id"));
                let proof = loop {
                    let answer = house.get(&path).header("accept", "application/json").send();
                    if answer.status != 409 {
                        break answer.is(200);
                    }
                    waited += 1;
                };
                check(&proof, receipt, &keys);
                proved += 1;
            }
        }
        drop(stop);
        let sizes = tiles.join().expect("the auditor did not panic");
        assert!(waited > 0 && sizes.len() > 2 && sizes.is_sorted_by_key(|(size, _)| *size), "{waited} {}", sizes.len());
        for pair in sizes.windows(2) {
            let answer = house.get(&format!("/v1/audit/consistency?from={}&to={}", pair[0].0, pair[1].0)).send();
            assert!(independent::consistent(answer.text(), &pair[0].1, &pair[1].1));
        }
    });
}

fn check(proof: &Value, receipt: &Value, keys: &[String]) {
    let (index, _) = independent::included(text(proof, "proof"), text(proof, "entry").as_bytes(), &keys[..1]);
    assert_eq!(Some(index), receipt["sequence"].as_u64());
    if proof["instance"].is_object() {
        independent::included(text(&proof["instance"], "proof"), text(&proof["instance"], "leaf").as_bytes(), &keys[1..]);
    }
}
