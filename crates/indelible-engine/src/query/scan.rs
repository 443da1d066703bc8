//! Reading candidates: index rows go in, ledger rows that match come out.
//!
//! Nothing is taken from the index but row numbers and hints: project, key and match are read from the ledger's own
//! bytes. So a forged index hides rows (verification finds that) and never adds one or puts it elsewhere.
//!
//! The newest few rows may not be indexed yet: they are the tail, and all of them are candidates.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use indelible_core::entry::Outline;
use indelible_core::filter::{Filter, Plan};
use indelible_core::json;
use memchr::memmem::Finder;
use uuid::Uuid;

use crate::index::{Key, Postings, TokenKey, View};
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, Row, SqlError, params};

/// Rows that a database is asked for at once, at first and then at most.
const AT_ONCE_MIN: usize = 32;
const AT_ONCE_MAX: usize = 512;

/// A row of the ledger that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The ledger's number.
    pub(crate) row: i64,
    /// Its place in the chain.
    pub(crate) sequence: u64,
    /// Where it sorts.
    pub(crate) key: Key,
    /// The exact bytes.
    pub(crate) entry: Vec<u8>,
    /// The `prev_hash` column.
    pub(crate) prev_hash: Vec<u8>,
    /// The `row_hash` column.
    pub(crate) row_hash: Vec<u8>,
}

impl Found {
    /// The event's id.
    pub(crate) const fn id(&self) -> Uuid {
        Uuid::from_bytes(self.key.id)
    }
}

/// Why a scan was given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    /// The index could not be read.
    #[error("the index cannot be read: {0}")]
    Index(#[from] rusqlite::Error),
    /// The ledger could not be read.
    #[error("the ledger cannot be read: {0}")]
    Ledger(#[from] StoreError),
    /// Out of time.
    #[error("the query took too long")]
    TooLong,
}

impl From<SqlError> for ScanError {
    fn from(error: SqlError) -> Self {
        Self::Ledger(error.into())
    }
}

/// A moment after which a scan gives up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub(crate) fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// Whether it has come.
    pub(crate) fn is_over(self) -> bool {
        Instant::now() > self.0
    }

    fn check(self) -> Result<(), ScanError> {
        if self.is_over() { Err(ScanError::TooLong) } else { Ok(()) }
    }
}

/// What is looked for, where.
pub(crate) struct Scan<'a> {
    /// The blocks of the index.
    pub(crate) view: &'a View,
    /// The index.
    pub(crate) index: &'a rusqlite::Connection,
    /// The ledger.
    pub(crate) ledger: &'a Connection,
    /// `ledgers.project`
    pub(crate) project: i64,
    /// The same project.
    pub(crate) project_id: Uuid,
    /// Rows after this one are not asked of the index.
    pub(crate) last_row: i64,
    /// The last row of the tail; the first one is that after `last_row`.
    tail_end: i64,
    /// What must match.
    pub(crate) filter: Option<&'a Filter>,
    /// When to give up.
    pub(crate) deadline: Deadline,
    necessary: Option<Finder<'static>>,
}

impl<'a> Scan<'a> {
    /// A scan of one project up to `head`, of which the index of `view` knows at least what it knows now.
    pub(crate) fn new(
        view: &'a View,
        (index, ledger): (&'a rusqlite::Connection, &'a Connection),
        (project, project_id): (i64, Uuid),
        head: i64,
        filter: Option<&'a Filter>,
        deadline: Deadline,
    ) -> Self {
        let necessary = filter.and_then(Filter::necessary_bytes).map(|bytes| Finder::new(&bytes).into_owned());
        let last_row = head.min(view.through());
        Self { view, index, ledger, project, project_id, last_row, tail_end: head, filter, deadline, necessary }
    }

    /// The project's rows that the index has not come to, oldest first.
    pub(crate) fn tail(&self) -> Result<Vec<i64>, ScanError> {
        if self.tail_end <= self.last_row {
            return Ok(Vec::new());
        }
        let read = || -> Result<Vec<i64>, SqlError> {
            let mut statement =
                self.ledger.prepare_by_row("SELECT row FROM events WHERE row > ?1 AND row <= ?2 AND project = ?3 ORDER BY row")?;
            statement.query_map(params![self.last_row, self.tail_end, self.project], |row| row.get(0))?.collect()
        };
        read().map_err(ScanError::from)
    }

    /// The posting list that every match is on.
    pub(crate) fn postings(&self) -> Postings {
        let key: TokenKey = self.view.key();
        if let Some(id) = self.filter.and_then(Filter::id_equals) {
            return Postings::token(key.id(self.project, id));
        }
        Postings::of(key, self.project, &self.filter.map_or(Plan::All, Filter::plan))
    }

