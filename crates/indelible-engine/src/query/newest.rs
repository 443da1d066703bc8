//! Newest first: the best of a page by (occurred_at, id), found by going down the blocks of a project.
//!
//! The order asked for is by time, the index's is by row. Rows mostly come in the order of time, so the newest block
//! fills the page and the bounds of the others show that nothing better is left; late rows cost a look at the blocks
//! they fell into and no more.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use super::scan::{Found, Scan, ScanError};
use crate::index::{BLOCK_ROWS, Block, Direction, Key, Postings};

/// Candidates in unwanted blocks that are passed over before the posting list is entered anew further down.
const PASSED_OVER_MAX: u32 = 64;

/// What a page may hold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bounds {
    /// Only what sorts below this.
    pub(crate) below: Option<Key>,
    /// Only from this time on, microseconds since 1970.
    pub(crate) from: Option<i64>,
    /// Only up to this time.
    pub(crate) to: Option<i64>,
}

impl Bounds {
    fn hold(&self, key: Key) -> bool {
        self.below.is_none_or(|below| key < below)
            && self.from.is_none_or(|from| key.occurred_at >= from)
            && self.to.is_none_or(|to| key.occurred_at <= to)
    }

    /// Whether a block may hold something within the bounds.
    fn touch(&self, block: &Block) -> bool {
        self.below.is_none_or(|below| block.min < below)
            && self.from.is_none_or(|from| block.max.occurred_at >= from)
            && self.to.is_none_or(|to| block.min.occurred_at <= to)
    }
}

struct ByKey(Found);

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByKey {}

impl PartialOrd for ByKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0.key, self.0.row).cmp(&(other.0.key, other.0.row))
    }
}

/// The best rows so far.
struct Best {
    rows: BinaryHeap<Reverse<ByKey>>,
    /// Their numbers: a forged index may name a row twice.
    kept: HashSet<i64>,
    limit: usize,
}

impl Best {
    /// What a row must exceed to be kept; `None` while there is room.
    fn worst(&self) -> Option<Key> {
        if self.rows.len() < self.limit { None } else { self.rows.peek().map(|worst| worst.0.0.key) }
    }

    fn wants(&self, key: Key) -> bool {
        self.worst().is_none_or(|worst| key > worst)
    }

    fn keep(&mut self, found: Found) {
        if self.wants(found.key) && self.kept.insert(found.row) {
            if self.rows.len() >= self.limit
                && let Some(worst) = self.rows.pop()
            {
                self.kept.remove(&worst.0.0.row);
            }
            self.rows.push(Reverse(ByKey(found)));
        }
    }
}

/// The first `limit` matches within `bounds`, greatest key first.
pub(crate) fn newest(scan: &Scan<'_>, bounds: Bounds, limit: usize) -> Result<Vec<Found>, ScanError> {
    let blocks = scan.view.blocks(scan.project);
    let mut walk = Walk { scan, bounds, blocks: &blocks, best: Best { rows: BinaryHeap::new(), kept: HashSet::new(), limit }, count: 0 };
    let mut tail = scan.tail()?;
    tail.reverse();
    walk.examine(&tail, |_, _| true)?;
    let postings = scan.postings();
    let mut next = walk.wanted(blocks.len());
    while let Some(block) = next {
        let left = if postings.every_row { walk.whole_block(block, &postings)? } else { walk.down_from(block, &postings)? };
        next = walk.wanted(left);
    }
    let mut rows: Vec<Found> = walk.best.rows.into_iter().map(|row| row.0.0).collect();
    rows.sort_unstable_by_key(|found| Reverse((found.key, found.row)));
    Ok(rows)
}

struct Walk<'a> {
    scan: &'a Scan<'a>,
    bounds: Bounds,
    blocks: &'a [Block],
    best: Best,
    count: u32,
}

