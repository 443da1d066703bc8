//! `indelible index rebuild`: makes the derived index anew from the ledger. Always safe; offline only.

use std::process::ExitCode;

use anyhow::bail;
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
    /// Delete the index and build it anew
    Rebuild {
        #[command(flatten)]
        target: Target,
    },
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Command::Rebuild { target } = &args.command;
    if target.is_online() {
        bail!("the index is rebuilt offline: stop the server and name its folder with --data");
    }
    let offline = target.open(Folder::MustExist)?;
    let bar = output::bar(0, false);
    let rows = offline.ledger().rebuild_index(&mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    if target.json {
        output::line(json!({"rows": rows}).to_string().as_bytes())?;
    } else {
        output::line(format!("indexed {rows} rows").as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
