//! The command line: every command but `serve` and `witness`, one file each.
//!
//! Each works offline on a data folder or through a server, by one method of [`connection::Connection`]. Results go to standard
//! output, everything else to standard error. Keys are read from files, never from the command line, where every user of the
//! machine would see them.

mod anchors;
mod append;
mod checkpoints;
mod clock;
pub mod connection;
mod database;
mod decide;
mod events;
mod export;
mod import;
mod index;
mod join;
mod keys;
mod offline;
mod online;
mod output;
mod proof;
mod redaction_test;
mod resources;
mod run;
mod secret;
mod show;
mod spending;
mod sql;
mod status;
mod streams;
mod tail;
mod target;
mod verify;
mod verify_bundle;

use std::io::Write as _;
use std::process::ExitCode;

pub use offline::Offline;
pub(crate) use online::{CA_FILES, tls};

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Append events: one object, an array, or one a line, from a file or standard input
    Append(append::Args),
    /// Find events
    Events(events::Args),
    /// Follow events live, through a server
    Tail(tail::Args),
    /// Show one event
    Show(show::Args),
    /// Show one agent run as one record
    Run(run::Args),
    /// Prove that nothing was altered, removed or reordered: exit code 0 intact, 1 findings, 2 could not verify
    Verify(verify::Args),
    /// Show how the ledger stands: what is anchored, sealed and indexed, and what verification in the background found
    Status(status::Args),
    /// List what was signed, or sign what is committed now
    Anchors(anchors::Args),
    /// Prove that one event is in what was signed
    Proof(proof::Args),
    /// Export entries with their proof
    Export(export::Args),
    /// Verify an evidence bundle with public keys alone: exit code 0 intact, 1 findings, 2 could not verify
    VerifyBundle(verify_bundle::Args),
    /// Import logs that were written elsewhere
    Import(import::Args),
    /// Ask the ledger with one SELECT over the view audit_events, offline; never opens content
    Sql(sql::Args),
    /// API keys; and the keys of the ledger itself: rotate them, hand an auditor a chain key
    Keys(keys::Args),
    /// Become a member of an organization by an invitation
    Join(join::Args),
    /// Maintain the derived index
    Index(index::Args),
    /// Accept a restored ledger as what is signed from now on
    Checkpoints(checkpoints::Args),
    /// Ask for a decision: exit code 0 allowed, 1 not; recorded like every other
    Decide(decide::Args),
    /// Show what would be stored of a sample of an event, and what if there were one more redaction rule
    RedactionTest(redaction_test::Args),
    /// Show what was spent of a budget
    Spending(spending::Args),
    /// Streams at work: how one goes, what it sent, a try, sending again
    Stream(streams::Args),
    /// The PostgreSQL database of a ledger: make it, look it over
    Database(database::Args),
    /// Say that the system clock is right, after a jump stopped appends
    Clock(clock::Args),
    /// Resources, a command for each kind
    #[command(flatten)]
    Resource(resources::Args),
}

/// Runs one command.
pub fn run(command: Command) -> ExitCode {
    exit(match command {
        Command::Append(args) => append::run(&args),
        Command::Events(args) => events::run(&args),
        Command::Tail(args) => tail::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Anchors(args) => anchors::run(&args),
        Command::Proof(args) => proof::run(&args),
        Command::Export(args) => export::run(&args),
        Command::VerifyBundle(args) => verify_bundle::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Sql(args) => sql::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Join(args) => join::run(&args),
        Command::Index(args) => index::run(&args),
        Command::Checkpoints(args) => checkpoints::run(&args),
        Command::Decide(args) => decide::run(&args),
        Command::RedactionTest(args) => redaction_test::run(&args),
        Command::Spending(args) => spending::run(&args),
        Command::Stream(args) => streams::run(&args),
        Command::Database(args) => database::run(&args),
        Command::Clock(args) => clock::run(&args),
        Command::Resource(args) => resources::run(&args),
    })
}

/// Turns the end of a command into an exit code, and an error into one line. A reader that went away (`| head`) is no error.
pub fn exit(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            let gone = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
            if gone.into_iter().any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe) {
                return ExitCode::SUCCESS;
            }
            // Nothing can be done where standard error is gone as well.
            let _ = writeln!(std::io::stderr(), "indelible: {error:#}");
            ExitCode::FAILURE
        }
    }
}
