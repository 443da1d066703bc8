//! Kill -9 of a witness while two stories of one log are being told to it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::log::{FORK, Log};
use crate::process::{Witness, add};

const KILLS: u64 = 12;
const SIZE_MAX: u64 = 400;

/// Tells one story, each time from the size that the witness names, and notes what it cosigned.
fn tell(log: &Log, url: &str, other: bool, over: &AtomicBool, cosigned: &Mutex<BTreeMap<u64, bool>>) {
    let mut old = 0;
    while !over.load(Ordering::Relaxed) {
        let size = (old + 1).max(FORK + 1);
        if size > SIZE_MAX {
            return;
        }
        let Some(answer) = add(url, &log.request(old, size, other)) else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        match answer.status {
            200 => {
                let before = cosigned.lock().expect("unpoisoned").insert(size, other);
                assert!(before.is_none_or(|before| before == other), "two roots were cosigned for {size} leaves");
                old = size;
            }
            409 if answer.content_type == "text/x.tlog.size" => old = answer.body.trim_end().parse().expect("a number"),
            // The other story was cosigned.
            409 | 422 => std::thread::sleep(Duration::from_millis(20)),
            status => panic!("{status}: {}", answer.body),
        }
    }
}

#[test]
fn kill_nine_never_lets_a_witness_cosign_two_roots_for_one_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("one");
    let log = Log::new("log.example", 1);
    let key = log.key().to_string();
    let mut witness = Witness::start(&store, &[&key]);
    let (address, url, verifier_key) = (witness.address(), witness.url.clone(), witness.key.clone());
    let (over, cosigned) = (AtomicBool::new(false), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for other in [false, true, false, true] {
            let (log, url, over, cosigned) = (&log, &url, &over, &cosigned);
            scope.spawn(move || tell(log, url, other, over, cosigned));
        }
        for n in 0..KILLS {
            std::thread::sleep(Duration::from_millis(40 + n * 17 % 60));
            witness.kill_now();
            witness = Witness::start_on(&store, &address, &[&key]);
            assert_eq!(witness.key, verifier_key);
        }
        over.store(true, Ordering::Relaxed);
    });
    let cosigned = cosigned.into_inner().expect("unpoisoned");
    let (largest, told) = cosigned.last_key_value().expect("some were cosigned");
    assert!(cosigned.len() > 3 && cosigned.values().all(|other| other == told), "{cosigned:?}");
    // What was acknowledged is remembered: it may have gone one further, whose answer was lost.
    let answer = add(&witness.url, &log.request(0, largest + 2, *told)).expect("it answers");
    let size: u64 = answer.body.trim_end().parse().expect("a size");
    assert!(answer.status == 409 && size >= *largest, "{answer:?} after {largest}");
    assert_ne!(add(&witness.url, &log.request(size, size + 1, !told)).expect("it answers").status, 200);
    assert_eq!(add(&witness.url, &log.request(size, size + 1, *told)).expect("it answers").status, 200);
}
