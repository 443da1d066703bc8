//! The writer's thread: takes groups from the queue, has them written, answers; recovers when something broke;
//! empties the WAL when there is time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indelible_core::chain::Hash;
use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::disk::Disk;
use super::group::{Committed, Failure, unavailable};
use super::heads::Heads;
use super::queue::Queue;
use super::time::Time;
use super::{CLOCK_JUMPED, Figures, MOVED, NEARLY_FULL, Privilege, RECOVERING, WRITE_FAILED, Work, Writer};
use crate::access::{Counted, TurnedAway};
use crate::append::EngineEvent;
use crate::clock::Clock;
use crate::faults::Faults;
use crate::keystore::KeyStore;
use crate::sharing::Held;
use crate::store::postgres::{Maintenance, Turn};
use crate::store::sql::Connection;
use crate::store::{Expected, Files, PAGE_BYTES, Source, StoreError};

/// How long a broken store is left alone before it is tried again.
const RECOVER_EVERY: Duration = Duration::from_millis(250);
/// Bytes written before the WAL is emptied while there is work.
const CHECKPOINT_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes written before the WAL is emptied while there is none.
const CHECKPOINT_IDLE_BYTES: u64 = 4 * 1024 * 1024;
/// Past this, the writer waits for readers rather than let the WAL grow.
const WAL_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// How long it then waits for them.
const READERS_WAIT: Duration = Duration::from_millis(200);

/// How long what was counted and could not be recorded is left alone.
const MINUTE: Duration = Duration::from_mins(1);
/// Events that are kept to be tried again.
const UNTOLD_MAX: usize = 10_000;

/// What the writer is made of.
pub(crate) struct Parts {
    pub(crate) source: Source,
    pub(crate) folder: PathBuf,
    pub(crate) disk_reserve_bytes: u64,
    pub(crate) queue_bytes_max: usize,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) faults: Option<Arc<dyn Faults>>,
    pub(crate) keystore: Arc<KeyStore>,
    pub(crate) held: Held,
    /// The last row when the ledger was opened.
    pub(crate) noted_row: i64,
    pub(crate) turned_away: Arc<TurnedAway>,
    /// Makes partitions, where rows are kept by the month.
    pub(crate) maintenance: Option<Maintenance>,
}

/// The state of the thread.
pub(super) struct Thread {
    pub(super) parts: Parts,
    pub(super) queue: Arc<Queue>,
    pub(super) figures: Arc<Figures>,
    pub(super) expected: Arc<Expected>,
    /// `None` while the store is broken.
    pub(super) connection: Option<Connection>,
    /// Why nothing is written any more before a restart, if so: what was acknowledged is not in the store, or not where the next start looks.
    pub(super) lost: Option<&'static str>,
    /// A connection whose write-ahead log has lost its name, until all of that is in the database.
    pub(super) unsaved: Option<Connection>,
    /// The newest row that this server wrote, and its hash.
    pub(super) written: Option<(i64, Hash)>,
    /// Where the ledger is a file: it and its write-ahead log, as they were opened.
    pub(super) files: Option<Files>,
    /// And the state that it was in when it was looked at last, as far as others change it: `PRAGMA data_version`.
    pub(super) data_version: Option<i64>,
    /// Why the store could not be opened again, as it was told last.
    pub(super) trouble: Option<String>,
    pub(super) heads: Heads,
    pub(super) time: Option<Time>,
    pub(super) disk: Disk,
    pub(super) last_row: i64,
    /// The partition that is known to be there, and since when, by the monotonic clock.
    pub(super) partition: Option<(String, Duration)>,
    pub(super) unchecked_bytes: u64,
    /// Events about what was counted that could not be recorded, and since when.
    untold: Vec<(Duration, EngineEvent, Privilege)>,
}

/// Recovers the store, and starts the thread.
pub(crate) fn start(parts: Parts) -> Result<Writer, StoreError> {
    let queue = Arc::new(Queue::new(parts.queue_bytes_max));
    let figures = Arc::new(Figures::default());
    let committed = parts.held.committed.subscribe();
    let mut thread = Thread {
        disk: Disk::new(parts.folder.clone(), parts.disk_reserve_bytes),
        last_row: parts.noted_row,
        partition: None,
        queue: Arc::clone(&queue),
        figures: Arc::clone(&figures),
        expected: Arc::default(),
        connection: None,
        lost: None,
        unsaved: None,
        written: None,
        files: None,
        data_version: None,
        trouble: None,
        heads: Heads::default(),
        time: None,
        unchecked_bytes: 0,
        untold: Vec::new(),
        parts,
    };
    thread.recover()?;
    let (clock, disk) = (Arc::clone(&thread.parts.clock), Disk::new(thread.parts.folder.clone(), thread.parts.disk_reserve_bytes));
    let thread = std::thread::Builder::new().name("indelible-writer".to_owned()).spawn(move || thread.run())?;
    Ok(Writer { queue, figures, committed, clock, disk: Mutex::new(disk), thread: Mutex::new(Some(thread)) })
}

