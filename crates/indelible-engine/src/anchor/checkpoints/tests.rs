//! What holds of a checkpoint store of any kind: in a folder, in a database and, where it is built, in an object store.

use std::collections::BTreeMap;

#[cfg(feature = "aws")]
use super::Bucket;
use super::{CheckpointStore, Checkpoints, CheckpointsError, Swap, closing};

#[cfg(feature = "aws")]
#[path = "../../../tests/ledger/moto.rs"]
mod moto;
#[path = "../../../tests/ledger/postgres.rs"]
mod postgres;

/// A store of each kind, empty; the folders stay as long as they are held.
fn stores() -> (tempfile::TempDir, Vec<CheckpointStore>) {
    let folder = tempfile::tempdir().expect("a folder");
    let stores = vec![
        CheckpointStore::from(folder.path().join("checkpoints")),
        postgres::database(),
        #[cfg(feature = "aws")]
        moto::Place::new().store(),
    ];
    (folder, stores)
}

fn open(store: &CheckpointStore) -> Checkpoints {
    Checkpoints::open(store, "log", &closing().1).unwrap_or_else(|error| panic!("{store}: {error}"))
}

fn swap(origin: &str, old: Option<&str>, new: &str) -> Swap {
    Swap { origin: origin.to_owned(), old: old.map(str::to_owned), new: new.to_owned() }
}

#[test]
fn a_swap_is_refused_unless_what_was_read_is_there() {
    let (_folder, stores) = stores();
    for store in stores {
        let mut one = open(&store);
        let mut other = open(&store);
        assert_eq!(one.read("log/a").expect("read"), None);
        one.swap(&[swap("log/a", None, "1")]).expect("the first");
        assert!(matches!(other.swap(&[swap("log/a", None, "x")]), Err(CheckpointsError::Moved(_))), "{store}");
        assert!(matches!(other.swap(&[swap("log/a", Some("0"), "x")]), Err(CheckpointsError::Moved(_))), "{store}");
        other.swap(&[swap("log/a", Some("1"), "2")]).expect("the next");
        assert!(matches!(one.swap(&[swap("log/a", Some("1"), "x")]), Err(CheckpointsError::Moved(_))), "{store}");
        // Another tree's was not touched, whoever came in between.
        one.swap(&[swap("log/b", None, "1")]).expect("of another tree");
        assert_eq!(open(&store).read("log/a").expect("read").as_deref(), Some("2"), "{store}");
        assert_eq!(open(&store).read("log/b").expect("read").as_deref(), Some("1"), "{store}");
    }
}

#[test]
fn of_several_all_are_swapped_or_none() {
    let (_folder, stores) = stores();
    for store in stores {
        let mut open_store = open(&store);
        let both = [swap("log/a", None, "1"), swap("log/b", Some("not there"), "1")];
        assert!(matches!(open_store.swap(&both), Err(CheckpointsError::Moved(origin)) if origin == "log/b"), "{store}");
        assert_eq!(open_store.read("log/a").expect("read"), None, "{store}");
        assert_eq!(open(&store).read("log/a").expect("read"), None, "{store}");
    }
}

#[test]
fn of_those_who_swap_at_once_one_succeeds() {
    let (_folder, stores) = stores();
    for store in stores {
        for round in 0..10 {
            let origin = format!("log/{round}");
            let won: Vec<bool> = std::thread::scope(|scope| {
                let one = |n: usize| {
                    let (store, origin) = (&store, &origin);
                    scope.spawn(move || open(store).swap(&[swap(origin, None, &n.to_string())]).is_ok())
                };
                let threads: Vec<_> = (0..3).map(one).collect();
                threads.into_iter().map(|thread| thread.join().expect("it ends")).collect()
            });
            assert_eq!(won.iter().filter(|won| **won).count(), 1, "{store}: {won:?}");
            let winner = won.iter().position(|won| *won).expect("one").to_string();
            assert_eq!(open(&store).read(&origin).expect("read"), Some(winner), "{store}");
        }
    }
}

#[test]
fn reading_all_makes_no_store() {
    let (_folder, stores) = stores();
    for store in stores {
        let read = |instance| Checkpoints::read_all(&store, instance).unwrap_or_else(|error| panic!("{store}: {error}"));
        assert!(read("log").is_none(), "{store}");
        assert!(read("log").is_none(), "the first reading made one: {store}");
        let mut expected = BTreeMap::new();
        let mut writing = open(&store);
        for round in 0..30 {
            let origin = format!("log/{}", round % 7);
            let new = format!("{round:0100}");
            writing.swap(&[swap(&origin, expected.get(&origin).map(String::as_str), &new)]).expect("swapped");
            expected.insert(origin, new);
            assert_eq!(read("log").expect("a store"), expected, "{store}");
        }
        assert!(read("other").is_none(), "{store}");
        assert!(read("log.example/a").is_none(), "{store}");
    }
}

