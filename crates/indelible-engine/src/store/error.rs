//! What goes wrong in a store.

use super::sql::SqlError;
use crate::faults::{When, Write};

/// What went wrong in the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database said so.
    #[error("the store failed: {0}")]
    Sql(#[from] SqlError),
    /// A file could not be made.
    #[error("the store failed: {0}")]
    Io(#[from] std::io::Error),
    /// A test wants this write to fail.
    #[error("the store failed: injected I/O error {1:?} {0:?}")]
    Injected(Write, When),
    /// The lease is another server's by now: nothing is wrong with the store.
    #[error("another server has taken over")]
    TakenOver,
    /// What is stored contradicts itself.
    #[error("{0}")]
    Corrupt(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error.into())
    }
}
