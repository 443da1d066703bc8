//! Connections to `ledger.db`: the one that writes, with the functions its triggers call, and those that read.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::made;
use crate::store::StoreError;

/// `PRAGMA application_id`: "indl".
const APPLICATION_ID: i32 = 0x696e_646c;
/// `PRAGMA user_version`: version of the tables.
const SCHEMA_VERSION: i32 = 5;
/// Pages of `ledger.db`. An entry and its columns take a kilobyte: sixteen to a page waste little, and a group of rows is few
/// writes.
pub(crate) const PAGE_BYTES: u64 = 16_384;
/// The WAL file is cut back to this after a checkpoint that emptied it, bytes.
const JOURNAL_BYTES_MAX: i64 = 64 * 1024 * 1024;
/// How long a statement waits for another connection's lock.
pub(crate) const BUSY_WAIT: Duration = Duration::from_secs(5);

/// The row, tile and head that the writer is about to write; the triggers refuse every other.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    row: AtomicI64,
    project: AtomicI64,
    sequence: AtomicI64,
    tile: [AtomicI64; 3],
    head: AtomicI64,
}

impl Expected {
    /// The next row of `events`, `contents` and `wraps`.
    pub(crate) fn next_row(&self, row: i64, project: i64, sequence: i64) {
        self.row.store(row, Relaxed);
        self.project.store(project, Relaxed);
        self.sequence.store(sequence, Relaxed);
    }

    /// The next row of `tiles`.
    pub(crate) fn next_tile(&self, project: i64, level: i64, position: i64) {
        for (slot, value) in self.tile.iter().zip([project, level, position]) {
            slot.store(value, Relaxed);
        }
    }

    /// The project whose head and partial tiles are written next.
    pub(crate) fn next_head(&self, project: i64) {
        self.head.store(project, Relaxed);
    }
}

/// Opens `ledger.db` for the writer; makes it, with mode 0600, where it is not there.
pub(crate) fn open_writer(path: &Path, expected: &Arc<Expected>) -> Result<Connection, StoreError> {
    made::make_file(path)?;
    let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "page_size", PAGE_BYTES as i64)?;
    let journal: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "full")?;
    // Where a COMMIT would not reach the disk otherwise; nothing elsewhere.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    if (journal.as_str(), synchronous) != ("wal", 2) {
        let reason = format!(
            "SQLite keeps no synced write-ahead log there (journal_mode {journal}, synchronous {synchronous}): use a disk of this machine"
        );
        return Err(StoreError::Corrupt(reason));
    }
    // The writer checkpoints itself, after it has answered.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES_MAX)?;
    connection.pragma_update(None, "cache_size", -32_768)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    register(&connection, expected)?;
    make_tables(&mut connection)?;
    Ok(connection)
}

/// Opens a database file for reading alone. Where SQLite cannot make the shared memory that it reads such a file with, since it lies where
/// nothing can be written, it is read as a file that nobody changes: unless a write-ahead log lies beside it, or a server has the folder.
pub(crate) fn open_read_only(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    // The first look opens it in earnest.
    let looked = connection.pragma_query_value(None, "schema_version", |row| row.get::<_, i64>(0));
    let is_shut = |error: &rusqlite::Error| matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly));
    match looked.err().filter(is_shut).and_then(|_| immutable(path)) {
        Some(uri) => {
            let connection = Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?;
            connection.busy_timeout(BUSY_WAIT)?;
            Ok(connection)
        }
        // Whatever else is wrong is said to who reads.
        None => Ok(connection),
    }
}

/// The name of a file under which SQLite takes it for one that does not change; `None` where somebody may change it, or a write-ahead log
/// lies beside it.
fn immutable(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    // SQLite names the log after the file that a link leads to.
    let mut named = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
    named.push("-wal");
    let log = std::fs::metadata(named);
    let no_log = log.map_or_else(|error| error.kind() == std::io::ErrorKind::NotFound, |log| log.len() == 0);
    (no_log && !is_held(path)).then(|| {
        let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        // What follows two slashes would be taken for a host, so an absolute path comes after an empty one.
        let host = if text.starts_with('/') { "//" } else { "" };
        format!("file:{host}{escaped}?immutable=1")
    })
}

