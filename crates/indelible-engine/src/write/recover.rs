//! Opening the store: at start, and after a COMMIT that failed. The same path for both.
//!
//! The database is opened anew, so that nothing remembered by the old connection counts; a truncating checkpoint
//! proves that what the WAL holds can be written; every head is compared with its last row, and the newest rows
//! are hashed again. Only then is anything acknowledged.

use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use indelible_core::chain::Hash;
use indelible_core::entry::Outline;
use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::heads::{STORED, StoredHead};
use super::thread::Thread;
use super::time::Time;
use super::{RECOVERING, ROWS_LOST};
use crate::keystore::KeyStore;
use crate::resource::load;
use crate::store::postgres::Turn;
use crate::store::sql::{Connection, OptionalExtension as _};
use crate::store::{Database, Files, Source, StoreError};

/// Rows at the end of the ledger that are hashed again.
const TAIL_ROWS: i64 = 512;

/// How much longer than its server waits for an answer a session may be in the midst of sending rows before it is nobody's any more.
const STUCK_SPARE: Duration = Duration::from_secs(10);

impl Thread {
    /// Opens, checkpoints, verifies the tail, and tells the others of rows that they do not know yet.
    pub(super) fn recover(&mut self) -> Result<(), StoreError> {
        self.connection = None;
        self.heads.forget();
        let result = self.reopen();
        self.figures.refuse(result.is_err().then_some(self.lost.unwrap_or(RECOVERING)));
        self.show_time();
        result
    }

    /// The newest row that is known to be committed, whoever wrote it.
    pub(super) fn known_row(&self) -> i64 {
        self.last_row.max(*self.parts.held.committed.borrow())
    }

    /// Whether the store, which ends at a row, has what is known: no row beyond `known` is missing, and the newest that this server wrote is the
    /// one that it wrote. A store that has lost rows never serves again: by the time that it has as many, they would be others.
    fn is_whole(&mut self, connection: &Connection, (there, known): (i64, i64)) -> Result<(), StoreError> {
        self.ends_at(there, known)?;
        let Some((row, hash)) = self.written else { return Ok(()) };
        let mut select = connection.prepare_by_row("SELECT row_hash FROM events WHERE row = ?1")?;
        let found: Option<Hash> = select.query_row([row], |found| found.get(0)).optional()?;
        if found == Some(hash) {
            return Ok(());
        }
        self.lost = Some(ROWS_LOST);
        Err(StoreError::Corrupt(format!("row {row} was committed, and the store has another in its place")))
    }

    /// See [`Self::is_whole`].
    pub(super) fn ends_at(&mut self, there: i64, known: i64) -> Result<(), StoreError> {
        if there >= known {
            return Ok(());
        }
        self.lost = Some(ROWS_LOST);
        Err(StoreError::Corrupt(format!("row {known} was committed, but the store ends at row {there}")))
    }

    /// In a transaction over a file: whether what somebody else did to it leaves what is remembered as it is.
    pub(super) fn look_again(&mut self) -> Result<(), StoreError> {
        let Some(connection) = self.connection.take() else { return Ok(()) };
        let looked = self.look_at(&connection);
        self.connection = Some(connection);
        looked
    }

    fn look_at(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let version = data_version(connection)?;
        if version == self.data_version {
            return Ok(());
        }
        let there: i64 = connection.query_row("SELECT coalesce(max(row), 0) FROM events", [], |row| row.get(0))?;
        self.is_whole(connection, (there, self.last_row))?;
        if there > self.last_row {
            return Err(StoreError::Corrupt("somebody else has written rows to the store".to_owned()));
        }
        self.heads.forget();
        self.data_version = version;
        tracing::warn!("somebody else wrote to ledger.db: no row is missing; `indelible verify` tells what changed");
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        if let Some(reason) = self.lost {
            return Err(StoreError::Corrupt(reason.to_owned()));
        }
        let known = self.known_row();
        // At the first start it is made; after that there is one, or something is wrong.
        if let (Source::File(path), Some(_)) = (&self.parts.source, &self.time)
            && !path.try_exists()?
        {
            return Err(StoreError::Corrupt("ledger.db is gone".to_owned()));
        }
        let connection = self.parts.source.open_writer(&self.expected)?;
        if let Some(sqlite) = connection.sqlite() {
            let busy: i64 = sqlite.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if busy != 0 {
                return Err(StoreError::Corrupt("a reader keeps the write-ahead log from being emptied".to_owned()));
            }
        }
        if let Some(session) = connection.postgres() {
            // A COMMIT of the session before this one, to which no answer came, has come to its end once the turn is free.
            let wait_max = self.parts.source.database().map_or(Database::WAIT_MAX, |database| database.wait_max);
            Turn::free(session, wait_max + STUCK_SPARE)?;
            Turn::take(session)?;
            session.end("ROLLBACK")?;
        }
        // Before it is looked at: what changes after that shows.
        let version = data_version(&connection)?;
        let tail = verify_tail(&*connection.moment()?, &self.parts.keystore)?;
        self.is_whole(&connection, (tail.last_row, known))?;
        if let Source::File(path) = &self.parts.source {
            (self.files, self.data_version) = (Some(Files::at(path)?), version);
        }
        self.note_rows(&connection)?;
        if self.time.is_some() {
            // A change of resources whose COMMIT failed may be there after all. Nobody writes meanwhile, so what is known is what is
            // stored, and stays so: no other place reads it again.
            load(&connection, &self.parts.held.desk.registry, None)?;
            self.parts.held.desk.settle_all();
        }
        self.parts.held.has_come_to(tail.last_row);
        self.last_row = tail.last_row;
        match (self.time.as_mut(), tail.recorded_at) {
            (None, last) => self.time = Some(Time::new(self.parts.clock.as_ref(), last)),
            (Some(time), Some(last)) => time.found(self.parts.clock.as_ref(), last),
            (Some(_), None) => {}
        }
        self.unchecked_bytes = 0;
        self.connection = Some(connection);
        Ok(())
    }

