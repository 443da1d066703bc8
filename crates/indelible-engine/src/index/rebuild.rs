//! Building the index anew because somebody asks for it.

use crate::ledger::{Ledger, OpenError};

impl Ledger {
    /// Deletes the index and builds it anew; returns rows indexed. `progress` is told rows done and rows in all.
    pub fn rebuild_index(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<u64, OpenError> {
        let store = |error: &dyn std::fmt::Display| OpenError::Store(error.to_string());
        let reader = self.inner.readers.get().map_err(|error| store(&error))?;
        let last: i64 =
            reader.query_row("SELECT coalesce(max(row), 0) FROM events", [], |row| row.get(0)).map_err(|error| store(&error))?;
        drop(reader);
        let rows = last.unsigned_abs();
        self.inner.index.rebuild();
        let reached = self.inner.index.reached_blocking(last, &mut |through| {
            progress(through.unsigned_abs().min(rows), rows);
            !self.inner.index.is_stopped()
        });
        if reached { Ok(rows) } else { Err(OpenError::Store("the ledger was closed while its index was built".to_owned())) }
    }
}
