//! `indelible checkpoints adopt`: after a deliberate restore, the ledger as it is becomes what is signed from now on.

use std::process::ExitCode;

use serde_json::Value;

use super::output;
use super::target::{Folder, Target};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Accept the ledger as it is, where it did not grow out of what was signed before; recorded
    Adopt {
        #[command(flatten)]
        target: Target,
    },
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Command::Adopt { target } = &args.command;
    let answer = target.connect(Folder::MustExist)?.adopt_checkpoints()?;
    if target.json {
        output::line(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let answer: Value = serde_json::from_slice(&answer)?;
    let adopted: Vec<&str> = answer["adopted"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for origin in &adopted {
        output::line(format!("adopted {origin}").as_bytes())?;
    }
    if adopted.is_empty() {
        output::note("every tree grew out of what was signed: there is nothing to adopt");
    }
    Ok(ExitCode::SUCCESS)
}
