//! The command line as its users meet it: the real program, on folders and through a server.

mod bundles;
mod commands;
mod demo;
mod https;
mod import;
mod program;
mod proofs;
mod resources;
mod tamper;
