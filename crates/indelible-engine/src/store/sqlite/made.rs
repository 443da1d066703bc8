//! Making the file of a database before SQLite does, for its mode: SQLite gives the files beside it the same.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Held while a file is made: nobody else in this process opens it before it is closed again.
static MAKING: Mutex<()> = Mutex::new(());

/// Makes an empty file of mode 0600, durable with its name; one that is there is left alone.
///
/// What is there is never opened: it may be a database that this process has open. Whoever closes any descriptor of a file gives up all locks
/// (POSIX, `fcntl`) that his process has on it, those of SQLite's connections among them; and another process that opens the database then and
/// closes it takes itself for the last, and removes the write-ahead log that is being written (<https://sqlite.org/howtocorrupt.html>, 2.2).
pub(crate) fn make_file(path: &Path) -> io::Result<()> {
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    // A link may lead to where nothing is yet.
    if !path.try_exists()? {
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?.sync_all()?;
    }
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use rusqlite::Connection;

    use super::*;

    #[test]
    fn what_is_there_keeps_its_locks() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        make_file(&path).expect("made");
        assert_eq!(path.metadata().expect("about it").permissions().mode() & 0o777, 0o600);
        let connection = Connection::open(&path).expect("opened");
        connection.execute_batch("CREATE TABLE t (a); BEGIN EXCLUSIVE").expect("locked");
        make_file(&path).expect("left alone");
        let other = Command::new("sqlite3").arg(&path).arg("SELECT count(*) FROM t").output().expect("sqlite3 is installed");
        assert!(String::from_utf8_lossy(&other.stderr).contains("locked") && !other.status.success(), "{other:?}");
    }

    #[test]
    fn a_link_that_leads_to_nothing_yet_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, target) = (folder.path().join("a.db"), folder.path().join("elsewhere.db"));
        std::os::unix::fs::symlink(&target, &path).expect("linked");
        make_file(&path).expect("made");
        assert!(target.is_file() && path.is_symlink());
    }
}
