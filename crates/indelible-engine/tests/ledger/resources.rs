//! Keys and projects: made, listed, revoked, refused, and each of it in the record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indelible_core::time::Timestamp;
use indelible_engine::access::{Envelope, KeyKind, Owner, Refused, Scope};
use indelible_engine::faults::{Faults, When, Write};
use indelible_engine::resource::{MutateError, NewApiKey};

use crate::bench::{Bench, event, wait};

fn key(owner: Owner, scopes: &[Scope]) -> NewApiKey {
    NewApiKey { name: "test".to_owned(), owner, kind: KeyKind::Gateway, scopes: scopes.to_vec(), expires_at: None }
}

fn rows(bench: &Bench) -> u64 {
    bench.verify().iter().map(|report| report.events).sum()
}

#[test]
fn a_key_works_until_it_is_revoked_and_is_stored_nowhere() {
    let bench = Bench::new();
    let owner = Owner::Project(bench.ledger.default_project_id());
    let (made, credential) = wait(bench.ledger.create_api_key(&bench.admin(), key(owner, &[Scope::AuditRead]))).expect("made");
    let caller = bench.ledger.authenticate(Some(&credential), Envelope::default()).expect("it works");
    assert!(caller.has(Scope::AuditRead) && !caller.has(Scope::EventsAppend));
    let bench = bench.reopen();
    bench.ledger.authenticate(Some(&credential), Envelope::default()).expect("after a restart too");
    let secret = credential.as_bytes()[credential.len() - 43..].to_vec();
    let shell = bench.shell();
    assert!(shell.holds(&made.id.to_string()) && !shell.holds(std::str::from_utf8(&secret).expect("text")));
    for name in ["ledger.db", "ledger.db-wal", "index.db", "index.db-wal"] {
        let bytes = std::fs::read(bench.data().join(name)).unwrap_or_default();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{name}");
    }
    wait(bench.ledger.revoke_api_key(&bench.admin(), made.id)).expect("revoked");
    assert_eq!(bench.ledger.authenticate(Some(&credential), Envelope::default()).map(|_| ()), Err(Refused::Revoked));
    let before = rows(&bench);
    let again = wait(bench.ledger.revoke_api_key(&bench.admin(), made.id)).expect_err("it has ended");
    assert!(matches!(again, MutateError::Conflict(_)));
    assert_eq!(rows(&bench), before + 1, "and the try is recorded");
    let bench = bench.reopen();
    assert_eq!(bench.ledger.authenticate(Some(&credential), Envelope::default()).map(|_| ()), Err(Refused::Revoked));
}

#[test]
fn a_key_cannot_make_one_that_may_more_and_each_try_is_recorded() {
    let bench = Bench::new();
    let project = bench.ledger.default_project_id();
    let other = wait(bench.ledger.create_project(&bench.instance(), None, "other")).expect("made").id;
    let (_, text) = wait(bench.ledger.create_api_key(&bench.admin(), key(Owner::Project(project), &[Scope::ControlWrite]))).expect("made");
    let narrow = bench.ledger.authenticate(Some(&text), Envelope::default()).expect("a key");
    let past = Timestamp::parse("2020-01-01T00:00:00Z");
    let mut ended = key(Owner::Project(project), &[Scope::ControlWrite]);
    ended.expires_at = past;
    let mut unnamed = key(Owner::Project(project), &[Scope::ControlWrite]);
    unnamed.name = String::new();
    let cases = [
        ("more scopes", key(Owner::Project(project), &[Scope::AuditRead])),
        ("another project", key(Owner::Project(other), &[Scope::ControlWrite])),
        ("a project that is not there", key(Owner::Project(uuid::Uuid::from_u128(7)), &[Scope::ControlWrite])),
        ("the instance", key(Owner::Instance, &[Scope::ControlWrite])),
        ("no scopes", key(Owner::Project(project), &[])),
        ("ended", ended),
        ("no name", unnamed),
    ];
    for (name, new) in cases {
        let before = rows(&bench);
        let refused = wait(bench.ledger.create_api_key(&narrow, new)).expect_err(name);
        assert!(!matches!(refused, MutateError::Append(_)), "{name}: {refused:?}");
        assert_eq!(rows(&bench), before + 1, "{name} is recorded");
    }
    assert!(wait(bench.ledger.create_project(&narrow, None, "mine")).is_err(), "a project's key makes no projects");
}

#[test]
fn expired_keys_are_refused() {
    let clock = crate::clock::Turned::new();
    let bench = Bench::with(|options| options.clock = std::sync::Arc::<crate::clock::Turned>::clone(&clock));
    let mut new = key(Owner::Project(bench.ledger.default_project_id()), &[Scope::AuditRead]);
    new.expires_at = Timestamp::parse("2026-03-01T12:30:00Z");
    let (_, text) = wait(bench.ledger.create_api_key(&bench.admin(), new)).expect("made");
    bench.ledger.authenticate(Some(&text), Envelope::default()).expect("before its end");
    clock.step(1_800, 1_800);
    assert_eq!(bench.ledger.authenticate(Some(&text), Envelope::default()).map(|_| ()), Err(Refused::Expired));
}

