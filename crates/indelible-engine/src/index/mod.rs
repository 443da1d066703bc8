//! The derived index: which rows may match, and where they sort. It follows the ledger by row and decides nothing:
//! what it names is read from the ledger and matched again, so a wrong index can hide a row and never add one.
//!
//! One thread fills it. Readers wait until it has come as far as they need ([`Index::reached_blocking`]); the writer waits when
//! it has fallen too far behind ([`Index::throttle`]). An index that cannot be read or written is built anew.

mod block;
mod bloom;
mod file;
mod fill;
#[cfg(test)]
pub(crate) mod fixture;
mod follow;
mod ids;
pub(crate) mod leaves;
mod posting;
mod rebuild;
#[cfg(test)]
mod tests;
mod token;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

pub(crate) use block::{BLOCK_ROWS, Block, Blocks, Key};
pub(crate) use bloom::Bloom;
pub(crate) use file::{open_reader, path, read_state};
pub(crate) use fill::{Stored, tokens};
pub(crate) use posting::{Direction, Postings};
pub(crate) use token::{LETTERS, Token, TokenKey};

use crate::query::places::{Limits, Places};
use crate::query::polls::Polls;
use crate::store::sql::SqlResult;
use crate::store::{Readers, Source, StoreError};
use follow::Signals;
use ids::{Ids, Memory};

/// Rows behind which appends slow down.
const LAG_ROWS_MAX: i64 = 1_000_000;
/// Age of the oldest committed row that is not indexed, at which appends slow down.
const LAG_AGE_MAX: Duration = Duration::from_secs(10);
/// How long one transaction of the writer is held up at most.
const THROTTLE_MAX: Duration = Duration::from_secs(1);
/// How long a look for an id waits for an index that is nearly there.
const ID_WAIT_MAX: Duration = Duration::from_secs(2);
/// "Nearly there", rows.
const ID_WAIT_ROWS: i64 = 100_000;
/// In place of the last row indexed, while the file is not open: less than any row, and than none.
const NOT_OPEN: i64 = -1;
/// Idle reading connections kept.
const IDLE_MAX: usize = 8;
/// Bundles that are made at once.
const EXPORTS: Limits = Limits { all: 4, of_one: 3 };
/// Downloads of files at once, each with a thread of its own.
const DOWNLOADS: Limits = Limits { all: 16, of_one: 8 };
/// Followers at once, each with a connection and a batch.
const FOLLOWERS: Limits = Limits { all: 256, of_one: 32 };
/// Reads that run at once, at least.
const LANES_MIN: usize = 4;

/// How far the index is behind the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lag {
    /// Rows committed and not indexed.
    pub(crate) rows: i64,
    /// Age of the oldest of them.
    pub(crate) age: Duration,
}

impl Lag {
    /// Whether appends must slow down.
    fn is_too_great(self) -> bool {
        self.rows > LAG_ROWS_MAX || self.age > LAG_AGE_MAX
    }
}

/// Why the index does not answer now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    /// It cannot be read; it is being built anew.
    #[error("the index cannot be read and is being built anew")]
    Unreadable(#[from] rusqlite::Error),
    /// It did not take this question.
    #[error("the index cannot answer this now; try again, or narrow the filter")]
    Refused(rusqlite::Error),
    /// It has not come far enough, by so many rows. The number is of all projects together and is told to nobody.
    #[error("the index has not caught up with the ledger; try again shortly")]
    Behind(i64),
    /// The database, which knows ids, cannot be asked.
    #[error("the database cannot be asked now: {0}")]
    Unreachable(String),
}

/// The index of an open ledger.
pub(crate) struct Index {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Reads that run at once.
    pub(crate) lanes: Arc<Semaphore>,
    /// Verifications of whole projects, which take long: one at a time, and none of the lanes.
    pub(crate) verifications: Arc<Semaphore>,
    /// Exports that are streamed, each of which may be read for hours: a few at a time, and none of the lanes. Whose: the key's.
    pub(crate) exports: Places,
    /// Downloads of what was exported in the background. Whose: the key's.
    pub(crate) downloads: Places,
    /// Polls of feeds.
    pub(crate) polls: Polls,
    /// Who follows live. Whose: the key's.
    pub(crate) followers: Places,
    /// The ledger, where it is a database: it tells ids itself, of rows that others wrote too.
    ids: Option<Arc<Readers>>,
}

