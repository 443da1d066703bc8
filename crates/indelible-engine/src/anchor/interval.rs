//! What was committed since the last anchor of each project, gathered in one pass over the rows of the ledger.
//!
//! Each pass reads the rows that the one before did not see, whatever project they belong to, so its cost follows what was
//! written and not how many projects there are. What could not be anchored waits here for the next pass. Memory is a few
//! hundred bytes a project that has rows waiting.

use std::collections::{BTreeMap, HashMap};

use indelible_core::anchor::{Anchor, Interval};
use indelible_core::chain::{GENESIS, Hash};

use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, Row, SqlError};

/// Called in the course of what may take long: renews the lease, and says where it is lost.
pub(super) type Keep<'k> = &'k mut dyn FnMut() -> Result<(), StoreError>;

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
    /// Projects whose last anchor is not what was published, and why: nothing more is anchored of them until it is.
    pub(super) spoiled: BTreeMap<i64, String>,
}

/// The last anchor of each project, with the leaf that commits to it. Projects first: there are far more anchors.
const LAST_ANCHORS: &str = "
SELECT newest.project, newest.number, anchor, leaf FROM ledgers CROSS JOIN anchors AS newest
    ON newest.project = ledgers.project AND newest.number = (SELECT max(number) FROM anchors WHERE project = ledgers.project)
LEFT JOIN instance_leaves AS leaves ON leaves.project = newest.project AND leaves.number = newest.number";

/// The row up to which anchors cover all projects that have rows which none covers; else the last row.
const COVERED: &str = "
SELECT coalesce(min(coalesce(newest.last_row, 0)), (SELECT coalesce(max(row), 0) FROM events)) FROM heads LEFT JOIN anchors AS newest
    ON newest.project = heads.project AND newest.number = (SELECT max(number) FROM anchors WHERE project = heads.project)
WHERE heads.size > coalesce(newest.tree_size, 0)";

/// Reads an anchor and its leaf, the one being what the other commits to, and whose it is; or why it is not.
fn read_anchor(row: &Row<'_>) -> Result<(i64, Result<Anchored, String>), SqlError> {
    let (project, number): (i64, i64) = (row.get(0)?, row.get(1)?);
    let bytes = |at: usize| row.get_ref(at).map(|value| value.as_bytes().unwrap_or_default());
    let (anchor, leaf) = (Anchor::parse(bytes(2)?), bytes(3)?);
    let read = match anchor {
        Ok(anchor) if anchor.instance_leaf().to_bytes() == leaf => Ok(Anchored { number: number.unsigned_abs(), anchor }),
        Ok(_) => Err(format!("anchor {number} is not the one that its leaf in the instance tree commits to")),
        Err(error) => Err(format!("anchor {number}: {error}")),
    };
    Ok((project, read))
}

impl Intervals {
    /// Reads the last anchors, and finds the row from which on some project has rows that none covers.
    /// `keep` is called between rows, for as long as it says to go on.
    pub(super) fn load(ledger: &Connection, keep: Keep<'_>) -> Result<Self, StoreError> {
        let mut intervals = Self::default();
        let mut statement = ledger.prepare(LAST_ANCHORS)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            keep()?;
            match read_anchor(&row)? {
                (project, Ok(anchored)) => drop(intervals.anchored.insert(project, anchored)),
                (project, Err(why)) => drop(intervals.spoiled.insert(project, why)),
            }
        }
        intervals.through = ledger.query_row(COVERED, [], |row| row.get(0))?;
        Ok(intervals)
    }

    /// Whether an anchor that was spoiled is what was published again.
    pub(super) fn is_mended(&self, ledger: &Connection) -> Result<bool, StoreError> {
        let mut statement = ledger.prepare(&format!("{LAST_ANCHORS} WHERE ledgers.project = ?1"))?;
        for project in self.spoiled.keys() {
            if statement.query_row([project], read_anchor).optional()?.is_some_and(|(_, read)| read.is_ok()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads what was committed since the last pass, which may be much: `keep` as for [`Self::load`].
    pub(super) fn read(&mut self, ledger: &Connection, keep: Keep<'_>) -> Result<(), StoreError> {
        let mut statement = ledger.prepare("SELECT row, project, sequence, prev_hash, row_hash FROM events WHERE row > ?1 ORDER BY row")?;
        let mut rows = statement.query([self.through])?;
        let mut through = self.through;
        while let Some(row) = rows.next()? {
            keep()?;
            through = row.get(0)?;
            let project: i64 = row.get(1)?;
            if self.spoiled.contains_key(&project) {
                continue;
            }
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
            // A hash of another length is none.
            waiting.push(through, sequence, row.get(3).ok().zip(row.get(4).ok()));
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

const ROWS_ANCHORED: &str = "SELECT CAST(coalesce(sum((SELECT tree_size FROM anchors WHERE project = ledgers.project ORDER BY number DESC LIMIT 1)), 0) AS bigint) FROM ledgers";

/// The same without reading the anchors themselves: for a start, when nothing was read yet.
pub(crate) fn rows_anchored(ledger: &Connection) -> Result<u64, StoreError> {
    let rows: i64 = ledger.query_row(ROWS_ANCHORED, [], |row| row.get(0))?;
    Ok(rows.unsigned_abs())
}

impl Waiting {
    /// Takes the next row; `hashes` are `prev_hash` and `row_hash`.
    fn push(&mut self, row: i64, sequence: u64, hashes: Option<(Hash, Hash)>) {
        if self.broken_at.is_some() {
            return;
        }
        let follows = hashes.filter(|(prev_hash, _)| sequence == self.size && *prev_hash == self.last_row_hash);
        let Some((_, row_hash)) = follows else {
            self.broken_at = Some(self.size);
            return;
        };
        self.interval.push(&row_hash);
        self.size += 1;
        self.last_row_hash = row_hash;
        self.last_row = row;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a start costs follows the projects there are, not the anchors that were ever made.
    #[test]
    fn a_start_looks_up_anchors_and_reads_through_none() {
        let ledger = rusqlite::Connection::open_in_memory().expect("a database");
        ledger.execute_batch(include_str!("../store/sqlite/schema.sql")).expect("the tables");
        for sql in [LAST_ANCHORS, COVERED, ROWS_ANCHORED] {
            let mut statement = ledger.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a statement");
            let steps: Vec<String> = statement.query_map([], |row| row.get(3)).expect("a plan").collect::<Result<_, _>>().expect("steps");
            let is_small = |step: &str| step.starts_with("SCAN ledgers") || step.starts_with("SCAN heads");
            let whole = steps.iter().filter(|step| step.starts_with("SCAN") && !is_small(step) || step.contains("AUTOMATIC"));
            assert_eq!(whole.count(), 0, "{steps:#?}");
            assert!(!steps.is_empty());
        }
    }
}
