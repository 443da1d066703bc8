//! `indelible join`: accepts an invitation. The token stands in the key file; the member's own key is shown once, on standard output, or
//! written to a file that its owner alone can read.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use serde_json::Value;

use super::connection::Connection;
use super::output;
use super::secret::{Safe, put_away};
use super::target::{Folder, Target};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write the member's key to this new file (mode 0600) instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if !args.target.is_online() {
        bail!("an invitation is accepted through a server: name it with --server, and the file with the token with --key-file");
    }
    let Connection::Online(online) = args.target.connect(Folder::MustExist)? else { bail!("an invitation is accepted through a server") };
    let safe = Safe::maybe(args.out.as_ref())?;
    let mut member: Value = serde_json::from_slice(&online.accept_invitation()?)?;
    put_away(&mut member, "key", safe)?;
    if args.target.json {
        output::line(member.to_string().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let [id, name, role] = ["id", "name", "role"].map(|name| output::cell(&member[name]));
    output::note(&format!("{name} is a member now, with the role {role}: {id}"));
    match (&args.out, member["key"].as_str()) {
        (Some(path), _) => output::note(&format!("the key is in {}", path.display())),
        (None, key) => {
            output::note("the key is shown this once:");
            output::line(key.unwrap_or_default().as_bytes())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
