//! Keys rotate: the new one serves at once, what is old verifies and opens under the old, and an event tells of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indelible_engine::access::Scope;
use indelible_engine::append::Receipt;
use indelible_engine::faults::{Faults, When, Write};
use indelible_engine::query::{Opening, Search};
use indelible_engine::resource::{MutateError, NewApiKey};
use indelible_engine::{Rotation, access};
use serde_json::Value;

use crate::bench::{Bench, event, id, wait};
use crate::clock::Turned;
use crate::shell::Shell;

/// The event with this number, its content opened.
fn opened(bench: &Bench, n: u64) -> Value {
    let opening = Opening { content: true, purpose: Some("a test".to_owned()) };
    let record = wait(bench.ledger.event(&bench.admin(), &bench.project(), id(n), opening)).expect("the event");
    serde_json::from_slice(&record).expect("JSON")
}

/// The events of an action in the system project of the instance or the organization.
fn told(bench: &Bench, action: &str) -> Vec<Value> {
    let caller = bench.instance();
    let mut events = Vec::new();
    for project in bench.projects().iter().filter(|project| project.system) {
        let search = Search { filter: Some(format!("action eq \"{action}\"")), ..Search::default() };
        let page = wait(bench.ledger.search(&caller, project, search)).expect("a page");
        events.extend(page.records.iter().map(|record| serde_json::from_slice::<Value>(record).expect("JSON")));
    }
    events
}

#[test]
fn a_new_ring_key_serves_at_once_and_the_old_rows_verify_under_theirs() {
    let bench = Bench::new();
    bench.append(&[event(0, "old")]).expect("appended");
    let rotated = wait(bench.ledger.rotate_key(&bench.instance(), Rotation::Hmac)).expect("rotated");
    assert_eq!((rotated.kind, rotated.id), ("hmac_key", 2));
    bench.append(&[event(1, "new")]).expect("appended");
    assert_eq!((opened(&bench, 0)["hmac_key_id"].clone(), opened(&bench, 1)["hmac_key_id"].clone()), (1.into(), 2.into()));
    // A retry of what was submitted under the old key is still known.
    let again: Vec<Receipt> = bench.append(&[event(0, "old")]).expect("a retry");
    assert!(again[0].duplicate);
    assert!(bench.append(&[event(0, "other")]).is_err(), "the same id with other content");
    bench.verify();
    let told = told(&bench, "key.rotate");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0]["resource"]["type"].as_str(), told[0]["resource"]["id"].as_str()), (Some("hmac_key"), Some("2")));
    let bench = bench.reopen();
    bench.append(&[event(2, "after a restart")]).expect("appended");
    assert_eq!(opened(&bench, 2)["hmac_key_id"], 2);
    bench.verify();
}

/// Fails the next COMMIT after it was done, once armed.
#[derive(Default)]
struct Persisting(AtomicBool);

impl Faults for Persisting {
    fn strikes(&self, write: Write, when: When) -> bool {
        (write, when) == (Write::Commit, When::After) && self.0.swap(false, Ordering::SeqCst)
    }
}

#[test]
fn a_rotation_that_failed_and_persisted_does_not_bar_the_next() {
    let faults = Arc::new(Persisting::default());
    let bench = Bench::with(|options| options.faults = Some(Arc::<Persisting>::clone(&faults)));
    faults.0.store(true, Ordering::SeqCst);
    assert!(matches!(wait(bench.ledger.rotate_key(&bench.instance(), Rotation::Hmac)), Err(MutateError::Append(_))));
    bench.append(&[event(0, "between")]).expect("the store is open again");
    let rotated = wait(bench.ledger.rotate_key(&bench.instance(), Rotation::Hmac)).expect("rotated");
    assert_eq!(rotated.id, 3, "the second is the one that persisted");
    bench.append(&[event(1, "after")]).expect("appended");
    assert_eq!(opened(&bench, 1)["hmac_key_id"], 3);
    bench.verify();
}

