//! `indelible projects`: make and list projects.

use std::process::ExitCode;

use serde_json::Value;
use uuid::Uuid;

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
    /// Make a project
    Create {
        /// Its name
        name: String,
        /// Its organization, by default the one made at first start
        #[arg(long, value_name = "ID")]
        organization: Option<Uuid>,
        #[command(flatten)]
        target: Target,
    },
    /// List projects
    List {
        #[command(flatten)]
        target: Target,
    },
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Create { name, organization, target } => {
            let project = target.connect(Folder::MayBeMade)?.create_project(*organization, name)?;
            print(&[project], target.json)?;
        }
        Command::List { target } => print(&target.connect(Folder::MustExist)?.projects()?, target.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print(projects: &[Vec<u8>], json: bool) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for project in projects {
        if json {
            output::line(project)?;
            continue;
        }
        let project: Value = serde_json::from_slice(project)?;
        let system = if project["system"] == Value::Bool(true) { "system" } else { "" };
        let [id, organization, name, made] = ["id", "organization_id", "name", "created_at"].map(|member| output::cell(&project[member]));
        rows.push(vec![id, name, organization, system.to_owned(), made]);
    }
    if !json {
        output::table(&["ID", "NAME", "ORGANIZATION", "", "MADE"], rows)?;
    }
    Ok(())
}
