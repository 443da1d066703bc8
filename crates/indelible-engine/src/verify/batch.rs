//! Stored rows, read once in stored order with their contents and wraps beside them, and handed on in batches of flat
//! memory.

use std::ops::Range;

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator as _;
use rusqlite::{Connection, Rows};

/// Rows in a batch at most.
const BATCH_ROWS: usize = 2_048;
/// Bytes in a batch before it is handed on.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// A run of rows.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    pub(super) rows: Vec<StoredRow>,
    /// Contents and wraps that lie beside no event: (table, row).
    pub(super) orphans: Vec<(&'static str, i64)>,
}

/// One row, its bytes in the batch.
pub(super) struct StoredRow {
    pub(super) row: i64,
    pub(super) project: i64,
    pub(super) sequence: i64,
    pub(super) id: Range<usize>,
    pub(super) entry: Range<usize>,
    pub(super) prev_hash: Range<usize>,
    pub(super) row_hash: Range<usize>,
    pub(super) content: Option<Range<usize>>,
    pub(super) wrap: Option<(i64, Range<usize>)>,
}

impl Batch {
    pub(super) fn bytes(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.clone()]
    }

    fn put(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }
}

/// A table beside `events`, read along by row.
struct Beside<'s> {
    table: &'static str,
    rows: Rows<'s>,
    /// The row it stands at; `None` at its end.
    at: Option<i64>,
}

impl<'s> Beside<'s> {
    fn new(table: &'static str, rows: Rows<'s>) -> Result<Self, rusqlite::Error> {
        let mut beside = Self { table, rows, at: None };
        beside.step()?;
        Ok(beside)
    }

    fn step(&mut self) -> Result<(), rusqlite::Error> {
        self.at = self.rows.next()?.map(|row| row.get(0)).transpose()?;
        Ok(())
    }

    /// Moves to `row`; what is passed over lies beside no event. Says whether it stands there.
    fn reach(&mut self, row: i64, orphans: &mut Vec<(&'static str, i64)>) -> Result<bool, rusqlite::Error> {
        while let Some(at) = self.at.filter(|at| *at < row) {
            orphans.push((self.table, at));
            self.step()?;
        }
        Ok(self.at == Some(row))
    }
}

/// Which rows are read, both included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) first: i64,
    pub(super) last: i64,
}

/// Reads the rows of `span` that the connection's transaction sees, and hands each batch to `each`, which says whether to go on. The
/// last batch may have no rows.
pub(super) fn read(ledger: &Connection, span: Span, each: &mut dyn FnMut(Batch) -> bool) -> Result<(), rusqlite::Error> {
    let select = |what: &str| ledger.prepare_cached(&format!("SELECT {what} WHERE row BETWEEN ?1 AND ?2 ORDER BY row"));
    let mut events = select("row, project, sequence, id, entry, prev_hash, row_hash FROM events")?;
    let mut contents = select("row, stored FROM contents")?;
    let mut wraps = select("row, data_key_id, wrap FROM wraps")?;
    let bounds = [span.first, span.last];
    let mut contents = Beside::new("contents", contents.query(bounds)?)?;
    let mut wraps = Beside::new("wraps", wraps.query(bounds)?)?;
    let mut events = events.query(bounds)?;
    let mut batch = Batch::default();
    while let Some(stored) = events.next()? {
        let row: i64 = stored.get(0)?;
        let (project, sequence) = (stored.get(1)?, stored.get(2)?);
        let mut put = |at: usize| stored.get_ref(at).map(|value| batch.put(value.as_bytes().unwrap_or_default()));
        let (id, entry, prev_hash, row_hash) = (put(3)?, put(4)?, put(5)?, put(6)?);
        let mut content = None;
        if contents.reach(row, &mut batch.orphans)? {
            if let Some(found) = contents.rows.get() {
                content = Some(batch.put(found.get_ref(1)?.as_bytes().unwrap_or_default()));
            }
            contents.step()?;
        }
        let mut wrap = None;
        if wraps.reach(row, &mut batch.orphans)? {
            if let Some(found) = wraps.rows.get() {
                wrap = Some((found.get(1)?, batch.put(found.get_ref(2)?.as_bytes().unwrap_or_default())));
            }
            wraps.step()?;
        }
        batch.rows.push(StoredRow { row, project, sequence, id, entry, prev_hash, row_hash, content, wrap });
        if (batch.rows.len() >= BATCH_ROWS || batch.bytes.len() >= BATCH_BYTES) && !each(std::mem::take(&mut batch)) {
            return Ok(());
        }
    }
    contents.reach(i64::MAX, &mut batch.orphans)?;
    wraps.reach(i64::MAX, &mut batch.orphans)?;
    each(batch);
    Ok(())
}