/// What the follower's thread and everybody else share.
struct Shared {
    path: PathBuf,
    ledger: Source,
    signals: Mutex<Signals>,
    bell: Condvar,
    through: watch::Sender<i64>,
    view: RwLock<Option<Arc<View>>>,
}

/// One index file, as readers see it. A file that is built anew is another view; readers of the old one finish on it.
pub(crate) struct View {
    path: PathBuf,
    key: TokenKey,
    ids: Ids,
    blocks: RwLock<Blocks>,
    idle: Mutex<Vec<Connection>>,
    /// Whether the file is about to be replaced, or was. Held while the file is opened by its path, so that no reader opens one
    /// file and believes it another.
    gone: RwLock<bool>,
}

/// A connection to the index on loan.
pub(crate) struct IndexReader {
    connection: Option<Connection>,
    view: Arc<View>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Index {
    /// Opens or makes the index in the data folder and starts to follow `ledger` from where it is. Never fails: an index
    /// that cannot be opened is built anew, and one that cannot be built is tried again.
    pub(crate) fn open(data: &Path, ledger: &Source) -> Self {
        let shared = Arc::new(Shared {
            path: path(data),
            ledger: ledger.clone(),
            signals: Mutex::new(Signals::default()),
            bell: Condvar::new(),
            through: watch::Sender::new(NOT_OPEN),
            view: RwLock::new(None),
        });
        let follower = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("index".to_owned()).spawn(move || follow::run(&follower));
        if let Err(error) = &thread {
            tracing::error!(%error, "the index cannot be followed");
        }
        let lanes = std::thread::available_parallelism().map_or(LANES_MIN, |cores| LANES_MIN.max(2 * cores.get()));
        Self {
            shared,
            thread: Mutex::new(thread.ok()),
            lanes: Arc::new(Semaphore::new(lanes)),
            verifications: Arc::new(Semaphore::new(1)),
            exports: Places::new(EXPORTS),
            downloads: Places::new(DOWNLOADS),
            polls: Polls::default(),
            followers: Places::new(FOLLOWERS),
            ids: ledger.database().map(|_| Readers::new(ledger.clone())),
        }
    }

    /// Stops following and marks the file clean.
    pub(crate) fn close(&self) {
        locked(&self.shared.signals).stop = true;
        self.shared.bell.notify_all();
        if let Some(thread) = locked(&self.thread).take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that follows the index panicked");
        }
    }

    /// Takes note of a row that was just committed, before [`Self::committed`] is called for it.
    pub(crate) fn note(&self, project: i64, id: Uuid, row: i64) {
        if let Some(view) = self.shared.view() {
            view.ids.note(project, id, row);
        }
    }

    /// Rows up to `row` are committed.
    pub(crate) fn committed(&self, row: i64) {
        locked(&self.shared.signals).commit(row, Instant::now());
        self.shared.bell.notify_all();
    }

