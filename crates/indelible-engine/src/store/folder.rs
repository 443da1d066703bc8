//! The data folder: its paths, its modes (folders 0700, files 0600) and its lock.
//!
//! The lock is an advisory file lock: one process writes at a time, and it is released by the kernel when the
//! process dies. Files that matter appear whole or not at all: written beside, fsynced, renamed, folder fsynced.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::ledger::OpenError;

/// A data folder that this process holds.
pub(crate) struct Folder {
    root: PathBuf,
    _lock: FileLock,
}

/// The lock of a file, of mode 0600, that is there for nothing else. One process has it; the kernel lets go of it when that dies.
pub(crate) struct FileLock(File);

impl FileLock {
    /// Takes it, and does not wait for it; makes the file where it is not there.
    pub(crate) fn take(path: &Path) -> Result<Self, TryLockError> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(TryLockError::Error)?;
        file.try_lock().map(|()| Self(file))
    }
}

impl Drop for FileLock {
    /// A program that this process starts at the same moment has a copy of every descriptor until it runs, and with it the lock: closing ours
    /// would not end that one.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "a lock ends with this process");
        }
    }
}

impl Folder {
    /// Makes the folder if it is not there, and takes its lock.
    pub(crate) fn open(root: &Path) -> Result<Self, OpenError> {
        let failed = |what: &str, error: &io::Error| OpenError::Store(format!("{what} {}: {error}", root.display()));
        private_folder(root).map_err(|error| failed("cannot make the data folder", &error))?;
        match FileLock::take(&root.join("lock")) {
            Ok(lock) => Ok(Self { root: root.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked(root.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed("cannot lock", &error)),
        }
    }

    /// `ledger.db`
    pub(crate) fn ledger_db(&self) -> PathBuf {
        self.root.join("ledger.db")
    }

    /// Whether `ledger.db` is there, with anything in it.
    pub(crate) fn has_ledger(&self) -> bool {
        fs::metadata(self.ledger_db()).is_ok_and(|meta| meta.is_file() && meta.len() > 0)
    }

    /// Makes the names of the files in it durable.
    pub(crate) fn sync(&self) -> Result<(), OpenError> {
        let synced = File::open(&self.root).and_then(|folder| folder.sync_all());
        synced.map_err(|error| OpenError::Store(format!("cannot sync {}: {error}", self.root.display())))
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

/// Makes a folder of mode 0700, if it is not there.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file of mode 0600 so that a crash leaves either what was there before or all of the new.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("a file needs a folder"))?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}
