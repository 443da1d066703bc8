//! `indelible export bundle`: writes an evidence bundle to a new file. The file has its name only once it is whole.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use indelible_core::time::Timestamp;
use indelible_engine::export::ExportRequest;
use serde_json::json;

use super::output;
use super::target::{Folder, Opening, Target};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write an evidence bundle: a tar that proves entries to whoever has the log's public key (`indelible verify-bundle`)
    Bundle(Bundle),
}

#[derive(Debug, clap::Args)]
struct Bundle {
    /// Only what this SCIM filter matches: each entry is then proved, and how many are left out is said
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
    /// File with the checkpoint of an earlier bundle, out of which the log is to be proved to have grown
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// Write it to this new file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    opening: Opening,
    #[command(flatten)]
    target: Target,
}

/// What a bundle that was written holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Entries in it.
    pub entries: u64,
    /// Entries of its range that are not.
    pub left_out: u64,
    /// Events after the newest signed checkpoint.
    pub events_after: u64,
    /// Bytes of the tar.
    pub bytes: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Command::Bundle(bundle) = &args.command;
    let since =
        bundle.since.as_deref().map(|path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display())));
    let request = ExportRequest {
        filter: bundle.filter.clone(),
        first_sequence: bundle.from_sequence,
        last_sequence: bundle.to_sequence,
        from: bundle.from,
        to: bundle.to,
        opening: bundle.opening.engine(),
        since: since.transpose()?,
    };
    let mut file = NewFile::make(&bundle.out)?;
    let connection = bundle.target.connect(Folder::MustExist)?;
    let written = connection.export(&request, &mut file.out)?;
    file.keep()?;
    let Written { entries, left_out, events_after, bytes } = written;
    if bundle.target.json {
        let file = bundle.out.display().to_string();
        let summary = json!({"file": file, "entries": entries, "left_out": left_out, "events_after": events_after, "bytes": bytes});
        output::line(summary.to_string().as_bytes())?;
    } else {
        let left = if left_out > 0 { format!(", {left_out} of the range left out") } else { String::new() };
        output::line(format!("wrote {}: {entries} entries{left}, {bytes} bytes", bundle.out.display()).as_bytes())?;
    }
    if events_after > 0 {
        output::note(&format!("{events_after} events came after the newest signed checkpoint and are not in it"));
    }
    Ok(ExitCode::SUCCESS)
}

/// A file that is its owner's alone, beside the one that is asked for until it is whole.
struct NewFile<'a> {
    out: BufWriter<tempfile::NamedTempFile<File>>,
    path: &'a Path,
}

impl<'a> NewFile<'a> {
    fn make(path: &'a Path) -> anyhow::Result<Self> {
        if path.exists() {
            bail!("{} is there already", path.display());
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(".indelible-export-").tempfile_in(folder);
        let file = file.with_context(|| format!("cannot write into {}", folder.display()))?;
        Ok(Self { out: BufWriter::new(file), path })
    }

    fn keep(mut self) -> anyhow::Result<()> {
        self.out.flush()?;
        let file = self.out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.as_file().sync_all().with_context(|| format!("cannot write {}", self.path.display()))?;
        file.persist_noclobber(self.path).map_err(|error| error.error).with_context(|| format!("cannot make {}", self.path.display()))?;
        Ok(())
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "a time such as 2030-01-01T00:00:00Z".to_owned())
}
