//! Streams where the store breaks, where the index hides a row, and where several servers share a ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use indelible_engine::access::Owner;
use indelible_engine::faults::{Faults, When, Write};
use indelible_engine::resource::kind;
use indelible_engine::stream::Replay;
use serde_json::json;

use super::receiver::{Came, Receiver, Say};
use super::{Delivering, PATIENCE, make, once, said};
use crate::bench::{Bench, event, wait};
use crate::house::House;

/// Strikes once, at the n-th chance of one kind.
struct Once {
    write: Write,
    when: When,
    /// Chances left before it strikes; below zero it is over or not armed.
    left: AtomicI64,
}

impl Faults for Once {
    fn strikes(&self, write: Write, when: When) -> bool {
        write == self.write && when == self.when && self.left.fetch_sub(1, Ordering::SeqCst) == 0
    }
}

/// Each write of a stream may fail, or fail and persist: what was sent may be sent again, and nothing is skipped.
#[test]
fn each_write_of_a_stream_may_fail_and_every_event_arrives() {
    for write in [Write::Stream, Write::Commit] {
        for (when, nth) in [When::Before, When::After].into_iter().flat_map(|when| (0..6).map(move |nth| (when, nth))) {
            // Where all had been recorded before it was to strike, it is done again.
            assert!((0..10).any(|_| strike(write, when, nth)), "{write:?} {when:?} at the {nth}th did not strike");
        }
    }
}

/// Whether it struck.
fn strike(write: Write, when: When, nth: i64) -> bool {
    let faults = Arc::new(Once { write, when, left: AtomicI64::new(-1) });
    let bench = Bench::with(|options| options.faults = Some(Arc::<Once>::clone(&faults)));
    let delivering = Delivering::over(bench, PATIENCE);
    let stream = delivering.stream(&json!({"filter": "action eq \"test.step\"", "batch_events_max": 4}));
    delivering.until(stream, "it is there", |status| !status.positions.is_empty());
    delivering.append(0, 20);
    faults.left.store(nth, Ordering::SeqCst);
    delivering.receiver.until("all arrived", |came| once(&taken(came)).len() == 20);
    let came = once(&delivering.receiver.taken(stream));
    assert!(came.is_sorted_by(|a, b| a < b), "{write:?} {when:?} at the {nth}th: {came:?}");
    delivering.until(stream, "it is through", |status| status.lag_events < 20 && status.pending.is_none());
    delivering.bench.verify();
    faults.left.load(Ordering::SeqCst) < 0
}

fn taken(came: &[Came]) -> Vec<u64> {
    came.iter().filter(|came| came.taken).flat_map(Came::sequences).collect()
}

/// An index that hides rows hides them from no stream that sends everything.
#[test]
fn rows_that_the_index_hides_are_delivered_all_the_same() {
    let delivering = Delivering::new(PATIENCE);
    delivering.append(0, 250);
    // A row of another chain in the midst: where rows are without a gap, the index is not asked which there are.
    let project = kind("project").expect("a kind");
    let organization = Owner::Organization(delivering.bench.project().organization_id);
    let ledger = &delivering.bench.ledger;
    wait(ledger.create_resource(&delivering.bench.instance(), project, Some(organization), r#"{"name":"other"}"#, None)).expect("made");
    delivering.append(250, 500);
    delivering.bench.ledger.rebuild_index(&mut |_, _| {}).expect("all is indexed");
    let last = delivering.bench.events();
    let index = rusqlite::Connection::open(delivering.bench.data().join("index.db")).expect("it opens");
    index.busy_timeout(Duration::from_secs(10)).expect("set");
    index.execute_batch("INSERT INTO terms (terms) VALUES ('delete-all')").expect("hidden");
    // Whoever of them meets it first, none is paused for it.
    let all: Vec<_> = (0..5).map(|_| delivering.stream(&json!({"start": "beginning", "batch_events_max": 100}))).collect();
    for stream in all {
        delivering
            .receiver
            .until("all arrived", |came| came.iter().filter(|came| came.stream == stream).flat_map(Came::sequences).max() >= Some(last));
        let came = delivering.receiver.taken(stream);
        assert!(came[0] == 0 && came.is_sorted_by(|a, b| a + 1 == *b), "{came:?}");
        assert!(delivering.status(stream).is_running);
    }
}

/// Whichever server delivers, and however often another takes over, each event arrives, and the cursor is moved by one server at a time.
#[test]
fn of_two_servers_one_delivers_and_the_other_takes_over() {
    let house = House::of(2, |_, _| {});
    let receivers = [Receiver::new(), Receiver::new()];
    let deliver = |at: usize| house.servers[at].deliver_streams(Arc::<Receiver>::clone(&receivers[at]), PATIENCE).expect("it delivers");
    let keys = kind("webhook_signing_key").expect("a kind");
    wait(house.servers[0].create_resource(&house.admin(0), keys, None, keys.example, None)).expect("made");
    let first = deliver(0);
    let stream = make(&house.servers[0], &house.admin(0), &said());
    let append = |from: u64| {
        for n in from..from + 10 {
            house.append_again(usize::from(n % 2 == 0), &[event(n, "x")]);
        }
    };
    append(0);
    receivers[0].until("ten arrived", |came| taken(came).len() >= 10);
    let second = deliver(1);
    append(10);
    receivers[0].until("ten more", |came| taken(came).len() >= 20);
    // What is asked of the server that does not deliver is done by the one that does.
    let sequences = receivers[0].taken(stream);
    let range = Replay::Range { project_id: None, first: sequences[3], last: sequences[7] };
    wait(house.servers[1].replay(&house.admin(1), stream, range)).expect("replayed");
    receivers[0].until("five came again", |came| taken(came).len() >= 25);
    assert_eq!(receivers[0].taken(stream)[20..], sequences[3..8]);
    assert!(receivers[1].came().is_empty(), "the lease is the other's");
    // It ends, and the other goes on where it was.
    first.close();
    append(20);
    receivers[1].until("the other delivers", |came| taken(came).len() >= 10);
    // A lease that was lost without anybody's knowing: what is recorded under it is refused.
    let first = deliver(0);
    receivers[1].says(|_| Say::Status(500));
    append(30);
    receivers[1].until("it tries", |came| came.iter().filter(|came| !came.taken).count() > 2);
    house.ask("UPDATE audit.leases SET expires_at = '-infinity' WHERE work = 'stream' RETURNING 1");
    append(40);
    let all = || once(&receivers.iter().flat_map(|receiver| receiver.taken(stream)).collect::<Vec<_>>());
    let end = std::time::Instant::now() + Duration::from_mins(1);
    while all().len() < 50 {
        receivers[1].says(|_| Say::Status(200));
        assert!(std::time::Instant::now() < end, "{:?}", all());
        std::thread::sleep(Duration::from_millis(50));
    }
    for receiver in &receivers {
        let came = once(&receiver.taken(stream));
        assert!(came.is_sorted(), "{came:?}");
    }
    assert_eq!(house.ask("SELECT count(*) FROM audit.leases WHERE work = 'stream' AND epoch >= 2"), "1");
    first.close();
    second.close();
    house.verify();
}
