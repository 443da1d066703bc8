//! What a host application commits through either driver is in the chain, what it rolls back is not, and what is refused fails it; over a
//! PostgreSQL server that the tests start, with real ledgers.

mod actor;
mod driver;
mod example;
#[expect(dead_code, reason = "the workbench of the tests of the engine has more than is used here")]
#[path = "../../../indelible-engine/tests/drain/place.rs"]
mod place;
#[expect(dead_code, reason = "shared with the tests of the ledger")]
#[path = "../../../indelible-engine/tests/ledger/postgres.rs"]
mod postgres;
mod recorded;
mod refused;

use indelible_engine::anchor::CheckpointStore;
