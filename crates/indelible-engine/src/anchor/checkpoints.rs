//! The checkpoint store: the last signed checkpoint of each tree, outside of the data folder, so that an older copy of the
//! ledger put in its place is seen.
//!
//! A folder of its own, with one SQLite file for each instance. A swap is durable once it returns, takes all of its
//! checkpoints or none, and is refused where a checkpoint is no longer the one that was read. Nothing is ever deleted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};

use crate::store::{open_durable, private_folder};

/// `PRAGMA application_id`: "indc".
const APPLICATION_ID: i32 = 0x696e_6463;

const TABLES: &str = "
CREATE TABLE checkpoints (
    origin     TEXT PRIMARY KEY,
    checkpoint TEXT NOT NULL -- the signed note
) STRICT, WITHOUT ROWID;
";

/// Why the checkpoint store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointsError {
    /// It cannot be read or written.
    #[error("the checkpoint store {0}: {1}")]
    Unusable(PathBuf, String),
    /// Somebody else signed meanwhile.
    #[error("the checkpoint of {0} was changed by somebody else meanwhile")]
    Moved(String),
}

/// One checkpoint to be put in the place of another.
#[derive(Debug, Clone)]
pub(crate) struct Swap {
    /// Which tree.
    pub(crate) origin: String,
    /// The note that was read; `None` where there was none.
    pub(crate) old: Option<String>,
    /// The note to be kept.
    pub(crate) new: String,
}

/// The open checkpoint store of one instance.
pub(crate) struct Checkpoints {
    path: PathBuf,
    connection: Connection,
}

/// The file of an instance, whose name may hold `/`.
fn file(root: &Path, instance: &str) -> PathBuf {
    beside(root, instance, ".checkpoints")
}

/// A file of an instance in the folder of its checkpoint store.
pub(crate) fn beside(root: &Path, instance: &str, suffix: &str) -> PathBuf {
    let mut name = String::new();
    for byte in instance.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || byte == b'.' && !name.is_empty() {
            name.push(char::from(byte));
        } else {
            name.push('%');
            name.push_str(&indelible_core::hex::encode(&[byte]));
        }
    }
    root.join(name + suffix)
}

impl Checkpoints {
    /// Opens the store of an instance; makes it where it is not there.
    pub(crate) fn open(root: &Path, instance: &str) -> Result<Self, CheckpointsError> {
        let path = file(root, instance);
        let failed = |error: &dyn std::fmt::Display| CheckpointsError::Unusable(path.clone(), error.to_string());
        private_folder(root).map_err(|error| failed(&error))?;
        let connection = open_durable(&path, TABLES, APPLICATION_ID).map_err(|error| failed(&error))?;
        Ok(Self { path, connection })
    }

