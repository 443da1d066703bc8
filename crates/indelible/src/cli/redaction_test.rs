//! `indelible redaction-test`: what would be stored of a sample of an event, and what if there were one more redaction rule.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::output;
use super::resources::read_document;
use super::target::{Folder, Target};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An event, as it would be handed in: JSON, @FILE, or - for standard input
    sample: String,
    /// A redaction rule that is not there yet: JSON or @FILE
    #[arg(long, value_name = "JSON")]
    rule: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let sample = read_document(&args.sample)?;
    let rule = args.rule.as_deref().map(read_document).transpose()?;
    let shown = args.target.connect(Folder::MustExist)?.test_redaction(&sample, rule.as_ref())?;
    if args.target.json {
        output::line(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let shown: Value = serde_json::from_slice(&shown)?;
    let part = |name: &str| shown.get(name).cloned().unwrap_or_else(|| json!({}));
    for name in ["entry", "content"] {
        output::line(format!("{name}: {}", serde_json::to_string_pretty(&part(name))?).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
