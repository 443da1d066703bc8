//! A ledger in PostgreSQL: how it is reached, and the statements that are not those of SQLite.
//!
//! The SQL files that make it are listed in [`install`], and [`check`] compares what is there with them. A session belongs to one thread at a
//! time, which waits for each answer; the sockets themselves are served by a small runtime of this module, so that it makes no difference on
//! which thread somebody waits.

mod absent;
mod address;
pub mod bind;
pub mod check;
mod columns;
mod connect;
mod cursor;
mod expected;
pub mod install;
mod maintain;
mod months;
mod session;
mod staged;
mod turn;
#[cfg(test)]
mod views;
mod wait;
mod wire;

pub(crate) use absent::{absent_tables, open_verifier};
pub use address::{Database, NoDatabase};
pub(crate) use columns::{differing, names as column_names};
pub(crate) use connect::connect;
pub(crate) use cursor::Cursor;
pub(crate) use maintain::{Maintenance, Opening, look_over, partition};
pub use maintain::{check_in, has_pgcrypto_in, install_in, let_in};
pub(crate) use session::{Prepared, Session};
pub(crate) use staged::{NewHead, NewRow, Staged, find, of_projects};
pub(crate) use turn::Turn;
pub(crate) use wait::wait;
pub(crate) use wire::value;

/// Whoever writes waits for its turn, and is let go of where it stands still in it, so that one server that does keeps no other waiting long.
pub(crate) const WRITER_SETTINGS: &str = "SET lock_timeout TO '20s'; SET idle_in_transaction_session_timeout TO '10s'";

/// What an error says, with what caused it. Without its detail, in which there may be values.
pub(crate) fn told(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    match (error.as_db_error(), error.source()) {
        (Some(said), _) => format!("{} ({})", said.message(), said.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}