/// The row of a new data key is written with the first event that is sealed under it, and the event that tells of it.
#[test]
fn a_data_key_that_persisted_though_its_commit_failed_is_told_of_once() {
    let (clock, faults) = (Turned::new(), Arc::new(Persisting::default()));
    let bench = Bench::with(|options| {
        options.clock = Arc::<Turned>::clone(&clock);
        options.faults = Some(Arc::<Persisting>::clone(&faults));
    });
    bench.append(&[event(0, "under the first")]).expect("appended");
    clock.step(31 * 86_400, 31 * 86_400);
    faults.0.store(true, Ordering::SeqCst);
    bench.append(&[event(1, "under the second")]).expect_err("its outcome is not known");
    bench.append(&[event(2, "under the second too")]).expect("appended");
    bench.append(&[event(3, "and so is this")]).expect("appended");
    let of_data_keys = told(&bench, "key.rotate").into_iter().filter(|event| event["resource"]["type"] == "data_key").count();
    assert_eq!(of_data_keys, 1);
    for n in [1, 2, 3] {
        assert!(opened(&bench, n)["content"]["arguments"]["text"].is_string());
    }
    bench.verify();
}

#[test]
fn a_missing_ring_key_is_said_to_be_missing() {
    let bench = Bench::new();
    wait(bench.ledger.rotate_key(&bench.instance(), Rotation::Hmac)).expect("rotated");
    let Bench { folder, ledger, .. } = bench;
    ledger.close();
    std::fs::remove_file(folder.path().join("data/keys/ring-2.key")).expect("removed");
    let error = indelible_engine::Ledger::open(crate::bench::options(folder.path())).map(|_| ()).expect_err("no key");
    assert!(error.to_string().contains("ring-2.key"), "{error}");
}

#[test]
fn a_new_signing_key_signs_beside_the_old_one() {
    let bench = Bench::new();
    wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed");
    let rotated =
        wait(bench.ledger.rotate_key(&bench.instance(), Rotation::Signing { kms_key: None, retire_old: false })).expect("rotated");
    assert_eq!((rotated.kind, rotated.id), ("signing_key", 2));
    let status = wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed");
    let latest = status.latest.expect("an anchor");
    assert_eq!(latest.checkpoint.matches('\u{2014}').count(), 2, "both sign: {}", latest.checkpoint);
    let keys = wait(bench.ledger.verifier_keys(&bench.admin(), &bench.project())).expect("keys");
    let project = format!("{}/{}", bench.ledger.instance_name(), bench.project().id);
    let own: Vec<_> = keys.iter().filter(|key| key.verifier_key.name().as_str() == project).collect();
    assert_eq!(own.len(), 2);
    assert!(own[0].until.is_some() && own[1].until.is_none());
    let note = indelible_core::note::Note::parse(latest.note.as_bytes()).expect("a note");
    let anchor = indelible_core::anchor::Anchor::parse(latest.anchor.as_bytes()).expect("an anchor");
    assert_eq!(anchor.signing_key_id, own[1].verifier_key.id(), "the new one signs anchors");
    anchor.verify(&note, own[1].verifier_key.name(), &[own[1].verifier_key.clone()]).expect("signed");
    bench.verify();
}

#[test]
fn an_old_signing_key_that_is_lost_stops_nothing_and_is_ended_at_once() {
    let bench = Bench::new();
    wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed");
    let rotate = |bench: &Bench, retire_old| {
        let rotation = Rotation::Signing { kms_key: None, retire_old };
        wait(bench.ledger.rotate_key(&bench.instance(), rotation)).expect("rotated").since
    };
    rotate(&bench, false);
    let Bench { folder, ledger, store, .. } = bench;
    ledger.close();
    std::fs::remove_file(folder.path().join("data/keys/signing-1.key")).expect("removed");
    let bench = Bench::over(folder, store);
    let sealed = |bench: &Bench| {
        let status = wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed");
        assert_eq!((status.unanchored, status.refused, status.failing), (0, None, None));
        let signatures = status.latest.expect("an anchor").checkpoint.matches('\u{2014}').count();
        (signatures, bench.ledger.status().sealing.keys_failing)
    };
    assert_eq!(sealed(&bench), (1, 1), "the newest alone, and the other is missed");
    // Where nothing is signed nothing is known to have changed.
    let since = rotate(&bench, false);
    assert_eq!(sealed(&bench), (2, 1), "the two that are there");
    let retired = rotate(&bench, true);
    assert_eq!(sealed(&bench), (1, 0), "the newest alone, and none is missed");
    let keys = wait(bench.ledger.verifier_keys(&bench.admin(), &bench.project())).expect("keys");
    let until: Vec<_> = keys.iter().take(4).map(|key| key.until).collect();
    assert_eq!(until, [Some(retired), Some(retired), Some(retired), None], "{since}");
    let told = told(&bench, "key.rotate");
    let last = told.iter().find(|event| event["resource"]["id"] == "4").expect("the event");
    let id = uuid::Uuid::try_parse(last["id"].as_str().expect("an id")).expect("an id");
    let opening = Opening { content: true, purpose: Some("a test".to_owned()) };
    let caller = bench.instance();
    let record = wait(bench.ledger.event(&caller, &bench.system(), id, opening)).expect("the event");
    let record: Value = serde_json::from_slice(&record).expect("JSON");
    assert_eq!(record["content"]["after_state"]["retired"], serde_json::json!([2, 1, 3]));
    bench.verify();
    let bench = bench.reopen();
    assert_eq!(sealed(&bench), (1, 0));
    bench.verify();
}

