//! The command line as its users meet it: the real program, on folders and through a server.

#[cfg(feature = "aws")]
mod background;
mod bucket;
mod bundles;
mod commands;
mod decisions;
mod demo;
mod extracts;
mod https;
mod import;
#[cfg(feature = "aws")]
#[path = "../../../indelible-engine/tests/ledger/moto.rs"]
mod moto;
mod program;
mod proofs;
mod refusals;
mod resources;
mod secrets;
mod tail;
mod tamper;
mod walk;

#[cfg(feature = "aws")]
use indelible_engine::anchor::{Bucket, CheckpointStore};
