//! The entries of a bundle, by sequence, a bounded chunk at a time. Between two chunks nothing is held: no transaction, no
//! connection, no lane.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indelible_core::filter::Filter;

use crate::ledger::Ledger;
use crate::query::ReadError;
use crate::query::feed::each_ascending;
use crate::query::reading::{HeadMark, Lane, Reading};
use crate::query::scan::{Deadline, Found};

/// Entries in a chunk.
pub(super) const CHUNK_ROWS: usize = 512;
/// Bytes in a chunk; its first entry fits in any case.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// How long one chunk may be looked for: a filter that the index cannot help reads every row.
const CHUNK_TIME_MAX: Duration = Duration::from_mins(10);

/// The rows of one project from one sequence to another that match.
pub(super) struct Rows<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) reading: &'a Arc<Reading>,
    pub(super) number: i64,
    /// As far as was signed.
    pub(super) head: HeadMark,
    pub(super) filter: Option<&'a Filter>,
    /// Where the next chunk begins.
    pub(super) next: u64,
    pub(super) last: u64,
}

impl Rows<'_> {
    /// The next chunk; empty at the end.
    pub(super) fn chunk(&mut self, gone: &AtomicBool) -> Result<Vec<Found>, ReadError> {
        if gone.load(Ordering::Relaxed) {
            return Err(ReadError::Unavailable("whoever asked went away".to_owned()));
        }
        if self.next > self.last {
            return Ok(Vec::new());
        }
        let deadline = Deadline::after(CHUNK_TIME_MAX);
        let lane = Lane { ledger: self.ledger, reading: self.reading, number: self.number, deadline };
        let mut chunk = Vec::new();
        let mut bytes = 0;
        lane.scan(self.head, self.filter, |scan| {
            each_ascending(scan, self.next, &mut |found| {
                if found.sequence > self.last {
                    return Ok(false);
                }
                bytes += found.entry.len();
                chunk.push(found);
                Ok(chunk.len() < CHUNK_ROWS && bytes < CHUNK_BYTES && !gone.load(Ordering::Relaxed))
            })
        })?;
        self.next = chunk.last().map_or(self.last + 1, |found: &Found| found.sequence + 1);
        Ok(chunk)
    }
}
