//! Reading what comes next of a stream in one project, as the deliveries that it makes. Runs on a thread that may block.
//!
//! Candidates come from the index, the events from the ledger. Where a stream sends everything, sequences must follow on each other: an
//! index that hides a row, or a row that is gone, is found out and not passed over.

use indelible_core::entry::Outline;
use indelible_core::form::Origin;
use indelible_core::frame::frame;
use indelible_core::time::Timestamp;
use indelible_core::webhook::batch_id;
use uuid::Uuid;

use super::row::Cursor;
use super::target::Target;
use crate::ledger::Ledger;
use crate::query::feed::{each_ascending, window};
use crate::query::open::{Opened, open, record};
use crate::query::reading::HeadMark;
use crate::query::scan::{Deadline, Found, Scan, ScanError};
use crate::store::StoreError;

/// Bytes of records that are read at once; the first fits in any case.
const CHUNK_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The same of a delivery that is under way, which was no greater when it was made; and its events.
const PENDING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// See [`PENDING_BYTES_MAX`].
const PENDING_EVENTS_MAX: usize = 1_000;
/// Events that are read at once, where each is a delivery of its own.
const SINGLE_EVENTS_MAX: usize = 128;
/// How long is waited for the index, and how long looking may take.
const INDEX_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(5);
/// See [`INDEX_WAIT_MAX`].
const SCAN_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(30);
/// Rows that need not be indexed yet.
const TAIL_ROWS_MAX: i64 = 256;

/// One delivery.
pub(super) struct Parcel {
    pub(super) message_id: String,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) events: u32,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// Contents that are in it: each event, and why its content did not open.
    pub(super) opened: Vec<(Uuid, Option<&'static str>)>,
}

/// What comes next.
pub(super) struct Chunk {
    /// In their order.
    pub(super) parcels: Vec<Parcel>,
    /// Where the cursor stands once all of it is delivered.
    pub(super) next: u64,
}

/// Why nothing can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// It is tried again.
    #[error("{0}")]
    Later(String),
    /// An event that the chain has is not there.
    #[error("event {0} cannot be found: the ledger was changed, or its index; run `indelible verify`")]
    Missing(u64),
    /// An event that cannot be what the stream sends it as.
    #[error("event {0} cannot be sent: {1}")]
    Unfit(u64, String),
}

