//! Each write of the writer made to fail, before and after it persisted, each time that it is done in one transaction.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indelible_engine::access::Envelope;
use indelible_engine::append::AppendError;
use indelible_engine::faults::{Faults, When, Write};
use indelible_engine::query::{Feed, Search};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::bench::{self, Bench, event, wait};
use crate::clock::Turned;

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

/// Fails one COMMIT, once it is armed.
pub(crate) struct OneCommit {
    when: When,
    armed: AtomicBool,
}

impl OneCommit {
    pub(crate) fn new(when: When) -> Arc<Self> {
        Arc::new(Self { when, armed: AtomicBool::new(false) })
    }

    pub(crate) fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }
}

impl Faults for OneCommit {
    fn strikes(&self, write: Write, when: When) -> bool {
        (write, when) == (Write::Commit, self.when) && self.armed.swap(false, Ordering::SeqCst)
    }
}

/// Each write that an append can do, and how often at least it is done in the transaction that is struck: six events fill a tile of their
/// project, and a new data key is due, of which an event tells in another chain. A head is written level by level of its tree, itself last.
const WRITES: [(Write, i64); 8] = [
    (Write::Begin, 1),
    (Write::Event, 7),
    (Write::Content, 6),
    (Write::Wrap, 6),
    (Write::Tile, 1),
    (Write::Head, 5),
    (Write::Resource, 1),
    (Write::Commit, 1),
];

const BATCH: u64 = 6;
/// Rows of the default project before the batch.
const BEFORE: u64 = 252;

fn batch() -> Vec<String> {
    (0..BATCH).map(|n| event(n, "what was said")).collect()
}

#[test]
fn every_write_fails_and_nothing_acknowledged_is_lost() {
    for (write, least) in WRITES {
        for when in [When::Before, When::After] {
            let mut nth = 0;
            while strike(write, when, nth) {
                nth += i64::try_from(bench::stride()).expect("few");
            }
            assert!(nth >= least, "{write:?} {when:?} struck {nth} times");
        }
    }
}

/// Whether there was an n-th write of this kind.
fn strike(write: Write, when: When, nth: i64) -> bool {
    let (clock, faults) = (Turned::new(), Arc::new(Once { write, when, left: AtomicI64::new(-1) }));
    let bench = Bench::with(|options| {
        options.clock = Arc::<Turned>::clone(&clock);
        options.faults = Some(Arc::<Once>::clone(&faults));
    });
    let kept = bench.append(&[event(1_000, "before the fault")]).expect("no fault yet");
    let more: Vec<_> = (kept[0].sequence + 1..BEFORE).map(|n| event(2_000 + n, "before the fault")).collect();
    bench.append(&more).expect("no fault yet");
    let before = bench.events();
    assert_eq!(before, BEFORE);
    clock.step(31 * 86_400, 31 * 86_400);
    faults.left.store(nth, Ordering::SeqCst);
    let answer = bench.append(&batch());
    let struck = faults.left.load(Ordering::SeqCst) < 0;
    faults.left.store(-1, Ordering::SeqCst);
    let name = format!("{write:?} {when:?} at the {nth}th");
    if struck {
        let error = answer.expect_err(&name);
        // Whose rows failed, and where, is for the log alone.
        let told = AppendError::Unavailable { reason: "the store failed to write".to_owned(), outcome_unknown: true };
        assert_eq!(error, told, "{name}");
        let persisted = write == Write::Commit && when == When::After;
        assert_eq!(bench.events() - before, if persisted { BATCH } else { 0 }, "{name}");
        let retried = bench.append(&batch()).unwrap_or_else(|error| panic!("{name}: service does not resume: {error:?}"));
        assert_eq!(retried.iter().all(|receipt| receipt.duplicate), persisted, "{name}: the retry tells the truth");
    } else {
        answer.unwrap_or_else(|error| panic!("{name} did not strike: {error:?}"));
    }
    assert_eq!(bench.events() - before, BATCH, "{name}");
    let again = bench.append(&[event(1_000, "before the fault")]).expect("a retry");
    assert_eq!((again[0].row_hash, again[0].duplicate), (kept[0].row_hash, true), "{name}");
    let bench = bench.reopen();
    assert_eq!(bench.events() - before, BATCH, "{name}: after a restart");
    struck
}

/// What is logged: each message with the ledger that it names.
#[derive(Default)]
struct Log(Mutex<Vec<Message>>);

impl Log {
    fn count(&self, ledger: &str, beginning: &str) -> usize {
        let messages = self.0.lock().expect("not poisoned");
        messages.iter().filter(|message| message.text.starts_with(beginning) && message.ledger == ledger).count()
    }
}

#[derive(Default)]
struct Message {
    text: String,
    ledger: String,
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => self.text = format!("{value:?}"),
            "ledger" => self.ledger = format!("{value:?}"),
            _ => {}
        }
    }
}

