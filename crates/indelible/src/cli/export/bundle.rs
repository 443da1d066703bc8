//! `indelible export bundle`: writes an evidence bundle to a new file. The file has its name only once it is whole.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use indelible_engine::export::ExportRequest;
use serde_json::json;

use super::super::output;
use super::super::target::{Folder, Opening, Target};
use super::Selection;
use super::background::Fetched;

/// Options.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// File with the checkpoint of an earlier bundle, out of which the log is to be proved to have grown
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// Write it to this new file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Have the server make it into a file first, which is fetched in as many parts as it takes
    #[arg(long, requires = "server")]
    background: bool,
    /// Go on with one that was broken off, with the same options
    #[arg(long, requires = "background")]
    resume: bool,
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
    let since = args.since.as_deref().map(|path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display())));
    let request = ExportRequest {
        filter: args.selection.filter.clone(),
        first_sequence: args.selection.from_sequence,
        last_sequence: args.selection.to_sequence,
        from: args.selection.from,
        to: args.selection.to,
        opening: args.opening.engine(),
        since: since.transpose()?,
    };
    let written = if args.background {
        let server = args.target.online()?.context("--background needs --server")?;
        let mut asked = super::asked(&args.selection, request.opening.content, &args.target);
        asked["since"] = json!(request.since);
        Fetched::open(&args.out, asked, args.resume)?.run(&server, &request)?
    } else {
        let mut file = NewFile::make(&args.out)?;
        let written = args.target.connect(Folder::MustExist)?.export(&request, &mut file.out)?;
        file.keep()?;
        written
    };
    let Written { entries, left_out, events_after, bytes } = written;
    if args.target.json {
        let file = args.out.display().to_string();
        let summary = json!({"file": file, "entries": entries, "left_out": left_out, "events_after": events_after, "bytes": bytes});
        output::line(summary.to_string().as_bytes())?;
    } else {
        let left = if left_out > 0 { format!(", {left_out} of the range left out") } else { String::new() };
        output::line(format!("wrote {}: {entries} entries{left}, {bytes} bytes", args.out.display()).as_bytes())?;
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