    /// The row, if it is this project's and matches; with the key that its own bytes give it.
    pub(crate) fn examine(&self, row: i64) -> Result<Option<Found>, ScanError> {
        let mut statement = self
            .ledger
            .prepare_by_row("SELECT row, sequence, entry, prev_hash, row_hash FROM events WHERE row = ?1 AND project = ?2")
            .map_err(ScanError::from)?;
        statement.query_row(params![row, self.project], |found| self.read(found)).optional().map(Option::flatten).map_err(ScanError::from)
    }

    /// The same of several rows, in their order, until `each` says stop. A database that is asked over a wire is asked for many at once, of
    /// which then not all may be wanted.
    pub(crate) fn examine_each(
        &self,
        rows: &[i64],
        each: &mut dyn FnMut(i64, Option<Found>) -> Result<bool, ScanError>,
    ) -> Result<(), ScanError> {
        let (mut rows, mut at_once) = (rows, AT_ONCE_MIN);
        while !rows.is_empty() {
            let some;
            (some, rows) = rows.split_at(rows.len().min(if self.ledger.is_far() { at_once } else { 1 }));
            at_once = (at_once * 2).min(AT_ONCE_MAX);
            let mut found = if let [row] = some { self.examine(*row)?.into_iter().collect() } else { self.examine_some(some)? };
            for row in some {
                let this = found.iter().position(|found| found.row == *row).map(|at| found.swap_remove(at));
                if !each(*row, this)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// So many candidates to gather before they are examined.
    pub(crate) fn at_once(&self) -> usize {
        if self.ledger.is_far() { AT_ONCE_MAX } else { 1 }
    }

    fn examine_some(&self, rows: &[i64]) -> Result<Vec<Found>, ScanError> {
        let mut numbers = String::with_capacity(rows.len() * 12);
        for row in rows {
            let _ = write!(numbers, "{}{row}", if numbers.is_empty() { "" } else { "," });
        }
        let (first, last) = (rows.iter().min(), rows.iter().max());
        let read = || -> Result<Vec<Option<Found>>, SqlError> {
            let mut statement = self.ledger.prepare_by_row(
                "SELECT row, sequence, entry, prev_hash, row_hash FROM events
                 WHERE row >= ?1 AND row <= ?2 AND row = ANY(string_to_array(?3, ',')::bigint[]) AND project = ?4",
            )?;
            statement.query_map(params![first.copied(), last.copied(), numbers, self.project], |found| self.read(found))?.collect()
        };
        Ok(read().map_err(ScanError::from)?.into_iter().flatten().collect())
    }

    fn read(&self, found: &Row<'_>) -> Result<Option<Found>, SqlError> {
        let entry = found.get_ref(2)?.as_bytes().unwrap_or_default();
        let Some(key) = self.matching(entry) else { return Ok(None) };
        let bytes = |at: usize| found.get_ref(at).map(|value| value.as_bytes().unwrap_or_default().to_vec());
        let (row, sequence) = (found.get(0)?, found.get::<_, i64>(1)? as u64);
        Ok(Some(Found { row, sequence, key, entry: entry.to_vec(), prev_hash: bytes(3)?, row_hash: bytes(4)? }))
    }

    fn matching(&self, entry: &[u8]) -> Option<Key> {
        if self.necessary.as_ref().is_some_and(|necessary| necessary.find(entry).is_none()) {
            return None;
        }
        if let Some(filter) = self.filter
            && !json::parse(entry).is_ok_and(|value| filter.matches(&value))
        {
            return None;
        }
        let outline = Outline::read(entry).filter(|outline| outline.project_id == self.project_id)?;
        Some(Key { occurred_at: outline.occurred_at.as_micros(), id: *outline.id.as_bytes() })
    }

    /// Where the index says that a row sorts; `None` where it says nothing.
    pub(crate) fn hint(&self, row: i64) -> Result<Option<Key>, ScanError> {
        let mut statement = self.index.prepare_cached("SELECT occurred_at, id FROM rows WHERE row = ?1 AND project = ?2")?;
        Ok(rusqlite::OptionalExtension::optional(
            statement.query_row((row, self.project), |found| Ok(Key { occurred_at: found.get(0)?, id: found.get(1)? })),
        )?)
    }

    /// Called for each candidate; looks at the clock now and then.
    pub(crate) fn tick(&self, count: &mut u32) -> Result<(), ScanError> {
        *count = count.wrapping_add(1);
        if count.is_multiple_of(256) { self.deadline.check() } else { Ok(()) }
    }
}
