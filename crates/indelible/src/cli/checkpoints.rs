//! `indelible checkpoints adopt`: after a deliberate restore, the ledger as it is becomes what is signed from now on.
//!
//! Exit code 1 where a tree is not adopted because it contradicts itself.

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
    let read: Value = serde_json::from_slice(&answer)?;
    let listed = |name: &str| read[name].as_array().cloned().unwrap_or_default();
    let (adopted, refused) = (listed("adopted"), listed("refused"));
    let code = if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if target.json {
        output::line(&answer)?;
        return Ok(code);
    }
    for origin in &adopted {
        output::line(format!("adopted {}", output::cell(origin)).as_bytes())?;
    }
    for tree in &refused {
        let [origin, kind, detail] = ["origin", "kind", "detail"].map(|name| output::cell(&tree[name]));
        output::note(&format!("not adopted: {origin} ({kind}): {detail}"));
    }
    if adopted.is_empty() && refused.is_empty() {
        output::note("every tree grew out of what was signed: there is nothing to adopt");
    }
    Ok(code)
}
