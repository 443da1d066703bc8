//! Streams: every committed event of a project, delivered to whoever an `audit_stream` names, at least once and in the order of the chain.
//!
//! A stream is a cursor over the ledger, and no copy of it.

mod transport;

pub use transport::{ANSWER_BYTES_MAX, Request, Response, Route, SendError, Sending, Transport};