#[test]
fn instances_of_any_name_are_apart() {
    let (_folder, stores) = stores();
    for store in stores {
        let names = ["log", "log.example/a", "..", "ä", "log%2e"];
        for name in names {
            let mut open_store = Checkpoints::open(&store, name, &closing().1).unwrap_or_else(|error| panic!("{store}: {error}"));
            open_store.swap(&[swap("tree", None, name)]).expect("swapped");
        }
        for name in names {
            let all = Checkpoints::read_all(&store, name).expect("read").expect("a store");
            assert_eq!(all, BTreeMap::from([("tree".to_owned(), name.to_owned())]), "{store}");
        }
    }
}

#[test]
fn a_database_that_loses_what_it_was_told_is_refused() {
    let (mut child, folder) = postgres::start(&["fsync=off"]);
    let store = postgres::at(&folder, "postgres");
    let refused = Checkpoints::open(&store, "log", &closing().1).err().expect("refused").to_string();
    assert!(refused.contains("fsync=off"), "{refused}");
    drop(child.stdin.take());
    child.wait().expect("it ends");
    let gone = Checkpoints::read_all(&store, "log").expect_err("nobody there").to_string();
    assert!(gone.contains("postgres://"), "{gone}");
}

#[test]
fn a_database_is_asked_for_no_more_rights_than_it_takes() {
    let (mut child, folder) = postgres::start(&[]);
    drop(open(&postgres::at(&folder, "postgres")));
    postgres::say(&folder, "postgres", "CREATE ROLE sealer LOGIN; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO sealer");
    let named = format!("postgres:///postgres?host={}&user=sealer", folder.display());
    let store = CheckpointStore::parse(named.as_ref(), Vec::new()).expect("an address");
    let mut sealer = open(&store);
    sealer.swap(&[swap("log/a", None, "1")]).expect("the first");
    let mut again = open(&store);
    assert_eq!(again.read("log/a").expect("read").as_deref(), Some("1"));
    again.swap(&[swap("log/a", Some("1"), "2")]).expect("the next");
    drop(child.stdin.take());
    child.wait().expect("it ends");
}

/// However many trees there are: sealing reads while it holds a view of the ledger.
#[test]
fn a_database_is_read_once_and_a_connection_that_it_closed_is_made_anew() {
    let (mut child, folder) = postgres::start(&[]);
    let store = postgres::at(&folder, "postgres");
    open(&store).swap(&[swap("log/a", None, "1"), swap("log/b", None, "1")]).expect("the first");
    let mut sealer = open(&store);
    let cut = || {
        let others = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'tests' AND pid <> pg_backend_pid()";
        postgres::say(&folder, "postgres", others);
    };
    for round in 1..4 {
        cut();
        // Nobody is asked.
        let (old, new) = (round.to_string(), (round + 1).to_string());
        assert_eq!(sealer.read("log/a").expect("known").as_deref(), Some(old.as_str()));
        assert_eq!(sealer.read("log/b").expect("known").as_deref(), Some("1"));
        assert_eq!(sealer.read("log/c").expect("known"), None);
        sealer.swap(&[swap("log/a", Some(&old), &new)]).expect("on a new connection");
    }
    drop(child.stdin.take());
    child.wait().expect("it ends");
    assert_eq!(sealer.read("log/a").expect("known").as_deref(), Some("4"));
    assert!(matches!(sealer.swap(&[swap("log/a", Some("4"), "5")]), Err(CheckpointsError::Unusable(..))), "nobody there");
}

/// As a standby is, which may be behind.
#[test]
fn a_database_that_takes_no_writes_is_not_believed() {
    let (mut child, folder) = postgres::start(&[]);
    let store = postgres::at(&folder, "postgres");
    open(&store).swap(&[swap("log/a", None, "1")]).expect("the first");
    postgres::say(&folder, "postgres", "ALTER DATABASE postgres SET default_transaction_read_only = on");
    assert!(matches!(Checkpoints::read_all(&store, "log"), Err(CheckpointsError::Unusable(..))));
    drop(child.stdin.take());
    child.wait().expect("it ends");
}
