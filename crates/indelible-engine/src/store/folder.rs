//! The data folder: its paths, its modes (folders 0700, files 0600) and its lock.
//!
//! The lock is an advisory file lock: one process writes at a time, and it is released by the kernel when the
//! process dies. Files that matter appear whole or not at all: written beside, fsynced, renamed, folder fsynced.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use rustix::fs::{CWD, RenameFlags};

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
    let beside = with(path, ".new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_synced(&beside, bytes)?;
    fs::rename(&beside, path)?;
    sync_parent(path)
}

/// Writes a file of mode 0600 where there is none, whole or not at all; whether there was none. Several processes may do so at once, also on
/// different machines: what one of them wrote stays.
pub(crate) fn write_new_private(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let mut own = [0; 8];
    SystemRandom::new().fill(&mut own).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let beside = with(path, &format!(".{}.new", indelible_core::hex::encode(&own)));
    let link = || match fs::hard_link(&beside, path) {
        // A file system without hard links.
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) => {
            Ok(rustix::fs::renameat_with(CWD, &beside, CWD, path, RenameFlags::NOREPLACE)?)
        }
        linked => linked,
    };
    let linked = write_synced(&beside, bytes).and_then(|()| link());
    // Whether it is still there or not: it has another name, or is not wanted.
    let _ = fs::remove_file(&beside);
    let is_new = match linked {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    sync_parent(path)?;
    Ok(is_new)
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(path.parent().ok_or_else(|| io::Error::other("a file needs a folder"))?)?.sync_all()
}
