//! `indelible proof`: that one event is in what was signed, for somebody who has neither the ledger nor its keys.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;
use uuid::Uuid;

use super::output;
use super::target::{Folder, Target};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The event's id
    id: Uuid,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let document = args.target.connect(Folder::MustExist)?.proof(args.id)?;
    if args.target.json {
        output::line(&document)?;
        return Ok(ExitCode::SUCCESS);
    }
    let document: Value = serde_json::from_slice(&document).context("the answer is not a proof")?;
    let proof = document["proof"].as_str().context("the answer holds no proof")?;
    // Byte for byte: what is printed is what a verifier reads.
    std::io::stdout().lock().write_all(proof.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
