//! `indelible append`: hands in events as they are, all of them or none.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::{Context as _, bail};
use indelible_core::limits::{BATCH_EVENTS_MAX, REQUEST_BYTES_MAX};
use serde_json::Value;

use super::output;
use super::target::{Folder, Target};
use crate::import::input::Input;
use crate::import::split::{Piece, Splitter};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File with one event, an array of them, or one a line; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let submissions = read(args)?;
    if submissions.is_empty() {
        bail!("there is no event in {}", args.file.display());
    }
    let receipts = args.target.connect(Folder::MayBeMade)?.append(&submissions)?;
    let answer: Value = serde_json::from_slice(&receipts)?;
    let receipts = answer["receipts"].as_array().map(Vec::as_slice).unwrap_or_default();
    if args.target.json {
        for receipt in receipts {
            output::line(receipt.to_string().as_bytes())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let row = |receipt: &Value| {
        let again = if receipt["duplicate"] == Value::Bool(true) { "was there already" } else { "" };
        let [sequence, id, recorded, hash] = ["sequence", "id", "recorded_at", "row_hash"].map(|member| output::cell(&receipt[member]));
        vec![sequence, id, recorded, hash, again.to_owned()]
    };
    output::table(&["SEQUENCE", "ID", "RECORDED", "ROW HASH", ""], receipts.iter().map(row))?;
    Ok(ExitCode::SUCCESS)
}

fn read(args: &Args) -> anyhow::Result<Vec<Vec<u8>>> {
    let unreadable = || format!("cannot read {}", args.file.display());
    let input = Input::open(&args.file).with_context(unreadable)?;
    let mut submissions = Vec::new();
    let mut bytes = 0;
    for piece in Splitter::new(input.read(&Arc::new(AtomicU64::new(0))).with_context(unreadable)?, &[]) {
        let (at, piece) = piece.with_context(unreadable)?;
        match piece {
            Piece::Record(record) => {
                bytes += record.len() + 1;
                submissions.push(record);
            }
            Piece::Broken(why) => bail!("event {} (line {}, byte {}): {why}; nothing was appended", at.record, at.line, at.byte),
        }
        if submissions.len() > BATCH_EVENTS_MAX || bytes > REQUEST_BYTES_MAX {
            bail!("more than {BATCH_EVENTS_MAX} events or {REQUEST_BYTES_MAX} bytes: use `indelible import ndjson`");
        }
    }
    Ok(submissions)
}