impl Thread {
    fn run(mut self) {
        while let Some(works) = self.queue.take(self.deadline()) {
            if self.connection.is_none() {
                self.resume();
            }
            // So that readers never fall far behind: while the index does, appends wait for it. Where others append as well, that would
            // help nobody, and a server that has everything to read first would hold up its own callers alone.
            if self.parts.source.database().is_none() {
                self.parts.held.index.throttle();
            }
            self.group(works);
            self.record_counted();
            self.checkpoint();
        }
        self.record_untold();
        self.empty_wal();
    }

    /// Recovers a store that broke. It is tried four times a second: each cause is told once, until another one takes its place.
    fn resume(&mut self) {
        self.save_within(Duration::ZERO);
        match self.recover() {
            Ok(()) => {
                self.trouble = None;
                tracing::info!(ledger = %self.parts.source, "the store is open again");
            }
            Err(error) => {
                let cause = error.to_string();
                if self.trouble.as_ref() != Some(&cause) {
                    let ledger = &self.parts.source;
                    tracing::error!(%ledger, error = cause, "the store cannot be opened again; it is tried until it can");
                    self.trouble = Some(cause);
                }
            }
        }
    }

    /// When the thread has something to do although nobody asks.
    fn deadline(&self) -> Option<Instant> {
        if self.connection.is_none() {
            return Some(Instant::now() + RECOVER_EVERY);
        }
        let now = self.parts.clock.monotonic();
        let counted =
            [self.parts.turned_away.due_in(now), self.parts.held.index.polls.due_in(now), self.parts.held.desk.schemas.due_in(now)];
        let again = self.untold.iter().map(|(at, ..)| (*at + MINUTE).saturating_sub(now)).min();
        let left = counted.into_iter().flatten().chain(again).min()?;
        Some(Instant::now() + left)
    }

    /// Writes one group and answers everybody in it; whether it was written.
    fn group(&mut self, works: Vec<Work>) -> bool {
        if works.is_empty() {
            return true;
        }
        let confirms = works.iter().any(|work| work.privilege == Privilege::ConfirmClock);
        let unconfirmed = self.time.clone().filter(|_| confirms);
        let recorded_at = match self.believe_clock(confirms) {
            Ok(time) => time,
            Err(reason) => {
                refuse(works, reason, false);
                return false;
            }
        };
        let (works, short) = self.spare_reserve(works);
        refuse(short, NEARLY_FULL, false);
        if works.is_empty() {
            return false;
        }
        match self.write(&works, recorded_at) {
            Ok(committed) => {
                self.settle(works, committed);
                true
            }
            Err(failure) => {
                // A confirmation counts once it is on record; if it persisted after all, recovery finds it.
                self.time = unconfirmed.or(self.time.take());
                self.fail(works, &failure);
                false
            }
        }
    }