impl Subscriber for &'static Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("indelible_engine")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        self.0.lock().expect("not poisoned").push(message);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The store is tried four times a second; who reads the log is told when it broke, why, and when it works again. The only test of
/// this program that sets a subscriber: others run beside it, and their ledgers break too.
#[test]
fn a_store_that_stays_broken_is_told_of_once() {
    let log: &'static Log = Box::leak(Box::default());
    tracing::subscriber::set_global_default(log).expect("the only one");
    let faults = Arc::new(Once { write: Write::Commit, when: When::Before, left: AtomicI64::new(-1) });
    let bench = Bench::with(|options| options.faults = Some(Arc::<Once>::clone(&faults)));
    let folder = bench.folder.path();
    let ledger = bench::source(folder);
    bench.append(&[event(1, "a")]).expect("appended");
    let second = bench.prepare(&event(2, "b")).expect("a good event");
    bench::put_away(folder);
    faults.left.store(0, Ordering::SeqCst);
    bench.ledger.append_blocking(vec![second]).expect_err("struck");
    let cause = "the store cannot be opened again";
    std::thread::sleep(Duration::from_millis(1_300));
    assert_eq!((log.count(&ledger, cause), log.count(&ledger, "the store is open again")), (1, 0));
    // A database that is away is missed before COMMIT.
    faults.left.store(-1, Ordering::SeqCst);
    bench::bring_back(folder);
    let until = Instant::now() + Duration::from_mins(1);
    // A server that shares its database knows nobody until it has seen what others did meanwhile.
    let knows_its_keys = || {
        let text = std::fs::read_to_string(bench.data().join("admin.key")).expect("a key");
        bench.ledger.authenticate(Some(text.trim()), Envelope::default()).is_ok()
    };
    while (log.count(&ledger, "the store is open again") == 0 || !knows_its_keys()) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    bench.append(&[event(2, "b")]).expect("service resumes");
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!((log.count(&ledger, cause), log.count(&ledger, "the store is open again")), (1, 1));
    bench.verify();
}

/// A confirmation that was not recorded was not given.
#[test]
fn a_clock_that_was_not_confirmed_on_record_stays_doubted() {
    for (write, when, confirmed) in
        [(Write::Event, When::Before, false), (Write::Commit, When::Before, false), (Write::Commit, When::After, true)]
    {
        let clock = Turned::new();
        let faults = Arc::new(Once { write, when, left: AtomicI64::new(-1) });
        let bench = Bench::with(|options| {
            options.clock = Arc::<Turned>::clone(&clock);
            options.faults = Some(Arc::<Once>::clone(&faults));
        });
        bench.append(&[event(1, "a")]).expect("appended");
        clock.step(36_525 * 86_400, 1);
        faults.left.store(0, Ordering::SeqCst);
        wait(bench.ledger.confirm_clock(&bench.instance())).expect_err("struck");
        assert_eq!(bench.append(&[event(2, "b")]).is_ok(), confirmed, "{write:?} {when:?}");
        wait(bench.ledger.confirm_clock(&bench.instance())).expect("no fault any more");
        bench.append(&[event(2, "b")]).expect("taken");
        bench.verify();
    }
}

#[test]
fn a_resource_and_its_event_are_both_there_or_neither() {
    for (write, when, made) in [
        (Write::Resource, When::Before, false),
        (Write::Resource, When::After, false),
        (Write::Event, When::Before, false),
        (Write::Head, When::After, false),
        (Write::Commit, When::Before, false),
        (Write::Commit, When::After, true),
    ] {
        let faults = Arc::new(Once { write, when, left: AtomicI64::new(-1) });
        let bench = Bench::with(|options| options.faults = Some(Arc::<Once>::clone(&faults)));
        let rows = |bench: &Bench| bench.verify().iter().map(|report| report.events).sum::<u64>();
        let before = rows(&bench);
        faults.left.store(0, Ordering::SeqCst);
        wait(bench.ledger.create_project(&bench.instance(), None, "new")).expect_err("struck");
        let bench = bench.reopen();
        let rows_now = rows(&bench);
        let there = bench.projects().iter().any(|project| project.name == "new");
        assert_eq!((there, rows_now - before), (made, u64::from(made)), "{write:?} {when:?}");
    }
}

/// The minute in which empty polls are counted begins with a record, not with the attempt to write one.
#[test]
fn a_poll_that_was_not_recorded_does_not_hide_those_after_it() {
    let faults = Arc::new(Once { write: Write::Commit, when: When::Before, left: AtomicI64::new(-1) });
    let bench = Bench::with(|options| options.faults = Some(Arc::<Once>::clone(&faults)));
    let poll = || {
        let asked = Search { feed: Some(Feed::Start), filter: Some(r#"action eq "test.never""#.to_owned()), ..Search::default() };
        wait(bench.ledger.search(&bench.admin(), &bench.project(), asked))
    };
    let before = bench.events();
    faults.left.store(0, Ordering::SeqCst);
    poll().expect_err("struck");
    assert_eq!(bench.events(), before);
    poll().expect("no fault any more");
    assert_eq!(bench.events(), before + 1, "it is recorded");
    poll().expect("a poll");
    assert_eq!(bench.events(), before + 1, "and those after it are counted");
}
