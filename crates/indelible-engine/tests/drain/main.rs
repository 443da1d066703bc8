//! The inbox of PostgreSQL drained by real ledgers: what host transactions commit is in the chain once, and what they roll back is not.

mod bound;
mod captured;
mod chained;
mod keys;
mod names;
mod place;
#[expect(dead_code, reason = "shared with the tests of the ledger")]
#[path = "../ledger/postgres.rs"]
mod postgres;
mod rejected;
mod shared;

use indelible_engine::anchor::CheckpointStore;
