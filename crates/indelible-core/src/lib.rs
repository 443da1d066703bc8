//! The bytes of Indelible: what an event is, what is kept of it, how it is hashed, sealed and proved,
//! and what a filter means.
//!
//! In scope: strict parsing, redaction, canonical entries, sealing, the HMAC chain, the RFC 6962 tree,
//! SCIM filters, verification, signed notes and what is built of them, and what streams send. Everything here is a function of its arguments.
//!
//! Out of scope, and absent: files, sockets, SQL, threads, clocks, and randomness that was not handed in.
//!
//! An event goes one way, and each step takes the type that only the step before can make:
//!
//! ```text
//! event::Submission -> redact::Redacted -> entry::Draft -> entry::Entry -> chain::Link
//! ```

pub mod anchor;
pub mod bundle;
pub mod chain;
pub mod checkpoint;
pub mod cursor;
pub mod diff;
pub mod entry;
pub mod event;
pub mod extract;
pub mod fault;
pub mod filter;
pub mod form;
pub mod frame;
pub mod hex;
pub mod json;
pub mod key;
pub mod limits;
mod lines;
pub mod note;
pub mod policy;
pub mod proof;
pub mod redact;
pub mod seal;
pub mod time;
pub mod tree;
pub mod verified;
pub mod verify;
pub mod webhook;
pub mod witness;
