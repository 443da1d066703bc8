//! Which files a ledger is in: whether those that are open are still the ones that the next start will find.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A database file and its write-ahead log, by device and inode. SQLite goes on with a file that was moved or removed, and so with a log that
/// nobody will ever read.
#[derive(Debug)]
pub(crate) struct Files([(PathBuf, (u64, u64)); 2]);

impl Files {
    /// As they are now; the database is open. SQLite names the log after the file that a link leads to.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let mut log = path.canonicalize()?.into_os_string();
        log.push("-wal");
        let seen = |path: PathBuf| inode(&path).map(|inode| (path, inode));
        Ok(Self([seen(path.to_owned())?, seen(log.into())?]))
    }

    /// Whether both are where they were. An error tells neither.
    pub(crate) fn are_there(&self) -> io::Result<bool> {
        for (path, known) in &self.0 {
            match inode(path) {
                Ok(found) if found == *known => {}
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    path.metadata().map(|about| (about.dev(), about.ino()))
}
