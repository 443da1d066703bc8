//! The embedded store: `ledger.db`, with one writing connection and any number of reading ones.

mod absent;
mod connection;
mod durable;
mod files;
mod made;

#[cfg(test)]
pub(crate) use absent::tables;
pub(crate) use absent::{absent_tables, open_verifier};
#[cfg(test)]
pub(crate) use connection::mark;
pub(crate) use connection::{BUSY_WAIT, Expected, PAGE_BYTES, open_read_only, open_reader, open_writer};
pub(crate) use durable::open_durable;
pub(crate) use files::Files;
pub(crate) use made::make_file;
