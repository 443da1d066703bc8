//! Receipts, retries, conflicts, all or nothing, many at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use indelible_core::fault::FaultKind;
use indelible_engine::append::AppendError;
use indelible_engine::resource::Project;

use crate::bench::{Bench, event, id, wait};
use crate::clock::Turned;

#[test]
fn a_retry_is_told_the_first_receipt_also_after_a_restart() {
    let bench = Bench::new();
    let first = bench.append(&[event(1, "a"), event(2, "b")]).expect("appended");
    assert_eq!(first[1].sequence, first[0].sequence + 1);
    assert!(!first[0].duplicate);
    let again = bench.append(&[event(2, "b"), event(3, "c"), event(1, "a")]).expect("retries and new ones may be mixed");
    assert_eq!((again[0].row_hash, again[0].sequence, again[0].recorded_at), (first[1].row_hash, first[1].sequence, first[1].recorded_at));
    assert_eq!(again.iter().map(|receipt| receipt.duplicate).collect::<Vec<_>>(), [true, false, true]);
    let bench = bench.reopen();
    let later = bench.append(&[event(1, "a")]).expect("appended");
    assert_eq!((later[0].leaf_hash, later[0].duplicate), (first[0].leaf_hash, true));
    assert!(bench.first.is_none());
    bench.verify();
}

#[test]
fn the_same_id_with_another_submission_is_a_conflict_and_nothing_is_written() {
    let bench = Bench::new();
    bench.append(&[event(1, "a")]).expect("appended");
    let before = bench.events();
    let refused = bench.append(&[event(7, "new"), event(1, "another")]).expect_err("another submission");
    assert_eq!(refused, AppendError::Conflict { index: 1, id: id(1) });
    let refused = bench.append(&[event(8, "x"), event(8, "y")]).expect_err("within one batch too");
    assert_eq!(refused, AppendError::Conflict { index: 1, id: id(8) });
    assert_eq!(bench.events(), before);
    let twins = bench.append(&[event(9, "x"), event(9, "x")]).expect("twice the same");
    assert_eq!((twins[0].sequence, twins[1].duplicate), (twins[1].sequence, true));
    assert_eq!(bench.events(), before + 1);
}