    fn believe_clock(&mut self, confirms: bool) -> Result<Timestamp, &'static str> {
        let clock = self.parts.clock.as_ref();
        let recovering = self.lost.unwrap_or(RECOVERING);
        let Some(time) = self.time.as_mut() else { return Err(recovering) };
        if self.connection.is_none() {
            return Err(recovering);
        }
        if confirms {
            time.confirm(clock);
        }
        time.now(clock).map_err(|jump| {
            tracing::error!(%jump, "appends are refused until the clock is set right or confirmed");
            CLOCK_JUMPED
        })
    }

    /// Lets others judge the clock as the next group will be.
    pub(super) fn show_time(&self) {
        self.figures.time.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.time);
    }

    /// Parts the works that the disk has room for from those that would take from the reserve.
    fn spare_reserve(&mut self, works: Vec<Work>) -> (Vec<Work>, Vec<Work>) {
        let bytes: usize = works.iter().map(|work| work.bytes).sum();
        if !self.disk.is_short(bytes as u64) {
            return (works, Vec::new());
        }
        works.into_iter().partition(|work| work.privilege != Privilege::Caller)
    }

    fn settle(&mut self, works: Vec<Work>, committed: Committed) {
        let bytes: usize = works.iter().map(|work| work.bytes).sum();
        self.disk.wrote(bytes as u64);
        self.unchecked_bytes += bytes as u64;
        // Only those that were written: a batch that was refused, or was there already, stored nothing.
        committed.data_keys.iter().for_each(|key| key.mark_stored());
        self.heads.settle();
        if !committed.ids.is_empty() {
            if let Some(time) = self.time.as_mut() {
                time.recorded(committed.recorded_at);
            }
            let in_memory = if self.parts.source.database().is_none() { committed.ids.as_slice() } else { &[] };
            for (project, id, row) in in_memory {
                self.parts.held.index.note(*project, *id, *row);
            }
            self.parts.held.index.committed(committed.last_row);
            self.parts.held.spending.committed(self.last_row + 1, committed.last_row, &committed.used);
            self.last_row = committed.last_row;
            self.written = committed.last_hash.map(|hash| (committed.last_row, hash)).or(self.written);
            self.parts.held.is_committed(committed.last_row);
        }
        self.figures.duplicates.fetch_add(committed.duplicates, Relaxed);
        // Before anybody is answered: who confirmed the clock finds it confirmed.
        self.show_time();
        for (work, answer) in works.into_iter().zip(committed.answers) {
            work.answer(answer);
        }
    }

    /// Nothing of the group is acknowledged. A ROLLBACK that does not work, and any failure of COMMIT, costs the
    /// connection: what is on disk is then looked at anew.
    fn fail(&mut self, works: Vec<Work>, failure: &Failure) {
        tracing::error!(error = %failure.error, at_commit = failure.at_commit, "a transaction failed");
        self.figures.commit_failures.fetch_add(1, Relaxed);
        self.heads.forget();
        // Where somebody stands still with the turn in hand, it is recovery that sees to it.
        let rolled_back = !failure.at_commit
            && !Turn::is_stuck(&failure.error)
            && self.connection.as_ref().is_some_and(|connection| connection.is_idle() || connection.roll_back().is_ok());
        if !rolled_back {
            let left = self.connection.take();
            if self.lost == Some(MOVED) {
                self.unsaved = left;
                self.save_within(Duration::ZERO);
            }
            self.figures.refuse(Some(WRITE_FAILED));
        }
        // Before anybody is answered, so that whoever is told that a change may be there finds it if it is.
        if !rolled_back {
            self.resume();
        }
        refuse(works, WRITE_FAILED, true);
    }

    /// Records what was counted and is due: who was turned away in minutes that are over, the polls of readers who stay away, and what
    /// broke schemas. While the store is broken, it is counted on; what could not be recorded is tried again a minute later.
    fn record_counted(&mut self) {
        if self.connection.is_none() {
            return;
        }
        let now = self.parts.clock.monotonic();
        let desk = Arc::clone(&self.parts.held.desk);
        let turned_away = self.parts.turned_away.due(now);
        let recorded = self.record_own(turned_away.iter().map(Counted::event).collect(), Privilege::Caller);
        let untold = turned_away.into_iter().zip(recorded).filter(|(_, recorded)| !recorded);
        self.parts.turned_away.put_back(untold.map(|(counted, _)| counted), now);

        let of_schemas = desk.schemas.due(&desk.registry, now).into_iter().map(|event| (event, Privilege::Caller));
        let of_polls = self.parts.held.index.polls.due(now).into_iter().map(|event| (event, Privilege::Engine));
        let again = self.untold.extract_if(.., |(at, ..)| *at + MINUTE <= now).map(|(_, event, privilege)| (event, privilege));
        let mut due: Vec<(EngineEvent, Privilege)> = again.chain(of_schemas).chain(of_polls).collect();
        for privilege in [Privilege::Engine, Privilege::Caller] {
            let events: Vec<_> = due.extract_if(.., |(_, of)| *of == privilege).map(|(event, _)| event).collect();
            let recorded = self.record_own(events.clone(), privilege);
            let untold = events.into_iter().zip(recorded).filter(|(_, recorded)| !recorded);
            self.untold.extend(untold.map(|(event, _)| (now, event, privilege)));
        }
        let beyond = self.untold.len().saturating_sub(UNTOLD_MAX);
        if beyond > 0 {
            tracing::error!(events = beyond, "what was counted could not be recorded, and there is too much of it to try again");
            self.untold.drain(..beyond);
        }
    }

    /// The last try, at closing.
    fn record_untold(&mut self) {
        for privilege in [Privilege::Engine, Privilege::Caller] {
            let events: Vec<_> = self.untold.extract_if(.., |(_, _, of)| *of == privilege).map(|(_, event, _)| event).collect();
            let lost = self.record_own(events, privilege).into_iter().filter(|recorded| !recorded).count();
            if lost > 0 {
                tracing::error!(events = lost, "what was counted could not be recorded before the ledger closed");
            }
        }
    }

    /// Records events of the engine; says of each whether it is there. Of a COMMIT that failed, recovery has found what persisted.
    fn record_own(&mut self, events: Vec<EngineEvent>, privilege: Privilege) -> Vec<bool> {
        let (written, mut ids, mut prepared) = (self.last_row, Vec::with_capacity(events.len()), Vec::new());
        for event in events {
            let made =
                self.parts.held.desk.prepare_own(event).inspect_err(|fault| tracing::error!(%fault, "what was counted is not recorded"));
            ids.push(made.as_ref().ok().map(|event| (event.project, event.id)));
            prepared.extend(made);
        }
        let done = prepared.is_empty() || self.group(vec![Work::new(prepared, privilege)]);
        ids.into_iter().map(|id| id.is_some_and(|(project, id)| done || self.persisted(written, project, id))).collect()
    }

    /// Whether an event is there, beyond a row. Where the store cannot be asked it counts as one that is not: it is then told of twice,
    /// which is better than not at all.
    fn persisted(&self, after_row: i64, project: i64, id: Uuid) -> bool {
        let Some(connection) = self.connection.as_ref() else { return false };
        let sql = "SELECT EXISTS (SELECT 1 FROM events WHERE row > ?1 AND project = ?2 AND id = ?3)";
        connection.query_row(sql, (after_row, project, id.as_bytes()), |row| row.get(0)).unwrap_or(false)
    }

    /// Others have written up to here. What was in memory of it is forgotten, and everybody is told.
    pub(super) fn found_at(&mut self, last_row: i64, recorded_at: Option<Timestamp>) {
        if last_row == self.last_row {
            return;
        }
        self.heads.forget();
        self.last_row = last_row;
        if let (Some(time), Some(recorded_at)) = (self.time.as_mut(), recorded_at) {
            time.recorded(recorded_at);
        }
        self.parts.held.has_come_to(last_row);
    }

    /// Copies the WAL into the database, after the answers went out, so that nobody waits for it but who comes next.
    fn checkpoint(&mut self) {
        let due = if self.queue.is_empty() { CHECKPOINT_IDLE_BYTES } else { CHECKPOINT_BYTES };
        if self.unchecked_bytes < due {
            return;
        }
        let Some(connection) = self.connection.as_ref().and_then(Connection::sqlite) else { return };
        self.unchecked_bytes = 0;
        let result: Result<(i64, i64), _> =
            connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(1)?, row.get(2)?)));
        match result {
            Ok((pages, copied)) if pages > copied && pages.unsigned_abs() * PAGE_BYTES > WAL_BYTES_MAX => {
                let waited = connection
                    .busy_timeout(READERS_WAIT)
                    .and_then(|()| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)))
                    .and_then(|busy| connection.busy_timeout(crate::store::BUSY_WAIT).map(|()| busy));
                tracing::warn!(?waited, "readers keep the write-ahead log from being emptied");
            }
            Ok(_) => {}
            // The WAL holds everything; a later checkpoint or the next COMMIT shows whether the disk is gone.
            Err(error) => tracing::error!(%error, "the write-ahead log could not be copied"),
        }
    }

    /// Copies a log that has lost its name into the database, wherever that is by now: all of it, or it is tried again. Waits so long for who
    /// reads an older state.
    fn save_within(&mut self, wait: Duration) {
        let Some(connection) = self.unsaved.as_ref().and_then(Connection::sqlite) else { return };
        if let Err(error) = connection.busy_timeout(wait) {
            tracing::error!(%error, "nobody is waited for");
        }
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        match connection.query_row("PRAGMA wal_checkpoint(FULL)", [], read) {
            Ok((0, pages, copied)) if pages == copied => {
                tracing::warn!(pages, "the write-ahead log that was moved or removed is whole in the database");
                self.unsaved = None;
            }
            // Somebody reads an older state.
            Ok(_) => {}
            Err(error) if wait.is_zero() => tracing::debug!(%error, "the write-ahead log that was moved or removed cannot be copied now"),
            Err(error) => tracing::error!(%error, "the write-ahead log that was moved or removed cannot be copied into the database"),
        }
    }

    fn empty_wal(&mut self) {
        self.save_within(crate::store::BUSY_WAIT);
        if self.unsaved.is_some() {
            tracing::error!("the write-ahead log that was moved or removed is not whole in the database: what is in it alone is lost");
        }
        if let Some(Connection::Sqlite(connection)) = self.connection.take() {
            let emptied: Result<i64, _> = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
            let is_there = self.files.as_ref().is_none_or(|files| files.are_there().is_ok_and(|there| there));
            match emptied {
                Ok(0) => {}
                Ok(_) if is_there => {}
                Ok(_) => tracing::error!(
                    "the write-ahead log was moved or removed, and somebody reads an older state: what is in it alone is lost"
                ),
                Err(error) => tracing::error!(%error, "the write-ahead log could not be emptied"),
            }
        }
    }
}

fn refuse(works: Vec<Work>, reason: &str, outcome_unknown: bool) {
    for work in works {
        work.answer(Err(unavailable(reason, outcome_unknown)));
    }
}
