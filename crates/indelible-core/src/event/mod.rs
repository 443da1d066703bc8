//! What a caller may say: the members of an event, read strictly.
//!
//! [`members`] is the one table from which the parser, the filter's allowlist, the index and the OpenAPI
//! document are made. [`Submission`] is an event that has been read and found well formed, and nothing more: it
//! is not redacted, so nothing but [`crate::redact`] takes it.

pub mod action;
#[cfg(test)]
pub(crate) mod arbitrary;
mod content;
mod derived_id;
pub mod members;
mod shape;
mod submission;
#[cfg(test)]
mod tests;
mod timed_id;

pub use derived_id::derived_id;
pub use submission::{Source, Submission};
pub use timed_id::timed_id;
