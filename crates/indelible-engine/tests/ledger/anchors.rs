//! Anchors: what is sealed is what is there, whatever breaks between the steps, and an older copy is seen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use indelible_core::anchor::Anchor;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::{Name, Note};
use indelible_engine::anchor::{CheckpointStore, RefusalKind};
use indelible_engine::faults::{Faults, When, Write};
use indelible_engine::query::Search;
use indelible_engine::query::anchors::{AnchorStatus, Published};
use indelible_engine::resource::MutateError;

use crate::bench::{self, Bench, copy, event, wait};

fn seal(bench: &Bench) -> AnchorStatus {
    wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed")
}

/// A ledger with a checkpoint store of each kind.
fn benches() -> Vec<Bench> {
    vec![
        Bench::new(),
        #[cfg(feature = "aws")]
        Bench::with(|options| options.checkpoints = crate::moto::Place::new().store()),
    ]
}

/// What takes the place of a checkpoint store that was lost.
fn lost(store: CheckpointStore) -> CheckpointStore {
    if let Some(folder) = store.folder() {
        std::fs::remove_dir_all(folder).expect("removed");
        return store;
    }
    #[cfg(feature = "aws")]
    let store = crate::moto::Place::new().store();
    store
}

fn anchors(bench: &Bench) -> Vec<Published> {
    wait(bench.ledger.anchors(&bench.admin(), &bench.project(), 0, 1_000)).expect("anchors").anchors
}

/// Every anchor follows on the one before it and is signed, and each checkpoint is the log's, of the anchor's tree.
fn check(bench: &Bench) -> Vec<Anchor> {
    let keys = wait(bench.ledger.verifier_keys(&bench.admin(), &bench.project())).expect("keys");
    let keys: Vec<_> = keys.into_iter().map(|key| key.verifier_key).collect();
    let origin = Name::new(format!("{}/{}", bench.ledger.instance_name(), bench.project().id)).expect("a name");
    let mut read: Vec<Anchor> = Vec::new();
    for published in anchors(bench) {
        let anchor = Anchor::parse(published.anchor.as_bytes()).expect("an anchor");
        anchor.verify(&Note::parse(published.note.as_bytes()).expect("a note"), &origin, &keys).expect("signed");
        let opened = Checkpoint::open(&Note::parse(published.checkpoint.as_bytes()).expect("a note"), &keys).expect("a checkpoint");
        assert_eq!((opened.checkpoint.size, opened.checkpoint.root), (anchor.tree_size(), anchor.tree_root));
        match read.last() {
            Some(previous) => anchor.follows(previous).expect("it follows"),
            None => assert_eq!(anchor.first_sequence, 0),
        }
        read.push(anchor);
    }
    read
}

#[test]
fn sealing_covers_what_is_committed_and_nothing_twice() {
    let bench = Bench::new();
    bench.append(&(0..300).map(|n| event(n, "one")).collect::<Vec<_>>()).expect("appended");
    let status = seal(&bench);
    assert_eq!((status.unanchored, status.refused, status.failing), (0, None, None));
    let covered = status.events;
    assert!(covered > 300, "{covered}");
    // The record of reading is an event of the project itself; sealing without news makes nothing.
    bench.append(&[event(300, "two")]).expect("appended");
    assert_eq!(seal(&bench).unanchored, 0);
    let read = check(&bench);
    assert_eq!(read.iter().map(Anchor::event_count).sum::<u64>(), read.last().expect("one").tree_size());
    assert!(read.iter().any(|anchor| anchor.tree_size() == covered));
}

#[test]
fn closing_seals_and_opening_goes_on() {
    let bench = Bench::new();
    bench.append(&[event(0, "one")]).expect("appended");
    let bench = bench.reopen();
    let at_closing = check(&bench);
    assert!(at_closing.last().is_some_and(|anchor| anchor.tree_size() >= 2));
    bench.append(&[event(1, "two")]).expect("appended");
    seal(&bench);
    assert!(check(&bench).len() > at_closing.len());
}

/// Also before the first pass of a process, which comes after an interval.
#[test]
fn what_waits_to_be_sealed_is_counted_from_the_start() {
    let bench = Bench::new();
    bench.append(&(0..50).map(|n| event(n, "one")).collect::<Vec<_>>()).expect("appended");
    let status = bench.ledger.status();
    assert_eq!((status.sealing.rows_waiting, status.sealing.sealings_total), (status.rows, 0));
    seal(&bench);
    let bench = bench.reopen();
    let status = bench.ledger.status();
    assert!(status.rows > 50 && status.sealing.sealings_total == 0);
    assert_eq!(status.sealing.rows_waiting, 0, "closing sealed them");
    bench.append(&(50..53).map(|n| event(n, "two")).collect::<Vec<_>>()).expect("appended");
    assert_eq!(bench.ledger.status().sealing.rows_waiting, 3);
    seal(&bench);
    let sealing = bench.ledger.status().sealing;
    assert_eq!((sealing.rows_waiting, sealing.sealings_total, sealing.failing, sealing.refused), (0, 1, None, 0));
}

