//! `indelible run`: one agent run as one record: steps in order, tool calls with their results, tokens, verdict.

use std::process::ExitCode;

use super::output;
use super::target::{Folder, Opening, Target};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's id (`run.id` of its events)
    id: String,
    #[command(flatten)]
    opening: Opening,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let record = args.target.connect(Folder::MustExist)?.run(&args.id, &args.opening.engine())?;
    let print = if args.target.json { output::line } else { output::pretty };
    print(&record)?;
    Ok(ExitCode::SUCCESS)
}
