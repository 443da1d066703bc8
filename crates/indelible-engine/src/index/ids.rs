//! Which rows may bear an id: the candidates of a retry, and of "show me this event".
//!
//! Three places, asked in this order, so that a row is always in one of them: the rows that are committed and not yet
//! indexed (a map), a Bloom filter over the indexed ones, and the index itself, where an id is a token like any other.
//! So random ids cost an append no more as the log grows. Candidates only: whoever asks reads the row and compares.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};

use rusqlite::Connection;
use uuid::Uuid;

use super::bloom::Bloom;
use super::token::{Token, TokenKey};

/// Rows in one generation of the map; a generation is dropped once all of it is indexed.
const GENERATION_ROWS: usize = 65_536;

/// Where to look for ids. Belongs to one index file.
pub(crate) struct Ids {
    key: TokenKey,
    recent: RwLock<VecDeque<Generation>>,
    bloom: Bloom,
    /// Whether the Bloom filter holds all indexed rows; until then it is not asked.
    bloom_complete: AtomicBool,
    /// Rows up to here were committed before anybody took note: only the index knows them.
    noted_from: AtomicI64,
    through: AtomicI64,
}

#[derive(Default)]
struct Generation {
    rows: HashMap<Token, i64>,
    /// Further rows of a token that the map holds: two ids of one token, or a duplicate that somebody forged.
    more: Vec<(Token, i64)>,
    last_row: i64,
}

/// What is known without the index.
pub(crate) enum Memory {
    /// These rows, and whatever the index says.
    AskIndex(Token, Vec<i64>),
    /// These rows and no more.
    Known(Vec<i64>),
    /// So many rows are neither noted nor indexed yet.
    Behind(i64),
}

impl Ids {
    /// Over an index that has come to `through`. Nothing is known of committed rows beyond it until
    /// [`Self::noting_from`] and the follower have spoken.
    pub(crate) fn new(key: TokenKey, through: i64) -> Self {
        Self {
            key,
            recent: RwLock::default(),
            bloom: Bloom::with_room_for(usize::try_from(through).unwrap_or(0).saturating_mul(2)),
            bloom_complete: AtomicBool::new(through == 0),
            noted_from: AtomicI64::new(i64::MAX),
            through: AtomicI64::new(through),
        }
    }

    /// Everything after `row` has been noted, or will be.
    pub(crate) fn noting_from(&self, row: i64) {
        self.noted_from.store(row, Ordering::Release);
    }

    /// Takes note of a committed row.
    pub(crate) fn note(&self, project: i64, id: Uuid, row: i64) {
        let token = self.key.id(project, id);
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        if recent.back().is_none_or(|last| last.rows.len() >= GENERATION_ROWS) {
            recent.push_back(Generation::default());
        }
        let Some(last) = recent.back_mut() else { return };
        if let Some(old) = last.rows.insert(token, row) {
            last.more.push((token, old));
        }
        last.last_row = last.last_row.max(row);
    }

    /// A row is about to be indexed.
    pub(crate) fn indexing(&self, project: i64, id: Uuid) -> Token {
        let token = self.key.id(project, id);
        self.bloom.add(token);
        token
    }

    /// Rows up to `row` are in the index, and committed there.
    pub(crate) fn indexed(&self, row: i64) {
        self.through.store(row, Ordering::Release);
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        while recent.front().is_some_and(|oldest| oldest.last_row <= row) {
            recent.pop_front();
        }
    }

    /// The last row indexed.
    pub(crate) fn through(&self) -> i64 {
        self.through.load(Ordering::Acquire)
    }

    /// What memory knows of an id.
    pub(crate) fn look(&self, project: i64, id: Uuid) -> Memory {
        let token = self.key.id(project, id);
        let mut rows = Vec::new();
        {
            let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
            for generation in recent.iter() {
                rows.extend(generation.rows.get(&token));
                rows.extend(generation.more.iter().filter(|(other, _)| *other == token).map(|(_, row)| row));
            }
        }
        let unseen = self.noted_from.load(Ordering::Acquire).saturating_sub(self.through.load(Ordering::Acquire));
        if unseen > 0 && rows.is_empty() {
            return Memory::Behind(unseen);
        }
        if self.bloom_complete.load(Ordering::Acquire) && !self.bloom.may_hold(token) {
            return Memory::Known(rows);
        }
        Memory::AskIndex(token, rows)
    }

    /// Fills the Bloom filter with the rows that an index held when it was opened. Stops early if `stopped` says so.
    pub(crate) fn load(&self, index: &Connection, through: i64, stopped: &dyn Fn() -> bool) -> Result<(), rusqlite::Error> {
        let mut statement = index.prepare("SELECT project, id FROM rows WHERE row <= ?1")?;
        let mut rows = statement.query([through])?;
        let mut count = 0_u32;
        while let Some(row) = rows.next()? {
            self.bloom.add(self.key.id(row.get(0)?, Uuid::from_bytes(row.get(1)?)));
            count = count.wrapping_add(1);
            if count.is_multiple_of(65_536) && stopped() {
                return Ok(());
            }
        }
        self.bloom_complete.store(true, Ordering::Release);
        Ok(())
    }
}