#[test]
fn an_older_copy_is_not_signed_again() {
    for bench in benches() {
        bench.append(&[event(0, "one")]).expect("appended");
        seal(&bench);
        let bench = bench.reopen();
        let older = tempfile::tempdir().expect("a folder");
        let Bench { folder, ledger, store, .. } = bench;
        ledger.close();
        copy(folder.path(), older.path());
        let bench = Bench::over(folder, store);
        bench.append(&[event(1, "two")]).expect("appended");
        seal(&bench);
        let Bench { folder, ledger, store, .. } = bench;
        ledger.close();
        copy(older.path(), folder.path());
        let bench = Bench::over(folder, store);
        let refused = seal(&bench).refused.expect("it is an older copy");
        assert!(matches!(refused.kind, RefusalKind::RolledBack | RefusalKind::Forked), "{refused:?}");
        // Grown past what was signed, it is another history.
        bench.append(&(10..40).map(|n| event(n, "three")).collect::<Vec<_>>()).expect("appended");
        assert_eq!(seal(&bench).refused.expect("a fork").kind, RefusalKind::Forked);
    }
}

#[test]
fn without_its_checkpoint_store_nothing_is_signed_again() {
    for bench in benches() {
        seal(&bench);
        let Bench { folder, ledger, store, .. } = bench;
        ledger.close();
        let bench = Bench::over(folder, lost(store));
        bench.append(&[event(0, "one")]).expect("appended");
        assert_eq!(seal(&bench).refused.expect("refused").kind, RefusalKind::NoCheckpoint);
        // The trees that nothing is appended to are among them, and stay so.
        let refused = bench.ledger.status().sealing.refused;
        assert!(refused >= 4, "every tree: {refused}");
        seal(&bench);
        assert_eq!(bench.ledger.status().sealing.refused, refused);
    }
}

#[test]
fn a_deliberate_restore_is_adopted_and_recorded() {
    for bench in benches() {
        bench.append(&[event(0, "one")]).expect("appended");
        seal(&bench);
        let Bench { folder, ledger, store, .. } = bench;
        ledger.close();
        let bench = Bench::over(folder, lost(store));
        assert!(matches!(wait(bench.ledger.adopt_checkpoints(&bench.admin())), Err(MutateError::Forbidden(_))));
        let adopted = wait(bench.ledger.adopt_checkpoints(&bench.instance())).expect("adopted").adopted;
        assert!(adopted.len() >= 2 && adopted.iter().any(|origin| origin.ends_with(&bench.project().id.to_string())), "{adopted:?}");
        bench.append(&[event(1, "two")]).expect("appended");
        let status = seal(&bench);
        assert_eq!((status.unanchored, status.refused), (0, None));
        check(&bench);
        assert!(wait(bench.ledger.adopt_checkpoints(&bench.instance())).expect("nothing left to adopt").adopted.is_empty());
        let search = Search { filter: Some("action eq \"checkpoint.adopt\"".to_owned()), ..Search::default() };
        let told = wait(bench.ledger.search(&bench.instance(), &bench.system(), search)).expect("a page").records;
        assert!(told.len() >= adopted.len(), "{}", told.len());
    }
}

#[test]
fn a_store_that_is_missing_is_told_of_each_tree_by_its_name() {
    let bench = Bench::new();
    seal(&bench);
    let Bench { folder, ledger, store, .. } = bench;
    let (system, name) = (ledger.system_project_id(), ledger.instance_name().to_owned());
    ledger.close();
    std::fs::remove_dir_all(store.folder().expect("a folder")).expect("removed");
    let reports = crate::bench::verify(folder.path(), &store);
    let report = reports.iter().find(|report| report.project_id == system).expect("a report");
    let details: Vec<&str> = report.findings.iter().map(|finding| finding.detail.as_str()).collect();
    assert_eq!(details.len(), 2, "the tree of the project, and that of the instance: {details:?}");
    let of_the_project = format!("{name}/{system}");
    assert_eq!(details.iter().filter(|detail| detail.contains(&of_the_project)).count(), 1, "{details:?}");
    assert!(details.iter().all(|detail| detail.contains(&name)) && details[0] != details[1], "{details:?}");
}

#[test]
fn an_older_copy_is_seen_when_it_is_opened() {
    for bench in benches() {
        bench.append(&[event(0, "one")]).expect("appended");
        let Bench { folder, ledger, store, .. } = bench;
        ledger.close();
        let older = tempfile::tempdir().expect("a folder");
        copy(folder.path(), older.path());
        let bench = Bench::over(folder, store);
        bench.append(&[event(1, "two")]).expect("appended");
        let Bench { folder, ledger, store, .. } = bench;
        ledger.close();
        copy(older.path(), folder.path());
        let bench = Bench::over(folder, store);
        // Nothing is appended to the project: that sealing begins is enough to look at all.
        let adopted = wait(bench.ledger.adopt_checkpoints(&bench.instance())).expect("adopted").adopted;
        assert!(adopted.contains(&bench.ledger.instance_name().to_owned()), "the instance tree too: {adopted:?}");
        assert!(adopted.iter().any(|origin| origin.ends_with(&bench.project().id.to_string())), "{adopted:?}");
    }
}

