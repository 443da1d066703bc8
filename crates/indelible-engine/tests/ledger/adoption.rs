//! Adopting a restored ledger: what was signed before stays on record, what is signed is what was recorded, and a tree that contradicts
//! itself is not adopted.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use indelible_core::checkpoint::Checkpoint;
use indelible_core::hex;
use indelible_core::note::Note;
use indelible_engine::anchor::RefusalKind;
use indelible_engine::faults::{Faults, When, Write};
use indelible_engine::query::{Opening, Search};
use rusqlite::Connection;
use serde_json::Value;

use crate::bench::{Bench, copy, event, wait};

fn seal(bench: &Bench) -> indelible_engine::query::anchors::AnchorStatus {
    wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed")
}

/// What the checkpoint store holds of the default project.
fn held(bench: &Bench) -> Option<String> {
    let file = bench.store.folder().expect("a folder").join(format!("{}.checkpoints", bench.ledger.instance_name()));
    let origin = format!("{}/{}", bench.ledger.instance_name(), bench.project().id);
    let store = Connection::open(file).expect("it opens");
    let mut select = store.prepare("SELECT checkpoint FROM checkpoints WHERE origin = ?1").expect("a statement");
    let mut rows = select.query_map([origin], |row| row.get(0)).expect("rows");
    rows.next().transpose().expect("a note")
}

fn checkpoint(note: &str) -> Checkpoint {
    Checkpoint::parse(Note::parse(note.as_bytes()).expect("a note").text()).expect("a checkpoint")
}

/// The events of adopting the default project, oldest first, opened.
fn told(bench: &Bench) -> Vec<Value> {
    let caller = bench.instance();
    let filter = format!("action eq \"checkpoint.adopt\" and resource.id ew \"{}\"", bench.project().id);
    let opening = Opening { content: true, purpose: Some("a test".to_owned()) };
    let page =
        wait(bench.ledger.search(&caller, &bench.system(), Search { filter: Some(filter), opening, ..Search::default() })).expect("a page");
    page.records.iter().rev().map(|record| serde_json::from_slice(record).expect("JSON")).collect()
}

/// A ledger that was put back to what it was before its last anchors.
fn put_back(change: impl FnOnce(&mut indelible_engine::Options)) -> Bench {
    let bench = Bench::new();
    bench.append(&[event(0, "one")]).expect("appended");
    seal(&bench);
    let Bench { folder, ledger, store, .. } = bench;
    ledger.close();
    let older = tempfile::tempdir().expect("a folder");
    copy(folder.path(), older.path());
    let bench = Bench::over(folder, store);
    bench.append(&(1..9).map(|n| event(n, "two")).collect::<Vec<_>>()).expect("appended");
    seal(&bench);
    let Bench { folder, ledger, store, .. } = bench;
    ledger.close();
    copy(older.path(), folder.path());
    let mut options = crate::bench::options(folder.path());
    change(&mut options);
    let opened = indelible_engine::Ledger::open(options).expect("it opens again");
    Bench { folder, ledger: opened.ledger, first: None, store }
}

#[test]
fn what_was_signed_before_an_adoption_stays_on_record() {
    let bench = put_back(|_| {});
    let before = held(&bench).expect("signed");
    let signed = checkpoint(&before);
    let adopted = wait(bench.ledger.adopt_checkpoints(&bench.instance())).expect("adopted");
    assert!(adopted.refused.is_empty() && adopted.adopted.iter().any(|origin| *origin == signed.origin.as_str()), "{adopted:?}");
    let told = told(&bench);
    assert_eq!(told.len(), 1, "{told:?}");
    let (sizes, kept) = (&told[0]["context"], &told[0]["content"]);
    assert_eq!(kept["before_state"]["note"], before, "the store holds it no more");
    assert_eq!(kept["before_state"]["root"], hex::encode(&signed.root));
    assert_eq!((&sizes["signed_size"], &sizes["signed_root"]), (&signed.size.to_string().into(), &hex::encode(&signed.root).into()));
    // In its place is what was recorded, and the tree goes on from there.
    let now = checkpoint(&held(&bench).expect("signed"));
    assert!(now.size < signed.size && now.root != signed.root, "{now:?}");
    assert_eq!((&sizes["adopted_size"], &sizes["adopted_root"]), (&now.size.to_string().into(), &hex::encode(&now.root).into()));
    assert_eq!((&kept["after_state"]["size"], &kept["after_state"]["root"]), (&now.size.into(), &hex::encode(&now.root).into()));
    bench.append(&[event(20, "three")]).expect("appended");
    let status = seal(&bench);
    assert_eq!((status.unanchored, status.refused), (0, None));
    bench.verify();
}

