//! The index in parts: compared over many short transactions, so that its write-ahead log can be emptied meanwhile.
//!
//! What an index claims of rows that it has covered does not change, as long as it is the same file; one that is built anew has
//! another key, and then nothing is said of either.

use std::fmt::Write as _;

use rusqlite::params_from_iter;

use super::index::{Claim, Sums};
use crate::index::{LETTERS, leaves, read_state};

/// Parts in which all postings are read: one for each pair of letters with which a term begins.
pub(super) const PARTS: usize = LETTERS.len() * LETTERS.len();

impl Claim {
    /// Ends the transaction in which the claim was made.
    pub(super) fn let_go(&mut self) -> Result<(), rusqlite::Error> {
        self.blocks = Some(self.held_blocks()?);
        self.index.execute_batch("COMMIT")
    }

    /// Does something in a transaction in which the file is still the one that made the claim; `None` where it was built anew.
    pub(super) fn still<T, E: From<rusqlite::Error>>(&self, what: impl FnOnce(&Self) -> Result<T, E>) -> Result<Option<T>, E> {
        self.index.execute_batch("BEGIN")?;
        let state = read_state(&self.index);
        let same = self.file.exists() && state.is_ok_and(|(key, through, ..)| key == self.key && through.row >= self.through);
        let done = if same { what(self).map(Some) } else { Ok(None) };
        self.index.execute_batch("COMMIT")?;
        done
    }

    /// Sums the postings of one of [`PARTS`].
    pub(super) fn held_part(&self, part: usize, sums: &mut Sums) -> Result<(), rusqlite::Error> {
        let letter = |at: usize| char::from(SORTED[at % LETTERS.len()]);
        let mut sql = "SELECT term, doc FROM temp.postings WHERE true".to_owned();
        let mut bounds = Vec::new();
        // What is no term of ours lies before, between or behind them; the first part and the last are open.
        for (at, operator) in [(part, ">="), (part + 1, "<")] {
            if (1..PARTS).contains(&at) {
                bounds.push(format!("{}{}", letter(at / LETTERS.len()), letter(at)));
                let _ = write!(sql, " AND term {operator} ?{}", bounds.len());
            }
        }
        leaves::vocabulary(&self.index)?;
        let mut statement = self.index.prepare(&sql)?;
        let mut rows = statement.query(params_from_iter(bounds))?;
        while let Some(row) = rows.next()? {
            sums.add_covered(leaves::token_of(row.get_ref(0)?.as_bytes().unwrap_or_default()), row.get(1)?, self.through);
        }
        Ok(())
    }
}

/// The letters of terms in the order of their bytes.
const SORTED: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";
