//! Two servers on one PostgreSQL database: what one acknowledged counts on the other at once, events are there once, one of them seals, and
//! months turn under both.

mod failover;
mod reading;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indelible_core::event::{Source, Submission};
use indelible_engine::access::{Envelope, KeyKind, Owner, Refused, Scope};
use indelible_engine::append::{AppendError, Receipt};
use indelible_engine::faults::{Faults, When, Write};
use indelible_engine::resource::{MutateError, NewApiKey, kind};
use indelible_engine::{Database, Ledger, Options, Rotation};

use crate::bench::{event, id, wait};
use crate::clock::Turned;
use crate::databases;
use crate::decisions::questions;
use crate::house::House;

fn key(owner: Owner) -> NewApiKey {
    NewApiKey { name: "k".to_owned(), owner, kind: KeyKind::Application, scopes: vec![Scope::EventsAppend], expires_at: None }
}

#[test]
fn a_key_that_one_server_revoked_is_refused_by_the_other_at_once() {
    let house = House::of(2, |_, _| {});
    let owner = Owner::Project(house.servers[0].default_project_id());
    for _ in 0..10 {
        let (made, credential) = wait(house.servers[0].create_api_key(&house.admin(0), key(owner))).expect("made");
        let known = |server: usize| house.servers[server].authenticate(Some(&credential), Envelope::default());
        assert!(known(1).is_ok(), "it works everywhere from its acknowledgement");
        wait(house.servers[1].revoke_api_key(&house.admin(1), made.id)).expect("revoked");
        assert_eq!(known(0).map(|_| ()), Err(Refused::Revoked));
        assert_eq!(wait(house.servers[0].recognise(Some(&credential), Envelope::default())).map(|_| ()), Err(Refused::Revoked));
    }
    house.verify();
}

