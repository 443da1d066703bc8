//! Every posting of the index: from the leaf pages in which FTS5 keeps them, or one by one from FTS5 itself.
//!
//! Asking FTS5 costs ten times as much, and verification wants all of them. The format is that of SQLite's
//! `fts5_index.c` for `detail=none`, read as FTS5 reads it: nothing is guessed. Where a page is of any other form (a posting
//! that was deleted and not merged away yet is one), [`read`] says so, and the caller asks FTS5, which knows.
//! Invariant: what [`read`] hands over is what [`ask`] hands over.

use rusqlite::{Connection, OptionalExtension};

use super::token::Token;

/// The row of `terms_data` that lists the segments.
const STRUCTURE: i64 = 10;
/// A row of `terms_data` is a leaf: the segment's number and the page's.
const PAGE_BITS: u32 = 37;
/// What terms of the main index begin with.
const MAIN: u8 = b'0';

/// Hands every posting to `each`, from the leaf pages, in one read transaction of the caller's. False where they are of another form:
/// what was handed over by then is not all.
pub(crate) fn read(index: &Connection, each: &mut impl FnMut(Token, i64)) -> Result<bool, rusqlite::Error> {
    let structure: Option<Vec<u8>> =
        index.query_row("SELECT block FROM terms_data WHERE id = ?1", [STRUCTURE], |row| row.get(0)).optional()?;
    let Some(segments) = structure.as_deref().and_then(segments) else { return Ok(false) };
    let mut leaves = index.prepare("SELECT id, block FROM terms_data WHERE id >= ?1 AND id <= ?2 ORDER BY id")?;
    for Segment { number, first, last } in segments {
        let mut rows = leaves.query([number << PAGE_BITS | first, number << PAGE_BITS | last])?;
        let (mut wanted, mut walk) = (number << PAGE_BITS | first, Walk::default());
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let page = row.get_ref(1)?.as_blob().unwrap_or_default();
            if id != wanted || walk.leaf(page, each).is_none() {
                return Ok(false);
            }
            wanted += 1;
        }
        if wanted != (number << PAGE_BITS | last) + 1 || !walk.is_whole() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Hands every posting to `each`, as FTS5 tells them.
pub(crate) fn ask(index: &Connection, each: &mut impl FnMut(Token, i64)) -> Result<(), rusqlite::Error> {
    vocabulary(index)?;
    let mut statement = index.prepare("SELECT term, doc FROM temp.postings")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(token_of(row.get_ref(0)?.as_bytes().unwrap_or_default()), row.get(1)?);
    }
    Ok(())
}

/// Makes `temp.postings`, by which FTS5 tells its postings: `term` and `doc`.
pub(crate) fn vocabulary(index: &Connection) -> Result<(), rusqlite::Error> {
    index.execute_batch("CREATE VIRTUAL TABLE IF NOT EXISTS temp.postings USING fts5vocab(main, terms, instance)")
}

/// What is no token of ours stands for itself by its length: it is no token that a row calls for.
pub(crate) fn token_of(term: &[u8]) -> Token {
    Token::read(term).unwrap_or(Token(u64::MAX - term.len() as u64))
}

/// A run of leaf pages.
struct Segment {
    number: i64,
    first: i64,
    last: i64,
}

/// The segments that a structure record names.
fn segments(record: &[u8]) -> Option<Vec<Segment>> {
    // The first four bytes count changes of the configuration.
    let mut at = 4;
    let mut next = || i64::try_from(varint(record, &mut at)?).ok();
    let (levels, total, _writes) = (next()?, next()?, next()?);
    let mut segments = Vec::new();
    for _ in 0..levels {
        let (_merging, of_level) = (next()?, next()?);
        for _ in 0..of_level {
            let (number, first, last) = (next()?, next()?, next()?);
            if !(1..1 << 16).contains(&number) || first > last || last >> 31 != 0 {
                return None;
            }
            // A segment that is merged away already has no first page.
            if first > 0 {
                segments.push(Segment { number, first, last });
            }
        }
    }
    (at == record.len() && segments.len() as i64 <= total).then_some(segments)
}

