//! The instance tree as it is stored: its leaves are the anchors of all projects, in the order in which they were published.

use indelible_core::chain::Hash;
use indelible_core::tree::Edge;

use crate::store::StoreError;
use crate::store::sql::Connection;

/// Its right edge, from which it grows.
pub(super) fn edge(ledger: &Connection) -> Result<Edge, StoreError> {
    let last: Option<i64> = ledger.query_row("SELECT max(position) FROM instance_leaves", [], |row| row.get(0))?;
    let size = last.map_or(0, |last| last.unsigned_abs() + 1);
    let mut statement = ledger.prepare("SELECT hashes FROM instance_edge ORDER BY level")?;
    let mut rows = statement.query([])?;
    let mut levels: Vec<Vec<Hash>> = Vec::new();
    let corrupt = || StoreError::Corrupt("the edge of the instance tree does not hold: run `indelible verify`".to_owned());
    while let Some(row) = rows.next()? {
        let (hashes, rest) = row.bytes(0)?.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(corrupt());
        }
        levels.push(hashes.to_vec());
    }
    Edge::from_partial_tiles(size, levels).ok_or_else(corrupt)
}