/// Whether a process has the data folder that a file lies in. The same folder may be mounted twice, once to be written.
fn is_held(path: &Path) -> bool {
    match File::open(path.with_file_name("lock")) {
        Ok(lock) => matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Opens `ledger.db` for reading alone.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_read_only(path)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "query_only", true)?;
    check_version(&connection)?;
    Ok(connection)
}

fn check_version(connection: &Connection) -> Result<(), StoreError> {
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION_ID || version != SCHEMA_VERSION {
        return Err(StoreError::Corrupt(format!(
            "ledger.db has application id {application:#x} and version {version}; this program reads {APPLICATION_ID:#x} and {SCHEMA_VERSION}"
        )));
    }
    Ok(())
}

/// Makes all tables in one transaction, so that a crash leaves an empty file or a whole schema.
fn make_tables(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        transaction.execute_batch(include_str!("schema.sql"))?;
        transaction.execute_batch(include_str!("triggers.sql"))?;
        mark(&transaction)?;
    }
    transaction.commit()?;
    check_version(connection)
}

/// Says of a database that it is a ledger, and of which version.
pub(crate) fn mark(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)
}

fn register(connection: &Connection, expected: &Arc<Expected>) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8;
    let matches = |context: &Context<'_>, wanted: &[&AtomicI64]| -> rusqlite::Result<bool> {
        for (at, slot) in wanted.iter().enumerate() {
            if context.get::<i64>(at)? != slot.load(Relaxed) {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let e = Arc::clone(expected);
    connection.create_scalar_function(c"indelible_next_row", 3, flags, move |c| matches(c, &[&e.row, &e.project, &e.sequence]))?;
    let e = Arc::clone(expected);
    connection.create_scalar_function(c"indelible_next_content", 1, flags, move |c| matches(c, &[&e.row]))?;
    let e = Arc::clone(expected);
    connection.create_scalar_function(c"indelible_next_tile", 3, flags, move |c| matches(c, &[&e.tile[0], &e.tile[1], &e.tile[2]]))?;
    let e = Arc::clone(expected);
    connection.create_scalar_function(c"indelible_next_head", 1, flags, move |c| matches(c, &[&e.head]))?;
    connection.create_scalar_function(c"indelible_writes", 0, flags, |_| Ok(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_can_change_is_taken_for_unchanging() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        std::fs::write(&path, "").expect("written");
        assert!(immutable(&path).is_some(), "a copy without a lock");
        let lock = File::create(folder.path().join("lock")).expect("made");
        assert!(immutable(&path).is_some(), "closed in order");
        lock.lock().expect("held");
        assert_eq!(immutable(&path), None, "a server has it");
        drop(lock);
        std::fs::write(folder.path().join("ledger.db-wal"), "x").expect("written");
        assert_eq!(immutable(&path), None, "its log was not emptied");
    }

    #[test]
    fn the_name_of_an_unchanging_file_leads_to_it_however_it_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("a ?#%41");
        std::fs::create_dir(&inner).expect("made");
        Connection::open(inner.join("ledger.db")).and_then(|db| db.execute_batch("CREATE TABLE here (a)")).expect("made");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        for path in [format!("{}/ledger.db", inner.display()), format!("/{}//ledger.db", inner.display())] {
            let uri = immutable(Path::new(&path)).expect("nobody has it");
            let opened = Connection::open_with_flags(&uri, flags).unwrap_or_else(|error| panic!("{uri}: {error}"));
            let tables: i64 = opened.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).expect(&uri);
            assert_eq!(tables, 1, "{uri}");
        }
        assert_eq!(immutable(Path::new("ledger.db")).as_deref(), Some("file:ledger.db?immutable=1"));
    }
}
