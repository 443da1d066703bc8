//! Stored rows, read once in stored order with their contents and wraps beside them, in batches of flat memory, which is filled again
//! when nobody holds it any more.

use std::ops::Range;
use std::sync::Arc;

use indelible_core::entry::Outline;
use indelible_core::verify::{Hashed, Wrap};

use crate::store::postgres::{column_names, differing};
use crate::store::sql::{self, Connection, Rows, SqlError};

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
    pub(super) submission_key_id: i64,
    pub(super) submission_mac: Range<usize>,
    pub(super) retry_mac: Range<usize>,
    pub(super) content: Option<Range<usize>>,
    pub(super) wrap: Option<(i64, Range<usize>)>,
    /// A column beside the entry that does not say what the entry says, where there are such.
    pub(super) otherwise: Option<&'static str>,
    /// What the entry says of itself, read once for all that ask; `None` where its bytes are no entry. This and what follows
    /// is put there by [`super::examine`].
    pub(super) outline: Option<Outline>,
    /// Hashes and wrap, where the row is asked for.
    pub(super) examined: Option<(Hashed, Wrap)>,
    /// The sum of what the index should hold of it ([`super::index::Terms`]), and when it says that it was.
    pub(super) terms: u64,
}

impl Batch {
    pub(super) fn bytes(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.clone()]
    }

    /// Its bytes, and its rows to put something beside them.
    pub(super) fn parts(&mut self) -> (&[u8], &mut [StoredRow]) {
        (&self.bytes, &mut self.rows)
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
    pub(super) fn emptied(mut self) -> Self {
        if self.bytes.capacity() > 2 * BATCH_BYTES {
            return Self::default();
        }
        self.bytes.clear();
        self.rows.clear();
        self.orphans.clear();
        self
    }
}

/// Batches that were handed on. Each is kept hold of until nobody else has it: memory that is new to the process costs more than
/// what is read into it.
#[derive(Default)]
pub(super) struct Lent(Vec<Arc<Batch>>);

impl Lent {
    /// Takes note of one that others have now.
    pub(super) fn lend(&mut self, batch: Arc<Batch>) {
        self.0.push(batch);
    }