#[test]
fn a_tree_that_contradicts_itself_is_not_adopted() {
    let bench = put_back(|_| {});
    let before = held(&bench);
    let shell = bench.shell();
    assert_eq!(shell.force(&format!("UPDATE heads SET tree_root = {} WHERE project = 3", shell.bytes(&[0; 32]))), 1);
    let adopted = wait(bench.ledger.adopt_checkpoints(&bench.instance())).expect("the others");
    let own = bench.project().id.to_string();
    assert!(!adopted.adopted.is_empty() && adopted.adopted.iter().all(|origin| !origin.ends_with(&own)), "{adopted:?}");
    let refused: Vec<_> = adopted.refused.iter().map(|(origin, refusal)| (origin.ends_with(&own), refusal.kind)).collect();
    assert_eq!(refused, [(true, RefusalKind::Broken)]);
    assert_eq!(held(&bench), before, "nothing was signed over it");
    let told = told(&bench);
    assert_eq!(told.iter().map(|event| event["outcome"].as_str()).collect::<Vec<_>>(), [Some("deny")]);
}

/// Strikes at the n-th swap or commit since it was armed.
struct Nth {
    when: When,
    left: AtomicI64,
}

impl Faults for Nth {
    fn strikes(&self, write: Write, when: When) -> bool {
        matches!(write, Write::Swap | Write::Commit) && when == self.when && self.left.fetch_sub(1, Ordering::SeqCst) == 0
    }
}

#[test]
fn an_adoption_can_break_between_any_two_steps() {
    let mut struck = 0;
    for when in [When::Before, When::After] {
        for nth in 0..4 {
            let faults = Arc::new(Nth { when, left: AtomicI64::new(-1) });
            let bench = put_back(|options| options.faults = Some(Arc::<Nth>::clone(&faults)));
            let signed = held(&bench).expect("signed");
            faults.left.store(nth, Ordering::SeqCst);
            let first = wait(bench.ledger.adopt_checkpoints(&bench.instance()));
            struck += usize::from(faults.left.swap(-1, Ordering::SeqCst) < 0);
            let again = wait(bench.ledger.adopt_checkpoints(&bench.instance())).expect("no fault any more");
            let own = bench.project().id.to_string();
            let took = |adopted: &indelible_engine::anchor::Adopted| adopted.adopted.iter().any(|origin| origin.ends_with(&own));
            assert!(first.as_ref().is_ok_and(took) || took(&again) || held(&bench).as_ref() != Some(&signed), "{when:?} {nth}");
            // What the store held is on record, whatever broke, and nothing was signed that was not recorded.
            let told = told(&bench);
            assert!(told.iter().any(|event| event["content"]["before_state"]["note"] == signed), "{when:?} {nth}: {told:?}");
            bench.append(&[event(20, "three")]).expect("appended");
            assert_eq!(seal(&bench).refused, None, "{when:?} {nth}");
            let bench = bench.reopen();
            assert_eq!(seal(&bench).unanchored, 0, "{when:?} {nth}");
            bench.verify();
        }
    }
    assert!(struck >= 6, "{struck}");
}
