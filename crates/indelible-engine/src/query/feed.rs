//! By sequence, ascending: the order in which rows were committed, so that whoever goes on after the last one has seen
//! everything, late events included.

use crate::store::sql::OptionalExtension as _;

use super::reading::HeadMark;
use super::scan::{Found, Scan, ScanError};
use crate::index::{BLOCK_ROWS, Direction};

/// Rows of a project that are looked over at once: many blocks of the index.
const WINDOW_ROWS: u64 = 16 * BLOCK_ROWS;

/// The first `limit` matches from the sequence `first` on.
pub(crate) fn ascending(scan: &Scan<'_>, first: u64, limit: usize) -> Result<Vec<Found>, ScanError> {
    let mut found = Vec::new();
    each_ascending(scan, first, &mut |row| {
        found.push(row);
        Ok(found.len() < limit)
    })?;
    Ok(found)
}

/// Hands matches from the sequence `first` on to `each`, until it says stop.
pub(crate) fn each_ascending(scan: &Scan<'_>, first: u64, each: &mut dyn FnMut(Found) -> Result<bool, ScanError>) -> Result<(), ScanError> {
    let (mut count, mut before, mut go_on) = (0, 0, true);
    let mut examine = |rows: &[i64]| -> Result<bool, ScanError> {
        let mut go_on = true;
        scan.examine_each(rows, &mut |_, found| {
            scan.tick(&mut count)?;
            go_on = match found {
                Some(found) if found.sequence >= first => each(found)?,
                _ => true,
            };
            Ok(go_on)
        })?;
        Ok(go_on)
    };
    // What is indexed meanwhile belongs to the tail all the same: both ends are those of the scan.
    if let Some(first_row) = first_row(scan, first)? {
        let (mut rows, at_once) = (Vec::new(), scan.at_once());
        scan.postings().read(scan.index, (first_row, scan.last_row), Direction::Ascending, |row| {
            // Rows ascend, whatever a forged list does: none comes twice.
            if row > before {
                before = row;
                rows.push(row);
            }
            if rows.len() >= at_once {
                go_on = examine(&rows)?;
                rows.clear();
            }
            Ok::<_, ScanError>(go_on)
        })?;
        if go_on {
            go_on = examine(&rows)?;
        }
    }
    if go_on {
        examine(&scan.tail()?)?;
    }
    Ok(())
}

/// A row at or before the one with this sequence, near it; `None` where what is indexed ends before it.
fn first_row(scan: &Scan<'_>, sequence: u64) -> Result<Option<i64>, ScanError> {
    let blocks = scan.view.blocks(scan.project);
    let Some(newest) = blocks.len().checked_sub(1) else { return Ok(None) };
    let last_row = blocks[newest].last_row.min(scan.last_row);
    if sequence_at(scan, last_row)?.is_some_and(|there| there < sequence) {
        return Ok(None);
    }
    let mut at = usize::try_from(sequence / BLOCK_ROWS).unwrap_or(usize::MAX).min(newest);
    // A block holds 4,096 rows; where rows were taken out of the ledger, sequences lie lower than they should.
    while at > 0 && sequence_at(scan, blocks[at].first_row)?.is_none_or(|there| there > sequence) {
        at -= 1;
    }
    let block = &blocks[at];
    if let Some(there) = sequence_at(scan, block.first_row)?.filter(|there| block.is_dense() && *there <= sequence) {
        let row = block.first_row + i64::try_from(sequence - there).unwrap_or(i64::MAX).min(block.last_row.saturating_sub(block.first_row));
        if sequence_at(scan, row)? == Some(sequence) {
            return Ok(Some(row));
        }
    }
    Ok(Some(block.first_row))
}

/// As much of a project as is looked over at once, from the sequence `next` on: its head, or what would be its head if it ended there; and the
/// sequence after the last. `scan` is one of the whole project.
pub(crate) fn window(scan: &Scan<'_>, head: HeadMark, next: u64) -> Result<(HeadMark, u64), ScanError> {
    let whole = (head, head.size);
    if head.size.saturating_sub(next) <= WINDOW_ROWS {
        return Ok(whole);
    }
    let Some(last_row) = first_row(scan, next + WINDOW_ROWS)? else { return Ok(whole) };
    // Where rows were taken out, the block may begin before what is looked for.
    let last = sequence_at(scan, last_row)?.filter(|last| *last > next);
    Ok(last.map_or(whole, |last| (HeadMark { size: head.size, last_row }, last + 1)))
}

/// The sequence of a row, by the ledger.
fn sequence_at(scan: &Scan<'_>, row: i64) -> Result<Option<u64>, ScanError> {
    scan.ledger
        .prepare_by_row("SELECT sequence FROM events WHERE row = ?1 AND project = ?2")
        .and_then(|mut statement| statement.query_row((row, scan.project), |found| found.get::<_, i64>(0)).optional())
        .map(|sequence| sequence.map(|sequence| sequence as u64))
        .map_err(ScanError::from)
}
