//! What can only be about a ledger in a file of its data folder: its mode, its write-ahead log, and keys that are there without it. A run
//! over a database leaves this module out, and no other.

mod sqlite3;

use std::time::{Duration, Instant};

use indelible_engine::patrol::PatrolOptions;
use indelible_engine::{Ledger, OpenError};

use crate::bench::{Bench, event, options};
use crate::files::mode;
use crate::patrol::{EAGER, status};

#[test]
fn the_ledger_and_its_log_are_their_owners_alone() {
    let bench = Bench::new();
    bench.append(&[event(1, "a")]).expect("appended");
    for name in ["ledger.db", "ledger.db-wal"] {
        assert_eq!(mode(&bench.data().join(name)), 0o600, "{name}");
    }
}

/// Nobody without the functions of our process can add a row, whatever the statement.
#[test]
fn a_shell_adds_nothing() {
    let bench = Bench::new();
    let shell = bench.shell();
    for table in shell.tables() {
        let refused = shell.run(&format!("INSERT OR REPLACE INTO {table} SELECT * FROM {table} LIMIT 1"));
        let is_empty = shell.rows(&format!("SELECT 1 FROM {table} LIMIT 1")).is_empty();
        assert!(is_empty || refused.is_err(), "{table}");
    }
    shell.run("INSERT INTO cosignatures VALUES (1, 'w', 'x', 0)").expect_err("refused");
}

#[test]
fn keys_without_their_ledger_begin_no_new_one() {
    let bench = Bench::new();
    bench.append(&[event(1, "a")]).expect("appended");
    let Bench { folder, ledger, .. } = bench;
    let (data, kept) = (folder.path().join("data"), folder.path().join("kept"));
    ledger.close();
    for name in ["ledger.db", "index.db"] {
        std::fs::rename(data.join(name), folder.path().join(name)).expect("moved");
    }
    for emptied in [false, true] {
        if emptied {
            std::fs::write(data.join("ledger.db"), "").expect("written");
        }
        match Ledger::open(options(folder.path())).map(|_| ()) {
            Err(error @ OpenError::Missing(_)) => {
                let text = error.to_string();
                assert!(["ledger.db is missing", "backup", "move", "keys away"].iter().all(|word| text.contains(word)), "{text}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(data.join("ledger.db").exists(), emptied, "nothing was made");
    }
    // The backup opens again; with the keys moved away a new one begins.
    std::fs::rename(folder.path().join("ledger.db"), data.join("ledger.db")).expect("restored");
    Ledger::open(options(folder.path())).expect("restored").ledger.close();
    std::fs::remove_file(data.join("ledger.db")).expect("removed");
    std::fs::rename(data.join("keys"), &kept).expect("moved");
    let opened = Ledger::open(options(folder.path())).expect("a new beginning");
    assert!(opened.first_start.is_some());
}

/// A round that takes longer than the load: a transaction as long would keep the log from being emptied.
#[test]
fn the_write_ahead_log_stays_bounded_while_a_round_is_under_way() {
    let patrol = PatrolOptions { first_after: Duration::from_millis(300), share_percent: 1, ..EAGER };
    let bench = Bench::with(|options| options.patrol = Some(patrol));
    let large = "x".repeat(8_000);
    let batch = |first: u64, count: u64| (first..first + count).map(|n| event(n, &unlike(n, &large))).collect::<Vec<_>>();
    for n in 0..20 {
        bench.append(&batch(n * 1_000, 1_000)).expect("appended");
    }
    let before = status(&bench).rounds_total;
    let wal = bench.data().join("ledger.db-wal");
    let (mut most, mut written) = (0, 0_u64);
    for n in 20..100 {
        bench.append(&batch(n * 1_000, 500)).expect("appended");
        written += 500 * 8_000;
        most = most.max(std::fs::metadata(&wal).map_or(0, |file| file.len()));
    }
    assert!(status(&bench).rounds_total <= before + 1, "the round was under way");
    assert!(most < written / 3, "the log grew to {most} bytes of {written}");
    let began = Instant::now();
    bench.ledger.clone().close();
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
}

/// Text that does not compress away.
fn unlike(n: u64, text: &str) -> String {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + (state % 26) as u8)
    };
    text.chars().map(letter).collect()
}
