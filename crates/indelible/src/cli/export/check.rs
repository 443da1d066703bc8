//! `indelible export check`: a file of events against its manifest, without data folder, server or secret.
//!
//! Exit code 0: it holds; 1: something of it was changed; 2: it could not be told.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::extract::{Check, Checked, Manifest};
use indelible_core::note::VerifierKey;
use serde_json::json;

use super::super::output;

const COULD_NOT: u8 = 2;
/// Read at once, bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// Options.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The manifest; the file is looked for beside it
    manifest: PathBuf,
    /// A verifier key to trust, as the log's owner published it; may be repeated
    #[arg(long = "key", value_name = "VERIFIER_KEY", value_parser = key)]
    keys: Vec<VerifierKey>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match check(args) {
        Ok((manifest, checked, signed)) => print(args, &manifest, &checked, signed),
        Err(error) => {
            output::note(&format!("indelible: could not check: {error:#}"));
            Ok(ExitCode::from(COULD_NOT))
        }
    }
}

/// What came of it, and whether a key that was named has signed the checkpoint.
fn check(args: &Args) -> anyhow::Result<(Manifest, Checked, bool)> {
    let text = std::fs::read(&args.manifest).with_context(|| format!("cannot read {}", args.manifest.display()))?;
    let manifest = Manifest::parse(&text).with_context(|| format!("{} is not a manifest", args.manifest.display()))?;
    let path = args.manifest.with_file_name(&manifest.file);
    let mut file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let bar = output::bar(file.metadata()?.len(), true);
    let (mut check, mut piece) = (Check::new(&manifest), vec![0; PIECE_BYTES]);
    loop {
        let taken = match file.read(&mut piece) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            taken => taken.with_context(|| format!("cannot read {}", path.display()))?,
        };
        if taken == 0 {
            break;
        }
        check.piece(&piece[..taken]);
        bar.inc(taken as u64);
    }
    bar.finish_and_clear();
    let mut checked = check.finish();
    let mut signed = false;
    if let Some(note) = checked.note.as_ref().filter(|_| !args.keys.is_empty()) {
        match Checkpoint::open(note, &args.keys) {
            Ok(_) => signed = true,
            Err(error) => checked.findings.push(format!("the checkpoint: {error}")),
        }
    }
    Ok((manifest, checked, signed))
}

fn print(args: &Args, manifest: &Manifest, checked: &Checked, signed: bool) -> anyhow::Result<ExitCode> {
    let holds = checked.findings.is_empty();
    if args.json {
        let summary = json!({"holds": holds, "entries": manifest.written.entries, "proved": checked.proved, "signed": signed, "findings": checked.findings});
        output::line(summary.to_string().as_bytes())?;
    } else if holds {
        let head = &manifest.head;
        let what = if checked.proved {
            format!(
                "the {} events are all there are from {} to {} in the tree",
                manifest.written.entries, head.first_sequence, head.last_sequence
            )
        } else {
            "the events are those that the manifest tells of; what proves single ones is a bundle".to_owned()
        };
        let who =
            if signed { "the checkpoint is signed" } else { "no key was named, so nothing is said of who signed the checkpoint (--key)" };
        output::line(format!("holds: the file is as it was made; {what}; {who}").as_bytes())?;
    } else {
        output::line(b"altered: the file does not hold")?;
        checked.findings.iter().try_for_each(|finding| output::line(format!("  {finding}").as_bytes()))?;
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn key(text: &str) -> Result<VerifierKey, String> {
    text.parse().map_err(|error| format!("not a verifier key: {error}"))
}
