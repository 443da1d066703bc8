//! The entries of an export, by sequence, a bounded chunk at a time, however few of them match. Between two chunks nothing is held: no
//! transaction, no connection, no lane.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indelible_core::filter::Filter;

use crate::ledger::Ledger;
use crate::query::ReadError;
use crate::query::feed::{each_ascending, window};
use crate::query::reading::{HeadMark, Lane, Reading};
use crate::query::scan::{Deadline, Found};

/// Entries in a chunk.
pub(super) const CHUNK_ROWS: usize = 512;
/// Bytes in a chunk; its first entry fits in any case.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// How long one chunk may be looked for, which is within a window of the project, whatever the filter.
const CHUNK_TIME_MAX: Duration = Duration::from_mins(5);

/// Why what is stopped fails.
const STOPPED: &str = "it was stopped";

/// The rows of one project from one sequence to another that match.
pub(super) struct Rows<'a> {
    ledger: &'a Ledger,
    reading: &'a Arc<Reading>,
    number: i64,
    /// As far as was signed.
    head: HeadMark,
    filter: Option<&'a Filter>,
    /// Where the next chunk begins.
    next: u64,
    last: u64,
    /// What is looked over now: its head, and the sequence after its last.
    window: Option<(HeadMark, u64)>,
}

impl<'a> Rows<'a> {
    /// Those from one sequence to another, both included.
    pub(super) const fn new(
        (ledger, reading, number): (&'a Ledger, &'a Arc<Reading>, i64),
        head: HeadMark,
        filter: Option<&'a Filter>,
        (next, last): (u64, u64),
    ) -> Self {
        Self { ledger, reading, number, head, filter, next, last, window: None }
    }

    /// Everything before this sequence was gone through.
    pub(super) fn next(&self) -> u64 {
        self.next.min(self.last + 1)
    }

    /// The next chunk, which may be empty; `None` at the end. Fails soon after `gone` is raised.
    pub(super) fn chunk(&mut self, gone: &AtomicBool) -> Result<Option<Vec<Found>>, ReadError> {
        if gone.load(Ordering::Relaxed) {
            return Err(ReadError::Unavailable(STOPPED.to_owned()));
        }
        if self.next > self.last {
            return Ok(None);
        }
        let deadline = Deadline::after(CHUNK_TIME_MAX);
        let lane = Lane { ledger: self.ledger, reading: self.reading, number: self.number, deadline };
        let window = match self.window.filter(|(_, end)| self.next < *end) {
            Some(window) => window,
            None => lane.scan(self.head, None, |scan| window(scan, self.head, self.next))?,
        };
        self.window = Some(window);
        let (mut chunk, mut bytes, mut full) = (Vec::new(), 0, false);
        lane.scan(window.0, self.filter, |scan| {
            each_ascending(scan, self.next, &mut |found| {
                if found.sequence > self.last {
                    return Ok(false);
                }
                bytes += found.entry.len();
                chunk.push(found);
                full = chunk.len() >= CHUNK_ROWS || bytes >= CHUNK_BYTES;
                Ok(!full)
            })
        })?;
        let last = chunk.last().filter(|_| full).map(|found: &Found| found.sequence + 1);
        // Past what was found, whatever a window says: it goes on, and nothing comes twice.
        self.next = last.unwrap_or(window.1).max(self.next + 1);
        Ok(Some(chunk))
    }
}