impl Walk<'_> {
    fn is_wanted(&self, block: &Block) -> bool {
        self.bounds.touch(block) && self.best.wants(block.max)
    }

    /// The highest block before `before` that may hold something for the page.
    fn wanted(&self, before: usize) -> Option<usize> {
        let mut at = before;
        while at > 0 {
            at -= 1;
            let block = &self.blocks[at];
            if self.is_wanted(block) {
                return Some(at);
            }
            let greatest = block.max_so_far();
            if !self.best.wants(greatest) || self.bounds.from.is_some_and(|from| greatest.occurred_at < from) {
                return None;
            }
        }
        None
    }

    /// Reads one block of which every row is a candidate; returns it.
    fn whole_block(&mut self, at: usize, postings: &Postings) -> Result<usize, ScanError> {
        let block = self.blocks[at];
        // What the file says of a block is a hint, not a size to be relied on.
        let mut rows = Vec::with_capacity(block.rows.min(BLOCK_ROWS) as usize);
        if block.is_dense() {
            rows.extend((block.first_row..=block.last_row.min(self.scan.last_row)).rev());
        } else {
            let last = block.last_row.min(self.scan.last_row);
            postings.read(self.scan.index, (block.first_row, last), Direction::Descending, |row| {
                self.scan.tick(&mut self.count)?;
                rows.push(row);
                if rows.len() as u64 >= BLOCK_ROWS {
                    self.take(&rows)?;
                    rows.clear();
                }
                Ok::<_, ScanError>(true)
            })?;
        }
        self.take(&rows)?;
        Ok(at)
    }

    /// Follows a posting list downwards from a block until nothing is wanted, or until it is better entered anew;
    /// returns the block above which everything is done.
    fn down_from(&mut self, at: usize, postings: &Postings) -> Result<usize, ScanError> {
        let last = self.blocks[at].last_row.min(self.scan.last_row);
        let (mut current, mut wanted, mut passed_over) = (at, true, 0);
        let mut rows: Vec<i64> = Vec::new();
        // Where to go on: 0 once the list has come to its end.
        let mut left = 0;
        let scan = self.scan;
        postings.read(scan.index, (1, last), Direction::Descending, |row| {
            if row < self.blocks[current].first_row {
                self.take(&rows)?;
                rows.clear();
                let lower = self.blocks[..current].partition_point(|block| block.last_row < row);
                if self.wanted(current).is_none() {
                    return Ok(false);
                }
                // Rows between two blocks are of other projects, and on no list of this one but by collision.
                if lower >= current || row < self.blocks[lower].first_row {
                    return Ok(true);
                }
                current = lower;
                // The list may have nothing in wanted blocks above this one.
                wanted = self.is_wanted(&self.blocks[lower]);
            }
            if wanted {
                rows.push(row);
            } else {
                passed_over += 1;
                if passed_over > PASSED_OVER_MAX {
                    left = current;
                    return Ok(false);
                }
            }
            self.scan.tick(&mut self.count)?;
            Ok::<_, ScanError>(true)
        })?;
        self.take(&rows)?;
        Ok(left)
    }

    /// Reads candidates of one block, best first by what the index says, as long as they can still be wanted.
    fn take(&mut self, rows: &[i64]) -> Result<(), ScanError> {
        let mut candidates = Vec::with_capacity(rows.len());
        for row in rows {
            self.scan.tick(&mut self.count)?;
            match self.scan.hint(*row)? {
                Some(key) if !self.bounds.hold(key) || !self.best.wants(key) => {}
                hint => candidates.push((hint, *row)),
            }
        }
        // Rows that the index says nothing of come first: they are read in any case.
        candidates.sort_unstable_by_key(|(hint, row)| (hint.is_some(), Reverse((*hint, *row))));
        let rows: Vec<i64> = candidates.iter().map(|(_, row)| *row).collect();
        self.examine(&rows, |best, n| candidates.get(n).is_none_or(|(hint, _)| hint.is_none_or(|key| best.wants(key))))
    }

    /// Reads candidates until the n-th of them is not wanted.
    fn examine(&mut self, rows: &[i64], is_wanted: impl Fn(&Best, usize) -> bool) -> Result<(), ScanError> {
        let (scan, mut n) = (self.scan, 0);
        scan.examine_each(rows, &mut |_, found| {
            if !is_wanted(&self.best, n) {
                return Ok(false);
            }
            n += 1;
            scan.tick(&mut self.count)?;
            if let Some(found) = found.filter(|found| self.bounds.hold(found.key)) {
                self.best.keep(found);
            }
            Ok(true)
        })
    }
}
