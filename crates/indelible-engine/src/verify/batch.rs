//! Stored rows, read once in stored order with their contents and wraps beside them, and handed on in batches of flat
//! memory, which is filled again when nobody holds it any more.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use indelible_core::entry::Outline;
use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator as _;
use rusqlite::{Connection, Rows};

/// Rows in a batch at most.
const BATCH_ROWS: usize = 2_048;
/// Bytes in a batch before it is handed on.
const BATCH_BYTES: usize = 1024 * 1024;

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
    /// What the entry says of itself, read once for all that ask; `None` where its bytes are no entry.
    pub(super) outline: Option<Outline>,
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

    fn is_full(&self) -> bool {
        self.rows.len() >= BATCH_ROWS || self.bytes.len() >= BATCH_BYTES
    }

    /// The same memory, unless one great row has made it grow.
    fn emptied(mut self) -> Self {
        if self.bytes.capacity() > 2 * BATCH_BYTES {
            return Self::default();
        }
        self.bytes.clear();
        self.rows.clear();
        self.orphans.clear();
        self
    }
}

/// Where batches go. Each is kept hold of until nobody else has it: memory that is new to the process costs more than
/// what is read into it.
struct Handing<'t> {
    to: &'t [SyncSender<Arc<Batch>>],
    lent: Vec<Arc<Batch>>,
}

impl Handing<'_> {
    /// Hands a full batch on and gives an empty one for it; `None` where nobody takes any.
    fn on(&mut self, full: Batch) -> Option<Batch> {
        let full = Arc::new(full);
        let taken = self.to.iter().filter(|to| to.send(Arc::clone(&full)).is_ok()).count();
        self.lent.push(full);
        let back = self.lent.iter().position(|batch| Arc::strong_count(batch) == 1);
        let back = back.and_then(|at| Arc::into_inner(self.lent.swap_remove(at)));
        (taken > 0).then(|| back.map(Batch::emptied).unwrap_or_default())
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

/// Reads everything that the connection's transaction sees and hands it to each of `to`. Ends early where all are gone.
pub(super) fn read(ledger: &Connection, to: &[SyncSender<Arc<Batch>>]) -> Result<(), rusqlite::Error> {
    let mut events = ledger.prepare("SELECT row, project, sequence, id, entry, prev_hash, row_hash FROM events ORDER BY row")?;
    let mut contents = ledger.prepare("SELECT row, stored FROM contents ORDER BY row")?;
    let mut wraps = ledger.prepare("SELECT row, data_key_id, wrap FROM wraps ORDER BY row")?;
    let mut contents = Beside::new("contents", contents.query([])?)?;
    let mut wraps = Beside::new("wraps", wraps.query([])?)?;
    let mut events = events.query([])?;
    let mut batch = Batch::default();
    let mut handing = Handing { to, lent: Vec::new() };
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
        let outline = Outline::read(batch.bytes(&entry));
        batch.rows.push(StoredRow { row, project, sequence, id, entry, prev_hash, row_hash, content, wrap, outline });
        if batch.is_full() {
            let Some(empty) = handing.on(batch) else { return Ok(()) };
            batch = empty;
        }
    }
    contents.reach(i64::MAX, &mut batch.orphans)?;
    wraps.reach(i64::MAX, &mut batch.orphans)?;
    handing.on(batch);
    Ok(())
}
