//! Small SQLite files beside the ledger that remember a few rows for good: what was signed, what was cosigned.
//!
//! Their owner's alone (0600). A rollback journal that is deleted at commit, and that deletion synced: a commit is durable once it
//! returns, and no file beside is needed that a copy could forget. Refused: a file of another kind.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{BUSY_WAIT, made};
use crate::store::StoreError;

/// Opens one; makes it, with `tables`, where it is not there. `application_id` says of what kind it is (`PRAGMA application_id`).
pub(crate) fn open_durable(path: &Path, tables: &str, application_id: i32) -> Result<Connection, StoreError> {
    made::make_file(path)?;
    let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.pragma_update(None, "journal_mode", "delete")?;
    connection.pragma_update(None, "synchronous", "extra")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))? == 0 {
        transaction.execute_batch(tables)?;
        transaction.pragma_update(None, "application_id", application_id)?;
    }
    transaction.commit()?;
    let found: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if found == application_id { Ok(connection) } else { Err(StoreError::Corrupt("it is a file of another kind".to_owned())) }
}
