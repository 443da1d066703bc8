//! The ledger from outside, on real files: what it acknowledges, refuses, survives.

mod adoption;
mod anchors;
mod append;
mod bench;
#[cfg(feature = "aws")]
mod bucket;
mod bundles;
mod clock;
mod control;
mod cosigning;
mod database;
mod databases;
mod decisions;
mod embedded;
mod faults;
mod files;
mod house;
mod jobs;
mod leases;
#[cfg(feature = "aws")]
mod moto;
mod patrol;
mod people;
mod postgres;
#[cfg(feature = "aws")]
mod proxy;
mod reads;
mod resources;
mod rotation;
mod rules;
mod runs;
mod schemas;
mod shared;
mod shell;
mod spending;
mod streams;
mod tenancy;
mod twins;

#[cfg(feature = "aws")]
use indelible_engine::anchor::Bucket;
use indelible_engine::anchor::CheckpointStore;
