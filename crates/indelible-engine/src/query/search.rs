//! Pages of events, and one event by its id.

use std::sync::Arc;
use std::time::Duration;

use indelible_core::cursor::Cursor;
use indelible_core::filter::Filter;
use indelible_core::limits::{PAGE_EVENTS_DEFAULT, PAGE_EVENTS_MAX};
use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::feed::ascending;
use super::newest::{Bounds, newest};
use super::polls::{FEED, Reader, is_poll};
use super::reading::{Account, Lane, Reading};
use super::scan::Found;
use super::{Feed, Opening, Page, ReadError, Search};
use crate::access::Caller;
use crate::index::Key;
use crate::ledger::Ledger;
use crate::resource::Project;

/// Bytes of the records of one page; its first record fits in any case.
const PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a search asks for, once it is found to make sense.
pub(super) struct Asked {
    pub(super) filter: Option<Filter>,
    pub(super) below: Option<Key>,
    pub(super) limit: usize,
}

impl Asked {
    /// `place` is what cursors are bound to: the project.
    pub(super) fn read(search: &Search, place: Uuid) -> Result<Self, ReadError> {
        let text = search.filter.as_deref().filter(|text| !text.trim().is_empty());
        let filter = text.map(Filter::parse).transpose().map_err(ReadError::Filter)?;
        let limit = search.limit.unwrap_or(PAGE_EVENTS_DEFAULT);
        if limit == 0 || limit > PAGE_EVENTS_MAX {
            return Err(ReadError::Options(format!("limit is 1 to {PAGE_EVENTS_MAX}")));
        }
        if search.feed.is_some() && search.cursor.is_some() {
            return Err(ReadError::Options("a feed goes on by after_sequence, not by cursor".to_owned()));
        }
        let cursor = search.cursor.as_deref().map(|text| Cursor::decode(text, filter.as_ref(), place).ok_or(ReadError::Cursor));
        let below = cursor.transpose()?.map(|cursor| Key { occurred_at: cursor.occurred_at.as_micros(), id: *cursor.id.as_bytes() });
        Ok(Self { filter, below, limit })
    }
}

impl Ledger {
    /// A page of events, newest first, or of the feed.
    pub async fn search(&self, caller: &Caller, project: &Project, search: Search) -> Result<Page, ReadError> {
        let kind = if search.feed.is_some() { FEED } else { "audit_events" };
        let mut reading = Reading::new(caller, project, kind, "", &search.opening);
        // A feed says how far the project has come, which a plain member does not learn.
        reading.by_candidates = search.feed.is_none();
        // Control characters are six bytes each in an entry; what is recorded must fit one.
        let rules = self.inner.desk.rules.for_question(project);
        reading.filter = search.filter.as_ref().map(|filter| rules.question(filter).replace(char::is_control, " "));
        let clock = Arc::clone(&self.inner.desk.clock);
        let now = clock.monotonic();
        let since = move || clock.monotonic().saturating_sub(now).as_micros() as u64;
        let searched = since.clone();
        let mut page = self
            .read(reading, move |lane, account| {
                let asked = Asked::read(&search, lane.reading.project.id)?;
                let page = match search.feed {
                    None => page(lane, &asked, account)?,
                    Some(feed) => poll(lane, &asked, feed, now, account)?,
                };
                Ok(Page { search_micros: searched(), ..page })
            })
            .await?;
        page.record_micros = since().saturating_sub(page.search_micros);
        Ok(page)
    }

    /// One event, in the form of [`Page::records`].
    pub async fn event(&self, caller: &Caller, project: &Project, id: Uuid, opening: Opening) -> Result<Vec<u8>, ReadError> {
        let reading = Reading::new(caller, project, "event", id.hyphenated().to_string(), &opening).by_candidates();
        self.read(reading, move |lane, account| {
            let found = by_id(lane, id)?.ok_or(ReadError::NotFound("event"))?;
            let opened = lane.open(&found, account)?;
            account.returned = 1;
            Ok(lane.record(&found, &opened))
        })
        .await
    }
}