#[test]
fn what_is_stored_of_ended_signing_keys_is_what_the_events_say() {
    let bench = Bench::new();
    let rotate = |retire_old| {
        wait(bench.ledger.rotate_key(&bench.instance(), Rotation::Signing { kms_key: None, retire_old })).expect("rotated");
    };
    for retire_old in [false, true, false] {
        rotate(retire_old);
    }
    bench.verify();
    let Bench { folder, ledger, store, .. } = bench;
    ledger.close();
    let cases = [
        ("DELETE FROM retired_signing_keys WHERE id = 1", "an event tells of an end, and none is stored, of signing_key 1"),
        ("UPDATE retired_signing_keys SET since = since + 1 WHERE id = 2", "an event tells of another time of the end of signing_key 2"),
        ("INSERT INTO retired_signing_keys VALUES (3, 1)", "no event tells of the end of signing_key 3"),
    ];
    for (sql, expected) in cases {
        let copied = tempfile::tempdir().expect("a folder");
        crate::bench::copy(folder.path(), copied.path());
        assert_eq!(Shell::over(copied.path()).force(sql), 1, "{sql}");
        let reports = crate::bench::verify(copied.path(), &store);
        let found: Vec<_> = reports.iter().flat_map(|report| &report.findings).map(|finding| finding.detail.as_str()).collect();
        assert_eq!(found, [expected], "{sql}");
    }
}

#[test]
fn a_new_data_key_seals_and_the_old_one_opens() {
    let bench = Bench::new();
    bench.append(&[event(0, "old")]).expect("appended");
    let rotated = wait(bench.ledger.rotate_key(&bench.instance(), Rotation::Data(None))).expect("rotated");
    bench.append(&[event(1, "new")]).expect("appended");
    let wraps = |n: u64| -> i64 {
        let shell = bench.shell();
        shell.number(&format!("SELECT data_key_id FROM wraps JOIN events USING (row) WHERE id = {}", shell.id(id(n))))
    };
    assert_eq!(wraps(1).unsigned_abs(), rotated.id);
    assert!(wraps(0) < wraps(1));
    for (n, text) in [(0, "old"), (1, "new")] {
        assert_eq!(opened(&bench, n)["content"]["arguments"]["text"], text);
    }
    bench.verify();
    let bench = bench.reopen();
    assert_eq!(opened(&bench, 0)["content"]["arguments"]["text"], "old");
}

#[test]
fn data_keys_rotate_by_themselves_and_an_event_tells_of_it() {
    const DAY: u64 = 24 * 3_600;
    let clock = Turned::new();
    let bench = Bench::with(|options| options.clock = Arc::<Turned>::clone(&clock));
    bench.append(&[event(0, "old")]).expect("appended");
    clock.step(29 * DAY as i64, 29 * DAY);
    bench.append(&[event(1, "the same key")]).expect("appended");
    assert_eq!(told(&bench, "key.rotate").len(), 0);
    clock.step(2 * DAY as i64, 2 * DAY);
    bench.append(&[event(2, "the next key"), event(3, "too")]).expect("appended");
    let told = told(&bench, "key.rotate");
    assert!(told.iter().any(|event| event["resource"]["type"] == "data_key"), "{told:?}");
    assert_eq!(opened(&bench, 0)["content"]["arguments"]["text"], "old");
    bench.verify();
}