    /// Rows that may bear this id; the caller compares. [`IndexError::Behind`] while an index that is built anew has
    /// not come far enough to tell.
    pub(crate) fn find(&self, project: i64, id: Uuid) -> Result<Vec<i64>, IndexError> {
        if let Some(readers) = &self.ids {
            return find_in(readers, project, id).map_err(|error| IndexError::Unreachable(error.to_string()));
        }
        let mut started = None;
        loop {
            let view = self.shared.view().ok_or(IndexError::Behind(0));
            let behind = match view.map(|view| (view.ids.look(project, id), view)) {
                Ok((Memory::Known(rows), _)) => return Ok(rows),
                Ok((Memory::AskIndex(token, mut rows), view)) => match view.reader() {
                    Ok(reader) => {
                        Postings::token(token)
                            .read(&reader, (1, i64::MAX), Direction::Ascending, |row| {
                                rows.push(row);
                                Ok::<_, rusqlite::Error>(true)
                            })
                            .map_err(|error| self.distrust(error))?;
                        rows.sort_unstable();
                        rows.dedup();
                        return Ok(rows);
                    }
                    // The next view may know.
                    Err(_) if view.is_gone() => 0,
                    Err(error) => return Err(self.distrust(error)),
                },
                Ok((Memory::Behind(rows), _)) => rows,
                Err(_) => 0,
            };
            // A view that was only just opened does not know yet how far behind it is.
            let nearly = !(ID_WAIT_ROWS..=i64::MAX / 2).contains(&behind);
            if !nearly || started.get_or_insert_with(Instant::now).elapsed() > ID_WAIT_MAX {
                tracing::warn!(rows = behind, "an id cannot be looked for: the index is behind");
                return Err(IndexError::Behind(behind));
            }
            self.shared.want_all();
            let signals = locked(&self.shared.signals);
            drop(self.shared.bell.wait_timeout(signals, Duration::from_millis(20)));
        }
    }

    /// The view of now; `None` before the file is open.
    pub(crate) fn view(&self) -> Option<Arc<View>> {
        self.shared.view()
    }

    /// The view of now, once it has itself come to `row`: a file that is built anew begins behind the one before it. `None`
    /// where `go_on` said no before.
    pub(crate) fn view_at(&self, row: i64, go_on: &dyn Fn() -> bool) -> Option<Arc<View>> {
        while self.reached_blocking(row, &mut |_| go_on()) {
            if let Some(view) = self.view().filter(|view| view.through() >= row) {
                return Some(view);
            }
            if !go_on() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// The last row indexed; 0 while the file is not open.
    pub(crate) fn through(&self) -> i64 {
        (*self.shared.through.borrow()).max(0)
    }

    /// Waits until `row` is indexed; `each` is told how far it has come, and says whether to go on. Says whether it came.
    pub(crate) fn reached_blocking(&self, row: i64, each: &mut dyn FnMut(i64) -> bool) -> bool {
        self.shared.want(row);
        loop {
            let through = *self.shared.through.borrow();
            if !each(through.max(0)) {
                return through >= row;
            }
            if through >= row {
                return true;
            }
            let signals = locked(&self.shared.signals);
            drop(self.shared.bell.wait_timeout(signals, Duration::from_millis(50)));
        }
    }

    /// Whether it was closed, or cannot be followed.
    pub(crate) fn is_stopped(&self) -> bool {
        locked(&self.shared.signals).stop || locked(&self.thread).as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// How far it is behind.
    pub(crate) fn lag(&self) -> Lag {
        locked(&self.shared.signals).lag(self.through(), Instant::now())
    }

    /// Called by the writer before a transaction: returns at once while the index keeps up, else holds the writer until it
    /// has caught up, for a second at most. So appends slow down to what can be indexed.
    pub(crate) fn throttle(&self) {
        let started = Instant::now();
        while self.lag().is_too_great() && started.elapsed() < THROTTLE_MAX {
            let signals = locked(&self.shared.signals);
            if signals.stop {
                return;
            }
            drop(self.shared.bell.wait_timeout(signals, Duration::from_millis(20)));
        }
    }

    /// Deletes the file and begins anew.
    pub(crate) fn rebuild(&self) {
        self.shared.rebuild();
    }

    /// Takes an error of the index for what it is: a reason to build it anew, unless the question was at fault.
    pub(crate) fn distrust(&self, error: rusqlite::Error) -> IndexError {
        if is_of_the_question(&error) {
            tracing::warn!(%error, "the index did not answer");
            return IndexError::Refused(error);
        }
        tracing::warn!(%error, "the index cannot be read and is built anew");
        self.shared.rebuild();
        IndexError::Unreadable(error)
    }
}

/// Rows that bear an id, as the database knows them.
fn find_in(readers: &Arc<Readers>, project: i64, id: Uuid) -> Result<Vec<i64>, StoreError> {
    let reader = readers.get()?;
    let mut statement = reader.prepare("SELECT row FROM ids WHERE project = ?1 AND id = ?2")?;
    Ok(statement.query_map((project, id), |row| row.get(0))?.collect::<SqlResult<_>>()?)
}

/// What a reader of a file that is no more is told: as if it were locked, which is no reason to build it anew.
fn replaced() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    rusqlite::Error::SqliteFailure(code, Some("the index is being built anew".to_owned()))
}

/// Nobody must be able to have the index built anew by asking.
fn is_of_the_question(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, OperationInterrupted, OutOfMemory, TooBig};
    let code = error.sqlite_error_code();
    code.is_some_and(|code| matches!(code, DatabaseBusy | DatabaseLocked | OperationInterrupted | OutOfMemory | TooBig))
        || error.to_string().contains("fts5: ")
        || error.to_string().contains("fts5 expression")
}

impl Drop for Index {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn view(&self) -> Option<Arc<View>> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the view away before its file is: from here on nobody opens the file by the view's path.
    fn unpublish(&self) {
        if let Some(view) = self.view.write().unwrap_or_else(PoisonError::into_inner).take() {
            *view.gone.write().unwrap_or_else(PoisonError::into_inner) = true;
            locked(&view.idle).clear();
        }
    }

