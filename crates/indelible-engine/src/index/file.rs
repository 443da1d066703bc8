//! `index.db`: its tables, and whether one that is found may be gone on with.
//!
//! It is never synced while it is filled, so it is trusted after a clean close, or within the same boot (a process that
//! dies loses nothing that it has handed to the kernel), and only if its tail is the ledger's. Everything else is
//! deleted and built anew; deleting it is always safe.

use std::path::{Path, PathBuf};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection, OpenFlags, params};

use super::token::TokenKey;
use crate::store::sql::{self, OptionalExtension as _, SqlError, SqlResult};
use crate::store::{make_file, open_read_only};

/// Version of the tables and of the tokens.
const VERSION: i32 = 1;
/// Pages in the WAL before it is copied back, 4 KiB each.
const CHECKPOINT_PAGES: i64 = 4_000;
/// The WAL file is cut back to this after a checkpoint, bytes.
const JOURNAL_BYTES_MAX: i64 = 64 * 1024 * 1024;
/// Page cache of the connection that writes, KiB.
const CACHE_KIB: i64 = 32 * 1024;

const TABLES: &str = "
CREATE TABLE state (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    token_key BLOB NOT NULL,
    through   INTEGER NOT NULL, -- the last row indexed
    row_hash  BLOB NOT NULL,    -- and its row hash
    boot_id   TEXT NOT NULL,    -- under which it was filled
    clean     INTEGER NOT NULL  -- whether it was closed, and synced
) STRICT;
CREATE TABLE rows (
    row         INTEGER PRIMARY KEY,
    project     INTEGER NOT NULL,
    sequence    INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL, -- microseconds since 1970
    id          BLOB NOT NULL
) STRICT;
CREATE TABLE blocks (
    project   INTEGER NOT NULL,
    block     INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    last_row  INTEGER NOT NULL,
    rows      INTEGER NOT NULL,
    min_at    INTEGER NOT NULL,
    min_id    BLOB NOT NULL,
    max_at    INTEGER NOT NULL,
    max_id    BLOB NOT NULL,
    PRIMARY KEY (project, block)
) STRICT, WITHOUT ROWID;
CREATE VIRTUAL TABLE terms USING fts5(tokens, content='', detail=none, columnsize=0, tokenize='ascii');
-- Eight segments of a level are merged into one of the next. A larger hash was slower: it no longer fits the processor's cache.
INSERT INTO terms(terms, rank) VALUES ('automerge', 8);
INSERT INTO terms(terms, rank) VALUES ('crisismerge', 24);
";

/// How far an index has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Through {
    /// The last row indexed; 0 for none.
    pub(crate) row: i64,
    /// Its row hash; empty for none.
    pub(crate) row_hash: Vec<u8>,
}

/// Why an index was not gone on with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// SQLite cannot read it.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The ledger cannot be read.
    #[error("{0}")]
    Ledger(#[from] SqlError),
    /// It was not closed and the machine has been started since.
    #[error("it was not closed before the machine stopped")]
    Unclean,
    /// Other tables.
    #[error("it is of another version")]
    Version,
    /// It is not of this ledger, or ahead of it.
    #[error("its tail is not the ledger's")]
    Tail,
}

/// The file of an index, beside the ledger.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join("index.db")
}

/// Deletes the file and what SQLite keeps beside it.
pub(crate) fn delete(path: &Path) -> std::io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The kernel's id of this boot; empty where it has none, and then only a clean close counts.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "page_size", 4096)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES_MAX)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(connection)
}

/// Makes a new, empty index in place of what is there.
pub(crate) fn create(path: &Path, boot_id: &str) -> Result<(Connection, TokenKey, Through), Unfit> {
    delete(path).map_err(|_| rusqlite::Error::InvalidPath(path.to_owned()))?;
    make_file(path).map_err(|_| rusqlite::Error::InvalidPath(path.to_owned()))?;
    let connection = connect(path)?;
    connection.pragma_update(None, "synchronous", "off")?;
    let mut key = [0; 16];
    SystemRandom::new().fill(&mut key).map_err(|_| rusqlite::Error::InvalidQuery)?;
    connection.execute_batch("BEGIN")?;
    connection.execute_batch(TABLES)?;
    connection.execute("INSERT INTO state VALUES (1, ?1, 0, x'', ?2, 0)", params![key, boot_id])?;
    connection.pragma_update(None, "user_version", VERSION)?;
    connection.execute_batch("COMMIT")?;
    Ok((connection, TokenKey::new(key), Through { row: 0, row_hash: Vec::new() }))
}

/// Opens the index that is there, if it may be gone on with.
pub(crate) fn resume(path: &Path, boot_id: &str, ledger: &sql::Connection) -> Result<(Connection, TokenKey, Through), Unfit> {
    if !path.exists() {
        return Err(Unfit::Version);
    }
    let connection = connect(path)?;
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != VERSION {
        return Err(Unfit::Version);
    }
    let (key, through, marked, clean) = read_state(&connection)?;
    if !clean && (boot_id.is_empty() || marked != boot_id) {
        return Err(Unfit::Unclean);
    }
    check_tail(&connection, ledger, &through)?;
    // From here a stop of the machine must be seen: the mark is gone from the disk before anything is written.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute("UPDATE state SET clean = 0, boot_id = ?1", [boot_id])?;
    connection.pragma_update(None, "synchronous", "off")?;
    Ok((connection, key, through))
}

/// Token key, how far it has come, boot id, whether it was closed.
pub(crate) fn read_state(connection: &Connection) -> Result<(TokenKey, Through, String, bool), rusqlite::Error> {
    connection.query_row("SELECT token_key, through, row_hash, boot_id, clean FROM state", [], |row| {
        Ok((TokenKey::new(row.get(0)?), Through { row: row.get(1)?, row_hash: row.get(2)? }, row.get(3)?, row.get(4)?))
    })
}

/// Row, project, sequence, id.
type Place = (i64, i64, i64, Vec<u8>);

/// The last rows of the index must be the ledger's: same project, sequence, id; and the last row's hash, which
/// stands for all before it.
fn check_tail(index: &Connection, ledger: &sql::Connection, through: &Through) -> Result<(), Unfit> {
    const TAIL_ROWS: i64 = 64;
    if through.row == 0 {
        return Ok(());
    }
    let hash: Option<Vec<u8>> =
        ledger.query_row("SELECT row_hash FROM events WHERE row = ?1", [through.row], |row| row.get(0)).optional()?;
    if hash.as_ref() != Some(&through.row_hash) {
        return Err(Unfit::Tail);
    }
    let select = |table: &str| format!("SELECT row, project, sequence, id FROM {table} WHERE row > ?1 AND row <= ?2 ORDER BY row");
    let bounds = [through.row.saturating_sub(TAIL_ROWS), through.row];
    let mut statement = index.prepare(&select("rows"))?;
    let held = statement.query_map(bounds, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let held: Vec<Place> = held.collect::<Result<_, _>>()?;
    let mut statement = ledger.prepare(&select("events"))?;
    let stored = statement.query_map(bounds, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    if held == stored.collect::<SqlResult<Vec<Place>>>()? { Ok(()) } else { Err(Unfit::Tail) }
}

/// Marks the index as closed: everything is on the disk before the mark is, and the mark before this returns.
pub(crate) fn close(connection: Connection) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "synchronous", "full")?;
    checkpoint(&connection)?;
    connection.execute("UPDATE state SET clean = 1", [])?;
    checkpoint(&connection)?;
    connection.close().map_err(|(_, error)| error)
}

fn checkpoint(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Opens the index for reading alone.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = open_read_only(path)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}
