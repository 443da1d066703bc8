//! The thread that keeps the index up with the ledger: waits for commits, fills, begins anew when it must.
//!
//! A few rows are worth waiting for more, unless somebody waits for them. An error of the index file is answered by
//! deleting it; an error of the ledger by trying again.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::block::Blocks;
use super::file::{self, Through};
use super::fill::{FillError, Filler, of_ledger};
use super::token::TokenKey;
use super::{Lag, Shared, View, locked};
use crate::store::sql;

/// Fewer rows than this are worth waiting for more.
const FEW_ROWS: i64 = 1_000;
/// How long.
const GATHER: Duration = Duration::from_millis(50);
/// After a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// Commits are remembered with their time every so many rows, for the age of the oldest row that waits.
const AGE_ROWS: i64 = 1_024;

/// What others tell the follower.
#[derive(Default)]
pub(super) struct Signals {
    pub(super) committed: i64,
    /// Somebody waits for this row.
    pub(super) wanted: i64,
    pub(super) stop: bool,
    pub(super) rebuild: bool,
    ages: VecDeque<(i64, Instant)>,
}

impl Signals {
    pub(super) fn commit(&mut self, row: i64, now: Instant) {
        self.committed = self.committed.max(row);
        if self.ages.back().is_none_or(|(last, _)| row >= last + AGE_ROWS) {
            self.ages.push_back((row, now));
        }
    }

    fn forget(&mut self, through: i64) {
        while self.ages.front().is_some_and(|(row, _)| *row <= through) {
            self.ages.pop_front();
        }
    }

    pub(super) fn lag(&self, through: i64, now: Instant) -> Lag {
        let oldest = self.ages.iter().find(|(row, _)| *row > through);
        Lag {
            rows: self.committed.saturating_sub(through).max(0),
            age: oldest.map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(*since)),
        }
    }
}

/// Why a file was left.
enum Leave {
    Stop,
    Rebuild,
}

/// An index file that is being filled.
struct Open {
    connection: Connection,
    key: TokenKey,
    through: Through,
}

/// Follows until told to stop.
pub(super) fn run(shared: &Arc<Shared>) {
    let boot_id = file::boot_id();
    let mut anew = false;
    loop {
        match follow_file(shared, &boot_id, anew) {
            Ok(Leave::Stop) => return,
            Ok(Leave::Rebuild) => anew = true,
            Err(FillError::Ledger(error)) => {
                tracing::warn!(%error, "the index waits: the ledger cannot be read");
                anew = false;
                pause(shared);
            }
            Err(FillError::Index(error)) => {
                tracing::warn!(%error, "the index is built anew");
                anew = true;
                pause(shared);
            }
        }
        if locked(&shared.signals).stop {
            return;
        }
    }
}

fn pause(shared: &Shared) {
    let signals = locked(&shared.signals);
    if !signals.stop {
        drop(shared.bell.wait_timeout(signals, PAUSE));
    }
}

fn follow_file(shared: &Arc<Shared>, boot_id: &str, anew: bool) -> Result<Leave, FillError> {
    let ledger = shared.ledger.open_reader().map_err(FillError::Ledger)?;
    let mut open = open_file(shared, &ledger, boot_id, anew)?;
    let blocks = Blocks::load(&open.connection).map_err(FillError::Index)?;
    if !blocks.are_possible(open.through.row) {
        return Err(FillError::Index(rusqlite::Error::InvalidQuery));
    }
    let view = Arc::new(View::new(shared.path.clone(), open.key, open.through.row, blocks.clone()));
    {
        // Whoever notes a row from here on notes it in this view; rows up to what the ledger holds now may have been missed.
        *shared.view.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&view));
        let committed: i64 = ledger.query_row("SELECT coalesce(max(row), 0) FROM events", [], |row| row.get(0)).map_err(of_ledger)?;
        view.ids.noting_from(committed);
        locked(&shared.signals).commit(committed, Instant::now());
    }
    {
        // Somebody who wants it anew waits for that one.
        let signals = locked(&shared.signals);
        if !signals.rebuild {
            shared.through.send_replace(open.through.row);
        }
    }
    let loader = load_ids(shared, &view, open.through.row);
    let left = fill(shared, &ledger, &mut open, &view, blocks);
    locked(&view.idle).clear();
    if loader.is_some_and(|loader| loader.join().is_err()) {
        tracing::error!("the thread that loads ids panicked");
    }
    if matches!(left, Ok(Leave::Stop))
        && let Err(error) = file::close(open.connection)
    {
        tracing::warn!(%error, "the index was not marked clean; it may be built anew at the next start");
    }
    left
}

