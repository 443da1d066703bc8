//! `indelible spending`: what was spent of a budget.

use std::process::ExitCode;

use serde_json::Value;
use uuid::Uuid;

use super::output;
use super::target::{Folder, Target};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The budget's id
    budget: Uuid,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let spending = args.target.connect(Folder::MustExist)?.budget_spending(args.budget)?;
    if args.target.json {
        output::line(&spending)?;
        return Ok(ExitCode::SUCCESS);
    }
    let spending: Value = serde_json::from_slice(&spending)?;
    let members = ["spent_micros", "limit_micros", "currency", "exceeded", "unpriced_tokens", "period_start", "period_end"];
    let row = members.map(|member| output::cell(&spending[member])).to_vec();
    output::table(&["SPENT (MICROS)", "LIMIT", "CURRENCY", "EXCEEDED", "TOKENS WITHOUT A PRICE", "FROM", "UNTIL"], [row])?;
    Ok(ExitCode::SUCCESS)
}
