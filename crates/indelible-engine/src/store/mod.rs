//! The embedded store: the data folder with its lock, and `ledger.db` (SQLite) with one writing connection and a
//! pool of reading ones.
//!
//! SQL lies in `sqlite/`. Nothing here decides what is written; [`crate::write`] does.

mod absent;
mod connection;
mod durable;
mod folder;
pub(crate) mod postgres;
mod readers;
mod tiles;

#[cfg(test)]
pub(crate) use absent::tables;
pub(crate) use absent::{absent_tables, open_verifier};
pub(crate) use connection::{BUSY_WAIT, Expected, PAGE_BYTES, StoreError, open_read_only, open_reader, open_writer};
pub(crate) use durable::open_durable;
pub(crate) use folder::{Folder, private_folder, write_private};
pub(crate) use readers::{Reader, Readers};
pub(crate) use tiles::{Tiles, Tree};
