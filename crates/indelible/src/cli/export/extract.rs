//! `indelible export ndjson` and `csv`: events by sequence into a new file, with a manifest beside it. The file has its name only once it is
//! whole; one that was broken off goes on with `--resume`, to the byte as if it had been made in one go.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use indelible_core::extract::{Columns, Format};
use indelible_core::hex;
use indelible_engine::export::ExportRequest;
use serde_json::json;

use super::super::output;
use super::super::target::{Folder, Opening, Target};
use super::{Part, Selection};

/// Options.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Write it to this new file, and the manifest to FILE.manifest.json
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Go on with one that was broken off, with the same options
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    opening: Opening,
    #[command(flatten)]
    target: Target,
}

/// Those of CSV.
#[derive(Debug, clap::Args)]
pub(super) struct CsvArgs {
    /// Columns: members by their dotted path, context.<key>, prev_hash, row_hash, content; by default all there are
    #[arg(long, value_name = "NAME,NAME…", value_delimiter = ',')]
    columns: Option<Vec<String>>,
    #[command(flatten)]
    args: Args,
}

pub(super) fn ndjson(args: &Args) -> anyhow::Result<ExitCode> {
    run(args, Format::Ndjson)
}

pub(super) fn csv(args: &CsvArgs) -> anyhow::Result<ExitCode> {
    let columns = match &args.columns {
        None => Columns::all(args.args.opening.engine().content),
        Some(names) => Columns::read(names.iter().map(|name| name.trim())).map_err(anyhow::Error::msg).context("--columns")?,
    };
    run(&args.args, Format::Csv(columns))
}

fn run(args: &Args, format: Format) -> anyhow::Result<ExitCode> {
    let Selection { filter, from, to, from_sequence, to_sequence } = args.selection.clone();
    let opening = args.opening.engine();
    let columns = if let Format::Csv(columns) = &format { Some(columns.names().to_vec()) } else { None };
    let mut asked = super::asked(&args.selection, opening.content, &args.target);
    asked["format"] = json!(format.as_str());
    asked["columns"] = json!(columns);
    let mut part = Part::open(&args.out, format, asked, args.resume)?;
    let mut request = ExportRequest { filter, first_sequence: from_sequence, last_sequence: to_sequence, from, to, opening, since: None };
    let range = part.range();
    if let Some((next, last)) = range {
        (request.first_sequence, request.last_sequence) = (Some(next), Some(last));
    }
    // Nothing may be left of one that was broken off at its very end.
    if range.is_none_or(|(next, last)| next <= last) {
        args.target.connect(Folder::MustExist)?.extract(&request, &mut part).context("broken off: go on with --resume")?;
    }
    let (manifest, events_after) = part.keep()?;
    let (file, written) = (args.out.display().to_string(), manifest.written);
    if args.target.json {
        let sha256 = hex::encode(&manifest.sha256);
        let summary = json!({"file": file, "manifest": format!("{file}.manifest.json"), "entries": written.entries, "bytes": written.bytes,
                             "sha256": sha256, "events_after": events_after});
        output::line(summary.to_string().as_bytes())?;
    } else {
        output::line(
            format!("wrote {file}: {} events, {} bytes; {file}.manifest.json tells what it is", written.entries, written.bytes).as_bytes(),
        )?;
    }
    if events_after > 0 {
        output::note(&format!("{events_after} events came after the newest signed checkpoint and are not in it"));
    }
    Ok(ExitCode::SUCCESS)
}