#[test]
fn wraps_are_renewed_and_no_committed_byte_changes() {
    let bench = Bench::new();
    bench.append(&(0..10).map(|n| event(n, "old")).collect::<Vec<_>>()).expect("appended");
    let all = |sql: &str| bench.shell().rows(sql);
    // Those rows that have a content, with it.
    let stored = "SELECT row, entry, row_hash, stored FROM events JOIN contents USING (row) WHERE row <= 20 ORDER BY row";
    let of_the_project = "SELECT wrap FROM wraps JOIN events USING (row) WHERE project = 3 ORDER BY row LIMIT 10";
    let (before, wraps) = (all(stored), all(of_the_project));
    let rotated = wait(bench.ledger.rotate_key(&bench.instance(), Rotation::Data(None))).expect("rotated");
    assert!(matches!(wait(bench.ledger.rewrap(&bench.admin(), None)), Err(MutateError::Forbidden(_))));
    let renewed = wait(bench.ledger.rewrap(&bench.instance(), None)).expect("renewed");
    assert!(renewed.renewed >= 10 && renewed.unopened == 0 && renewed.data_key_id == rotated.id, "{renewed:?}");
    let after = all(of_the_project);
    assert!(wraps.iter().zip(&after).all(|(old, new)| old != new));
    assert!(before.len() >= 10, "{}", before.len());
    assert_eq!(before, all(stored)[..before.len()]);
    assert_eq!(opened(&bench, 0)["content"]["arguments"]["text"], "old");
    assert_eq!(told(&bench, "key.rewrap").iter().filter(|event| event["outcome"] == "allow").count(), 1);
    assert_eq!(wait(bench.ledger.rewrap(&bench.instance(), None)).expect("again").renewed, 0);
    bench.verify();
}

#[test]
fn an_auditor_is_handed_the_chain_keys_of_one_project() {
    let bench = Bench::new();
    bench.append(&[event(0, "one")]).expect("appended");
    wait(bench.ledger.rotate_key(&bench.instance(), Rotation::Hmac)).expect("rotated");
    bench.append(&[event(1, "two")]).expect("appended");
    let keys = wait(bench.ledger.export_chain_keys(&bench.admin(), &bench.project())).expect("keys");
    assert_eq!(keys.iter().map(|key| key.hmac_key_id).collect::<Vec<_>>(), [1, 2]);
    // With these alone every link of the project holds (formats.md, Chain).
    let (project, mut prev, mut links) = (bench.project().id, [0_u8; 32], 0);
    let sql = format!(
        "SELECT entry, prev_hash, row_hash FROM events
         WHERE project = (SELECT project FROM ledgers WHERE project_id = '{project}') ORDER BY sequence"
    );
    for row in bench.shell().rows(&sql) {
        let [entry, prev_hash, row_hash] = <[String; 3]>::try_from(row).expect("three");
        let [prev_hash, row_hash] = [prev_hash, row_hash].map(|hash| indelible_core::hex::decode_array(&hash).expect("a hash"));
        let id = serde_json::from_str::<Value>(&entry).expect("JSON")["hmac_key_id"].as_u64().expect("an id");
        let key = keys.iter().find(|key| key.hmac_key_id == id).expect("its key");
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key.key);
        let text = [entry.as_bytes(), &prev].concat();
        assert_eq!((prev_hash, aws_lc_rs::hmac::sign(&key, &text).as_ref()), (prev, row_hash.as_slice()));
        prev = row_hash;
        links += 1;
    }
    assert!(links >= 4, "{links}");
}

#[test]
fn who_may_not_rotate_does_not_and_each_try_is_recorded() {
    let bench = Bench::new();
    let forbidden = |result: Result<_, MutateError>| matches!(result, Err(MutateError::Forbidden(_)));
    assert!(forbidden(wait(bench.ledger.rotate_key(&bench.admin(), Rotation::Hmac)).map(drop)));
    assert!(forbidden(wait(bench.ledger.rotate_key(&bench.admin(), Rotation::Data(None))).map(drop)));
    let new = NewApiKey {
        name: "reader".to_owned(),
        owner: access::Owner::Instance,
        kind: access::KeyKind::Application,
        scopes: vec![Scope::AuditRead],
        expires_at: None,
    };
    let (_, text) = wait(bench.ledger.create_api_key(&bench.instance(), new)).expect("made");
    let reader = bench.ledger.authenticate(Some(&text), access::Envelope::default()).expect("a key");
    assert!(forbidden(wait(bench.ledger.rotate_key(&reader, Rotation::Signing { kms_key: None, retire_old: false })).map(drop)));
    let denied = told(&bench, "key.rotate").into_iter().filter(|event| event["outcome"] == "deny").count();
    assert_eq!(denied, 1, "the reader's, in the chain of the instance");
    assert!(!bench.data().join("keys/ring-2.key").exists());
}
