//! `indelible database`: the PostgreSQL database of a ledger, made and looked over.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use indelible_engine::Options;
use indelible_engine::database::bind::Purpose;
use indelible_engine::database::check::{Finding, Weight};
use indelible_engine::database::{check_in, has_pgcrypto_in, install_in, let_in};
use serde_json::json;

use super::output;
use super::target::{Folder, Target};
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
    Install(Install),
    /// Look it over for what was weakened: a dropped trigger, a wrong grant, a missing partition; exit code 0 nothing, 1 faults, 2 could not
    Check(Which),
    /// Let a role append to a project in its own transactions (`audit.append`), or read its events with SQL; recorded
    Bind(Binding),
    /// Let it no more; recorded
    Unbind(Binding),
}

#[derive(Debug, clap::Args)]
struct Install {
    /// Let events wait in the inbox as they are, where the database has no pgcrypto to encrypt them with; recorded
    #[arg(long)]
    accept_plaintext_inbox: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct Binding {
    /// A role of the database that logs in
    #[arg(value_name = "ROLE")]
    role: String,
    /// Reading with SQL, in the place of appending; a role may read any number of projects
    #[arg(long)]
    reader: bool,
    #[command(flatten)]
    target: Target,
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
        Command::Bind(options) => bind(options, true),
        Command::Unbind(options) => bind(options, false),
        Command::Check(options) => check(options).or_else(|error| {
            output::note(&format!("indelible: could not look at the database: {error:#}"));
            Ok(ExitCode::from(COULD_NOT))
        }),
    }
}

const NAME_IT: &str = "name the database with --database postgres://USER@HOST/DATABASE";

fn install(options: &Install) -> anyhow::Result<ExitCode> {
    let Install { accept_plaintext_inbox, target } = options;
    let database = target.database.maintenance()?.context(NAME_IT)?;
    let installed = install_in(&database).map_err(anyhow::Error::msg)?;
    if target.json {
        let told = json!({"before": installed.before, "version": installed.now, "event_triggers": installed.event_triggers});
        output::line(told.to_string().as_bytes())?;
    } else {
        let what = match installed.before {
            before if before == installed.now => format!("{database} is at version {}", installed.now),
            0 => format!("{database}: the schema audit was made, version {}", installed.now),
            before => format!("{database}: brought from version {before} to {}", installed.now),
        };
        output::line(what.as_bytes())?;
    }
    if !installed.event_triggers {
        output::note(
            "event triggers, which refuse dropping a partition or a trigger, need a superuser: install again as one, or do without them",
        );
    }
    if *accept_plaintext_inbox {
        if target.open(Folder::MayBeMade)?.accept_plaintext_inbox()? {
            output::note("events of host transactions wait in the inbox as they are until a server takes them");
        }
    } else if !has_pgcrypto_in(&database).map_err(anyhow::Error::msg)? {
        bail!(
            "the database has no extension pgcrypto, so audit.append refuses: add it (CREATE EXTENSION pgcrypto) and run `SELECT \
             audit.inbox_use_pgcrypto()`, or install with --accept-plaintext-inbox"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn bind(options: &Binding, is_bound: bool) -> anyhow::Result<ExitCode> {
    let Binding { role, reader, target } = options;
    let (purpose, does) = if *reader { (Purpose::Reader, "reads") } else { (Purpose::Host, "appends to") };
    if !target.database.is_named() {
        bail!(NAME_IT);
    }
    let offline = target.open(Folder::MustExist)?;
    let (changed, project) = offline.bind_role(purpose, role, is_bound)?;
    if let Some(owner) = target.database.maintenance()?.filter(|_| is_bound) {
        // Whatever stops before this: a role that is bound and no member does nothing.
        let_in(&owner, purpose, role, project).map_err(anyhow::Error::msg)?;
    }
    let what = match (is_bound, changed) {
        (true, true) => format!("{role} {does} the project {project} from now on"),
        (true, false) => format!("{role} {does} the project {project} already"),
        (false, true) => format!("{role} {does} the project {project} no more"),
        (false, false) => format!("{role} is not bound to the project {project}"),
    };
    output::line(
        if target.json { json!({"role": role, "project_id": project.to_string(), "changed": changed}).to_string() } else { what }
            .as_bytes(),
    )?;
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
