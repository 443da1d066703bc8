//! Where the rows of a project lie, and between which times: a summary of each 4,096 rows of it, in memory and in
//! the index file.
//!
//! Readers of "newest first" go down the blocks, skip those outside the page, and stop when everything older lies
//! below the page. Rows of a project have ascending row numbers, so its blocks do not overlap.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, params};

/// Rows of a project in one block.
pub(crate) const BLOCK_ROWS: u64 = 4_096;

/// What pages are ordered by: the time, then the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Microseconds since 1970.
    pub(crate) occurred_at: i64,
    /// The event.
    pub(crate) id: [u8; 16],
}

/// One block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its first row, by the ledger's number.
    pub(crate) first_row: i64,
    /// Its last.
    pub(crate) last_row: i64,
    /// Rows in it.
    pub(crate) rows: u64,
    /// The least key.
    pub(crate) min: Key,
    /// The greatest.
    pub(crate) max: Key,
    /// The greatest of all blocks before it.
    pub(crate) older_max: Option<Key>,
}

impl Block {
    /// Whether every row from the first to the last is of this project.
    pub(crate) const fn is_dense(&self) -> bool {
        self.last_row.saturating_sub(self.first_row).unsigned_abs() + 1 == self.rows
    }

    /// Whether it can be the one after `before` in an index that has come to `through`: whatever is read from the file is held
    /// against this, so that nobody has to doubt it later.
    fn is_possible_after(&self, before: Option<&Self>, through: i64) -> bool {
        let after = before.map_or(0, |before| before.last_row);
        after < self.first_row
            && self.first_row <= self.last_row
            && self.last_row <= through
            && (1..=BLOCK_ROWS).contains(&self.rows)
            && self.rows - 1 <= (self.last_row - self.first_row).unsigned_abs()
            && self.min <= self.max
    }

    /// The greatest key of it and of everything before it.
    pub(crate) fn max_so_far(&self) -> Key {
        self.older_max.map_or(self.max, |older| older.max(self.max))
    }
}

/// The blocks of every project. Cheap to clone; a clone stays as it was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blocks {
    projects: HashMap<i64, Arc<Vec<Block>>>,
}

impl Blocks {
    /// The blocks of a project, oldest first.
    pub(crate) fn of(&self, project: i64) -> Arc<Vec<Block>> {
        self.projects.get(&project).cloned().unwrap_or_default()
    }

    /// Takes in the next row of a project; says which block it fell into.
    pub(crate) fn add(&mut self, project: i64, row: i64, key: Key) -> usize {
        let blocks = Arc::make_mut(self.projects.entry(project).or_default());
        if let Some(last) = blocks.last_mut().filter(|last| last.rows < BLOCK_ROWS) {
            last.last_row = row;
            last.rows += 1;
            last.min = last.min.min(key);
            last.max = last.max.max(key);
        } else {
            let older_max = blocks.last().map(Block::max_so_far);
            blocks.push(Block { first_row: row, last_row: row, rows: 1, min: key, max: key, older_max });
        }
        blocks.len() - 1
    }

    /// Whether they can be those of an index that has come to `through`: what was loaded from a file is held against this before
    /// anybody reads by it.
    pub(crate) fn are_possible(&self, through: i64) -> bool {
        self.projects.values().all(|blocks| {
            let before = std::iter::once(None).chain(blocks.iter().map(Some));
            before.zip(blocks.iter()).all(|(before, block)| block.is_possible_after(before, through))
        })
    }

    /// Reads all blocks of an index file.
    pub(crate) fn load(connection: &Connection) -> Result<Self, rusqlite::Error> {
        let mut statement = connection.prepare(
            "SELECT project, block, first_row, last_row, rows, min_at, min_id, max_at, max_id FROM blocks ORDER BY project, block",
        )?;
        let mut found = statement.query([])?;
        let mut projects: HashMap<i64, Vec<Block>> = HashMap::new();
        while let Some(row) = found.next()? {
            let blocks = projects.entry(row.get(0)?).or_default();
            if row.get::<_, i64>(1)? != blocks.len() as i64 {
                return Err(rusqlite::Error::IntegralValueOutOfRange(1, blocks.len() as i64));
            }
            let older_max = blocks.last().map(Block::max_so_far);
            blocks.push(Block {
                first_row: row.get(2)?,
                last_row: row.get(3)?,
                rows: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
                min: Key { occurred_at: row.get(5)?, id: row.get(6)? },
                max: Key { occurred_at: row.get(7)?, id: row.get(8)? },
                older_max,
            });
        }
        Ok(Self { projects: projects.into_iter().map(|(project, blocks)| (project, Arc::new(blocks))).collect() })
    }

    /// Writes one block.
    pub(crate) fn store(&self, connection: &Connection, project: i64, block: usize) -> Result<(), rusqlite::Error> {
        let Some(summary) = self.projects.get(&project).and_then(|blocks| blocks.get(block)) else { return Ok(()) };
        connection
            .prepare_cached("INSERT OR REPLACE INTO blocks (project, block, first_row, last_row, rows, min_at, min_id, max_at, max_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
            .execute(params![
                project,
                block as i64,
                summary.first_row,
                summary.last_row,
                summary.rows as i64,
                summary.min.occurred_at,
                summary.min.id,
                summary.max.occurred_at,
                summary.max.id
            ])?;
        Ok(())
    }

    /// Every project and its blocks.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &[Block])> {
        self.projects.iter().map(|(project, blocks)| (*project, blocks.as_slice()))
    }
}
