//! `indelible import`: loads files of other logs, each whole or, with `--skip-bad`, its good records.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::connection::Connection;
use super::output;
use super::target::{Folder, Target};
use crate::import::Format;
use crate::import::input::Input;
use crate::import::load::{self, Bad, Loaded};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the records are
    #[arg(value_enum)]
    format: Format,
    /// Files, plain, gzip or zstd; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Import the good records of a file although others are bad
    #[arg(long)]
    skip_bad: bool,
    /// Name of the agent, for runs that do not name it
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let connection = args.target.connect(Folder::MayBeMade)?;
    let options = load::Options { format: args.format, skip_bad: args.skip_bad, agent: args.agent.clone() };
    let progress = Arc::new(AtomicU64::new(0));
    let total = args.files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|about| about.len()).sum();
    let done = AtomicBool::new(false);
    let (mut sum, mut files) = (Loaded::default(), Vec::new());
    let bar = output::bar(total, true);
    let failed = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && !bar.is_hidden() {
                bar.set_position(progress.load(Ordering::Relaxed).min(total));
                thread::sleep(Duration::from_millis(100));
            }
            bar.finish_and_clear();
        });
        let mut failed = None;
        for path in &args.files {
            let loaded = one(&connection, path, &options, &progress);
            let loaded = match loaded {
                Ok(loaded) => loaded,
                Err(error) => {
                    failed = Some(error.context(path.display().to_string()));
                    break;
                }
            };
            bar.suspend(|| report(path, &loaded));
            sum.imported += loaded.imported;
            sum.skipped += loaded.skipped;
            sum.rejected += loaded.rejected;
            files.push(document(path, &loaded));
        }
        done.store(true, Ordering::Relaxed);
        failed
    });
    if args.target.json {
        let whole = json!({"imported": sum.imported, "skipped": sum.skipped, "rejected": sum.rejected, "files": files});
        output::line(whole.to_string().as_bytes())?;
    } else {
        let line = format!("imported {} events, skipped {} duplicates, rejected {}", sum.imported, sum.skipped, sum.rejected);
        output::line(line.as_bytes())?;
    }
    match failed {
        Some(error) => Err(error),
        None if sum.rejected > 0 => Ok(ExitCode::FAILURE),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn one(connection: &Connection, path: &std::path::Path, options: &load::Options, progress: &Arc<AtomicU64>) -> anyhow::Result<Loaded> {
    let input = match Input::open(path) {
        Ok(input) => input,
        // The files after it can be read all the same.
        Err(error) => return Ok(Loaded::unreadable(&error)),
    };
    match connection {
        Connection::Offline(offline) => load::load(offline.as_ref(), &input, options, progress),
        Connection::Online(online) => load::load(online, &input, options, progress),
    }
}

/// Bad records with their places, to standard error.
fn report(path: &std::path::Path, loaded: &Loaded) {
    let file = path.display();
    for bad in &loaded.bad {
        output::note(&format!("{file}: {}", place(bad)));
    }
    let more = loaded.rejected.saturating_sub(loaded.bad.len() as u64);
    if more > 0 {
        output::note(&format!("{file}: and {more} more"));
    }
    if loaded.refused && loaded.imported + loaded.skipped == 0 {
        output::note(&format!("{file}: nothing of it was imported; --skip-bad imports its good records"));
    } else if loaded.refused {
        output::note(&format!(
            "{file}: stopped there, which only appending could tell; the batches before it are in; mend the file and import it again, or use --skip-bad, to add the rest"
        ));
    }
}

fn place(bad: &Bad) -> String {
    match bad.at {
        Some(at) => format!("record {} (line {}, byte {}): {}", at.record, at.line, at.byte, bad.message),
        None => bad.message.clone(),
    }
}

fn document(path: &std::path::Path, loaded: &Loaded) -> Value {
    let errors: Vec<Value> = loaded
        .bad
        .iter()
        .map(|bad| match bad.at {
            Some(at) => json!({"record": at.record, "line": at.line, "byte": at.byte, "message": bad.message}),
            None => json!({"message": bad.message}),
        })
        .collect();
    json!({
        "file": path.display().to_string(),
        "imported": loaded.imported,
        "skipped": loaded.skipped,
        "rejected": loaded.rejected,
        "errors": errors,
    })
}
