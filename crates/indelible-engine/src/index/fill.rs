//! Filling the index: committed rows, in the order of the ledger, a batch to a transaction.

use std::collections::BTreeSet;

use indelible_core::entry::Outline;
use indelible_core::filter;
use indelible_core::time::Timestamp;
use rusqlite::params;
use uuid::Uuid;

use super::block::{Blocks, Key};
use super::file::Through;
use super::ids::Ids;
use super::token::{Token, TokenKey};
use crate::store::StoreError;
use crate::store::sql::{self, SqlError, SqlResult};

/// Rows in one transaction at most: large enough that its cost is spread, small enough that readers who wait for their
/// own write wait a fraction of a second.
const BATCH_ROWS: i64 = 32_768;

/// What one index file is filled with.
pub(crate) struct Filler<'a> {
    /// The ledger, read-only.
    pub(crate) ledger: &'a sql::Connection,
    /// The index.
    pub(crate) index: &'a mut rusqlite::Connection,
    /// Its token key.
    pub(crate) key: TokenKey,
    /// Takes note of ids.
    pub(crate) ids: &'a Ids,
}

/// What went wrong: the index can be built anew, the ledger cannot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FillError {
    /// The ledger could not be read.
    #[error("the ledger could not be read: {0}")]
    Ledger(StoreError),
    /// The index could not be written.
    #[error("the index could not be written: {0}")]
    Index(rusqlite::Error),
}

/// An error of the ledger.
pub(super) fn of_ledger(error: SqlError) -> FillError {
    FillError::Ledger(error.into())
}

impl Filler<'_> {
    /// Indexes the next rows up to `committed`, at most a batch; adds them to `blocks` and moves `through`. After an error
    /// `blocks` may be ahead of the file.
    pub(crate) fn batch(&mut self, through: &mut Through, committed: i64, blocks: &mut Blocks) -> Result<(), FillError> {
        let last = committed.min(through.row.saturating_add(BATCH_ROWS));
        let mut touched: BTreeSet<(i64, usize)> = BTreeSet::new();
        let mut row_hash = Vec::new();
        let transaction = self.index.transaction().map_err(FillError::Index)?;
        {
            let mut select = self
                .ledger
                .prepare_by_row("SELECT row, project, sequence, id, entry, row_hash FROM events WHERE row > ?1 AND row <= ?2 ORDER BY row")
                .map_err(of_ledger)?;
            let mut insert_terms =
                transaction.prepare_cached("INSERT INTO terms (rowid, tokens) VALUES (?1, ?2)").map_err(FillError::Index)?;
            let mut insert_row = transaction
                .prepare_cached("INSERT INTO rows (row, project, sequence, occurred_at, id) VALUES (?1, ?2, ?3, ?4, ?5)")
                .map_err(FillError::Index)?;
            let mut rows = select.query([through.row, last]).map_err(of_ledger)?;
            let mut text = String::with_capacity(512);
            while let Some(row) = rows.next().map_err(of_ledger)? {
                let stored = Stored::read(&row).map_err(of_ledger)?;
                text.clear();
                let occurred_at = tokens(self.key, &stored, &mut |token| {
                    if !text.is_empty() {
                        text.push(' ');
                    }
                    token.write(&mut text);
                });
                self.ids.indexing(stored.project, stored.id);
                insert_terms.execute(params![stored.row, text]).map_err(FillError::Index)?;
                insert_row
                    .execute(params![stored.row, stored.project, stored.sequence, occurred_at, stored.id.as_bytes()])
                    .map_err(FillError::Index)?;
                let key = Key { occurred_at, id: *stored.id.as_bytes() };
                touched.insert((stored.project, blocks.add(stored.project, stored.row, key)));
                if stored.row == last {
                    row_hash.clear();
                    row_hash.extend_from_slice(stored.row_hash);
                }
            }
        }
        for (project, block) in touched {
            blocks.store(&transaction, project, block).map_err(FillError::Index)?;
        }
        transaction
            .prepare_cached("UPDATE state SET through = ?1, row_hash = ?2")
            .and_then(|mut update| update.execute(params![last, row_hash]))
            .map_err(FillError::Index)?;
        transaction.commit().map_err(FillError::Index)?;
        *through = Through { row: last, row_hash };
        Ok(())
    }
}

/// A row of the ledger, as far as the index reads it.
pub(crate) struct Stored<'a> {
    pub(crate) row: i64,
    pub(crate) project: i64,
    pub(crate) sequence: i64,
    pub(crate) id: Uuid,
    pub(crate) entry: &'a [u8],
    /// What the entry says; `None` where its bytes are no entry.
    pub(crate) occurred_at: Option<Timestamp>,
    pub(crate) row_hash: &'a [u8],
}

impl<'a> Stored<'a> {
    fn read(row: &sql::Row<'a>) -> SqlResult<Self> {
        Ok(Self { row_hash: row.get_ref(5)?.as_bytes().unwrap_or_default(), ..Self::read_without_hash(row)? })
    }

    /// Reads row, project, sequence, id, entry, in this order.
    pub(crate) fn read_without_hash(row: &sql::Row<'a>) -> SqlResult<Self> {
        let id = row.get_ref(3)?.as_bytes().unwrap_or_default();
        let entry = row.get_ref(4)?.as_bytes().unwrap_or_default();
        Ok(Self {
            row: row.get(0)?,
            project: row.get(1)?,
            sequence: row.get(2)?,
            id: Uuid::from_slice(id).unwrap_or_default(),
            entry,
            occurred_at: Outline::read(entry).map(|outline| outline.occurred_at),
            row_hash: &[],
        })
    }
}

/// Hands every token of a row to `each` (one may come twice) and returns its `occurred_at`, microseconds since 1970. Bytes that are not an entry
/// have the tokens of their columns alone, and the time 0: they are found, and verification says what they are.
pub(crate) fn tokens(key: TokenKey, stored: &Stored<'_>, each: &mut dyn FnMut(Token)) -> i64 {
    each(key.every_row(stored.project));
    each(key.id(stored.project, stored.id));
    let Some(occurred_at) = stored.occurred_at else { return 0 };
    filter::terms_of_bytes(stored.entry, &mut |attribute, value| each(key.token(stored.project, attribute, value)));
    occurred_at.as_micros()
}
