//! The index against the entries: whether it hides a row, or puts it where readers would not find it.
//!
//! Comparing every posting one by one would cost more than all hashes together. So both sides are summed: for each 64
//! rows, the index's postings as they lie in it, and those that the entries call for. Where sums differ, the rows are
//! looked at one by one. The key of the tokens is in the index, so the sums are no proof against somebody who can
//! compute; what they must find is a change, and every change of one posting changes its sum.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::batch::{Batch, StoredRow};
use crate::index::{Block, Blocks, Key, Stored, Token, TokenKey, leaves, path, read_state, tokens};
use crate::store::open_read_only;
use crate::store::sql::{self, OptionalExtension as _, SqlError};

/// Rows in one sum.
const CHUNK_ROWS: i64 = 64;
/// Findings made; more are of no use to anybody.
const FINDINGS_MAX: usize = 1_000;
/// Chunks with postings too many that are looked at one by one.
const EXTRA_CHUNKS_MAX: usize = 64;

/// What the index hides or misplaces.
#[derive(Debug)]
pub(super) struct Misplaced {
    /// `ledgers.project`
    pub(super) project: i64,
    pub(super) sequence: Option<u64>,
    pub(super) detail: String,
}

/// An index that claims to cover the ledger up to a row, as one read transaction sees it: it may be filled further
/// meanwhile.
pub(super) struct Claim {
    pub(super) file: std::path::PathBuf,
    pub(super) index: Connection,
    pub(super) key: TokenKey,
    pub(super) through: i64,
    row_hash: Vec<u8>,
    /// The summaries as they were when the transaction ended; `None` while it is open.
    pub(super) blocks: Option<Blocks>,
}

/// The claim of the index in the data folder; `None` where there is none. To be made before the ledger is looked at: what
/// an index covers is in the ledger already.
pub(super) fn claim(data: &Path) -> Option<Claim> {
    let file = path(data);
    if !file.exists() {
        return None;
    }
    let index = open_read_only(&file).ok()?;
    index.execute_batch("BEGIN").ok()?;
    let (key, through, ..) = read_state(&index).ok()?;
    Some(Claim { file, index, key, through: through.row, row_hash: through.row_hash, blocks: None })
}

/// Takes a row and its tokens.
type EachRow<'a> = dyn FnMut(&Stored<'_>, &[Token]) -> Result<(), SqlError> + 'a;

/// Sums of postings, 64 rows each.
pub(super) struct Sums(Vec<u64>);

impl Sums {
    pub(super) fn new(through: i64) -> Self {
        Self(vec![0; usize::try_from(through / CHUNK_ROWS).unwrap_or(0) + 1])
    }

    /// Adds what postings of a row come to.
    fn add(&mut self, row: i64, postings: u64) {
        if let Some(sum) = usize::try_from(row / CHUNK_ROWS).ok().and_then(|at| self.0.get_mut(at)) {
            *sum = sum.wrapping_add(postings);
        }
    }

    /// Adds a posting, if it is of a row up to `through`.
    pub(super) fn add_covered(&mut self, token: Token, row: i64, through: i64) {
        if row <= through {
            self.add(row, posting(token, row));
        }
    }
}