    /// Rows that a failed COMMIT persisted after all: their ids must be known, or a retry would write them twice.
    fn note_rows(&self, connection: &Connection) -> Result<(), StoreError> {
        if connection.postgres().is_some() {
            // There a table tells.
            return Ok(());
        }
        let mut statement = connection.prepare("SELECT project, id, row FROM events WHERE row > ?1")?;
        let mut rows = statement.query([self.last_row])?;
        while let Some(row) = rows.next()? {
            self.parts.held.index.note(row.get(0)?, Uuid::from_bytes(row.get(1)?), row.get(2)?);
        }
        Ok(())
    }
}

/// The state of a file as far as others change it; there is none of a database, where others take turns.
fn data_version(connection: &Connection) -> Result<Option<i64>, StoreError> {
    let Some(sqlite) = connection.sqlite() else { return Ok(None) };
    Ok(Some(sqlite.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?))
}

/// The end of the ledger.
struct Tail {
    last_row: i64,
    recorded_at: Option<Timestamp>,
}

fn verify_tail(connection: &Connection, keystore: &KeyStore) -> Result<Tail, StoreError> {
    // Every head with the row that it ends at, in one question: there may be many thousands of them, and a network in between.
    let mut statement = connection.prepare(&format!(
        "SELECT heads.project, ledgers.project_id, heads.recorded_at, last.project, last.sequence, last.row_hash, {STORED}
         FROM heads JOIN ledgers USING (project) LEFT JOIN events AS last ON last.row = heads.last_row"
    ))?;
    let mut heads = statement.query([])?;
    let (mut newest, mut recorded_at) = (0, None);
    let mut sizes = HashMap::new();
    while let Some(row) = heads.next()? {
        let project: i64 = row.get(0)?;
        let project_id = parse_id(&row.get::<_, String>(1)?)?;
        let last: (Option<i64>, Option<i64>, Option<Hash>) = (row.get(3)?, row.get(4)?, row.get(5)?);
        let head = StoredHead::of(&row, 6)?;
        // A head holds under its MAC, and its last row is the one it says.
        let fits = last.0 == Some(project)
            && last.1.is_some_and(|sequence| sequence.unsigned_abs() + 1 == head.size)
            && last.2 == Some(head.row_hash);
        if !fits || !head.is_authentic(keystore, project_id) {
            return Err(broken(project_id, head.size.saturating_sub(1)));
        }
        newest = newest.max(head.last_row);
        recorded_at = recorded_at.max(Timestamp::from_micros(row.get(2)?));
        sizes.insert(project, (project_id, head.size));
    }
    let last_row: i64 = connection.query_row("SELECT coalesce(max(row), 0) FROM events", [], |row| row.get(0))?;
    if last_row != newest {
        return Err(StoreError::Corrupt(format!("the heads end at row {newest}, the events at row {last_row}: run `indelible verify`")));
    }
    check_rows(connection, keystore, &sizes, last_row)?;
    Ok(Tail { last_row, recorded_at })
}

/// The newest rows are dense, hash to what they say, follow on each other, and have the content they commit to.
fn check_rows(connection: &Connection, keystore: &KeyStore, sizes: &HashMap<i64, (Uuid, u64)>, last_row: i64) -> Result<(), StoreError> {
    let mut statement = connection.prepare(
        "SELECT row, project, sequence, prev_hash, row_hash, entry, stored FROM events LEFT JOIN contents USING (row)
         WHERE row > ?1 ORDER BY row",
    )?;
    let mut rows = statement.query([last_row - TAIL_ROWS])?;
    let mut before: HashMap<i64, (u64, Hash)> = HashMap::new();
    let mut expected = (last_row - TAIL_ROWS).max(0);
    while let Some(row) = rows.next()? {
        expected += 1;
        let project: i64 = row.get(1)?;
        let sequence = row.get::<_, i64>(2)?.unsigned_abs();
        let (prev_hash, row_hash): (Hash, Hash) = (row.get(3)?, row.get(4)?);
        let entry = row.bytes(5)?;
        let stored: Option<&[u8]> = row.get_ref(6)?.as_blob();
        let Some((project_id, size)) = sizes.get(&project) else { return Err(broken(Uuid::nil(), sequence)) };
        let holds = || {
            let outline = Outline::read(entry)?;
            let keys = keystore.project_keys(*project_id, outline.hmac_key_id)?;
            let content = match (&outline.sealed, stored) {
                (None, None) => true,
                (Some((sha256, _)), Some(stored)) => digest(&SHA256, stored).as_ref() == sha256,
                _ => false,
            };
            let follows = before.get(&project).is_none_or(|(last, hash)| last + 1 == sequence && *hash == prev_hash);
            Some(content && follows && outline.sequence == sequence && sequence < *size && keys.row_hash(entry, &prev_hash) == row_hash)
        };
        if row.get::<_, i64>(0)? != expected || holds() != Some(true) {
            return Err(broken(*project_id, sequence));
        }
        before.insert(project, (sequence, row_hash));
    }
    Ok(())
}

fn parse_id(text: &str) -> Result<Uuid, StoreError> {
    Uuid::try_parse(text).map_err(|_| StoreError::Corrupt(format!("{text} is not the id of a project")))
}

fn broken(project_id: Uuid, sequence: u64) -> StoreError {
    StoreError::Corrupt(format!("project {project_id} does not hold at sequence {sequence}: run `indelible verify`"))
}
