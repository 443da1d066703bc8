//! What one of several servers does for all: one seals and asks the witnesses, one verifies in the background, and another takes over where
//! it ends, or where somebody asks it to.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indelible_core::event::{Source, Submission};
use indelible_engine::Ledger;
use indelible_engine::cosigning::{Response, Transport};
use indelible_engine::faults::{Faults, When, Write};

use crate::bench::{event, id, wait};
use crate::cosigning::{Near, witnesses};
use crate::house::House;
use crate::patrol::EAGER;

const EPOCH: &str = "SELECT epoch FROM audit.leases WHERE work = 'seal'";
const TWICE: &str = "SELECT count(*) FROM (SELECT project, tree_size FROM audit.anchors GROUP BY 1, 2 HAVING count(*) > 1) AS twice";

/// Of the server that holds a lease.
const END_SESSION: &str = "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_class ON relation = pg_class.oid
     WHERE relname = 'leases' AND mode = 'RowShareLock' AND pid <> pg_backend_pid()
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Stops the pass of a server between swapping and publishing, until it is told to go on.
struct Held {
    armed: AtomicBool,
    stopped: Mutex<Sender<()>>,
    go_on: Mutex<Receiver<()>>,
}

impl Faults for Held {
    fn strikes(&self, write: Write, when: When) -> bool {
        if (write, when) == (Write::Swap, When::After) && self.armed.swap(false, Ordering::SeqCst) {
            self.stopped.lock().expect("no panic").send(()).expect("awaited");
            self.go_on.lock().expect("no panic").recv().expect("told");
        }
        false
    }
}

#[test]
fn a_server_that_lost_its_lease_publishes_nothing_more() {
    let ((stopped, is_stopped), (tell, told)) = (channel(), channel());
    let held = Arc::new(Held { armed: AtomicBool::new(false), stopped: Mutex::new(stopped), go_on: Mutex::new(told) });
    let house = House::of(2, |at, options| {
        if at == 0 {
            options.faults = Some(Arc::<Held>::clone(&held));
        }
    });
    house.append(0, &[event(0, "a")]).expect("appended");
    house.seal(0);
    house.append(0, &[event(1, "b")]).expect("appended");
    let before: i64 = house.ask(EPOCH).parse().expect("a number");
    // The first server's lease is taken away while it is about to publish what it has signed and swapped: its session with the lease is
    // gone, and the second takes over and publishes the same.
    held.armed.store(true, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let house = &house;
        let sealing = scope.spawn(move || house.seal(0));
        is_stopped.recv_timeout(Duration::from_mins(1)).expect("it came so far");
        house.ask(END_SESSION);
        house.seal(1);
        assert_eq!(house.ask(EPOCH).parse::<i64>().expect("a number"), before + 1, "the other took over");
        tell.send(()).expect("it waits");
        // What it had signed is refused. Somebody asked it, so it takes over again, and finds everything done.
        sealing.join().expect("no failure");
    });
    assert_eq!(house.ask(EPOCH).parse::<i64>().expect("a number"), before + 2);
    house.append(1, &[event(2, "c")]).expect("appended");
    house.seal(1);
    assert_eq!(house.ask(TWICE), "0");
    house.seal(0);
    house.seal(1);
    house.verify();
}

/// A session that the database ended is no reason to give the lease up, as long as nobody else took it.
#[test]
fn a_server_whose_session_was_ended_goes_on_with_its_lease() {
    let ((stopped, is_stopped), (tell, told)) = (channel(), channel());
    let held = Arc::new(Held { armed: AtomicBool::new(true), stopped: Mutex::new(stopped), go_on: Mutex::new(told) });
    let house = House::of(1, |_, options| options.faults = Some(Arc::<Held>::clone(&held)));
    house.append(0, &[event(0, "a")]).expect("appended");
    std::thread::scope(|scope| {
        let house = &house;
        let sealing = scope.spawn(move || house.seal(0));
        is_stopped.recv_timeout(Duration::from_mins(1)).expect("it came so far");
        house.ask(END_SESSION);
        tell.send(()).expect("it waits");
        sealing.join().expect("no failure");
    });
    assert_eq!(house.ask("SELECT count(*) FROM audit.leases WHERE work = 'seal' AND epoch = 1"), "1");
    house.verify();
}

/// Signs slowly while it is told to; counts how often.
#[derive(Default)]
struct Slow(AtomicBool, AtomicU64);

impl Faults for Slow {
    fn strikes(&self, write: Write, when: When) -> bool {
        if (write, when) == (Write::Sign, When::Before) && self.0.load(Ordering::SeqCst) {
            self.1.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1_200));
        }
        false
    }
}

/// Every project gets an event.
fn append_to_all(house: &House, server: usize, projects: &[uuid::Uuid], n: u64) {
    let (ledger, caller) = (&house.servers[server], house.instance(server));
    let text = event(n, "x");
    let prepare = |project: &uuid::Uuid| {
        let project = ledger.project_of(&caller, Some(*project)).expect("known");
        let submission = Submission::parse(text.as_bytes(), Source::Caller, id(n)).expect("an event");
        ledger.prepare(&caller, &project, "http", submission).expect("prepared")
    };
    ledger.append_blocking(projects.iter().map(prepare).collect()).expect("appended");
}

