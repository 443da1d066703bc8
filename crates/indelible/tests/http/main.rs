//! The HTTP API over a real socket, with a real ledger in a folder of its own: every answer by its exact status and type of
//! problem, and for every refusal of a known caller the event that it leaves in the log. One module a URL, and a few
//! that go across them all.

mod across;
mod api_keys;
#[cfg(feature = "aws")]
mod bucket;
mod clock;
mod conversations;
mod decisions;
mod documents;
mod door;
mod event;
mod events;
mod export_jobs;
mod exports;
mod keys;
#[cfg(feature = "aws")]
#[path = "../../../indelible-engine/tests/ledger/moto.rs"]
mod moto;
mod people;
mod process;
mod projects;
mod proofs;
mod resources;
mod rules;
mod runs;
mod server;
mod status;
mod streams;
mod verify;
mod wire;

#[cfg(feature = "aws")]
use indelible_engine::anchor::{Bucket, CheckpointStore};
