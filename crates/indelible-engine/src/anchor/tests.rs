//! Sealing with a sealer in hand: thousands of projects in several batches, trees that are spoiled, and what is remembered after a
//! failure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use indelible_core::checkpoint::Checkpoint;
use indelible_core::event::{Source, Submission};
use indelible_core::note::Note;
use rusqlite::Connection;
use uuid::Uuid;

use super::checkpoints::{Checkpoints, closing};
use super::seal::{BATCH_ANCHORS, Parts, Sealer};
use super::{RefusalKind, SealingFailure};
use crate::append::EngineEvent;
use crate::faults::{Faults, When, Write};
use crate::ledger::{Ledger, Options};
use crate::resource::Project;
use crate::verify::{Request, verify_folder};
use crate::write::{Change, Privilege, Work};

/// More than two batches.
const MANY: usize = 2 * BATCH_ANCHORS + 500;

/// Strikes one swap.
struct Struck {
    when: When,
    /// Swaps before it; below zero none is struck.
    left: AtomicI64,
}

impl Faults for Struck {
    fn strikes(&self, write: Write, when: When) -> bool {
        write == Write::Swap && when == self.when && self.left.fetch_sub(1, Ordering::SeqCst) == 0
    }
}

/// A ledger, and a sealer of it beside its own, which has nothing to do before the ledger closes.
struct Bench {
    folder: tempfile::TempDir,
    ledger: Ledger,
    sealer: Sealer,
}

fn options(folder: &std::path::Path) -> Options {
    let mut options = Options::new(folder.join("data"));
    options.disk_reserve_bytes = 0;
    options.anchor_interval = Duration::from_hours(1);
    options
}

fn sealer(ledger: &Ledger, faults: Option<Arc<dyn Faults>>) -> Sealer {
    let inner = &ledger.inner;
    let parts = Parts {
        source: inner.readers.source().clone(),
        checkpoints: inner.checkpoints.clone(),
        instance: inner.instance.name.clone(),
        keystore: Arc::clone(&inner.keystore),
        writer: Arc::clone(&inner.writer),
        clock: Arc::clone(&inner.clock),
        faults,
        cosigning: None,
        lease: None,
    };
    Sealer::new(parts, closing().1)
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::open(options(folder.path())).expect("it opens").ledger;
        let sealer = sealer(&ledger, None);
        Self { folder, ledger, sealer }
    }

    fn append(&self, project: &Project) {
        let text = br#"{"action":"test.step","outcome":"allow","actor":{"type":"human","id":"alice"}}"#;
        let submission = Submission::parse(text, Source::Caller, self.ledger.new_id()).expect("a good event");
        let prepared = self.ledger.prepare(&self.ledger.operator(), project, "test", submission).expect("prepared");
        self.ledger.append_blocking(vec![prepared]).expect("appended");
    }

    /// The database as somebody with a shell has it, its triggers gone.
    fn shell(&self) -> Connection {
        let shell = Connection::open(self.folder.path().join("data/ledger.db")).expect("it opens");
        let drops: String = shell
            .query_row("SELECT group_concat('DROP TRIGGER ' || name, ';') FROM sqlite_schema WHERE type = 'trigger'", [], |row| row.get(0))
            .expect("triggers");
        shell.execute_batch(&drops).expect("dropped");
        shell
    }

    /// Checkpoints of the store by origin.
    fn stored(&self) -> BTreeMap<String, String> {
        let inner = &self.ledger.inner;
        Checkpoints::read_all(&inner.checkpoints, &inner.instance.name).expect("readable").unwrap_or_default()
    }

    fn refusal(&self, project: &Project) -> Option<RefusalKind> {
        let origin = super::origin(self.ledger.instance_name(), project.id).expect("a name");
        self.sealer.refused.get(&origin).map(|refused| refused.refusal.kind)
    }

    fn count(&self, sql: &str) -> i64 {
        let ledger = Connection::open(self.folder.path().join("data/ledger.db")).expect("it opens");
        ledger.query_row(sql, [], |row| row.get(0)).expect("a number")
    }
}