/// The lease lasts ten seconds, and a pass takes longer.
#[test]
fn a_pass_that_takes_longer_than_its_lease_comes_to_its_end_part_by_part() {
    let slow = Arc::<Slow>::default();
    let house = House::of(2, |at, options| {
        options.anchor_interval = Duration::from_millis(100);
        if at == 0 {
            options.faults = Some(Arc::<Slow>::clone(&slow));
        }
    });
    let make = |n: u64| wait(house.servers[0].create_project(&house.instance(0), None, &format!("p{n}"))).expect("made").id;
    let projects: Vec<_> = (0..12).map(make).collect();
    let anchors = || house.ask("SELECT count(*) FROM audit.anchors").parse::<u64>().expect("a number");
    let waiting = || -> bool {
        let sql = "SELECT count(*) FROM audit.heads WHERE size > (SELECT coalesce(max(tree_size), 0) FROM audit.anchors WHERE project = heads.project)
                   AND project > 3";
        house.ask(sql) != "0"
    };
    // Whoever sealed before, the slow one does now.
    house.seal(0);
    let epoch = house.ask(EPOCH);
    slow.0.store(true, Ordering::SeqCst);
    append_to_all(&house, 0, &projects, 1);
    let (began, mut seen, mut slowest) = (Instant::now(), std::collections::BTreeSet::new(), Duration::ZERO);
    while waiting() {
        assert!(began.elapsed() < Duration::from_mins(1), "it gets nowhere: {seen:?}");
        seen.insert(anchors());
        // Whoever looks whether the lease is free keeps nobody from writing.
        let asked = Instant::now();
        house.append(1, &[event(1_000 + seen.len() as u64, "meanwhile")]).expect("appended");
        slowest = slowest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(began.elapsed() > Duration::from_secs(11), "longer than the lease: {:?}", began.elapsed());
    assert!(seen.len() >= 3, "part by part: {seen:?}");
    assert_eq!(house.ask(EPOCH), epoch, "the lease was kept");
    assert!(slowest < Duration::from_secs(8), "{slowest:?}");

    // Taken over in the midst of it, at the first's next renewal: what it published stays, and nothing is there twice.
    slow.1.store(0, Ordering::SeqCst);
    append_to_all(&house, 0, &projects, 2);
    until("it signs", || slow.1.load(Ordering::SeqCst) > 0);
    house.seal(1);
    let signed = slow.1.load(Ordering::SeqCst);
    assert!(signed < projects.len() as u64, "at the next renewal, not at the end of the pass: {signed}");
    assert!(!waiting());
    assert_ne!(house.ask(EPOCH), epoch, "taken over");
    slow.0.store(false, Ordering::SeqCst);
    assert_eq!(house.ask(TWICE), "0");
    assert!(house.servers.iter().all(|ledger| ledger.sealing_error().is_none()), "nothing failed");
    house.verify();
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn one_server_verifies_in_the_background_and_another_takes_over() {
    let mut house = House::of(2, |_, options| options.patrol = Some(EAGER));
    let rounds = |ledger: &Ledger| ledger.status().patrol.expect("there is a patrol").rounds_total;
    until("somebody verifies", || house.servers.iter().any(|ledger| rounds(ledger) > 5));
    let of: Vec<u64> = house.servers.iter().map(rounds).collect();
    assert!(of.contains(&0), "both do: {of:?}");
    let holder = usize::from(of[0] == 0);
    // The one that does not says when it was done by the other as of the last look, and fails in nothing.
    let idle = house.servers[1 - holder].status().patrol.expect("there is a patrol");
    assert!(!idle.failing && idle.since < Duration::from_secs(5), "{idle:?}");
    house.servers.remove(holder).close();
    until("the other takes over", || rounds(&house.servers[0]) > 0);
    assert_eq!(house.ask("SELECT epoch FROM audit.leases WHERE work = 'verify'"), "2");
}

/// Counts how often a server asks a witness.
struct Counted(Arc<Near>, AtomicU64);

impl Transport for Counted {
    fn post(&self, url: &str, body: &[u8]) -> Result<Response, String> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.post(url, body)
    }
}

#[test]
fn the_server_that_seals_asks_the_witnesses() {
    let mut house = House::of(1, |_, _| {});
    let key = house.servers[0].instance_key().expect("readable").expect("a key");
    let store = tempfile::tempdir().expect("a folder");
    let (near, policy) = witnesses(&store.path().join("w"), key);
    let near = Arc::new(near);
    house.servers.remove(0).close();
    let counted: Vec<_> = (0..2).map(|_| Arc::new(Counted(Arc::clone(&near), AtomicU64::new(0)))).collect();
    let change = |at: usize, options: &mut indelible_engine::Options| {
        let transport: Arc<dyn Transport> = Arc::<Counted>::clone(&counted[at]);
        options.witnesses = Some(indelible_engine::cosigning::Witnesses::new(policy(), transport));
        options.anchor_interval = Duration::from_millis(100);
    };
    for at in 0..2 {
        let server = house.open(at, &change);
        house.servers.push(server);
    }
    let asked = |at: usize| counted[at].1.load(Ordering::SeqCst);
    for (n, (seals, other)) in [(0, 1), (1, 0), (0, 1)].into_iter().enumerate() {
        // What the other had begun is done.
        house.seal(seals);
        let (mut before, mut asks) = (asked(other), true);
        while asks {
            std::thread::sleep(Duration::from_millis(300));
            asks = before != std::mem::replace(&mut before, asked(other));
        }
        house.append(other, &[event(n as u64, "x")]).expect("appended");
        house.seal(seals);
        let fulfilled = |at: usize| {
            let status = house.servers[at].status().cosigning.expect("a policy");
            let newest: u64 = house.ask("SELECT max(size) FROM audit.instance_checkpoints").parse().expect("a number");
            status.size == newest && status.is_fulfilled && status.witnesses[0].size == Some(newest)
        };
        until("every server knows that it is cosigned", || fulfilled(seals) && fulfilled(other));
        assert!(asked(seals) > 0);
        assert_eq!(asked(other), before, "one asks");
    }
    house.verify();
}
