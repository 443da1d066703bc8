//! One look of a follower: what was committed since the last one, as far as one batch goes. It takes a lane like any read, and no look
//! goes over more than [`WINDOW_ROWS`] rows of the project, so that a filter which nothing matches still moves on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indelible_core::filter::Filter;

use super::super::ReadError;
use super::super::feed::{each_ascending, window};
use super::super::open::Opened;
use super::super::reading::{Lane, Reading};
use super::super::scan::Deadline;
use crate::ledger::Ledger;

/// Events of a batch.
const EVENTS_MAX: usize = 64;
/// Bytes of their entries; the first fits in any case.
const BYTES_MAX: usize = 256 * 1024;
/// How long one look may take, the wait for a free lane included.
const TIME_MAX: Duration = Duration::from_secs(10);

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) events: Vec<(u64, Vec<u8>)>,
    /// Everything before this sequence was looked at.
    pub(super) next: u64,
    /// Whether the ledger has more than was looked at.
    pub(super) more: bool,
}

type Parts = (Ledger, Arc<Reading>, Option<Arc<Filter>>, Arc<AtomicBool>);

/// Looks from the sequence `next` on.
pub(super) async fn look((ledger, reading, filter, gone): Parts, number: i64, next: u64) -> Result<Looked, ReadError> {
    let busy = || ReadError::Unavailable("too many reads are running; try again shortly".to_owned());
    let lanes = Arc::clone(&ledger.inner.index.lanes);
    let lane = tokio::time::timeout(TIME_MAX, lanes.acquire_owned()).await.map_err(|_| busy())?.map_err(|_| busy())?;
    let task = tokio::task::spawn_blocking(move || {
        let on = Lane { ledger: &ledger, reading: &reading, number, deadline: Deadline::after(TIME_MAX) };
        let looked = if gone.load(Ordering::Relaxed) { Ok(Looked::default()) } else { look_on(&on, filter.as_deref(), next) };
        drop(lane);
        looked
    });
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a look of somebody who follows panicked");
        Err(ReadError::Unavailable("the read failed".to_owned()))
    })
}

fn look_on(lane: &Lane<'_>, filter: Option<&Filter>, next: u64) -> Result<Looked, ReadError> {
    let head = lane.head()?;
    if head.size <= next {
        return Ok(Looked { next, ..Looked::default() });
    }
    let (head, end) = lane.scan(head, None, |scan| window(scan, head, next))?;
    let (mut events, mut bytes, mut full) = (Vec::new(), 0, false);
    lane.scan(head, filter, |scan| {
        each_ascending(scan, next, &mut |found| {
            bytes += found.entry.len();
            events.push((found.sequence, lane.record(&found, &Opened::None)));
            full = events.len() >= EVENTS_MAX || bytes >= BYTES_MAX;
            Ok(!full)
        })
    })?;
    let last = events.last().filter(|_| full).map(|(sequence, _)| sequence + 1);
    let looked_to = last.unwrap_or(end);
    Ok(Looked { events, next: looked_to, more: looked_to < head.size })
}