/// The row that bears this id.
pub(crate) fn by_id(lane: &Lane<'_>, id: Uuid) -> Result<Option<Found>, ReadError> {
    let rows = lane.ledger.inner.index.find(lane.number, id)?;
    let everything = super::reading::HeadMark { size: 0, last_row: 0 };
    lane.scan(everything, None, |scan| {
        for row in rows {
            if let Some(found) = scan.examine(row)?.filter(|found| found.id() == id) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    })
}

fn page(lane: &Lane<'_>, asked: &Asked, account: &mut Account) -> Result<Page, ReadError> {
    let head = lane.head()?;
    let (from, to) = asked.filter.as_ref().map_or((None, None), Filter::occurred_at_bounds);
    let bounds = Bounds { below: asked.below, from: from.map(Timestamp::as_micros), to: to.map(Timestamp::as_micros) };
    let found = lane.scan(head, asked.filter.as_ref(), |scan| newest(scan, bounds, asked.limit))?;
    let records = records(lane, &found, account)?;
    let full = found.len() == asked.limit || records.len() < found.len();
    let next_cursor = found[..records.len()].last().filter(|_| full).and_then(|last| {
        let occurred_at = Timestamp::from_micros(last.key.occurred_at)?;
        Some(Cursor { id: last.id(), occurred_at, project_id: lane.reading.project.id }.encode(asked.filter.as_ref()))
    });
    let apart = Ledger::sees_apart(&lane.reading.caller);
    let indexed_through = head.size.checked_sub(1).filter(|_| !apart);
    Ok(Page { records, next_cursor, next_after_sequence: None, indexed_through, ..Page::default() })
}

fn poll(lane: &Lane<'_>, asked: &Asked, feed: Feed, now: Duration, account: &mut Account) -> Result<Page, ReadError> {
    let head = lane.head()?;
    let (first, after) = match feed {
        Feed::Start => (0, None),
        Feed::After(sequence) => (sequence.saturating_add(1), Some(sequence)),
    };
    let found = lane.scan(head, asked.filter.as_ref(), |scan| ascending(scan, first, asked.limit))?;
    let records = records(lane, &found, account)?;
    // A page that is not full has seen everything up to the head.
    let is_full = found.len() == asked.limit || records.len() < found.len();
    let found = &found[..records.len()];
    let full = found.last().filter(|_| is_full).map(|last| last.sequence);
    let next_after_sequence = full.or(head.size.checked_sub(1).max(after));
    let known_by = lane.reading.caller.known_by();
    let empty = found.iter().all(|found| is_poll(&found.entry));
    let filter = asked.filter.as_ref().map(Filter::normalised);
    let reader = Reader { project: lane.number, known_by, filter };
    account.poll = lane.ledger.inner.index.polls.count(reader, empty, lane.reading, now);
    account.coalesced = account.poll.is_none();
    if let Some(told) = account.poll.as_ref().map(|poll| poll.told).filter(|told| *told > 0) {
        account.remark = Some(format!("{told} polls before this one returned nothing but records of polls"));
    }
    Ok(Page { records, next_after_sequence, indexed_through: head.size.checked_sub(1), ..Page::default() })
}

/// The records of a page: as many of the first as there is room for.
fn records(lane: &Lane<'_>, found: &[Found], account: &mut Account) -> Result<Vec<Vec<u8>>, ReadError> {
    let (mut records, mut room) = (Vec::with_capacity(found.len()), Room::default());
    for found in found {
        let opened = lane.open_unnoted(found)?;
        let record = lane.record(found, &opened);
        if !room.takes(record.len()) {
            break;
        }
        account.note(found, &opened);
        records.push(record);
    }
    account.returned = records.len() as u64;
    Ok(records)
}

/// The bytes of a page so far.
#[derive(Default)]
pub(super) struct Room {
    taken: usize,
}

impl Room {
    /// Whether there is room for one more record.
    pub(super) fn takes(&mut self, bytes: usize) -> bool {
        let taken = self.taken.saturating_add(bytes);
        if self.taken > 0 && taken > PAGE_BYTES_MAX {
            return false;
        }
        self.taken = taken;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_bounded_and_holds_one_record_at_least() {
        const MIB: usize = 1024 * 1024;
        let cases: [(&[usize], usize); 5] =
            [(&[], 0), (&[MIB; 64], 64), (&[MIB; 65], 64), (&[PAGE_BYTES_MAX + 1, 1], 1), (&[1, PAGE_BYTES_MAX, 1], 1)];
        for (sizes, taken) in cases {
            let mut room = Room::default();
            assert_eq!(sizes.iter().take_while(|size| room.takes(**size)).count(), taken, "{}", sizes.len());
        }
    }
}