/// How far the walk over the leaves of one segment has come.
#[derive(Default)]
struct Walk {
    /// The term whose rows are read.
    term: Vec<u8>,
    token: Option<Token>,
    /// Its last row; `None` before its first.
    row: Option<i64>,
}

impl Walk {
    /// Reads the next leaf; `None` where it is of another form.
    fn leaf(&mut self, page: &[u8], each: &mut impl FnMut(Token, i64)) -> Option<()> {
        let (header, _) = page.split_first_chunk::<4>()?;
        let end = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let (body, footer) = page.split_at_checked(end).filter(|_| end >= 4)?;
        // The footer holds the place of each term, counted from the one before.
        let (mut in_footer, mut place) = (0, 0);
        let mut next_place = || {
            if in_footer == footer.len() {
                return Some(body.len());
            }
            place += usize::try_from(varint(footer, &mut in_footer)?).ok()?;
            Some(place)
        };
        let first = next_place().filter(|first| *first >= 4)?;
        if first > 4 {
            // Rows that go on from the page before count from zero all the same.
            self.rows(body.get(..first)?, 4, each)?;
        }
        let mut from = first;
        while from < body.len() {
            let until = next_place().filter(|until| from < *until && *until <= body.len())?;
            let at = self.next_term(&body[..until], from, from == first)?;
            if at < until {
                self.rows(&body[..until], at, each)?;
            }
            from = until;
        }
        (in_footer == footer.len()).then_some(())
    }

    /// Reads the term at `at`; returns the place after it.
    fn next_term(&mut self, body: &[u8], mut at: usize, whole: bool) -> Option<usize> {
        if !self.is_whole() {
            return None;
        }
        let kept = if whole { 0 } else { usize::try_from(varint(body, &mut at)?).ok()? };
        let new = usize::try_from(varint(body, &mut at)?).ok()?;
        let new = body.get(at..)?.get(..new).filter(|new| !new.is_empty() && kept <= self.term.len())?;
        self.term.truncate(kept);
        self.term.extend_from_slice(new);
        self.token = Some(token_of(self.term.strip_prefix(&[MAIN])?));
        self.row = None;
        Some(at + new.len())
    }

    /// Reads rows from `at` to the end of `body`, each as its distance from the one before.
    fn rows(&mut self, body: &[u8], mut at: usize, each: &mut impl FnMut(Token, i64)) -> Option<()> {
        let (token, mut row) = (self.token?, 0_i64);
        while at < body.len() {
            let step = i64::try_from(varint(body, &mut at)?).ok()?;
            if step == 0 {
                return None;
            }
            row = row.checked_add(step)?;
            each(token, row);
        }
        self.row = Some(row);
        Some(())
    }

    /// Whether the last term has its rows.
    const fn is_whole(&self) -> bool {
        self.token.is_none() || self.row.is_some()
    }
}

