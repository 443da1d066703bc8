//! What was committed since the last anchor of each project, gathered in one pass over the rows of the ledger.
//!
//! Each pass reads the rows that the one before did not see, whatever project they belong to, so its cost follows what was
//! written and not how many projects there are. What could not be anchored waits here for the next pass. Memory is a few
//! hundred bytes a project that has rows waiting.

use std::collections::{BTreeMap, HashMap};

use indelible_core::anchor::{Anchor, Interval};
use indelible_core::chain::{GENESIS, Hash};
use rusqlite::Connection;

use crate::store::StoreError;

/// The last anchor of a project.
#[derive(Debug, Clone)]
pub(super) struct Anchored {
    pub(super) number: u64,
    pub(super) anchor: Anchor,
}

/// The rows of a project that no anchor covers.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) first_sequence: u64,
    /// The sequence after the last.
    pub(super) size: u64,
    pub(super) interval: Interval,
    pub(super) last_row_hash: Hash,
    pub(super) last_row: i64,
    /// The first row that does not follow on the one before it: nothing from there on is anchored.
    pub(super) broken_at: Option<u64>,
}

/// The rows of all projects that no anchor covers, as far as they were read.
#[derive(Debug, Default)]
pub(super) struct Intervals {
    /// Rows up to here were read.
    through: i64,
    pub(super) waiting: BTreeMap<i64, Waiting>,
    /// By `ledgers.project`.
    pub(super) anchored: HashMap<i64, Anchored>,
}

impl Intervals {
    /// Reads the last anchors, and finds the row from which on some project has rows that none covers.
    pub(super) fn load(ledger: &Connection) -> Result<Self, StoreError> {
        let mut intervals = Self::default();
        let mut statement = ledger.prepare(
            "SELECT project, number, anchor FROM anchors AS one
             WHERE number = (SELECT max(number) FROM anchors WHERE project = one.project)",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (project, number): (i64, i64) = (row.get(0)?, row.get(1)?);
            let anchor: String = row.get(2)?;
            let anchor = Anchor::parse(anchor.as_bytes())
                .map_err(|error| StoreError::Corrupt(format!("anchor {number} of project number {project}: {error}")))?;
            intervals.anchored.insert(project, Anchored { number: number.unsigned_abs(), anchor });
        }
        intervals.through = ledger.query_row(
            "SELECT coalesce(min(covered), (SELECT coalesce(max(row), 0) FROM events)) FROM (
                 SELECT coalesce(newest.last_row, 0) AS covered FROM heads LEFT JOIN (
                     SELECT project, max(number), tree_size, last_row FROM anchors GROUP BY project
                 ) AS newest USING (project) WHERE heads.size > coalesce(newest.tree_size, 0)
             )",
            [],
            |row| row.get(0),
        )?;
        Ok(intervals)
    }

    /// Reads what was committed since the last pass.
    pub(super) fn read(&mut self, ledger: &Connection) -> Result<(), StoreError> {
        let mut statement =
            ledger.prepare_cached("SELECT row, project, sequence, prev_hash, row_hash FROM events WHERE row > ?1 ORDER BY row")?;
        let mut rows = statement.query([self.through])?;
        let mut through = self.through;
        while let Some(row) = rows.next()? {
            through = row.get(0)?;
            let project: i64 = row.get(1)?;
            let sequence = row.get::<_, i64>(2)?.unsigned_abs();
            let anchored = self.anchored.get(&project);
            let (size, last_row_hash) = anchored.map_or((0, GENESIS), |last| (last.anchor.tree_size(), last.anchor.last_row_hash));
            if sequence < size {
                continue;
            }
            let waiting = self.waiting.entry(project).or_insert_with(|| Waiting {
                first_sequence: size,
                size,
                interval: Interval::new(),
                last_row_hash,
                last_row: 0,
                broken_at: None,
            });
            waiting.push(through, sequence, row.get(3)?, row.get(4)?);
        }
        self.through = through;
        Ok(())
    }

    /// An anchor covers what waited of a project.
    pub(super) fn anchored(&mut self, project: i64, number: u64, anchor: Anchor) {
        self.waiting.remove(&project);
        self.anchored.insert(project, Anchored { number, anchor });
    }

    /// Rows that anchors cover, of all projects.
    pub(super) fn rows_anchored(&self) -> u64 {
        self.anchored.values().map(|last| last.anchor.tree_size()).sum()
    }
}

/// The same without reading the anchors themselves: for a start, when nothing was read yet.
pub(crate) fn rows_anchored(ledger: &Connection) -> Result<u64, StoreError> {
    let rows: i64 = ledger.query_row(
        "SELECT coalesce(sum((SELECT tree_size FROM anchors WHERE project = ledgers.project ORDER BY number DESC LIMIT 1)), 0) FROM ledgers",
        [],
        |row| row.get(0),
    )?;
    Ok(rows.unsigned_abs())
}

impl Waiting {
    fn push(&mut self, row: i64, sequence: u64, prev_hash: Hash, row_hash: Hash) {
        if self.broken_at.is_some() {
            return;
        }
        if sequence != self.size || prev_hash != self.last_row_hash {
            self.broken_at = Some(self.size);
            return;
        }
        self.interval.push(&row_hash);
        self.size += 1;
        self.last_row_hash = row_hash;
        self.last_row = row;
    }
}