    /// Reads everything in the store of an instance, as origin and note; `None` where there is no such store. Makes nothing; what a
    /// crash left half swapped is undone, as any opening does.
    pub(crate) fn read_all(root: &Path, instance: &str) -> Result<Option<BTreeMap<String, String>>, CheckpointsError> {
        let path = file(root, instance);
        if !path.exists() {
            return Ok(None);
        }
        let read = || -> Result<BTreeMap<String, String>, rusqlite::Error> {
            let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            connection.busy_timeout(crate::store::BUSY_WAIT)?;
            connection.pragma_update(None, "query_only", true)?;
            let mut select = connection.prepare("SELECT origin, checkpoint FROM checkpoints")?;
            select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        read().map(Some).map_err(|error| CheckpointsError::Unusable(path.clone(), error.to_string()))
    }

    /// The last signed checkpoint of a tree.
    pub(crate) fn read(&self, origin: &str) -> Result<Option<String>, CheckpointsError> {
        let read = || -> Result<Option<String>, rusqlite::Error> {
            let mut select = self.connection.prepare_cached("SELECT checkpoint FROM checkpoints WHERE origin = ?1")?;
            select.query_row([origin], |row| row.get(0)).optional()
        };
        read().map_err(|error| self.failed(&error))
    }

    /// Puts each new checkpoint in the place of the one that was read: all, or none.
    pub(crate) fn swap(&mut self, swaps: &[Swap]) -> Result<(), CheckpointsError> {
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| CheckpointsError::Unusable(path.clone(), error.to_string());
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        for swap in swaps {
            let changed = match &swap.old {
                Some(old) => transaction
                    .prepare_cached("UPDATE checkpoints SET checkpoint = ?3 WHERE origin = ?1 AND checkpoint = ?2")
                    .and_then(|mut update| update.execute(params![swap.origin, old, swap.new])),
                None => transaction
                    .prepare_cached("INSERT INTO checkpoints (origin, checkpoint) VALUES (?1, ?2) ON CONFLICT (origin) DO NOTHING")
                    .and_then(|mut insert| insert.execute(params![swap.origin, swap.new])),
            };
            if changed.map_err(failed)? != 1 {
                return Err(CheckpointsError::Moved(swap.origin.clone()));
            }
        }
        transaction.commit().map_err(failed)
    }

    fn failed(&self, error: &rusqlite::Error) -> CheckpointsError {
        CheckpointsError::Unusable(self.path.clone(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swap(old: Option<&str>, new: &str) -> Vec<Swap> {
        vec![Swap { origin: "log/a".to_owned(), old: old.map(str::to_owned), new: new.to_owned() }]
    }

    #[test]
    fn a_swap_is_refused_unless_what_was_read_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut one = Checkpoints::open(folder.path(), "log").expect("it opens");
        let mut other = Checkpoints::open(folder.path(), "log").expect("a second process");
        assert_eq!(one.read("log/a").expect("read"), None);
        one.swap(&swap(None, "1")).expect("the first");
        assert!(matches!(other.swap(&swap(None, "x")), Err(CheckpointsError::Moved(_))));
        assert!(matches!(other.swap(&swap(Some("0"), "x")), Err(CheckpointsError::Moved(_))));
        other.swap(&swap(Some("1"), "2")).expect("the next");
        assert_eq!(one.read("log/a").expect("read").as_deref(), Some("2"));
    }

    #[test]
    fn the_store_is_its_owners_alone_and_of_its_kind() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        drop(Checkpoints::open(folder.path(), "log").expect("it opens"));
        let mode = std::fs::metadata(file(folder.path(), "log")).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = Connection::open(file(folder.path(), "other")).expect("it opens");
        other.execute_batch("CREATE TABLE checkpoints (origin TEXT, checkpoint TEXT)").expect("written");
        assert!(matches!(Checkpoints::open(folder.path(), "other"), Err(CheckpointsError::Unusable(..))));
    }

    #[test]
    fn of_several_all_are_swapped_or_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = Checkpoints::open(folder.path(), "log").expect("it opens");
        let mut both = swap(None, "1");
        both.push(Swap { origin: "log/b".to_owned(), old: Some("not there".to_owned()), new: "1".to_owned() });
        assert!(matches!(store.swap(&both), Err(CheckpointsError::Moved(origin)) if origin == "log/b"));
        assert_eq!(store.read("log/a").expect("read"), None);
    }

    #[test]
    fn reading_all_makes_no_store() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("none");
        assert!(Checkpoints::read_all(&root, "log").expect("read").is_none());
        assert!(!root.exists());
        Checkpoints::open(&root, "log").and_then(|mut store| store.swap(&swap(None, "1"))).expect("swapped");
        assert!(Checkpoints::read_all(&root, "other").expect("read").is_none());
        let all = Checkpoints::read_all(&root, "log").expect("read").expect("a store");
        assert_eq!(all, BTreeMap::from([("log/a".to_owned(), "1".to_owned())]));
        std::fs::write(file(&root, "log"), b"no database, and longer than nothing").expect("written");
        assert!(Checkpoints::read_all(&root, "log").is_err());
    }

    #[test]
    fn names_of_instances_are_names_of_files() {
        let root = Path::new("/state");
        for (name, expected) in
            [("indelible-1a2b", "indelible-1a2b"), ("log.example/a", "log.example%2fa"), ("..", "%2e."), ("ä", "%c3%a4")]
        {
            assert_eq!(file(root, name), root.join(format!("{expected}.checkpoints")), "{name}");
        }
        assert_eq!(file(root, "..").parent(), Some(root));
    }
}
