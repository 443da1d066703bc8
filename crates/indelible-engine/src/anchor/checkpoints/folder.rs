//! The checkpoint store in a folder of its own: one SQLite file for each instance, whose transactions are the swaps.
//!
//! Reading makes nothing; what a crash left half swapped is undone, as any opening does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};

use super::{CheckpointsError, Swap, escaped};
use crate::store::{open_durable, private_folder};

/// `PRAGMA application_id`: "indc".
const APPLICATION_ID: i32 = 0x696e_6463;

const TABLES: &str = "
CREATE TABLE checkpoints (
    origin     TEXT PRIMARY KEY,
    checkpoint TEXT NOT NULL -- the signed note
) STRICT, WITHOUT ROWID;
";

/// The open file of an instance.
pub(crate) struct FolderStore {
    path: PathBuf,
    connection: Connection,
}

/// The file of an instance.
fn file(root: &Path, instance: &str) -> PathBuf {
    beside(root, instance, ".checkpoints")
}

/// A file of an instance in the folder of its checkpoint store.
pub(crate) fn beside(root: &Path, instance: &str, suffix: &str) -> PathBuf {
    root.join(escaped(instance) + suffix)
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> CheckpointsError {
    CheckpointsError::Unusable(path.display().to_string(), error.to_string())
}

/// Everything in the file of an instance.
pub(super) fn read_all(root: &Path, instance: &str) -> Result<Option<BTreeMap<String, String>>, CheckpointsError> {
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
    read().map(Some).map_err(|error| unusable(&path, &error))
}

impl FolderStore {
    pub(super) fn open(root: &Path, instance: &str) -> Result<Self, CheckpointsError> {
        let path = file(root, instance);
        private_folder(root).map_err(|error| unusable(&path, &error))?;
        let connection = open_durable(&path, TABLES, APPLICATION_ID).map_err(|error| unusable(&path, &error))?;
        Ok(Self { path, connection })
    }

    pub(super) fn read(&self, origin: &str) -> Result<Option<String>, CheckpointsError> {
        let read = || -> Result<Option<String>, rusqlite::Error> {
            let mut select = self.connection.prepare_cached("SELECT checkpoint FROM checkpoints WHERE origin = ?1")?;
            select.query_row([origin], |row| row.get(0)).optional()
        };
        read().map_err(|error| unusable(&self.path, &error))
    }

    pub(super) fn swap(&mut self, swaps: &[Swap]) -> Result<(), CheckpointsError> {
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| unusable(&path, &error);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_its_owners_alone_and_of_its_kind() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        drop(FolderStore::open(folder.path(), "log").expect("it opens"));
        let mode = std::fs::metadata(file(folder.path(), "log")).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = Connection::open(file(folder.path(), "other")).expect("it opens");
        other.execute_batch("CREATE TABLE checkpoints (origin TEXT, checkpoint TEXT)").expect("written");
        assert!(matches!(FolderStore::open(folder.path(), "other"), Err(CheckpointsError::Unusable(..))));
    }

    #[test]
    fn reading_makes_no_folder_and_takes_no_other_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("none");
        assert!(read_all(&root, "log").expect("read").is_none());
        assert!(!root.exists());
        drop(FolderStore::open(&root, "log").expect("it opens"));
        std::fs::write(file(&root, "log"), b"no database, and longer than nothing").expect("written");
        assert!(read_all(&root, "log").is_err());
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
