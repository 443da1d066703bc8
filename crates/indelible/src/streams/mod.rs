//! How what streams send leaves the server.

mod allowed;
mod guard;
mod host;
mod reach;
