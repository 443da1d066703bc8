//! `indelible export`: evidence bundles; and extracts, which are events as lines, with a manifest beside.

mod background;
mod bundle;
mod check;
mod extract;
mod part;

use std::process::ExitCode;

use indelible_core::time::Timestamp;
use serde_json::{Value, json};

use super::target::Target;
pub(super) use bundle::Written;
pub(super) use part::Part;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write an evidence bundle: a tar that proves entries to whoever has the log's public key (`indelible verify-bundle`)
    Bundle(bundle::Args),
    /// Write events as JSON, one a line, and a manifest beside the file
    Ndjson(extract::Args),
    /// Write events as CSV, safe to open in a spreadsheet, and a manifest beside the file
    Csv(extract::CsvArgs),
    /// Hold a file of events against its manifest: exit code 0 it holds, 1 it does not, 2 it could not be told
    Check(check::Args),
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Bundle(args) => bundle::run(args),
        Command::Ndjson(args) => extract::ndjson(args),
        Command::Csv(args) => extract::csv(args),
        Command::Check(args) => check::run(args),
    }
}

/// What of the log is exported.
#[derive(Debug, Clone, clap::Args)]
struct Selection {
    /// Only what this SCIM filter matches
    #[arg(long, short)]
    filter: Option<String>,
    /// Only what occurred at this time or later, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// Only what occurred before this time, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    /// First sequence of the range
    #[arg(long, value_name = "N")]
    from_sequence: Option<u64>,
    /// Last sequence of the range
    #[arg(long, value_name = "N")]
    to_sequence: Option<u64>,
}

/// What was asked for, to be asked for again when something that was broken off goes on.
fn asked(selection: &Selection, content: bool, target: &Target) -> Value {
    let Selection { filter, from, to, from_sequence, to_sequence } = selection;
    json!({
        "filter": filter,
        "from": from.map(|time| time.to_string()),
        "to": to.map(|time| time.to_string()),
        "from_sequence": from_sequence,
        "to_sequence": to_sequence,
        "content": content,
        "project": target.project.map(|id| id.to_string()),
    })
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "a time such as 2030-01-01T00:00:00Z".to_owned())
}
