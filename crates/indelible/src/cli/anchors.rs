//! `indelible anchors`: what was signed of a project, oldest first; with `--seal`, what is committed is signed first.
//!
//! Sealing ends with exit code 1 where the tree is not signed, so that a script does not take an old anchor for a new one.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use indelible_engine::query::anchors::ANCHORS_MAX;
use serde_json::Value;
use serde_json::value::RawValue;

use super::output;
use super::target::{Folder, Target};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Sign what is committed now, and show the newest anchor
    #[arg(long, conflicts_with_all = ["since", "limit", "all"])]
    seal: bool,
    /// From this number on
    #[arg(long, value_name = "N", default_value_t = 0)]
    since: u64,
    /// At most so many anchors
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "all")]
    limit: u64,
    /// All anchors
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(serde::Deserialize)]
struct Page {
    anchors: Vec<Box<RawValue>>,
    next_since: Option<u64>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let json = args.target.json;
    let connection = args.target.connect(Folder::MustExist)?;
    if args.seal {
        let status = connection.seal()?;
        return sealed(&status, json, || connection.sealing_error());
    }
    let (mut wanted, mut since) = (if args.all { u64::MAX } else { args.limit }, Some(args.since));
    let mut rows = Vec::new();
    while let Some(first) = since.filter(|_| wanted > 0) {
        let page = connection.anchors(first, wanted.min(ANCHORS_MAX as u64))?;
        let page: Page = serde_json::from_slice(&page).context("the answer is not a page of anchors")?;
        for anchor in &page.anchors {
            if json { output::line(anchor.get().as_bytes())? } else { rows.push(row(&serde_json::from_str(anchor.get())?)) }
        }
        wanted = wanted.saturating_sub(page.anchors.len() as u64);
        since = page.next_since;
    }
    if !json {
        table(rows)?;
    }
    if let Some(since) = since {
        output::note(&format!("there is more: --since {since}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells how sealing ended. `error` says why it failed, where that can be told here.
fn sealed(status: &[u8], json: bool, error: impl FnOnce() -> Option<String>) -> anyhow::Result<ExitCode> {
    let read: Value = serde_json::from_slice(status).context("the answer is not the state of anchoring")?;
    if json {
        output::line(status)?;
    } else {
        table(Some(&read["latest"]).filter(|latest| latest.is_object()).map(row))?;
    }
    if let Some(refusal) = read["refusal"].as_object() {
        let text = |name: &str| refusal.get(name).map(output::cell).unwrap_or_default();
        bail!("the tree is not signed ({}): {}", text("kind"), text("detail"));
    }
    if read["failing"] == Value::Bool(true) {
        let why = error().unwrap_or_else(|| "the log of the server says why".to_owned());
        bail!("sealing failed: {why}; what is committed is sealed when it works again");
    }
    Ok(ExitCode::SUCCESS)
}

fn table(rows: impl IntoIterator<Item = Vec<String>>) -> std::io::Result<()> {
    output::table(&["NUMBER", "MADE", "FIRST", "LAST", "EVENTS", "TREE ROOT"], rows)
}

fn row(published: &Value) -> Vec<String> {
    let anchor = |name: &str| output::cell(&published["anchor"][name]);
    let members = ["anchor_at", "first_sequence", "last_sequence", "event_count", "tree_root"];
    [output::cell(&published["number"])].into_iter().chain(members.map(anchor)).collect()
}
