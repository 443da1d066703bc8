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
    let others = spending["other_costs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let others: Vec<String> = others.iter().map(|cost| format!("{} {}", cost["micros"], output::cell(&cost["currency"]))).collect();
    let row = members.map(|member| output::cell(&spending[member])).into_iter().chain([others.join(", ")]).collect();
    let heads = ["SPENT (MICROS)", "LIMIT", "CURRENCY", "EXCEEDED", "TOKENS WITHOUT A PRICE", "FROM", "UNTIL", "OTHER CURRENCIES (MICROS)"];
    output::table(&heads, [row])?;
    Ok(ExitCode::SUCCESS)
}
