//! Witnesses as processes of their own, over loopback HTTP: the protocol by its statuses, a log that tells two stories, kill -9, and
//! a ledger that has its instance tree cosigned by some of several.

mod fake;
mod fork;
mod house;
mod kill;
mod log;
mod process;
mod protocol;
mod quorum;
mod served;
