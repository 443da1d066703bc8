//! `indelible tail`: events as they are committed, a line each, until somebody stops it. A connection that is lost is made again, and goes
//! on after what was read last, so that nothing is missing and nothing is printed twice.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::sync::mpsc;

use super::connection::Connection;
use super::online::{Came, NotFollowed, Online};
use super::target::{Folder, Target};
use super::{events, output};

/// The server sends something four times as often; after this long without anything the connection is taken for dead.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// Before a lost connection is made again, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Events read and not printed.
const WAITING_MAX: usize = 64;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only what this SCIM filter matches
    #[arg(long, short)]
    filter: Option<String>,
    /// Begin after this sequence rather than now
    #[arg(long, value_name = "N")]
    after_sequence: Option<u64>,
    /// Why the log is read; recorded
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Ends by Ctrl-C, which is no fault.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if !args.target.is_online() {
        // Whoever holds the folder is the only one who appends to it: nothing would ever come.
        bail!("only a server can be followed: name it with --server http://127.0.0.1:4680 --key-file FILE");
    }
    let Connection::Online(online) = args.target.connect(Folder::MustExist)? else { bail!("only a server can be followed") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(async {
        let stop = pin!(crate::serve::stop());
        tokio::select! {
            ended = follow(args, Arc::new(online)) => match ended? {},
            () = stop => Ok(ExitCode::SUCCESS),
        }
    })
}

/// What a connection says.
enum Said {
    Came(Came),
    Not(NotFollowed),
    Lost(anyhow::Error),
}

async fn follow(args: &Args, online: Arc<Online>) -> anyhow::Result<Infallible> {
    let (mut after, mut pause, mut ever) = (args.after_sequence, PAUSE_MIN, false);
    if !args.target.json {
        output::line(line(["SEQUENCE", "TIME", "ACTOR", "ACTION", "OUTCOME", "RESOURCE", "ID"]).as_bytes())?;
    }
    loop {
        let mut said = connect(args, &online, after);
        let lost = loop {
            match tokio::time::timeout(SILENCE_MAX, said.recv()).await {
                Err(_) => break "nothing came for a minute".to_owned(),
                Ok(None) => break "the server ended it".to_owned(),
                Ok(Some(Said::Lost(error))) => break format!("{error:#}"),
                Ok(Some(Said::Not(NotFollowed::Refused(error)))) => return Err(error),
                Ok(Some(Said::Not(NotFollowed::Later(error, _)))) if !ever => return Err(error),
                Ok(Some(Said::Not(NotFollowed::Later(error, wait)))) => {
                    pause = pause.max(wait.unwrap_or_default()).min(PAUSE_MAX);
                    break format!("{error:#}");
                }
                Ok(Some(Said::Came(came))) => {
                    (pause, ever) = (PAUSE_MIN, true);
                    match came {
                        Came::Alive(through) => after = through.or(after),
                        Came::Event(sequence, record) => {
                            print(args, &record)?;
                            after = Some(sequence);
                        }
                    }
                }
            }
        };
        output::note(&format!("indelible: the stream is lost: {lost}; trying again"));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// A connection, read by a thread of its own: one that is dead is left to itself.
fn connect(args: &Args, online: &Arc<Online>, after: Option<u64>) -> mpsc::Receiver<Said> {
    let (say, said) = mpsc::channel(WAITING_MAX);
    let (online, filter, purpose) = (Arc::clone(online), args.filter.clone(), args.purpose.clone());
    std::thread::spawn(move || {
        let mut stream = match online.follow(filter.as_deref(), purpose.as_deref(), after) {
            Ok(stream) => stream,
            Err(not) => {
                let _ = say.blocking_send(Said::Not(not));
                return;
            }
        };
        loop {
            let next = match stream.next() {
                Ok(Some(came)) => Said::Came(came),
                Ok(None) => return,
                Err(error) => Said::Lost(error),
            };
            let is_end = matches!(next, Said::Lost(_));
            // Nobody listens any more.
            if say.blocking_send(next).is_err() || is_end {
                return;
            }
        }
    });
    said
}

fn print(args: &Args, record: &[u8]) -> anyhow::Result<()> {
    if args.target.json {
        return Ok(output::line(record)?);
    }
    let event: Value = serde_json::from_slice(record).context("the server's event is not JSON")?;
    let [time, actor, action, outcome, resource, on_behalf_of, id] = events::cells(&event);
    let actor = if on_behalf_of.is_empty() { actor } else { format!("{actor} for {on_behalf_of}") };
    let sequence = output::cell(&event["sequence"]);
    let text = line([&sequence, &time, &actor, &action, &outcome, &resource, &id]);
    Ok(output::line(text.as_bytes())?)
}

/// Columns of one width: what comes later is not known yet. A terminal's line is not broken.
fn line(cells: [&str; 7]) -> String {
    const WIDTHS: [usize; 7] = [9, 27, 26, 26, 8, 34, 36];
    let mut out = String::new();
    for (cell, width) in cells.iter().zip(WIDTHS) {
        let cell = output::one_line(cell);
        let long = cell.chars().count() > width;
        let cut: String = if long { cell.chars().take(width - 1).chain(['…']).collect() } else { cell };
        let _ = write!(out, "{cut:width$}  ");
    }
    let out = out.trim_end();
    match output::width().filter(|_| io::stdout().is_terminal()) {
        Some(width) => out.chars().take(usize::from(width)).collect(),
        None => out.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_keep_to_their_columns() {
        let short = line(["7", "2026-01-01T00:00:00.000000Z", "a", "b.c", "allow", "t 1", "i"]);
        let long = line(["7", "2026-01-01T00:00:00.000000Z", &"é".repeat(99), "b.c", "allow", "t\n1", "i"]);
        assert_eq!(short.find("allow"), Some(9 + 27 + 26 + 26 + 4 * 2));
        assert_eq!(long.chars().position(|c| c == '…').map(|at| at < 66), Some(true));
        let at = |text: &str| text.chars().collect::<Vec<_>>().windows(5).position(|some| some.iter().collect::<String>() == "allow");
        assert_eq!(at(&long), at(&short));
        assert!(long.ends_with(&format!("t 1{}i", " ".repeat(31 + 2))), "{long}");
    }
}