#[test]
fn a_batch_with_one_entry_too_large_leaves_nothing() {
    let bench = Bench::new();
    let before = bench.events();
    let subjects: Vec<String> = (0..70).map(|n| format!("\"{}{n}\"", "s".repeat(1_000))).collect();
    let large = event(2, "b").replace(r#""outcome""#, &format!(r#""subjects":[{}],"outcome""#, subjects.join(",")));
    let refused = bench.append(&[event(1, "a"), large]).expect_err("too large");
    assert!(matches!(&refused, AppendError::Fault { index: 1, fault } if fault.kind == FaultKind::TooLarge), "{refused:?}");
    assert_eq!(bench.events(), before);
}

#[test]
fn thirty_two_threads_make_one_dense_chain() {
    let bench = Bench::new();
    let before = bench.events();
    let sequences: BTreeSet<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..32_u64)
            .map(|thread| {
                let bench = &bench;
                scope.spawn(move || {
                    let mut sequences = Vec::new();
                    for k in 0..20 {
                        let batch: Vec<_> = (0..5).map(|j| event(thread * 1_000 + k * 10 + j, "text")).collect();
                        sequences.extend(bench.append(&batch).expect("appended").iter().map(|receipt| receipt.sequence));
                    }
                    sequences
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no thread panics")).collect()
    });
    assert_eq!(sequences, (before..before + 3_200).collect());
    assert_eq!(bench.events(), before + 3_200);
}

#[test]
fn projects_have_chains_of_their_own_and_keys_stay_within_theirs() {
    let bench = Bench::new();
    let other: Project = wait(bench.ledger.create_project(&bench.instance(), None, "other")).expect("made");
    let submission = |n| event(n, "x");
    let text = submission(1);
    let parsed = indelible_core::event::Submission::parse(text.as_bytes(), indelible_core::event::Source::Caller, id(9)).expect("good");
    let refused = bench.ledger.prepare(&bench.admin(), &other, "http", parsed.clone()).expect_err("another project's key");
    assert_eq!(refused.kind, FaultKind::EngineOnly);
    let prepared = bench.ledger.prepare(&bench.instance(), &other, "http", parsed).expect("the instance's key sees it");
    let receipts = bench.ledger.append_blocking(vec![prepared]).expect("appended");
    assert_eq!(receipts[0].sequence, 0);
    assert!(bench.ledger.project_of(&bench.admin(), Some(other.id)).is_err());
    assert_eq!(bench.verify().len(), 4);
}

/// A month later a new data key is due. A retry and a refused batch come first: neither writes anything, so neither
/// may leave the impression that the new key is stored.
#[test]
fn no_wrap_is_ever_without_its_data_key() {
    let clock = Turned::new();
    let bench = Bench::with(|options| options.clock = Arc::<Turned>::clone(&clock));
    bench.append(&[event(1, "a")]).expect("appended");
    clock.step(31 * 86_400, 31 * 86_400);
    assert!(bench.append(&[event(1, "a")]).expect("a retry")[0].duplicate);
    bench.append(&[event(2, "b"), event(1, "another")]).expect_err("a conflict");
    bench.append(&[event(3, "c")]).expect("appended under the new key");
    let shell = bench.shell();
    assert_eq!(shell.number("SELECT count(*) FROM wraps WHERE data_key_id NOT IN (SELECT id FROM data_keys)"), 0);
    assert_eq!(shell.number("SELECT count(DISTINCT data_key_id) FROM wraps JOIN events USING (row) WHERE project = 3"), 2);
    bench.verify();
}

/// Whoever changes what a retry is compared with makes no false conflict of it, and no endless "try again": it is told, and verification
/// names the row.
#[test]
fn what_a_retry_is_compared_with_cannot_be_changed_unseen() {
    for (what, column) in
        [("the MAC", "submission_mac"), ("its key, to one that is not there", "submission_key_id"), ("the MAC over both", "retry_mac")]
    {
        let bench = Bench::new();
        let receipts = bench.append(&[event(1, "a"), event(2, "b")]).expect("appended");
        let shell = bench.shell();
        let other = if column == "submission_key_id" { "99".to_owned() } else { shell.bytes(&[7; 32]) };
        let change = format!("UPDATE {} SET {column} = {other} WHERE id = {}", shell.submissions(), shell.id(id(1)));
        assert_eq!(shell.force(&change), 1, "{what}");
        drop(shell);
        let told = AppendError::Unavailable {
            reason: "what is stored under this id was changed: whoever runs the ledger has to verify it".to_owned(),
            outcome_unknown: false,
        };
        assert_eq!(bench.append(&[event(1, "a")]).expect_err(what), told, "{what}");
        assert_eq!(bench.append(&[event(1, "another")]).expect_err(what), told, "{what}");
        let prepared = bench.prepare(&event(1, "a")).expect("a good event");
        assert!(matches!(bench.ledger.foresee_blocking(&[prepared], 0), Err(AppendError::Unavailable { .. })), "{what}");
        assert!(bench.append(&[event(2, "b")]).expect("another row's retry")[0].duplicate);
        let reports = bench.reports();
        let found: Vec<_> = reports.iter().flat_map(|report| &report.findings).collect();
        assert_eq!(found.len(), 1, "{what}: {found:?}");
        assert!(found[0].sequence == Some(receipts[0].sequence) && found[0].detail.contains("retry"), "{what}: {found:?}");
        let verified = wait(bench.ledger.verify_event(&bench.admin(), &bench.project(), id(1))).expect("verified");
        assert!(!verified.valid, "{what}: {verified:?}");
    }
}
