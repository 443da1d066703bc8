//! Where a ledger lies: in a data folder with its lock and `ledger.db` ([`sqlite`]), or in a database that servers share ([`postgres`]).
//!
//! What is asked is asked over [`sql`], of either. Nothing here decides what is written; [`crate::write`] does.

mod error;
mod folder;
pub(crate) mod postgres;
mod readers;
mod source;
pub(crate) mod sql;
pub(crate) mod sqlite;
mod tiles;

pub(crate) use error::StoreError;
pub(crate) use folder::{FileLock, Folder, private_folder, write_new_private, write_private};
pub use postgres::{Database, NoDatabase};
pub(crate) use postgres::{connect, told};
pub(crate) use readers::{Reader, Readers};
pub(crate) use source::{Source, absent_tables};
pub(crate) use sqlite::{BUSY_WAIT, Expected, Files, PAGE_BYTES, make_file, open_durable, open_read_only};
pub(crate) use tiles::{Tiles, Tree};