#[test]
fn strangers_are_coalesced_by_source_and_minute() {
    let clock = crate::clock::Turned::new();
    let bench = Bench::with(|options| options.clock = std::sync::Arc::<crate::clock::Turned>::clone(&clock));
    let before = rows(&bench);
    let knock = |source: &str| {
        let source = source.parse().ok();
        wait(bench.ledger.stranger(source, None, Refused::Unknown, &Envelope::default())).expect("recorded");
    };
    (0..50).for_each(|_| knock("192.0.2.1"));
    knock("192.0.2.2");
    assert_eq!(rows(&bench), before + 2, "the first of each source at once");
    let bench = bench.reopen();
    assert_eq!(rows(&bench), before + 3, "the other 49 as one, at closing");
}

/// Strikes every commit while it is armed.
pub(crate) struct Struck {
    pub(crate) when: When,
    pub(crate) armed: AtomicBool,
}

impl Faults for Struck {
    fn strikes(&self, write: Write, when: When) -> bool {
        (write, when) == (Write::Commit, self.when) && self.armed.load(Ordering::SeqCst)
    }
}

/// The record of the first of a minute fails, or that of the others once it is over, once or twice in a row.
#[test]
fn strangers_that_could_not_be_recorded_are_counted_on() {
    let cases =
        [(When::Before, false, 1), (When::Before, false, 2), (When::Before, true, 0), (When::Before, true, 2), (When::After, false, 1)];
    for (when, first, minutes) in cases {
        let name = format!("{when:?} {first} {minutes}");
        let clock = crate::clock::Turned::new();
        let faults = Arc::new(Struck { when, armed: AtomicBool::new(false) });
        let bench = Bench::with(|options| {
            options.clock = Arc::<crate::clock::Turned>::clone(&clock);
            options.faults = Some(Arc::<Struck>::clone(&faults));
        });
        let before = rows(&bench);
        faults.armed.store(first, Ordering::SeqCst);
        let knock = || wait(bench.ledger.stranger("192.0.2.1".parse().ok(), None, Refused::Unknown, &Envelope::default())).is_ok();
        assert_eq!(knock(), !first, "{name}: whether the first is recorded is said");
        faults.armed.store(false, Ordering::SeqCst);
        assert!((0..3).all(|_| knock()), "{name}: counted");
        let until = |what: &str, holds: &dyn Fn() -> bool| {
            let began = Instant::now();
            while !holds() {
                assert!(began.elapsed() < Duration::from_secs(30), "{name}: {what}");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        // The writer records what is due after each group.
        let failures = || bench.ledger.status().commit_failures_total;
        for _ in 0..minutes {
            let failed = failures();
            faults.armed.store(true, Ordering::SeqCst);
            clock.step(61, 61);
            bench.append(&[event(1, "beside")]).expect_err("struck");
            until("the record is tried", &|| failures() >= failed + 2);
        }
        faults.armed.store(false, Ordering::SeqCst);
        clock.step(61, 61);
        bench.append(&[event(1, "beside")]).expect("no fault");
        until("all are told of", &|| attempts_of_strangers(&bench).iter().sum::<u64>() >= 4);
        let bench = bench.reopen();
        let attempts = attempts_of_strangers(&bench);
        let expected: &[u64] = if first { &[4] } else { &[1, 3] };
        assert_eq!((attempts.as_slice(), rows(&bench) - before), (expected, 1 + expected.len() as u64), "{name}");
    }
}

/// The attempts that each record of strangers speaks of.
fn attempts_of_strangers(bench: &Bench) -> Vec<u64> {
    let entries = bench.shell().column("SELECT entry FROM events ORDER BY row");
    let entries = entries.iter().map(|entry| serde_json::from_str::<serde_json::Value>(entry).expect("JSON"));
    let of_strangers = entries.filter(|entry| entry["action"] == "audit.unauthenticated");
    of_strangers.map(|entry| entry["context"]["attempts"].as_str().expect("text").parse().expect("a number")).collect()
}

#[test]
fn keys_beyond_their_rate_are_coalesced_by_key_and_minute() {
    let clock = crate::clock::Turned::new();
    let bench = Bench::with(|options| options.clock = std::sync::Arc::<crate::clock::Turned>::clone(&clock));
    let project = Owner::Project(bench.ledger.default_project_id());
    let callers = [(); 2].map(|()| {
        let (_, text) = wait(bench.ledger.create_api_key(&bench.admin(), key(project, &[Scope::AuditRead]))).expect("made");
        bench.ledger.authenticate(Some(&text), Envelope::default()).expect("a key")
    });
    let (before, of_project) = (rows(&bench), bench.events());
    (0..50).for_each(|_| wait(bench.ledger.throttled(&callers[0])).expect("recorded"));
    wait(bench.ledger.throttled(&callers[1])).expect("recorded");
    assert_eq!((rows(&bench), bench.events()), (before + 2, of_project + 2), "the first of each key at once, where the key belongs");
    let bench = bench.reopen();
    assert_eq!((rows(&bench), bench.events()), (before + 3, of_project + 3), "the other 49 as one, at closing");
}