    /// One that nobody else has any more.
    pub(super) fn returned(&mut self) -> Option<Batch> {
        let at = self.0.iter().position(|batch| Arc::strong_count(batch) == 1)?;
        Arc::into_inner(self.0.swap_remove(at))
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
    fn new(table: &'static str, rows: Rows<'s>) -> Result<Self, SqlError> {
        let mut beside = Self { table, rows, at: None };
        beside.step()?;
        Ok(beside)
    }

    fn step(&mut self) -> Result<(), SqlError> {
        self.at = self.rows.next()?.map(|row| row.get(0)).transpose()?;
        Ok(())
    }

    /// Moves to `row`; what is passed over lies beside no event. Says whether it stands there.
    fn reach(&mut self, row: i64, orphans: &mut Vec<(&'static str, i64)>) -> Result<bool, SqlError> {
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

/// Reads the rows of `span` that the connection's transaction sees, and hands each batch to `each`, which gives an empty one for it, or
/// none where nobody wants more. The
/// last batch may have no rows.
pub(super) fn read(ledger: &Connection, span: Span, each: &mut dyn FnMut(Batch) -> Option<Batch>) -> Result<(), SqlError> {
    let select = |what: &str| ledger.prepare(&format!("SELECT {what} WHERE row BETWEEN ?1 AND ?2 ORDER BY row"));
    let told_by = "row, project, sequence, id, entry, prev_hash, row_hash, submission_key_id, submission_mac, retry_mac";
    let copied = if ledger.postgres().is_some() { format!(", {}", column_names()) } else { String::new() };
    let mut events = select(&format!("{told_by}{copied} FROM {}", ledger.submissions()))?;
    let mut contents = select("row, stored FROM contents")?;
    let mut wraps = select("row, data_key_id, wrap FROM wraps")?;
    let bounds = [span.first, span.last];
    let mut contents = Beside::new("contents", contents.query(bounds)?)?;
    let mut wraps = Beside::new("wraps", wraps.query(bounds)?)?;
    let mut events = events.query(bounds)?;
    let mut batch = Batch::default();
    while let Some(stored) = events.next()? {
        let row: i64 = stored.get(0)?;
        let (project, sequence, submission_key_id) = (stored.get(1)?, stored.get(2)?, stored.get(7)?);
        let mut put = |at: usize| stored.get_ref(at).map(|value| batch.put(value.as_bytes().unwrap_or_default()));
        let (id, entry, prev_hash, row_hash) = (put(3)?, put(4)?, put(5)?, put(6)?);
        let (submission_mac, retry_mac) = (put(8)?, put(9)?);
        let mut content = None;
        if contents.reach(row, &mut batch.orphans)? {
            if let Some(found) = contents.rows.current() {
                content = Some(batch.put(found.get_ref(1)?.as_bytes().unwrap_or_default()));
            }
            contents.step()?;
        }
        let mut wrap = None;
        if wraps.reach(row, &mut batch.orphans)? {
            if let Some(found) = wraps.rows.current() {
                wrap = Some((found.get(1)?, batch.put(found.get_ref(2)?.as_bytes().unwrap_or_default())));
            }
            wraps.step()?;
        }
        let (outline, examined, terms) = (None, None, 0);
        let otherwise = match stored {
            sql::Row::Postgres(found) => differing(found, 10, stored.bytes(4).unwrap_or_default()),
            sql::Row::Sqlite(_) => None,
        };
        batch.rows.push(StoredRow {
            row,
            project,
            sequence,
            id,
            entry,
            prev_hash,
            row_hash,
            submission_key_id,
            submission_mac,
            retry_mac,
            content,
            wrap,
            otherwise,
            outline,
            examined,
            terms,
        });
        if batch.is_full() {
            let Some(empty) = each(batch) else { return Ok(()) };
            batch = empty;
        }
    }
    contents.reach(i64::MAX, &mut batch.orphans)?;
    wraps.reach(i64::MAX, &mut batch.orphans)?;
    each(batch);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::mpsc::{channel, sync_channel};

    use super::*;

    /// Rows whose every column is made from their number, with contents and wraps beside some of them and beside none.
    fn ledger(rows: i64) -> Connection {
        let ledger = Connection::from(rusqlite::Connection::open_in_memory().expect("open"));
        ledger.execute_batch(include_str!("../store/sqlite/schema.sql")).expect("tables");
        let numbers = format!("WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rows})");
        let blob = |name: &str| format!("CAST('{name}' || n AS BLOB)");
        let (id, prev, hash, content, wrap) = (blob("id"), blob("prev"), blob("hash"), blob("content"), blob("wrap"));
        let (mac, retry) = (blob("mac"), blob("retry"));
        for sql in [
            format!("INSERT INTO events {numbers} SELECT n, n % 3, n, {id}, n % 4, {mac}, {retry}, {prev}, {hash}, 'entry' || n FROM n"),
            format!("INSERT INTO contents {numbers} SELECT n, {content} FROM n WHERE n % 2 = 0"),
            format!("INSERT INTO wraps {numbers} SELECT n, n % 5, {wrap} FROM n WHERE n % 7 = 0"),
            "DELETE FROM events WHERE row % 1000 = 0".to_owned(),
        ] {
            ledger.execute_batch(&sql).expect("filled");
        }
        ledger
    }

    /// Everything that a batch holds, and where it holds it.
    fn look(batch: &Batch, rows: &mut Vec<i64>, orphans: &mut Vec<(&'static str, i64)>) -> usize {
        let text = |range: &Range<usize>| String::from_utf8(batch.bytes(range).to_vec()).expect("UTF-8");
        for stored in &batch.rows {
            let row = stored.row;
            assert_eq!((stored.project, stored.sequence, stored.submission_key_id), (row % 3, row, row % 4));
            let columns = [&stored.id, &stored.prev_hash, &stored.row_hash, &stored.submission_mac, &stored.retry_mac, &stored.entry];
            assert_eq!(columns.map(text), ["id", "prev", "hash", "mac", "retry", "entry"].map(|name| format!("{name}{row}")));
            assert_eq!(stored.content.as_ref().map(text), (row % 2 == 0).then(|| format!("content{row}")));
            let wrap = stored.wrap.as_ref().map(|(key, wrap)| (*key, text(wrap)));
            assert_eq!(wrap, (row % 7 == 0).then(|| (row % 5, format!("wrap{row}"))));
            assert!(stored.outline.is_none() && stored.examined.is_none() && stored.terms == 0);
            rows.push(row);
        }
        orphans.extend_from_slice(&batch.orphans);
        batch.bytes.as_ptr() as usize
    }

    /// Through two readers, of which one is slow: each has every row and every orphan once, from the same memory again and again.
    #[test]
    fn batches_that_are_filled_again_hold_what_is_stored_and_nothing_else() {
        let rows = 40 * BATCH_ROWS as i64;
        let ledger = ledger(rows);
        let (fast, slow) = (sync_channel(3), sync_channel(3));
        let take = |from: std::sync::mpsc::Receiver<Arc<Batch>>, wait: bool| {
            let (mut rows, mut orphans, mut places, mut batches) = (Vec::new(), Vec::new(), HashSet::new(), 0);
            for batch in from {
                if wait && batches % 8 == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                places.insert(look(&batch, &mut rows, &mut orphans));
                batches += 1;
            }
            (rows, orphans, places.len(), batches)
        };
        let taken = std::thread::scope(|scope| {
            let (first, second) = (scope.spawn(|| take(fast.1, false)), scope.spawn(|| take(slow.1, true)));
            let to = [fast.0, slow.0];
            let ((full, batches), (back, empty)) = (sync_channel::<Batch>(1), channel::<Batch>());
            scope.spawn(move || {
                let mut on = |batch| full.send(batch).ok().map(|()| empty.try_recv().unwrap_or_default());
                read(&ledger, Span { first: i64::MIN, last: i64::MAX }, &mut on).expect("read");
            });
            let mut lent = Lent::default();
            for batch in batches {
                let batch = Arc::new(batch);
                for to in &to {
                    to.send(Arc::clone(&batch)).expect("taken");
                }
                lent.lend(batch);
                while let Some(batch) = lent.returned() {
                    drop(back.send(batch.emptied()));
                }
            }
            drop(to);
            [first.join().expect("no panic"), second.join().expect("no panic")]
        });
        let gone = |row: &i64| row % 1_000 == 0;
        for (found, mut orphans, places, batches) in taken {
            assert!(found.iter().copied().eq((1..=rows).filter(|row| !gone(row))), "{} rows", found.len());
            let mut wanted: Vec<_> = (1..=rows).filter(gone).map(|row| ("contents", row)).collect();
            wanted.extend((1..=rows).filter(|row| gone(row) && row % 7 == 0).map(|row| ("wraps", row)));
            orphans.sort_unstable();
            assert_eq!(orphans, wanted);
            assert!(batches >= 40 && places <= 12, "{batches} batches in {places} places");
        }
    }
}
