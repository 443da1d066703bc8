//! Cosignatures: stored once they are verified, whatever breaks on the way, and never changed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use indelible_core::note::VerifierKey;
use indelible_core::policy::Policy;
use indelible_core::witness::{Answer, SIZE_MEDIA_TYPE};
use indelible_engine::clock::SystemClock;
use indelible_engine::cosigning::{CosigningStatus, Response, Transport, Witnesses};
use indelible_engine::faults::{Faults, When, Write};
use indelible_engine::witness::{Options, Reply, Witness};

use crate::bench::{Bench, event, wait};

/// A witness in this process.
pub(crate) struct Near(Witness);

impl Transport for Near {
    fn post(&self, _: &str, body: &[u8]) -> Result<Response, String> {
        let response = |status, content_type: &str, body: String| {
            Ok(Response { status, content_type: Some(content_type.to_owned()), body: body.into_bytes() })
        };
        match self.0.add_checkpoint(body).map_err(|error| error.to_string())? {
            Reply::Cosigned(lines) => response(200, "text/plain", lines),
            Reply::Refused(Answer::OtherSize(size)) => response(409, SIZE_MEDIA_TYPE, format!("{size}\n")),
            Reply::Refused(answer) => response(answer.status(), "text/plain", String::new()),
            Reply::Malformed(error) => response(400, "text/plain", error.to_string()),
        }
    }
}

/// Strikes at the first chance of one kind.
struct Once {
    when: When,
    /// Below zero it is over or not armed.
    left: AtomicI64,
}

impl Faults for Once {
    fn strikes(&self, write: Write, when: When) -> bool {
        write == Write::Cosignature && when == self.when && self.left.fetch_sub(1, Ordering::SeqCst) == 0
    }
}

/// A witness in `store` of a log, and the policy that asks for it.
pub(crate) fn witnesses(store: &Path, log_key: VerifierKey) -> (Near, impl Fn() -> Policy + use<>) {
    let options =
        Options { store: store.to_owned(), name: Some("w.example".to_owned()), log_keys: vec![log_key], clock: Arc::new(SystemClock) };
    let witness = Witness::open(options).expect("it opens");
    let policy = format!("witness w {} http://w.example\nquorum w\n", witness.verifier_key());
    (Near(witness), move || Policy::parse(policy.as_bytes()).expect("a policy"))
}

/// A ledger whose instance tree a witness in `store` cosigns.
fn bench(store: &Path, when: When) -> (Bench, Arc<Once>) {
    // Its name and its key have to be known first.
    let bench = Bench::new();
    let key = bench.ledger.instance_key().expect("readable").expect("a key");
    let Bench { folder, ledger, .. } = bench;
    ledger.close();
    let (near, policy) = witnesses(store, key);
    let mut witnesses = Witnesses::new(policy(), Arc::new(near));
    (witnesses.retry_min, witnesses.retry_max) = (Duration::from_millis(20), Duration::from_millis(20));
    let faults = Arc::new(Once { when, left: AtomicI64::new(-1) });
    let mut options = crate::bench::options(folder.path());
    options.witnesses = Some(witnesses);
    options.faults = Some(Arc::<Once>::clone(&faults));
    let store = options.checkpoints.clone();
    let opened = indelible_engine::Ledger::open(options).expect("it opens again");
    (Bench { folder, ledger: opened.ledger, first: None, store }, faults)
}

fn cosigned(bench: &Bench) -> CosigningStatus {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let status = bench.ledger.status().cosigning.expect("there is a policy");
        if status.is_fulfilled && status.size > 0 && status.witnesses[0].size == status.cosigned_size {
            return status;
        }
        assert!(Instant::now() < end, "{status:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_cosignature_that_could_not_be_stored_is_asked_for_again() {
    for when in [When::Before, When::After] {
        let store = tempfile::tempdir().expect("a folder");
        let (bench, faults) = bench(&store.path().join("w"), when);
        bench.append(&[event(0, "one")]).expect("appended");
        cosigned(&bench);
        faults.left.store(0, Ordering::SeqCst);
        wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed");
        cosigned(&bench);
        assert!(faults.left.load(Ordering::SeqCst) < 0, "{when:?}: it struck");
        let shown = wait(bench.ledger.instance_checkpoints(&bench.admin(), &bench.project())).expect("readable");
        assert_eq!(shown.cosigned.expect("one").cosigned_by.len(), 1, "{when:?}");
        bench.verify();
    }
}

#[test]
fn cosignatures_are_never_changed_and_a_forged_one_counts_for_nothing() {
    let store = tempfile::tempdir().expect("a folder");
    let (bench, _) = bench(&store.path().join("w"), When::Before);
    bench.append(&[event(0, "one")]).expect("appended");
    wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed");
    let size = cosigned(&bench).size;
    let shell = bench.shell();
    for attack in [
        "UPDATE cosignatures SET line = 'x'",
        "DELETE FROM cosignatures",
        "INSERT INTO cosignatures SELECT size, witness, 'x', 0 FROM cosignatures WHERE true
         ON CONFLICT (size, witness) DO UPDATE SET line = excluded.line",
    ] {
        shell.run(attack).expect_err(attack);
    }
    // Someone who takes the guards away can write, and is not believed.
    // Its name and key id stay as they are; the time in it is another.
    let line = shell.value(&format!("SELECT line FROM cosignatures WHERE size = {size}"));
    let at = line.len() - 90;
    let forged = format!("{}{}{}", &line[..at], if &line[at..=at] == "A" { "B" } else { "A" }, &line[at + 1..]);
    assert_eq!(shell.force(&format!("UPDATE cosignatures SET line = '{forged}' WHERE size = {size}")), 1);
    let shown = wait(bench.ledger.instance_checkpoints(&bench.admin(), &bench.project())).expect("readable");
    let newest = shown.newest.expect("one");
    assert!(newest.size == size && newest.cosigned_by.is_empty() && !newest.note.contains("w.example"), "{}", newest.note);
    assert!(shown.cosigned.is_none_or(|older| older.size < size));
}
