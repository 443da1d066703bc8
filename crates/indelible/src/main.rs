//! The command `indelible`: reads the command line, runs one command, and turns its end into an exit code.

use clap::{Parser, Subcommand};
use indelible::serve::{self, ServeArgs};

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
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
    }
}
