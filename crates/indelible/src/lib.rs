//! The program Indelible: the HTTP API and the command line around the engine.
//!
//! In scope: reading requests and options, asking the engine, rendering its answers.
//! Out of scope, and absent: SQL, database drivers, hashing. What is allowed, recorded and proved is decided in
//! `indelible_engine`; what the bytes are, in `indelible_core`.
//!
//! Entry points: [`serve::run`] for a whole server, [`witness::run`] for a witness, [`http::Server`] for one inside another program,
//! [`cli::run`] for every other command.

pub mod checkpoints;
pub mod cli;
pub mod cosigning;
pub mod database;
pub mod demo;
pub mod http;
pub mod import;
mod rename;
pub mod serve;
pub mod streams;
pub mod witness;
