//! What survives: the real program in a process of its own, killed, starved of disk, with failing system calls.
//! After each fault one oracle: everything acknowledged is there once, the sequence is dense, verification is intact,
//! and a client that retries its whole load ends with exactly its events.

mod changes;
mod database;
mod disk;
mod kill;
mod load;
mod memory;
mod process;
#[path = "../http/streams/receiver.rs"]
mod receiver;
mod sealing;
mod servers;
mod streams;
mod syscalls;
