//! A database that comes back as another one, or says that a COMMIT may not be where it was to be; and keys that two servers make.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indelible_core::event::{Source, Submission};
use indelible_engine::append::{AppendError, Prepared};
use indelible_engine::database::install::install;
use indelible_engine::faults::When;
use indelible_engine::{Database, Ledger, Rotation};

use crate::bench::{event, wait};
use crate::faults::OneCommit;
use crate::house::House;
use crate::{databases, postgres};

fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Events that are ready to be written, while whoever hands them in is known.
fn ready(house: &House, server: usize, numbers: std::ops::Range<u64>) -> Vec<Prepared> {
    let (ledger, admin) = (&house.servers[server], house.admin(server));
    let project = ledger.project_of(&admin, None).expect("the default project");
    let prepare = |n: u64| {
        let text = event(n, "x");
        let submission = Submission::parse(text.as_bytes(), Source::Caller, ledger.new_id()).expect("an event");
        ledger.prepare(&admin, &project, "http", submission).expect("prepared")
    };
    numbers.map(prepare).collect()
}

/// A standby that was behind takes the place of a server that had acknowledged more: nobody writes other rows in the place of those, also not
/// once there are as many again.
#[test]
fn a_database_that_has_lost_rows_is_gone_on_with_by_nobody_before_a_restart() {
    let mut house = House::of(2, |_, _| {});
    house.append(0, &[event(0, "a")]).expect("appended");
    house.append(1, &[event(1, "b")]).expect("appended");
    databases::shut(&house.address, true);
    let behind = databases::copy(&house.address);
    databases::shut(&house.address, false);
    house.append_again(0, &[event(2, "acknowledged")]);
    let rows = house.servers[0].status().rows;
    until("the other has heard of it", || house.servers[1].status().rows == rows);
    let tries: Vec<_> = [1, 0, 1, 0].map(|server| (server, ready(&house, server, 10..14))).into();
    let mut ready_before: Vec<_> = [0, 1].map(|server| ready(&house, server, 20..23)).into();
    databases::shut(&house.address, true);
    databases::replace(&house.address, &behind);
    for (server, events) in tries {
        for event in events {
            house.servers[server].append_blocking(vec![event]).expect_err("refused");
            std::thread::sleep(Duration::from_millis(300));
        }
    }
    // Nor once somebody who knows of nothing has written as many rows again.
    let more: Vec<_> = [0, 1].map(|server| (server, ready_before.remove(0))).into();
    let third = house.open(2, &|_, _| {});
    house.servers.push(third);
    house.append_again(2, &[event(100, "c"), event(101, "c"), event(102, "c"), event(103, "c"), event(104, "c")]);
    for (server, events) in more {
        for event in events {
            house.servers[server].append_blocking(vec![event]).expect_err("refused");
            std::thread::sleep(Duration::from_millis(300));
        }
    }
    assert!(house.servers[..2].iter().all(|ledger| ledger.status().refusing.is_some()));
    house.servers.drain(..).for_each(Ledger::close);
    let server = house.open(0, &|_, _| {});
    house.servers.push(server);
    house.append_again(0, &[event(2, "acknowledged again"), event(3, "after it")]);
    house.verify();
}

/// `synchronous_standby_names` has COMMIT wait for a standby. One that is cancelled while it waits has committed here, and says so in a warning.
#[test]
fn a_commit_whose_wait_for_a_standby_was_cancelled_is_not_acknowledged() {
    let (mut server, folder) = postgres::start(&[]);
    let address = format!("postgres:///postgres?host={}&user=tests", folder.display());
    let database = Arc::new(Database::parse(&address, None, None).expect("an address"));
    wait(async {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&folder).user("tests").dbname("postgres");
        let (mut client, connection) = config.connect(tokio_postgres::NoTls).await.expect("connects");
        tokio::spawn(async move { connection.await.ok() });
        install(&mut client).await.expect("installed");
    });
    let mut house = House { folder: tempfile::tempdir().expect("a folder"), address, database, servers: Vec::new() };
    let ledger = house.open(0, &|_, _| {});
    house.servers.push(ledger);
    let say = |statement: &str| postgres::say(&folder, "postgres", statement);
    say("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    say("SELECT pg_reload_conf()");
    let tried = |n: u64| {
        std::thread::scope(|scope| {
            let house = &house;
            let appending = scope.spawn(move || house.append(0, &[event(n, "in doubt")]));
            let end = Instant::now() + Duration::from_secs(25);
            while !appending.is_finished() && Instant::now() < end {
                say("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
                std::thread::sleep(Duration::from_millis(50));
            }
            appending.join().expect("an answer")
        })
    };
    // Sessions hear of it when they are idle next, and do not say so.
    let is_in_doubt = |n: &u64| matches!(tried(*n), Err(AppendError::Unavailable { outcome_unknown: true, .. }));
    let n = (0..100).find(is_in_doubt).expect("one whose wait was cancelled");
    say("ALTER SYSTEM RESET synchronous_standby_names");
    say("SELECT pg_reload_conf()");
    assert!(house.append_again(0, &[event(n, "in doubt")])[0].duplicate, "it is there");
    house.servers.drain(..).for_each(Ledger::close);
    drop(server.stdin.take());
    server.wait().expect("it ends");
}

/// The rotation of one server fails once its key is in the folder; another server rotates then. The first has its own key in memory.
#[test]
fn a_ring_key_that_one_server_made_in_vain_is_the_one_that_another_rotates_to() {
    let fault = OneCommit::new(When::Before);
    let house = House::of(2, |at, options| {
        if at == 0 {
            options.faults = Some(Arc::<OneCommit>::clone(&fault));
        }
    });
    house.append(0, &[event(0, "a")]).expect("appended");
    fault.arm();
    wait(house.servers[0].rotate_key(&house.instance(0), Rotation::Hmac)).expect_err("its COMMIT failed");
    let file = || std::fs::read(house.folder.path().join("keys/ring-2.key")).expect("a key");
    let made = file();
    wait(house.servers[1].rotate_key(&house.instance(1), Rotation::Hmac)).expect("rotated");
    assert!(file() == made, "never written over");
    for n in 1..4 {
        house.append_again(0, &[event(2 * n, "under the second")]);
        house.append_again(1, &[event(2 * n + 1, "under the second")]);
    }
    house.verify();
}
