//! The command `indelible`: reads the command line, runs one command, and turns its end into an exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use indelible::cli;
use indelible::serve::{self, ServeArgs};
use indelible::witness::{self, WitnessArgs};

/// The audit log of AI-agent platforms.
#[derive(Debug, Parser)]
#[command(name = "indelible", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(ServeArgs),
    /// Run a witness: cosign the checkpoints of logs that only grow
    Witness(WitnessArgs),
    #[command(flatten)]
    Other(cli::Command),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => cli::exit(serve::run(&args).map(|()| ExitCode::SUCCESS)),
        Command::Witness(args) => cli::exit(witness::run(&args).map(|()| ExitCode::SUCCESS)),
        Command::Other(command) => cli::run(command),
    }
}