/// Strikes once, at the n-th moment between two steps of sealing.
#[derive(Default)]
struct Once {
    left: Mutex<usize>,
    /// Whether the transaction under way is one of sealing.
    seals: AtomicBool,
}

impl Once {
    fn at(n: usize) -> Arc<Self> {
        Arc::new(Self { left: Mutex::new(n), ..Self::default() })
    }

    fn has_struck(&self) -> bool {
        *self.left.lock().expect("unpoisoned") <= 1
    }
}

impl Faults for Once {
    fn strikes(&self, write: Write, when: When) -> bool {
        match (write, when) {
            (Write::Begin, _) => self.seals.store(false, Ordering::SeqCst),
            (Write::Anchor, _) => self.seals.store(true, Ordering::SeqCst),
            _ => {}
        }
        let is_step = matches!(write, Write::Anchor | Write::Swap) || write == Write::Commit && self.seals.load(Ordering::SeqCst);
        if !is_step {
            return false;
        }
        let mut left = self.left.lock().expect("unpoisoned");
        *left = left.saturating_sub(1);
        *left == 1
    }
}

/// Every root that was ever signed, by origin and size, as far as it can still be seen.
#[derive(Default)]
struct Roots(BTreeMap<(String, u64), [u8; 32]>);

impl Roots {
    /// Takes note of what is published, and of what a checkpoint store in a folder holds.
    fn look(&mut self, bench: &Bench) {
        let mut notes = bench.shell().column("SELECT checkpoint FROM anchors UNION ALL SELECT checkpoint FROM instance_checkpoints");
        if let Some(folder) = bench.store.folder() {
            let file = folder.join(format!("{}.checkpoints", bench.ledger.instance_name()));
            let connection = rusqlite::Connection::open(file).expect("it opens");
            let mut select = connection.prepare("SELECT checkpoint FROM checkpoints").expect("a statement");
            let held = select.query_map([], |row| row.get::<_, String>(0)).expect("rows");
            notes.extend(held.map(|note| note.expect("a note")));
        }
        for note in notes {
            let signed = Checkpoint::parse(Note::parse(note.as_bytes()).expect("a note").text()).expect("a checkpoint");
            let before = self.0.insert((signed.origin.as_str().to_owned(), signed.size), signed.root);
            assert!(before.is_none_or(|before| before == signed.root), "two roots of {} leaves: {}", signed.size, signed.origin);
        }
    }
}

/// As a crash there would: the pass ends, and the next one begins from what is stored.
fn break_at(n: usize, store: Option<CheckpointStore>) -> bool {
    let faults = Once::at(n);
    let handed: Arc<dyn Faults> = Arc::clone(&faults) as _;
    let bench = Bench::with(|options| {
        options.faults = Some(handed);
        options.checkpoints = store.unwrap_or_else(|| options.checkpoints.clone());
    });
    let mut roots = Roots::default();
    for round in 0..3 {
        bench.append(&[event(round, "x")]).expect("appended");
        seal(&bench);
        // Signed and not published, as a crash leaves it, is nothing wrong.
        bench.verify();
        roots.look(&bench);
    }
    let broke = faults.has_struck();
    // The first of these may be the one that breaks.
    seal(&bench);
    let status = seal(&bench);
    assert_eq!((status.unanchored, status.refused), (0, None), "{n}");
    check(&bench);
    roots.look(&bench);
    let bench = bench.reopen();
    assert_eq!(seal(&bench).unanchored, 0, "{n}");
    check(&bench);
    roots.look(&bench);
    broke
}

#[test]
fn sealing_can_break_between_any_two_steps() {
    let broke = (2..40).step_by(bench::stride()).filter(|n| break_at(*n, None)).count();
    assert!(broke > 10 / bench::stride(), "{broke}");
}

#[cfg(feature = "aws")]
#[test]
fn sealing_into_an_object_store_can_break_between_any_two_steps() {
    let broke = (2..40).filter(|n| break_at(*n, Some(crate::moto::Place::new().store()))).count();
    assert!(broke > 10, "{broke}");
}

#[test]
fn verification_beside_a_sealer_sees_nothing_wrong() {
    for bench in benches() {
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..60 {
                    bench.append(&[event(n, "x")]).expect("appended");
                    seal(&bench);
                }
                done.store(true, std::sync::atomic::Ordering::SeqCst);
            });
            let mut times = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                bench.verify();
                times += 1;
            }
            assert!(times > 1, "{times}");
        });
        let project = bench.ledger.default_project_id();
        assert_eq!(bench.verify().iter().find(|report| report.project_id == project).map(|report| report.unanchored), Some(0));
    }
}
