//! The program around the ledger: HTTP API, command line, importers, demonstration.
pub mod import;
