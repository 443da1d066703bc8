//! `indelible database`: the PostgreSQL database of a ledger, made and looked over.

use std::process::ExitCode;

use anyhow::Context as _;
use indelible_engine::Options;
use indelible_engine::database::check::{Finding, Weight};
use indelible_engine::database::{check_in, install_in};
use serde_json::json;

use super::output;
use crate::database::LedgerDatabase;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make the schema `audit`, or bring it to this program's version, as the owner of its tables
    Install(Which),
    /// Look it over for what was weakened: a dropped trigger, a wrong grant, a missing partition; exit code 0 nothing, 1 faults, 2 could not
    Check(Which),
}

#[derive(Debug, clap::Args)]
struct Which {
    #[command(flatten)]
    database: LedgerDatabase,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// It could not be looked at.
const COULD_NOT: u8 = 2;

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Install(options) => install(options),
        Command::Check(options) => check(options).or_else(|error| {
            output::note(&format!("indelible: could not look at the database: {error:#}"));
            Ok(ExitCode::from(COULD_NOT))
        }),
    }
}

const NAME_IT: &str = "name the database with --database postgres://USER@HOST/DATABASE";

fn install(options: &Which) -> anyhow::Result<ExitCode> {
    let database = options.database.maintenance()?.context(NAME_IT)?;
    let installed = install_in(&database).map_err(anyhow::Error::msg)?;
    if options.json {
        let told = json!({"before": installed.before, "version": installed.now, "event_triggers": installed.event_triggers});
        output::line(told.to_string().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let what = match installed.before {
        before if before == installed.now => format!("{database} is at version {}", installed.now),
        0 => format!("{database}: the schema audit was made, version {}", installed.now),
        before => format!("{database}: brought from version {before} to {}", installed.now),
    };
    output::line(what.as_bytes())?;
    if !installed.event_triggers {
        output::note(
            "event triggers, which refuse dropping a partition or a trigger, need a superuser: install again as one, or do without them",
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn check(options: &Which) -> anyhow::Result<ExitCode> {
    let database = options.database.database()?.context(NAME_IT)?;
    let findings = check_in(&database, Options::new("").clock.now()).map_err(anyhow::Error::msg)?;
    let weight = |finding: &Finding| match finding.weight {
        Weight::Fault => "fault",
        Weight::Warning => "warning",
    };
    if options.json {
        let findings: Vec<_> = findings
            .iter()
            .map(|finding| {
                json!({"weight": weight(finding), "kind": finding.kind.as_str(), "object": finding.object, "detail": finding.sentence})
            })
            .collect();
        output::line(json!({"findings": findings}).to_string().as_bytes())?;
    } else if findings.is_empty() {
        output::line(format!("{database}: as it was installed").as_bytes())?;
    } else {
        let rows = findings.iter().map(|finding| {
            vec![weight(finding).to_owned(), finding.kind.as_str().to_owned(), finding.object.clone(), finding.sentence.clone()]
        });
        output::table(&["WEIGHT", "KIND", "OBJECT", "DETAIL"], rows)?;
    }
    let is_at_fault = findings.iter().any(|finding| finding.weight == Weight::Fault);
    Ok(if is_at_fault { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
