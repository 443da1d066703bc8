//! The ledger from outside, on real files: what it acknowledges, refuses, survives.

mod anchors;
mod append;
mod bench;
#[cfg(feature = "aws")]
mod bucket;
mod bundles;
mod clock;
mod control;
mod cosigning;
mod faults;
mod files;
#[cfg(feature = "aws")]
mod moto;
mod patrol;
#[cfg(feature = "aws")]
mod proxy;
mod reads;
mod resources;
mod rotation;
mod rules;
mod schemas;

#[cfg(feature = "aws")]
use indelible_engine::anchor::{Bucket, CheckpointStore};