/// Makes projects, each with an event of its own; many in one transaction, for the making is not what is tested.
fn projects(ledger: &Ledger, count: usize) -> Vec<Arc<Project>> {
    let (inner, caller) = (&ledger.inner, ledger.operator());
    let mut made = Vec::new();
    for n in (0..count).step_by(250) {
        let (mut events, mut changes) = (Vec::new(), Vec::new());
        for n in n..count.min(n + 250) {
            let project = Arc::new(Project {
                id: ledger.new_id(),
                organization_id: inner.instance.organization_id,
                name: format!("p{n}"),
                system: false,
                created_at: inner.clock.now(),
                deleted_at: None,
            });
            let number = inner.registry.next_number();
            changes.push(Change::Ledger { project: number, project_id: project.id, organization_id: project.organization_id });
            inner.registry.put_project(Arc::clone(&project), number);
            events.push(inner.desk.prepare_own(EngineEvent::new(&caller, &project, "audit.anchor", "allow")).expect("prepared"));
            made.push(project);
        }
        inner.writer.submit_blocking(Work::with_changes(events, changes, Privilege::Engine)).expect("made");
    }
    made
}

/// What is published of each tree is what the store holds, and no anchor is there twice or for rows that are not there.
fn check(bench: &Bench) {
    let ledger = Connection::open(bench.folder.path().join("data/ledger.db")).expect("it opens");
    let sql = "SELECT project_id, max(number), count(*), checkpoint, tree_size, size, tree_root FROM anchors
               JOIN ledgers USING (project) JOIN heads USING (project) GROUP BY project";
    let mut statement = ledger.prepare(sql).expect("a statement");
    let (mut rows, stored, mut seen) = (statement.query([]).expect("rows"), bench.stored(), 0);
    while let Some(row) = rows.next().expect("a row") {
        let id: String = row.get(0).expect("an id");
        let (number, count): (i64, i64) = (row.get(1).expect("a number"), row.get(2).expect("a number"));
        assert_eq!(number + 1, count, "{id}");
        let published = checkpoint(&row.get::<_, String>(3).expect("a note"));
        let held = checkpoint(&stored[&format!("{}/{id}", bench.ledger.instance_name())]);
        assert_eq!((held.size, held.root), (published.size, published.root), "{id}");
        assert_eq!((row.get::<_, i64>(5).expect("a size"), row.get(6).expect("a root")), (held.size.cast_signed(), held.root), "{id}");
        seen += 1;
    }
    assert_eq!(seen + 1, stored.len(), "a checkpoint of each project and of the instance");
}

fn checkpoint(note: &str) -> Checkpoint {
    Checkpoint::parse(Note::parse(note.as_bytes()).expect("a note").text()).expect("a checkpoint")
}

#[test]
fn thousands_of_projects_are_sealed_in_batches_and_cost_what_changed() {
    let mut bench = Bench::new();
    let projects = projects(&bench.ledger, MANY);
    let trees = bench.count("SELECT count(*) FROM heads");
    assert!(trees > MANY as i64);
    for (when, published, stored) in [(When::Before, BATCH_ANCHORS, BATCH_ANCHORS), (When::After, 2 * BATCH_ANCHORS, trees as usize)] {
        // Between the first batch of this pass and the next.
        bench.sealer = sealer(&bench.ledger, Some(Arc::new(Struck { when, left: AtomicI64::new(1) })));
        let failed = bench.sealer.pass(true, false).expect_err("struck").kind();
        assert_eq!((failed, bench.sealer.state.is_none()), (SealingFailure::Ledger, true), "{when:?}");
        let found = (bench.count("SELECT count(*) FROM anchors") as usize, bench.stored().len());
        assert_eq!(found, (published, stored), "{when:?}");
    }
    bench.sealer.pass(true, false).expect("sealed");
    check(&bench);
    let before = (bench.stored(), bench.count("SELECT count(*) FROM anchors"), bench.count("SELECT count(*) FROM instance_leaves"));
    assert_eq!((before.1, before.2), (trees, trees));

    for n in [0, MANY / 2, MANY - 1] {
        bench.append(&projects[n]);
    }
    bench.sealer.pass(true, false).expect("sealed");
    let anchors = bench.count("SELECT count(*) FROM anchors") - before.1;
    let leaves = bench.count("SELECT count(*) FROM instance_leaves") - before.2;
    let swapped = bench.stored().iter().filter(|(origin, note)| before.0.get(*origin) != Some(*note)).count();
    assert_eq!((anchors, leaves, swapped), (3, 3, 3 + 1));
    check(&bench);
    bench.sealer.pass(true, false).expect("nothing to do");
    assert_eq!(bench.count("SELECT count(*) FROM anchors") - before.1, 3);

    // All of them are adopted, in batches too.
    let Bench { folder, ledger, .. } = bench;
    ledger.close();
    std::fs::remove_dir_all(folder.path().join("data.checkpoints")).expect("removed");
    let ledger = Ledger::open(options(folder.path())).expect("it opens").ledger;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let adopted = runtime.block_on(ledger.adopt_checkpoints(&ledger.operator())).expect("adopted");
    assert_eq!((adopted.adopted.len(), adopted.refused.len()), (trees as usize + 1, 0));
    ledger.close();
    let (data, store) = (folder.path().join("data"), folder.path().join("data.checkpoints").into());
    let outcome = verify_folder(&Request::new(&data, &store), &mut |_| {}).expect("verified");
    // The projects were made without their events, which is all that is found.
    let found = outcome.projects.iter().flat_map(|report| &report.findings);
    assert_eq!(found.filter(|finding| !finding.detail.contains("no event tells")).count(), 0);
}