#[test]
fn a_halt_that_one_server_issued_counts_on_the_other_at_once() {
    let house = House::of(2, |_, _| {});
    let asked =
        questions(r#"{"subject":{"type":"agent","id":"agent-7"},"action":{"name":"tool.call"},"resource":{"type":"tool","id":"t"}}"#);
    let settings = kind("project_settings").expect("a kind");
    let project = house.servers[0].default_project_id();
    let open = r#"{"default_decision":"allow"}"#;
    wait(house.servers[0].update_resource(&house.admin(0), settings, project, None, open)).expect("changed");
    let decide = |server: usize| {
        let (ledger, admin) = (&house.servers[server], house.admin(server));
        let project = ledger.project_of(&admin, None).expect("the default project");
        wait(ledger.decide(&admin, &project, &asked)).expect("decided")[0].decision
    };
    let halts = kind("halt").expect("a kind");
    for _ in 0..5 {
        assert!(decide(1) && decide(0));
        let halt = wait(house.servers[0].create_resource(&house.admin(0), halts, Some(Owner::Project(project)), halts.example, None));
        assert!(!decide(1), "at once");
        wait(house.servers[1].delete_resource(&house.admin(1), halts, halt.expect("issued").kept.id, None)).expect("cleared");
        assert!(decide(0), "at once");
    }
    house.verify();
}

#[test]
fn changes_of_one_resource_on_both_have_one_winner_a_version() {
    let house = House::of(2, |_, _| {});
    let kind = kind("project_settings").expect("a kind");
    let project = house.servers[0].default_project_id();
    let settings =
        wait(house.servers[0].update_resource(&house.admin(0), kind, project, None, r#"{"default_decision":"deny"}"#)).expect("made");
    let (won, lost) = (AtomicU64::new(0), AtomicU64::new(0));
    let next = AtomicU64::new(settings.kept.version);
    std::thread::scope(|scope| {
        for server in [0, 1, 0, 1] {
            let (house, won, lost, next) = (&house, &won, &lost, &next);
            scope.spawn(move || {
                for _ in 0..25 {
                    let expected = next.load(Ordering::SeqCst);
                    let (ledger, admin) = (&house.servers[server], house.admin(server));
                    let patch = r#"{"default_decision":"deny"}"#;
                    match wait(ledger.update_resource(&admin, kind, project, Some(expected), patch)) {
                        Ok(done) => {
                            assert_eq!(done.kept.version, expected + 1);
                            won.fetch_add(1, Ordering::SeqCst);
                            next.fetch_max(done.kept.version, Ordering::SeqCst);
                        }
                        Err(MutateError::Stale { .. }) => drop(lost.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(won.load(Ordering::SeqCst) + lost.load(Ordering::SeqCst), 100);
    assert_eq!(next.load(Ordering::SeqCst), settings.kept.version + won.load(Ordering::SeqCst), "each version once");
    assert!(lost.load(Ordering::SeqCst) > 0, "they were in each other's way");
    house.verify();
}

#[test]
fn a_rule_that_one_server_acknowledged_is_in_force_on_the_other() {
    let house = House::of(2, |_, _| {});
    let rules = kind("redaction_rule").expect("a kind");
    let project = Owner::Project(house.servers[0].default_project_id());
    let secret = |n: u64| {
        format!(
            r#"{{"id":"{}","action":"crm.update","outcome":"allow","actor":{{"type":"human","id":"a"}},"context":{{"iban_no":"S3cret-{n}"}}}}"#,
            id(n)
        )
    };
    // One that was made ready before the rule, and is handed in after it, is sent again.
    let (ledger, admin) = (&house.servers[1], house.admin(1));
    let default = ledger.project_of(&admin, None).expect("the default project");
    let text = secret(1);
    let ready = ledger.prepare(&admin, &default, "http", Submission::parse(text.as_bytes(), Source::Caller, id(1)).expect("an event"));
    wait(house.servers[0].create_resource(&house.admin(0), rules, Some(project), r#"{"name":"iban_no","action":"exclude"}"#, None))
        .expect("made");
    let refused = ledger.append_blocking(vec![ready.expect("prepared")]).expect_err("made ready under other rules");
    assert!(
        matches!(&refused, AppendError::Unavailable { reason, outcome_unknown: false } if reason.contains("send them again")),
        "{refused}"
    );
    house.append(1, &[secret(1)]).expect("taken");
    house.append(0, &[secret(2)]).expect("taken");
    assert_eq!(house.ask("SELECT count(*) FROM audit.events WHERE entry LIKE '%S3cret%'"), "0");
    house.verify();
}

#[test]
fn events_that_come_to_both_at_once_are_there_once_with_one_receipt() {
    let house = House::of(2, |_, _| {});
    let before = house.verify();
    let all: Vec<Vec<Vec<Receipt>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = [0, 1, 0, 1]
            .into_iter()
            .map(|server| {
                let house = &house;
                scope.spawn(move || {
                    let batch = |n: u64| (0..5).map(|j| event(n * 5 + j, "the same")).collect::<Vec<_>>();
                    (0..20).map(|n| house.append_again(server, &batch(n))).collect()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let told = |receipts: &Vec<Vec<Receipt>>| {
        receipts.iter().flatten().map(|receipt| (receipt.id, receipt.sequence, receipt.row_hash)).collect::<Vec<_>>()
    };
    assert!(all.windows(2).all(|two| told(&two[0]) == told(&two[1])), "everybody is told the first receipt");
    let first = all.iter().flatten().flatten().filter(|receipt| !receipt.duplicate).count();
    assert_eq!(first, 100);
    let conflict = house.append(1, &[event(7, "another")]).expect_err("another event");
    assert!(matches!(conflict, AppendError::Conflict { index: 0, .. }), "{conflict}");
    assert_eq!(house.verify(), before + 100);
}

#[test]
fn keys_that_one_server_rotated_are_used_by_the_other() {
    let house = House::of(2, |_, _| {});
    house.append(1, &[event(0, "before")]).expect("appended");
    house.seal(1);
    for rotation in [Rotation::Hmac, Rotation::Signing { kms_key: None, retire_old: false }, Rotation::Data(None)] {
        wait(house.servers[0].rotate_key(&house.instance(0), rotation)).expect("rotated");
    }
    house.append_again(1, &[event(1, "after")]);
    assert_eq!(house.ask("SELECT hmac_key_id FROM audit.events WHERE sequence = (SELECT max(sequence) FROM audit.events WHERE project = 3) AND project = 3"), "2");
    let keys = "SELECT count(DISTINCT data_key_id) FROM audit.wraps JOIN audit.events USING (row) WHERE project = 3";
    assert_eq!(house.ask(keys), "2", "the other server seals under the new data key");
    house.seal(1);
    house.seal(0);
    house.verify();
}

/// Both draw a data key for another organization at once, and give it the same number: one of them is stored.
#[test]
fn a_data_key_whose_number_another_server_took_is_drawn_anew() {
    let clocks = [Turned::new(), Turned::new()];
    let house = House::of(2, |at, options| options.clock = Arc::<Turned>::clone(&clocks[at]));
    let organization = kind("organization").expect("a kind");
    let other = wait(house.servers[0].create_resource(&house.instance(0), organization, None, r#"{"name":"other"}"#, None)).expect("made");
    let theirs = wait(house.servers[0].create_project(&house.instance(0), Some(other.kept.id), "theirs")).expect("made");
    for clock in &clocks {
        clock.step(31 * 86_400, 31 * 86_400);
    }
    let prepare = |server: usize, project: Option<uuid::Uuid>, n: u64| {
        let (ledger, caller) = (&house.servers[server], house.instance(server));
        let project = ledger.project_of(&caller, Some(project.unwrap_or(ledger.default_project_id()))).expect("a project");
        let text = event(n, "what was said");
        let submission = Submission::parse(text.as_bytes(), Source::Caller, ledger.new_id()).expect("an event");
        ledger.prepare(&caller, &project, "http", submission).expect("prepared")
    };
    let (ours, taken) = (prepare(1, None, 1), prepare(0, Some(theirs.id), 2));
    house.servers[0].append_blocking(vec![taken]).expect("the first to come");
    let refused = house.servers[1].append_blocking(vec![ours]).expect_err("another key has its number");
    assert!(
        matches!(&refused, AppendError::Unavailable { reason, outcome_unknown: false } if reason.contains("send them again")),
        "{refused}"
    );
    let again = prepare(1, None, 1);
    house.servers[1].append_blocking(vec![again]).expect("under a key of another number");
    house.verify();
    // What one sealed the other opens.
    for (server, n, project) in [(0, 1, None), (1, 2, Some(theirs.id))] {
        let (ledger, caller) = (&house.servers[server], house.instance(server));
        let project = ledger.project_of(&caller, Some(project.unwrap_or(ledger.default_project_id()))).expect("a project");
        let opening = indelible_engine::query::Opening { content: true, purpose: Some("a test".to_owned()) };
        let opened = wait(ledger.event(&caller, &project, id(n), opening)).expect("found");
        assert!(String::from_utf8(opened).expect("UTF-8").contains("what was said"));
    }
}

/// Does something at the n-th transaction that a server begins.
#[derive(Default)]
struct AtBegin(Mutex<Option<(usize, Deed)>>);

type Deed = Box<dyn FnOnce() + Send>;

impl Faults for AtBegin {
    fn strikes(&self, write: Write, when: When) -> bool {
        if (write, when) != (Write::Begin, When::Before) {
            return false;
        }
        let due = {
            let mut deed = self.0.lock().expect("no panic");
            let (left, due) = match deed.take() {
                Some((0, due)) => (None, Some(due)),
                Some((left, later)) => (Some((left - 1, later)), None),
                None => (None, None),
            };
            *deed = left;
            due
        };
        if let Some(due) = due {
            due();
        }
        false
    }
}

/// A rotation, and a renewal of wraps, draw a data key; before they store it another server stores one of its number for another
/// organization, for which nobody needs the lock for changes.
#[test]
fn a_data_key_that_is_made_on_purpose_takes_another_number_where_another_server_was_quicker() {
    let (clocks, deed) = ([Turned::new(), Turned::new()], Arc::<AtBegin>::default());
    let house = House::of(2, |at, options| {
        options.clock = Arc::<Turned>::clone(&clocks[at]);
        if at == 1 {
            options.faults = Some(Arc::<AtBegin>::clone(&deed));
        }
    });
    let organization = kind("organization").expect("a kind");
    let mut theirs = Vec::new();
    for n in 0..2 {
        let name = format!(r#"{{"name":"other {n}"}}"#);
        let made = wait(house.servers[0].create_resource(&house.instance(0), organization, None, &name, None)).expect("made");
        theirs.push(wait(house.servers[0].create_project(&house.instance(0), Some(made.kept.id), "theirs")).expect("made"));
    }
    house.append(1, &[event(0, "sealed")]).expect("appended");
    let numbers = "SELECT count(*), count(DISTINCT id), max(id) FROM audit.data_keys";
    // The other server appends to a project of an organization whose data key is due.
    let interfere = |transaction: usize, n: u64| {
        for clock in &clocks {
            clock.step(31 * 86_400, 31 * 86_400);
        }
        let (ledger, caller) = (house.servers[0].clone(), house.instance(0));
        let project = ledger.project_of(&caller, Some(theirs[n as usize].id)).expect("a project");
        let append = move || {
            let text = event(n, "what was said");
            let submission = Submission::parse(text.as_bytes(), Source::Caller, id(n)).expect("an event");
            let prepared = ledger.prepare(&caller, &project, "http", submission).expect("prepared");
            ledger.append_blocking(vec![prepared]).expect("appended");
        };
        *deed.0.lock().expect("no panic") = Some((transaction, Box::new(append)));
    };
    house.append(1, &[event(1, "before")]).expect("appended");
    interfere(0, 0);
    let rotated = wait(house.servers[1].rotate_key(&house.instance(1), Rotation::Data(None))).expect("rotated");
    let last: u64 = house.ask("SELECT max(id) FROM audit.data_keys").parse().expect("a number");
    assert_eq!(rotated.id, last, "the number after the other's: {}", house.ask(numbers));
    // The event that tells of the renewal comes first.
    interfere(1, 1);
    let renewed = wait(house.servers[1].rewrap(&house.instance(1), None)).expect("renewed");
    assert!(renewed.data_key_id > last + 1 && renewed.renewed >= 2, "{renewed:?}, {last}");
    assert!(deed.0.lock().expect("no panic").is_none(), "the other interfered");
    house.append(1, &[event(2, "after")]).expect("appended");
    house.verify();
}

/// Whoever changes something has the lock for changes. It goes with a session, which may be lost: what was checked is then not what is
/// written over.
#[test]
fn a_change_whose_lock_was_lost_is_refused_where_anything_changed_meanwhile() {
    let deed = Arc::<AtBegin>::default();
    let house = House::of(2, |at, options| {
        if at == 1 {
            options.faults = Some(Arc::<AtBegin>::clone(&deed));
        }
    });
    let (rules, projects) = (kind("redaction_rule").expect("a kind"), kind("project").expect("a kind"));
    let project = wait(house.servers[0].create_project(&house.instance(0), None, "soon gone")).expect("made");
    let (ledger, caller, address) = (house.servers[0].clone(), house.instance(0), house.address.clone());
    let delete = move || {
        let locks = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
                         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        databases::Session::with(&address).rows(locks);
        wait(ledger.delete_resource(&caller, projects, project.id, None)).expect("deleted");
    };
    *deed.0.lock().expect("no panic") = Some((0, Box::new(delete)));
    let rule = r#"{"name":"iban_no","action":"exclude"}"#;
    let made = wait(house.servers[1].create_resource(&house.instance(1), rules, Some(Owner::Project(project.id)), rule, None));
    let Err(MutateError::Append(AppendError::Unavailable { outcome_unknown: false, .. })) = made else { panic!("{made:?}") };
    assert_eq!(house.ask("SELECT count(*) FROM audit.resources WHERE type = 'redaction_rule'"), "0");
    house.verify();
}

/// What is not readable of one data key is nobody else's concern.
#[test]
fn a_data_key_that_cannot_be_read_stops_no_other_events() {
    let clocks = [Turned::new(), Turned::new()];
    let house = House::of(2, |at, options| options.clock = Arc::<Turned>::clone(&clocks[at]));
    house.append(0, &[event(0, "before")]).expect("appended");
    let session = databases::Session::with(&house.address);
    session.breaks();
    session
        .run(
            "BEGIN; INSERT INTO audit.data_keys (id, organization_id, wrapped, created_at)
             SELECT max(id) + 1, 'nobody', 'x', 0 FROM audit.data_keys;
         UPDATE audit.turn SET control_epoch = control_epoch + 1; COMMIT",
        )
        .expect("stored");
    house.append(0, &[event(1, "after")]).expect("appended");
    house.append(1, &[event(2, "after")]).expect("appended");
    // The next number is none that is taken.
    for clock in &clocks {
        clock.step(31 * 86_400, 31 * 86_400);
    }
    house.append(1, &[event(3, "under a new one")]).expect("appended");
    wait(house.servers[0].rotate_key(&house.instance(0), Rotation::Data(None))).expect("rotated");
    house.append(0, &[event(4, "under a newer one")]).expect("appended");
}

#[test]
fn each_of_both_makes_projects_and_appends_to_those_of_the_other() {
    let house = House::of(2, |_, _| {});
    let made: Vec<_> = (0..6)
        .map(|n| {
            let (maker, other) = (n % 2, (n + 1) % 2);
            let project = wait(house.servers[maker].create_project(&house.instance(maker), None, &format!("p{n}"))).expect("made");
            let ledger = &house.servers[other];
            let caller = house.instance(other);
            let known = ledger.project_of(&caller, Some(project.id)).expect("known at once");
            let text = event(n as u64, "x");
            let submission = Submission::parse(text.as_bytes(), Source::Caller, ledger.new_id()).expect("an event");
            let prepared = ledger.prepare(&caller, &known, "http", submission).expect("prepared");
            assert_eq!(ledger.append_blocking(vec![prepared]).expect("appended")[0].sequence, 0);
            project.id
        })
        .collect();
    assert_eq!(made.iter().collect::<std::collections::BTreeSet<_>>().len(), 6);
    house.verify();
}

#[test]
fn months_and_years_turn_under_two_servers_and_no_partition_is_ever_missing() {
    let clocks = [Turned::new(), Turned::new()];
    let house = House::of(2, |at, options| options.clock = Arc::<Turned>::clone(&clocks[at]));
    let mut n = 0;
    // March to February of the next year and beyond; one clock a little ahead of the other.
    for month in 0..14 {
        for (server, clock) in clocks.iter().enumerate() {
            clock.step(30 * 86_400 + 7 * server as i64, 30 * 86_400 + 7 * server as u64);
        }
        std::thread::scope(|scope| {
            for server in [0, 1] {
                let house = &house;
                let batches: Vec<Vec<String>> = (0..5).map(|k| vec![event(n + k + 100 * server as u64, "a month")]).collect();
                scope.spawn(move || batches.iter().for_each(|batch| drop(house.append_again(server, batch))));
            }
        });
        n += 1_000;
        // What a caller's own clock says makes no partition and misses none.
        let claims = ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2019-02-28T00:00:00Z", "9999-12-31T23:59:59Z"];
        let claimed = |at: &str, k: u64| {
            format!(r#"{{"id":"{}","occurred_at":"{at}","action":"a.b","outcome":"allow","actor":{{"type":"human","id":"x"}}}}"#, id(n + k))
        };
        let batch: Vec<String> = claims.iter().zip(0..).map(|(at, k)| claimed(at, k)).collect();
        house.append_again(month % 2, &batch);
        n += 1_000;
    }
    assert_eq!(house.ask("SELECT to_regclass('audit.events_2027_01') IS NOT NULL"), "t", "the turn of the year");
    // A clock that is far ahead and was confirmed finds no partition: it is made.
    for clock in &clocks {
        clock.step(10 * 366 * 86_400, 60);
    }
    assert!(house.append(0, &[event(n, "far")]).is_err(), "the clock is not believed");
    for server in [0, 1] {
        wait(house.servers[server].confirm_clock(&house.instance(server))).expect("confirmed");
        house.append_again(server, &[event(n + server as u64, "far")]);
    }
    let latest = house.ask("SELECT max(recorded_at)::date::text FROM audit.events");
    assert!(latest.starts_with("2037") || latest.starts_with("2036"), "{latest}");
    let ordered = "SELECT bool_and(ok) FROM (SELECT recorded_at >= lag(recorded_at, 1, recorded_at) OVER (ORDER BY row) AS ok FROM audit.events) AS all_rows";
    assert_eq!(house.ask(ordered), "t", "recorded_at never goes back");
    house.verify();
}

/// Settings of the database end no session that waits for rows to copy: whoever has waited for the turn in vain does, once the one that has
/// it must have given up by itself if it ran.
#[test]
fn a_server_that_stands_still_in_the_midst_of_sending_rows_is_let_go_of() {
    let house = House::of(1, |_, options| {
        let mut database = options.database.as_deref().expect("a database").clone();
        database.wait_max = Duration::from_secs(6);
        options.database = Some(Arc::new(database));
    });
    // Who takes the turn and begins to send rows, but sends none: as a server does that was stopped.
    let mut still = std::process::Command::new("psql")
        .args(["-Xq", &house.address, "-c", "BEGIN", "-c", "SELECT * FROM audit.turn FOR UPDATE"])
        .args(["-c", "COPY audit.contents (row, stored) FROM STDIN"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("psql runs");
    let copies = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY %' AND state = 'active'";
    while house.ask(copies) == "0" {
        std::thread::sleep(Duration::from_millis(20));
    }
    let began = Instant::now();
    let appended = loop {
        match house.append(0, &[event(0, "after it")]) {
            Ok(receipts) => break receipts,
            Err(AppendError::Unavailable { .. }) => std::thread::sleep(Duration::from_millis(100)),
            Err(error) => panic!("{error}"),
        }
        assert!(began.elapsed() < Duration::from_mins(1), "it is kept waiting");
    };
    // Its own wait, and ten seconds.
    assert!(began.elapsed() > Duration::from_secs(10), "one that may still run is left alone: {:?}", began.elapsed());
    assert_eq!(appended.len(), 1);
    assert_eq!(house.ask(copies), "0", "its session was ended");
    still.kill().expect("it waits for its input");
    still.wait().expect("it ends");
    house.verify();
}

#[test]
fn a_clock_that_is_apart_from_the_databases_is_told() {
    let clock = Turned::new();
    let house = House::of(2, |at, options| {
        if at == 1 {
            options.clock = Arc::<Turned>::clone(&clock);
        }
    });
    // Each has looked by the time that it has answered something.
    let ahead = |server: usize| {
        drop(house.admin(server));
        house.servers[server].status().clock_ahead.expect("it is in a database")
    };
    assert!(matches!(ahead(0), (seconds, false) if seconds.abs() < 1.0), "{:?}", ahead(0));
    assert!(matches!(ahead(1), (seconds, true) if seconds.abs() > 60.0), "{:?}", ahead(1));
}

#[test]
fn keys_beside_a_database_without_a_ledger_begin_no_new_one() {
    let mut house = House::of(1, |_, _| {});
    house.servers.remove(0).close();
    let address = databases::installed();
    let mut options = Options::new(house.folder.path().join("data-0"));
    options.database = Some(Arc::new(Database::parse(&address, None, None).expect("an address")));
    options.keys = Some(house.folder.path().join("keys"));
    options.checkpoints = house.folder.path().join("checkpoints").into();
    let refused = Ledger::open(options).map(|_| ()).expect_err("another database").to_string();
    assert!(["there is no ledger in", "holds the keys", "--keys"].iter().all(|word| refused.contains(word)), "{refused}");
    assert_eq!(databases::Session::with(&address).rows("SELECT count(*) FROM instance")[0][0], "0", "nothing was made");
    let server = house.open(0, &|_, _| {});
    house.servers.push(server);
    house.verify();
}

#[test]
fn a_copy_of_the_keys_is_all_that_a_new_server_needs() {
    let mut house = House::of(1, |_, _| {});
    house.append(0, &[event(0, "a")]).expect("appended");
    let admin = std::fs::read_to_string(house.folder.path().join("data-0/admin.key")).expect("a key");
    house.servers.remove(0).close();
    std::fs::remove_dir_all(house.folder.path().join("data-0")).expect("removed");
    let server = house.open(0, &|_, _| {});
    assert!(!Path::new(&house.folder.path().join("data-0/admin.key")).exists(), "nothing is begun anew");
    server.authenticate(Some(admin.trim()), Envelope::default()).expect("the key works still");
    house.servers.push(server);
    house.verify();
}
