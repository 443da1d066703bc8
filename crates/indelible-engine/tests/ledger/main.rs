//! The ledger from outside, on real files: what it acknowledges, refuses, survives.

mod anchors;
mod append;
mod bench;
mod bundles;
mod clock;
mod cosigning;
mod faults;
mod files;
mod patrol;
mod reads;
mod resources;
mod rotation;