fn open_file(shared: &Shared, ledger: &sql::Connection, boot_id: &str, anew: bool) -> Result<Open, FillError> {
    if !anew {
        match file::resume(&shared.path, boot_id, ledger) {
            Ok((connection, key, through)) => return Ok(Open { connection, key, through }),
            Err(reason) if shared.path.exists() => tracing::info!(%reason, "the index is built anew"),
            Err(_) => {}
        }
    }
    locked(&shared.signals).rebuild = false;
    shared.through.send_replace(super::NOT_OPEN);
    shared.unpublish();
    let (connection, key, through) = file::create(&shared.path, boot_id).map_err(|unfit| match unfit {
        file::Unfit::Sqlite(error) => FillError::Index(error),
        _ => FillError::Index(rusqlite::Error::InvalidQuery),
    })?;
    Ok(Open { connection, key, through })
}

/// The Bloom filter of an index that was there is filled beside the follower, so that indexing goes on meanwhile.
fn load_ids(shared: &Arc<Shared>, view: &Arc<View>, through: i64) -> Option<std::thread::JoinHandle<()>> {
    if through == 0 {
        return None;
    }
    let (shared, view) = (Arc::clone(shared), Arc::clone(view));
    let load = move || {
        let stopped = || {
            let signals = locked(&shared.signals);
            signals.stop || signals.rebuild
        };
        let loaded = file::open_reader(&view.path).and_then(|connection| view.ids.load(&connection, through, &stopped));
        if let Err(error) = loaded {
            tracing::warn!(%error, "ids could not be loaded; the index is built anew");
            shared.rebuild();
        }
    };
    std::thread::Builder::new().name("index-ids".to_owned()).spawn(load).ok()
}

fn fill(shared: &Shared, ledger: &sql::Connection, open: &mut Open, view: &View, mut blocks: Blocks) -> Result<Leave, FillError> {
    loop {
        let target = match wait(shared, open.through.row) {
            Ok(target) => target,
            Err(leave) => return Ok(leave),
        };
        let mut filler = Filler { ledger, index: &mut open.connection, key: open.key, ids: &view.ids };
        filler.batch(&mut open.through, target, &mut blocks)?;
        // Readers learn of blocks before they learn that rows are there.
        *view.blocks.write().unwrap_or_else(PoisonError::into_inner) = blocks.clone();
        view.ids.indexed(open.through.row);
        {
            // Under the lock, so that a rebuild that was asked for meanwhile is not answered by an old figure.
            let mut signals = locked(&shared.signals);
            signals.forget(open.through.row);
            if !signals.rebuild {
                shared.through.send_replace(open.through.row);
            }
        }
        shared.bell.notify_all();
    }
}

/// Waits for rows after `through`; returns the row to go to.
fn wait(shared: &Shared, through: i64) -> Result<i64, Leave> {
    let mut signals = locked(&shared.signals);
    let mut gather: Option<Instant> = None;
    loop {
        if signals.stop {
            return Err(Leave::Stop);
        }
        if signals.rebuild {
            return Err(Leave::Rebuild);
        }
        let waiting = signals.committed.saturating_sub(through);
        if waiting >= FEW_ROWS || (waiting > 0 && signals.wanted > through) {
            return Ok(signals.committed);
        }
        signals = if waiting > 0 {
            let until = *gather.get_or_insert_with(|| Instant::now() + GATHER);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(signals.committed);
            }
            shared.bell.wait_timeout(signals, left).unwrap_or_else(PoisonError::into_inner).0
        } else {
            shared.bell.wait(signals).unwrap_or_else(PoisonError::into_inner)
        };
    }
}
