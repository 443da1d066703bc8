//! `indelible show`: one event with all its members.

use std::process::ExitCode;

use uuid::Uuid;

use super::output;
use super::target::{Folder, Opening, Target};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The event's id
    id: Uuid,
    #[command(flatten)]
    opening: Opening,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let record = args.target.connect(Folder::MustExist)?.event(args.id, &args.opening.engine())?;
    let print = if args.target.json { output::line } else { output::pretty };
    print(&record)?;
    Ok(ExitCode::SUCCESS)
}
