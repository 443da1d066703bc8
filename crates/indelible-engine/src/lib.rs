//! The running ledger: what is appended is redacted, sealed, chained and durable before anybody is told; what is
//! asked is recorded before it is answered.
//!
//! In scope: the store, its one writer, recovery, the derived index, queries, keys, resources and who may do what.
//! Out of scope, and absent: HTTP, the command line, HTML.
//!
//! Entry point: [`Ledger::open`].

pub mod access;
pub mod anchor;
pub mod apart;
pub mod append;
pub mod clock;
pub mod cosigning;
pub mod database;
pub mod decide;
pub mod export;
pub mod faults;
pub mod inbox;
mod index;
mod keystore;
mod kms;
mod ledger;
pub mod patrol;
pub mod query;
pub mod resource;
mod sharing;
pub mod spending;
mod store;
pub mod stream;
pub mod verify;
pub mod witness;
mod write;

pub use keystore::{ChainKey, Rewrapped, Rotated, Rotation};
pub use kms::{ArnError, KeyArn};
pub use ledger::{FirstStart, Ledger, Mode, OpenError, Opened, Options, Sealing, Status};
pub use store::{Database, NoDatabase};