/// What is spoiled, whether it is seen in the rows that wait, and so stays for this process, or in what was signed.
const SPOILED: [(&str, &str); 6] = [
    ("an anchor that is none", "UPDATE anchors SET anchor = 'x' WHERE project = ?1"),
    (
        "an anchor that was changed",
        "UPDATE anchors SET anchor = replace(anchor, '\"first_sequence\":0', '\"first_sequence\":1') WHERE project = ?1",
    ),
    (
        "an anchor of another moment",
        "UPDATE anchors SET anchor = replace(anchor, '\"anchor_at\":\"2', '\"anchor_at\":\"1') WHERE project = ?1",
    ),
    ("a hash of a row that is none", "UPDATE events SET prev_hash = x'00' WHERE row = (SELECT max(row) FROM events WHERE project = ?1)"),
    ("a root of a head that is none", "UPDATE heads SET tree_root = x'00' WHERE project = ?1"),
    ("the id of a project", "UPDATE ledgers SET project_id = 'no id' WHERE project = ?1"),
];

#[test]
fn what_is_spoiled_of_one_project_keeps_no_other_from_being_sealed() {
    for (name, sql) in SPOILED {
        let mut bench = Bench::new();
        let two = projects(&bench.ledger, 2);
        bench.sealer.pass(true, false).expect("sealed");
        for project in &two {
            bench.append(project);
        }
        let number = bench.ledger.inner.registry.number_of(two[0].id).expect("a number");
        assert_eq!(bench.shell().execute(sql, [number]).expect(name), 1, "{name}");
        bench.sealer = sealer(&bench.ledger, None);
        for pass in 0..2 {
            bench.sealer.pass(true, false).unwrap_or_else(|error| panic!("{name}, pass {pass}: {error}"));
            let broken = bench.sealer.refused.values().filter(|refused| refused.refusal.kind == RefusalKind::Broken).count();
            assert_eq!((broken, bench.refusal(&two[1])), (1, None), "{name}, pass {pass}");
            assert_eq!(bench.count(&format!("SELECT count(*) FROM anchors WHERE project = {number}")), 1, "{name}");
            assert_eq!(bench.count(&format!("SELECT max(number) FROM anchors WHERE project = {number} + 1")), 1 + pass, "{name}");
            bench.append(&two[1]);
        }
    }
}

#[test]
fn an_anchor_that_is_put_back_is_gone_on_from() {
    let mut bench = Bench::new();
    let project = projects(&bench.ledger, 1).remove(0);
    bench.sealer.pass(true, false).expect("sealed");
    bench.append(&project);
    let shell = bench.shell();
    shell.execute_batch("CREATE TEMP TABLE kept AS SELECT * FROM anchors; UPDATE anchors SET anchor = 'x'").expect("spoiled");
    bench.sealer = sealer(&bench.ledger, None);
    bench.sealer.pass(true, false).expect("a pass");
    assert_eq!(bench.refusal(&project), Some(RefusalKind::Broken));
    let back = "UPDATE anchors SET anchor = (SELECT anchor FROM kept WHERE (project, number) = (anchors.project, anchors.number))";
    shell.execute_batch(back).expect("put back");
    bench.sealer.pass(true, false).expect("a pass");
    assert_eq!((bench.refusal(&project), bench.sealer.refused.len()), (None, 0));
    check(&bench);
}