impl From<ScanError> for Unread {
    fn from(error: ScanError) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<StoreError> for Unread {
    fn from(error: StoreError) -> Self {
        Self::Later(error.to_string())
    }
}

/// Reads on from a cursor: what a delivery that is under way holds, else so many events at most.
pub(super) fn gather(ledger: &Ledger, target: &Target, cursor: &Cursor, project_id: Uuid, events_max: usize) -> Result<Chunk, Unread> {
    let head = head(ledger, cursor.project)?;
    let mut end = cursor.pending.or(cursor.last).unwrap_or(u64::MAX).min(head.size.saturating_sub(1));
    if head.size <= cursor.next || end < cursor.next {
        return Ok(Chunk { parcels: Vec::new(), next: cursor.next });
    }
    let events_max = match cursor.pending {
        Some(_) => PENDING_EVENTS_MAX,
        None if target.is_single() => SINGLE_EVENTS_MAX,
        None => events_max,
    };
    let wait = Deadline::after(INDEX_WAIT_MAX);
    let view = ledger.inner.index.view_at(head.last_row.saturating_sub(TAIL_ROWS_MAX).max(0), &|| !wait.is_over());
    let view = view.ok_or_else(|| Unread::Later("the index has not caught up with the ledger".to_owned()))?;
    let index = view.reader().map_err(ScanError::from)?;
    let connection = ledger.inner.readers.get()?;
    let names = (cursor.project, project_id);
    let scan = |last_row, filter| Scan::new(&view, (&index, &connection), names, last_row, filter, Deadline::after(SCAN_TIME_MAX));
    let mut last_row = head.last_row;
    // What is under way was found within one.
    if cursor.pending.is_none() {
        let (part, after) = window(&scan(head.last_row, None), head, cursor.next)?;
        (last_row, end) = (part.last_row, end.min(after - 1));
    }
    let scan = scan(last_row, target.filter.as_ref());
    let (mut taken, mut bytes, mut full) = (Vec::new(), 0, false);
    each_ascending(&scan, cursor.next, &mut |found| {
        if found.sequence > end {
            return Ok(false);
        }
        let opened = match target.purpose {
            Some(_) => open(&connection, &ledger.inner.desk.data_keys, &found)?,
            None => Opened::None,
        };
        let record = record(&found, &opened);
        // A delivery that is under way is sent as it was, unless a change of the stream has made another of it, which is too great.
        let bytes_max = if cursor.pending.is_some() { PENDING_BYTES_MAX } else { CHUNK_BYTES_MAX };
        if !taken.is_empty() && bytes + record.len() > bytes_max {
            full = true;
            return Ok(false);
        }
        bytes += record.len();
        taken.push((found, opened, record));
        full = taken.len() >= events_max;
        Ok(!full)
    })?;
    if target.filter.is_none() {
        let last = if full { taken.last().map_or(end, |(found, ..)| found.sequence) } else { end };
        let mut sequences = taken.iter().map(|(found, ..)| found.sequence);
        if let Some(missing) = (cursor.next..=last).find(|expected| sequences.next() != Some(*expected)) {
            return Err(Unread::Missing(missing));
        }
    }
    let next = if full { taken.last().map_or(end, |(found, ..)| found.sequence) + 1 } else { end + 1 };
    Ok(Chunk { parcels: parcels(ledger, target, taken)?, next })
}

type Taken = (Found, Opened, Vec<u8>);

/// One parcel of all, or one of each.
fn parcels(ledger: &Ledger, target: &Target, taken: Vec<Taken>) -> Result<Vec<Parcel>, Unread> {
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    if target.is_single() {
        return taken.into_iter().map(|one| parcel(ledger, target, vec![one])).collect();
    }
    Ok(vec![parcel(ledger, target, taken)?])
}

fn parcel(ledger: &Ledger, target: &Target, taken: Vec<Taken>) -> Result<Parcel, Unread> {
    let ids: Vec<Uuid> = taken.iter().map(|(found, ..)| found.id()).collect();
    let (first, last) = (taken[0].0.sequence, taken[taken.len() - 1].0.sequence);
    let opened = taken.iter().filter_map(|(found, opened, _)| match opened {
        Opened::None => None,
        Opened::Content(_) => Some((found.id(), None)),
        Opened::Failed(reason) => Some((found.id(), Some(*reason))),
    });
    let opened = opened.collect();
    let records: Vec<Vec<u8>> = taken.into_iter().map(|(.., record)| record).collect();
    let origin = Origin { instance: &ledger.inner.instance.name };
    let framed = frame(target.destination, target.format, !target.is_single(), &origin, &records);
    let framed = framed.map_err(|unframed| Unread::Unfit(first, unframed.to_string()))?;
    Ok(Parcel {
        message_id: batch_id(&ids).hyphenated().to_string(),
        first,
        last,
        events: u32::try_from(ids.len()).unwrap_or(u32::MAX),
        content_type: framed.content_type,
        body: framed.body,
        opened,
    })
}

/// How far a project has come.
pub(super) fn head(ledger: &Ledger, project: i64) -> Result<HeadMark, StoreError> {
    Ok(HeadMark::read(&*ledger.inner.readers.get()?, project)?)
}

/// The first event of a project that was recorded at a time or later; the one that comes next where there is none. `recorded_at` never goes
/// back in a chain, so it is found by halves.
pub(super) fn first_since(ledger: &Ledger, (project, project_id): (i64, Uuid), since: Option<Timestamp>) -> Result<u64, Unread> {
    let (Some(since), head) = (since, head(ledger, project)?) else { return Ok(0) };
    let recorded_at = |sequence: u64| at(ledger, (project, project_id), head, sequence);
    let (mut low, mut high) = (0, head.size);
    while low < high {
        let middle = low + (high - low) / 2;
        if recorded_at(middle)? < since { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// When an event was recorded.
pub(super) fn at(ledger: &Ledger, names: (i64, Uuid), head: HeadMark, sequence: u64) -> Result<Timestamp, Unread> {
    let wait = Deadline::after(INDEX_WAIT_MAX);
    let view = ledger.inner.index.view_at(head.last_row.saturating_sub(TAIL_ROWS_MAX).max(0), &|| !wait.is_over());
    let view = view.ok_or_else(|| Unread::Later("the index has not caught up with the ledger".to_owned()))?;
    let (index, connection) = (view.reader().map_err(ScanError::from)?, ledger.inner.readers.get()?);
    let scan = Scan::new(&view, (&index, &connection), names, head.last_row, None, Deadline::after(SCAN_TIME_MAX));
    let mut found_at = None;
    each_ascending(&scan, sequence, &mut |found| {
        found_at = Outline::read(&found.entry).map(|outline| outline.recorded_at);
        Ok(false)
    })?;
    found_at.ok_or(Unread::Missing(sequence))
}