/// An integer of SQLite's: seven bits a byte, the highest first, and nine bytes at most, the last of which gives eight.
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for n in 0..9 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if n == 8 {
            return Some(value << 8 | u64::from(byte));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            break;
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    use super::*;
    use crate::index::file;

    type Postings = Vec<(Token, i64)>;

    fn sorted(take: impl FnOnce(&mut Postings)) -> Postings {
        let mut postings = Vec::new();
        take(&mut postings);
        postings.sort_unstable();
        postings
    }

    fn from_leaves(index: &Connection) -> Option<Postings> {
        let mut whole = false;
        let postings = sorted(|found| whole = read(index, &mut |token, row| found.push((token, row))).expect("read"));
        whole.then_some(postings)
    }

    fn from_fts(index: &Connection) -> Result<Postings, rusqlite::Error> {
        let mut asked = Ok(());
        let postings = sorted(|found| asked = ask(index, &mut |token, row| found.push((token, row))));
        asked.map(|()| postings)
    }

    fn empty() -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().expect("a folder");
        let (connection, ..) = file::create(&folder.path().join("index.db"), "").expect("an index");
        (folder, connection)
    }

    /// Indexes rows `first..=last`, in one transaction: one token that all have, one that many have, one of their own.
    fn fill(index: &Connection, first: i64, last: i64) {
        index.execute_batch("BEGIN").expect("begin");
        for row in first..=last {
            let mut text = String::new();
            for token in [7, 1_000 + row.unsigned_abs() % 5, row.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 14] {
                Token(token).write(&mut text);
                text.push(' ');
            }
            index.prepare_cached("INSERT INTO terms (rowid, tokens) VALUES (?1, ?2)").expect("sql").execute((row, text)).expect("a row");
        }
        index.execute_batch("COMMIT").expect("commit");
    }

    /// Through every state that filling leaves: many segments, merged ones, merges that are under way, lists over many pages.
    #[test]
    fn leaves_hold_what_fts_tells() {
        let (_folder, index) = empty();
        assert_eq!(from_leaves(&index), Some(Vec::new()));
        let (mut row, mut merging) = (0, 0);
        for step in 0..60_i64 {
            let rows = [1, 3, 700, 5_000][step as usize % 4];
            fill(&index, row + 1, row + rows);
            row += rows;
            if step % 7 == 3 {
                index.execute("INSERT INTO terms (terms, rank) VALUES ('merge', -3)", []).expect("merged in part");
            }
            let record: Vec<u8> = index.query_row("SELECT block FROM terms_data WHERE id = 10", [], |found| found.get(0)).expect("there");
            merging += usize::from(segments(&record).expect("read").iter().any(|segment| segment.first > 1));
            let found = from_leaves(&index).expect("the form is known");
            assert_eq!(found.len() as i64, 3 * row, "step {step}");
            assert_eq!(found, from_fts(&index).expect("told"), "step {step}");
        }
        assert!(merging > 0, "no merge was under way");
        index.execute("INSERT INTO terms (terms) VALUES ('optimize')", []).expect("optimized");
        assert_eq!(from_leaves(&index).expect("the form is known"), from_fts(&index).expect("told"));
    }

    #[test]
    fn what_was_deleted_is_left_to_fts() {
        let (_folder, index) = empty();
        fill(&index, 1, 100);
        let mut text = String::new();
        Token(7).write(&mut text);
        index.execute("INSERT INTO terms (terms, rowid, tokens) VALUES ('delete', 50, ?1)", [text]).expect("deleted");
        assert_eq!(from_leaves(&index), None);
        assert_eq!(from_fts(&index).expect("told").len(), 299);
    }

    /// Whatever is done to a page: no panic, and nothing that FTS5 would not have told.
    #[test]
    fn changed_pages_are_told_alike_or_left_to_fts() {
        let (folder, writer) = empty();
        fill(&writer, 1, 2_500);
        // FTS5 remembers pages that its own connection has read.
        let index = Connection::open(folder.path().join("index.db")).expect("open");
        let ids = |mut ids: rusqlite::Statement<'_>| ids.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>();
        let ids = writer.prepare("SELECT id FROM terms_data WHERE id >= 10").and_then(ids).expect("ids");
        assert!(ids.len() > 5, "{ids:?}");
        let strategy = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), any::<bool>());
        let alike = Cell::new(0);
        TestRunner::default()
            .run(&strategy, |(id, at, byte, cut)| {
                let id = ids[id.index(ids.len())];
                let whole: Vec<u8> = writer.query_row("SELECT block FROM terms_data WHERE id = ?1", [id], |row| row.get(0)).expect("there");
                let mut changed = whole.clone();
                let at = at.index(changed.len());
                if cut {
                    changed.truncate(at);
                } else {
                    changed[at] = byte;
                }
                let put = |block: &[u8]| writer.execute("UPDATE terms_data SET block = ?1 WHERE id = ?2", (block, id)).expect("put");
                put(&changed);
                let (found, told) = (from_leaves(&index), from_fts(&index));
                put(&whole);
                if let (Some(found), Ok(told)) = (found, told) {
                    prop_assert_eq!(found, told);
                    alike.set(alike.get() + 1);
                }
                Ok(())
            })
            .expect("alike");
        assert!(alike.get() > 10, "{alike:?}");
    }
}