/// What one posting adds to a sum.
const fn posting(token: Token, row: i64) -> u64 {
    let mut x = token.0 ^ (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// Sums the postings that the entry of a row calls for, on whatever thread.
pub(super) struct Terms {
    key: TokenKey,
    through: i64,
    of_row: Vec<Token>,
}

impl Terms {
    /// The sum of one row; 0 where the claim does not cover it.
    pub(super) fn sum(&mut self, bytes: &[u8], row: &StoredRow) -> u64 {
        if row.row > self.through {
            return 0;
        }
        let of_row = &mut self.of_row;
        of_row.clear();
        tokens(self.key, &stored(bytes, row), &mut |token| of_row.push(token));
        once_each(of_row);
        of_row.iter().fold(0, |sum, token| sum.wrapping_add(posting(*token, row.row)))
    }
}

/// The index's side.
fn held(file: &Path, through: i64) -> Result<Sums, rusqlite::Error> {
    let connection = open_read_only(file)?;
    connection.execute_batch("BEGIN")?;
    let mut sums = Sums::new(through);
    if !leaves::read(&connection, &mut |token, row| sums.add_covered(token, row, through))? {
        sums = Sums::new(through);
        leaves::ask(&connection, &mut |token, row| sums.add_covered(token, row, through))?;
    }
    Ok(sums)
}

impl Claim {
    /// Whether it is an index of this ledger; one that is not would be built anew in any case.
    pub(super) fn fits(&self, ledger: &sql::Connection) -> bool {
        let hash = ledger.query_row("SELECT row_hash FROM events WHERE row = ?1", [self.through], |row| row.get(0)).optional();
        self.through > 0 && hash.is_ok_and(|hash: Option<Vec<u8>>| hash.as_ref() == Some(&self.row_hash))
    }

    /// The summaries as they lie in the index; those that cannot be read are none.
    pub(super) fn held_blocks(&self) -> Result<Blocks, rusqlite::Error> {
        if let Some(blocks) = &self.blocks {
            return Ok(blocks.clone());
        }
        match Blocks::load(&self.index) {
            Err(error @ rusqlite::Error::SqliteFailure(..)) => Err(error),
            held => Ok(held.unwrap_or_default()),
        }
    }

    /// Walks the rows beside the index and names what differs.
    pub(super) fn check(&self, batches: &Receiver<Arc<Batch>>, ledger: &sql::Connection) -> Result<Vec<Misplaced>, SqlError> {
        let (file, through) = (self.file.as_path(), self.through);
        let (held, walked) = std::thread::scope(|scope| {
            // Postings of rows that the claim covers do not change, so a newer look at them will do.
            let held = scope.spawn(move || held(file, through));
            let walked = self.walk(batches);
            (held.join(), walked)
        });
        let (held, mut walked) = (held.map_err(|_| rusqlite::Error::InvalidQuery)?, walked?);
        if let Ok(held) = held {
            return self.compare(walked, &held, ledger);
        }
        walked.misplaced.push(Misplaced { project: 0, sequence: None, detail: "the index cannot be read".to_owned() });
        Ok(walked.misplaced)
    }

    /// What differs between the rows that were walked and the index's side.
    pub(super) fn compare(&self, walked: Walked, held: &Sums, ledger: &sql::Connection) -> Result<Vec<Misplaced>, SqlError> {
        let (index, Walked { sums, blocks, unread, mut misplaced }) = (&self.index, walked);
        compare_blocks((&blocks, &unread), &self.held_blocks()?, &mut misplaced);
        let mut extra = Vec::new();
        for (chunk, _) in sums.0.iter().zip(&held.0).enumerate().filter(|(_, (wanted, held))| wanted != held) {
            if misplaced.len() >= FINDINGS_MAX {
                break;
            }
            let first = chunk as i64 * CHUNK_ROWS;
            if !self.look(first, ledger, index, &mut misplaced)? && extra.len() < EXTRA_CHUNKS_MAX {
                extra.push(first);
            }
        }
        if !extra.is_empty() {
            self.look_for_extra(&extra, ledger, index, &mut misplaced)?;
        }
        Ok(misplaced)
    }

    fn walk(&self, batches: &Receiver<Arc<Batch>>) -> Result<Walked, rusqlite::Error> {
        let mut walked = self.begin();
        for batch in batches {
            self.batch(&batch, &mut walked)?;
        }
        Ok(walked)
    }

    /// The walk before the first row.
    pub(super) fn begin(&self) -> Walked {
        Walked { sums: Sums::new(self.through), blocks: Blocks::default(), unread: HashSet::new(), misplaced: Vec::new() }
    }

    /// Sums for whoever examines rows.
    pub(super) const fn terms(&self) -> Terms {
        Terms { key: self.key, through: self.through, of_row: Vec::new() }
    }

    /// Takes the next rows along.
    pub(super) fn batch(&self, batch: &Batch, walked: &mut Walked) -> Result<(), rusqlite::Error> {
        let Walked { sums, blocks, unread, misplaced } = walked;
        let covered = |row: &&StoredRow| row.row <= self.through;
        let (Some(first), Some(last)) = (batch.rows.first().filter(covered), batch.rows.iter().rfind(covered)) else { return Ok(()) };
        let mut places = self
            .index
            .prepare_cached("SELECT row, project, sequence, occurred_at, id FROM rows WHERE row BETWEEN ?1 AND ?2 ORDER BY row")?;
        let mut places = places.query([first.row, last.row])?;
        let mut place = read_place(places.next()?)?;
        for row in batch.rows.iter().filter(covered) {
            sums.add(row.row, row.terms);
            let occurred_at = row.outline.as_ref().map_or(0, |outline| outline.occurred_at.as_micros());
            let id = batch.bytes(&row.id).try_into().unwrap_or_default();
            let key = Key { occurred_at, id };
            let block = blocks.add(row.project, row.row, key);
            if row.outline.is_none() {
                // Its chain names it; what the index should say of it cannot be told.
                unread.insert((row.project, block));
                continue;
            }
            while place.as_ref().is_some_and(|place| place.0 < row.row) {
                place = read_place(places.next()?)?;
            }
            let wanted = (row.row, row.project, row.sequence, key);
            if place != Some(wanted) && misplaced.len() < FINDINGS_MAX {
                let how = if place.is_some_and(|place| place.0 == row.row) { "places it wrongly" } else { "hides it" };
                misplaced.push(Misplaced {
                    project: row.project,
                    sequence: Some(row.sequence as u64),
                    detail: format!("the index {how}: readers may not find it"),
                });
            }
        }
        Ok(())
    }

    /// Looks at the rows of one chunk, posting by posting; says whether one is hidden.
    fn look(&self, first: i64, ledger: &sql::Connection, index: &Connection, misplaced: &mut Vec<Misplaced>) -> Result<bool, SqlError> {
        let mut posting = index.prepare_cached("SELECT 1 FROM terms WHERE terms MATCH ?1 AND rowid = ?2")?;
        let before = misplaced.len();
        self.each_of_chunk(first, ledger, &mut |stored, wanted| {
            let mut hidden = 0;
            for token in wanted {
                let mut text = String::from("\"");
                token.write(&mut text);
                text.push('"');
                hidden += usize::from(!posting.exists(params![text, stored.row])?);
            }
            if hidden > 0 {
                misplaced.push(Misplaced {
                    project: stored.project,
                    sequence: Some(stored.sequence as u64),
                    detail: format!("the index hides it from {hidden} of the {} values it is found by", wanted.len()),
                });
            }
            Ok(())
        })?;
        Ok(misplaced.len() > before)
    }

    /// Names the rows that the index lists under values they do not have. It takes a pass over all postings, once.
    fn look_for_extra(
        &self,
        chunks: &[i64],
        ledger: &sql::Connection,
        index: &Connection,
        misplaced: &mut Vec<Misplaced>,
    ) -> Result<(), SqlError> {
        let mut held: HashMap<i64, usize> = HashMap::new();
        leaves::ask(index, &mut |_, row| {
            if chunks.binary_search(&(row / CHUNK_ROWS * CHUNK_ROWS)).is_ok() {
                *held.entry(row).or_default() += 1;
            }
        })?;
        for first in chunks {
            self.each_of_chunk(*first, ledger, &mut |stored, wanted| {
                if held.get(&stored.row).is_some_and(|held| *held != wanted.len()) {
                    misplaced.push(Misplaced {
                        project: stored.project,
                        sequence: Some(stored.sequence as u64),
                        detail: "the index lists it under a value that it does not have".to_owned(),
                    });
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Hands each row of a chunk and its tokens, each once, to `each`.
    fn each_of_chunk(&self, first: i64, ledger: &sql::Connection, each: &mut EachRow<'_>) -> Result<(), SqlError> {
        let mut rows = ledger.prepare("SELECT row, project, sequence, id, entry FROM events WHERE row >= ?1 AND row < ?2 AND row <= ?3")?;
        let mut rows = rows.query([first, first + CHUNK_ROWS, self.through])?;
        let mut wanted = Vec::new();
        while let Some(row) = rows.next()? {
            let stored = Stored::read_without_hash(&row)?;
            if stored.occurred_at.is_none() {
                continue;
            }
            wanted.clear();
            tokens(self.key, &stored, &mut |token| wanted.push(token));
            once_each(&mut wanted);
            each(&stored, &wanted)?;
        }
        Ok(())
    }
}

/// Takes out what stands there twice: a value may be that of two actors of a chain. Of few tokens each is compared with
/// each, which is faster than sorting them.
fn once_each(tokens: &mut Vec<Token>) {
    const FEW: usize = 40;
    if tokens.len() > FEW {
        tokens.sort_unstable();
        tokens.dedup();
        return;
    }
    let mut kept = 0;
    for at in 0..tokens.len() {
        let token = tokens[at];
        if !tokens[..kept].contains(&token) {
            tokens[kept] = token;
            kept += 1;
        }
    }
    tokens.truncate(kept);
}

/// What was found of the rows so far.
pub(super) struct Walked {
    sums: Sums,
    blocks: Blocks,
    /// Projects and their blocks in which a row is no entry.
    unread: HashSet<(i64, usize)>,
    misplaced: Vec<Misplaced>,
}

fn stored<'a>(bytes: &'a [u8], row: &StoredRow) -> Stored<'a> {
    Stored {
        row: row.row,
        project: row.project,
        sequence: row.sequence,
        id: Uuid::from_slice(&bytes[row.id.clone()]).unwrap_or_default(),
        entry: &bytes[row.entry.clone()],
        occurred_at: row.outline.as_ref().map(|outline| outline.occurred_at),
        row_hash: &bytes[row.row_hash.clone()],
    }
}

type Place = (i64, i64, i64, Key);

fn read_place(row: Option<&rusqlite::Row<'_>>) -> Result<Option<Place>, rusqlite::Error> {
    let Some(row) = row else { return Ok(None) };
    // An id of another length is none: it differs from every id.
    let id = row.get_ref(4)?.as_bytes().ok().and_then(|id| id.try_into().ok()).unwrap_or([0xff; 16]);
    Ok(Some((row.get(0)?, row.get(1)?, row.get(2)?, Key { occurred_at: row.get(3)?, id })))
}

/// The summaries by which readers skip blocks. Of rows that the ledger lost or that are no entries the chains tell; no summary is wrong
/// for them.
fn compare_blocks((wanted, unread): (&Blocks, &HashSet<(i64, usize)>), held: &Blocks, misplaced: &mut Vec<Misplaced>) {
    let rows = |blocks: &[Block]| blocks.iter().map(|block| block.rows).sum::<u64>();
    for (project, blocks) in wanted.iter() {
        let held = held.of(project);
        let (there, summed) = (rows(blocks), rows(&held));
        if summed > there {
            let detail = format!("the index summarises {summed} rows of the project, where the ledger has {there} of them");
            misplaced.push(Misplaced { project, sequence: None, detail });
            continue;
        }
        let mut all_read = true;
        for (number, block) in blocks.iter().enumerate() {
            if unread.contains(&(project, number)) {
                all_read = false;
                continue;
            }
            let same = |held: &Block| {
                let older_max = if all_read { block.older_max } else { held.older_max };
                *held == Block { older_max, ..*block }
            };
            if !held.get(number).is_some_and(same) && misplaced.len() < FINDINGS_MAX {
                misplaced.push(Misplaced {
                    project,
                    sequence: Some(number as u64 * crate::index::BLOCK_ROWS),
                    detail: format!("the index hides rows: its summary of the {} from this one on is wrong", block.rows),
                });
            }
        }
    }
}