    fn want(&self, row: i64) {
        let mut signals = locked(&self.signals);
        // A row that somebody has heard of is committed, whoever wrote it.
        signals.commit(row, Instant::now());
        signals.wanted = signals.wanted.max(row);
        drop(signals);
        self.bell.notify_all();
    }

    fn want_all(&self) {
        let mut signals = locked(&self.signals);
        signals.wanted = signals.wanted.max(signals.committed);
        drop(signals);
        self.bell.notify_all();
    }

    fn rebuild(&self) {
        let mut signals = locked(&self.signals);
        signals.rebuild = true;
        // Before whoever follows may have built it anew, and said so.
        self.through.send_replace(NOT_OPEN);
        drop(signals);
        self.bell.notify_all();
    }
}

impl View {
    fn new(path: PathBuf, key: TokenKey, through: i64, blocks: Blocks) -> Self {
        Self { path, key, ids: Ids::new(key, through), blocks: RwLock::new(blocks), idle: Mutex::default(), gone: RwLock::default() }
    }

    /// The token key.
    pub(crate) const fn key(&self) -> TokenKey {
        self.key
    }

    /// The last row that is in it.
    pub(crate) fn through(&self) -> i64 {
        self.ids.through()
    }

    /// The blocks of a project, as far as they are indexed.
    pub(crate) fn blocks(&self, project: i64) -> Arc<Vec<Block>> {
        self.blocks.read().unwrap_or_else(PoisonError::into_inner).of(project)
    }

    /// Whether another file has come, or comes, in place of this view's.
    fn is_gone(&self) -> bool {
        *self.gone.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends a connection. Fails as a question at a bad time once the file is gone: under the key of this view nothing would be
    /// found in the next one.
    pub(crate) fn reader(self: &Arc<Self>) -> Result<IndexReader, rusqlite::Error> {
        let gone = self.gone.read().unwrap_or_else(PoisonError::into_inner);
        if *gone {
            return Err(replaced());
        }
        let waiting = locked(&self.idle).pop();
        let connection = if let Some(connection) = waiting {
            connection
        } else {
            let connection = open_reader(&self.path)?;
            if read_state(&connection)?.0 != self.key {
                return Err(rusqlite::Error::InvalidQuery);
            }
            connection
        };
        drop(gone);
        Ok(IndexReader { connection: Some(connection), view: Arc::clone(self) })
    }
}

impl Deref for IndexReader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a reader holds its connection until it is dropped")
    }
}

impl Drop for IndexReader {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if self.view.is_gone() {
            return;
        }
        let mut idle = locked(&self.view.idle);
        if connection.is_autocommit() && idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }
}
