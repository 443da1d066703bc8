//! `indelible clock confirm`: after the clock jumped forward by more than an hour, appends wait for this.

use std::process::ExitCode;

use serde_json::json;

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
    /// Take the clock as it is now for right; recorded
    Confirm {
        #[command(flatten)]
        target: Target,
    },
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Command::Confirm { target } = &args.command;
    let confirmed = target.connect(Folder::MustExist)?.confirm_clock()?;
    if target.json {
        output::line(json!({"confirmed_at": confirmed}).to_string().as_bytes())?;
    } else {
        output::line(format!("confirmed {confirmed}").as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
