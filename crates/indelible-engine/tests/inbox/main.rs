//! The door of PostgreSQL for other people's transactions: `audit.append`, row capture, redaction there, and the keys of the inbox, over a
//! server of PostgreSQL that the tests start.

mod append;
mod members;
mod redaction;
mod sealing;
mod server;
mod watch;