/// Nothing is appended meanwhile, so no tree grows: what is refused must not stay so for that reason.
#[test]
fn what_was_put_right_in_the_checkpoint_store_is_refused_no_more() {
    let mut bench = Bench::new();
    let project = projects(&bench.ledger, 1).remove(0);
    bench.sealer.pass(true, false).expect("sealed");
    let good = bench.stored();
    let instance = bench.ledger.instance_name().to_owned();
    let of_project = format!("{instance}/{}", project.id);
    for origin in [&of_project, &instance] {
        bench.sealer = sealer(&bench.ledger, None);
        let note = good[origin].clone();
        replace(&bench, &note, "no note");
        for _ in 0..2 {
            bench.sealer.pass(true, false).expect("a pass");
            let refused: Vec<_> = bench.sealer.refused.iter().map(|(name, refused)| (name.as_str(), refused.refusal.kind)).collect();
            assert_eq!(refused, [(origin.as_str(), RefusalKind::BadCheckpoint)]);
        }
        replace(&bench, "no note", &note);
        bench.sealer.pass(true, false).expect("a pass");
        assert!(bench.sealer.refused.is_empty(), "{origin}: {:?}", bench.sealer.refused);
    }
    check(&bench);
}

/// Puts one note in the place of another.
fn replace(bench: &Bench, old: &str, new: &str) {
    let store = bench.folder.path().join("data.checkpoints").join(format!("{}.checkpoints", bench.ledger.instance_name()));
    let store = Connection::open(store).expect("it opens");
    let changed = store.execute("UPDATE checkpoints SET checkpoint = ?2 WHERE checkpoint = ?1", [old, new]);
    assert_eq!(changed.expect("changed"), 1, "{old}");
}

/// The tree of the instance, over more anchors than a tile holds.
#[test]
fn a_spoiled_tile_of_the_instance_tree_is_told_and_fails_no_pass() {
    let mut bench = Bench::new();
    let instance = bench.ledger.instance_name().to_owned();
    let [older, newer] = [100, 200].map(|count| {
        let made = projects(&bench.ledger, count);
        bench.sealer.pass(true, false).expect("sealed");
        (bench.stored()[&instance].clone(), made)
    });
    let shell = bench.shell();
    let spoil = "ALTER TABLE instance_tiles RENAME TO gone; CREATE TABLE instance_tiles AS SELECT level, position, 7 AS hashes FROM gone";
    shell.execute_batch(spoil).expect("spoiled");
    // What lies between the two is proved by the tile.
    replace(&bench, &newer.0, &older.0);
    bench.sealer = sealer(&bench.ledger, None);
    for grows in [false, true] {
        bench.sealer.pass(true, false).unwrap_or_else(|error| panic!("grows: {grows}: {error}"));
        let refused: Vec<_> = bench.sealer.refused.iter().map(|(name, refused)| (name.as_str(), refused.refusal.kind)).collect();
        assert_eq!(refused, [(instance.as_str(), RefusalKind::Broken)], "grows: {grows}");
        bench.append(&newer.1[0]);
    }
}

#[test]
fn after_a_key_was_the_reason_nothing_is_read_anew() {
    let mut bench = Bench::new();
    let project = projects(&bench.ledger, 1).remove(0);
    bench.sealer.pass(true, false).expect("sealed");
    bench.append(&project);
    let shell = bench.shell();
    shell.execute_batch("INSERT INTO signing_keys VALUES (2, zeroblob(32), 1)").expect("a key that is nowhere");
    // What is remembered, and would not be if it were read again.
    let marked = Uuid::from_u128(7);
    bench.sealer.state.as_mut().expect("remembered").intervals.spoiled.insert(-1, marked.to_string());
    for _ in 0..2 {
        assert_eq!(bench.sealer.pass(true, false).expect_err("no key").kind(), SealingFailure::Key);
    }
    shell.execute_batch("DELETE FROM signing_keys WHERE id = 2").expect("deleted");
    bench.sealer.pass(true, false).expect("sealed");
    let state = bench.sealer.state.as_ref().expect("remembered");
    assert_eq!(state.intervals.spoiled.get(&-1), Some(&marked.to_string()));
    check(&bench);
}
