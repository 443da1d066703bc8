//! `indelible stream …`: how a stream goes, what it sent, a try, and sending again. Making and changing one is `indelible audit-stream`.

use std::process::ExitCode;

use anyhow::bail;
use indelible_engine::stream::{DeliveriesAsked, DeliveryState, Replay};
use serde_json::Value;
use uuid::Uuid;

use super::output;
use super::target::{Folder, Target};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show how far a stream has come, and what it fails with
    Status(Of),
    /// List what a stream sent, newest first
    Deliveries(Deliveries),
    /// Send one event, and show what the receiver says: exit code 0 taken, 1 not
    Test(Of),
    /// Have deliveries sent again
    Replay(Again),
}

#[derive(Debug, clap::Args)]
struct Of {
    /// The stream's id
    stream: Uuid,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct Deliveries {
    #[command(flatten)]
    of: Of,
    /// Those of one state: pending, delivered, dead, split, replayed
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<DeliveryState>,
    /// So many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    /// Those before this delivery: the last of an earlier page
    #[arg(long, value_name = "ID")]
    before: Option<Uuid>,
}

#[derive(Debug, clap::Args)]
struct Again {
    #[command(flatten)]
    of: Of,
    /// One delivery, by its id
    #[arg(long, value_name = "ID", conflicts_with_all = ["dead_letters", "from_sequence"])]
    delivery: Option<Uuid>,
    /// All dead letters
    #[arg(long, conflicts_with = "from_sequence")]
    dead_letters: bool,
    /// The stream's events from this sequence on
    #[arg(long, value_name = "N", requires = "to_sequence")]
    from_sequence: Option<u64>,
    /// Up to this one
    #[arg(long, value_name = "N", requires = "from_sequence")]
    to_sequence: Option<u64>,
}

fn state(word: &str) -> Result<DeliveryState, String> {
    DeliveryState::parse(word).ok_or_else(|| "one of: pending, delivered, dead, split, replayed".to_owned())
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Status(of) => {
            let status = of.target.connect(Folder::MustExist)?.stream_status(of.stream)?;
            show(
                &status,
                of.target.json,
                |status| {
                    let members = ["running", "state_reason", "lag_events", "lag_seconds", "trouble", "dead_letters", "replays"];
                    vec![members.map(|member| output::cell(&status[member])).to_vec()]
                },
                &["RUNNING", "WHY NOT", "EVENTS BEHIND", "SECONDS", "TROUBLE", "DEAD LETTERS", "REPLAYS"],
            )?;
        }
        What::Deliveries(Deliveries { of, state, limit, before }) => {
            let asked = DeliveriesAsked { state: *state, before: *before, limit: Some(usize::from(*limit)) };
            let page = of.target.connect(Folder::MustExist)?.deliveries(of.stream, &asked)?;
            show(&page, of.target.json, rows, &["DELIVERY", "SENT", "STATE", "FIRST", "LAST", "EVENTS", "ATTEMPTS", "STATUS", "ERROR"])?;
        }
        What::Test(of) => {
            let tested = of.target.connect(Folder::MustExist)?.test_stream(of.stream)?;
            let taken = serde_json::from_slice::<Value>(&tested)?["taken"] == true;
            show(
                &tested,
                of.target.json,
                |tested| {
                    let delivery = &tested["delivery"];
                    let members = ["status", "latency_micros", "error", "answer"];
                    vec![
                        std::iter::once(output::cell(&tested["taken"]))
                            .chain(members.map(|member| output::cell(&delivery[member])))
                            .collect(),
                    ]
                },
                &["TAKEN", "STATUS", "MICROSECONDS", "ERROR", "ANSWER"],
            )?;
            return Ok(if taken { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        What::Replay(again) => {
            let replay = match (again.delivery, again.dead_letters, again.from_sequence.zip(again.to_sequence)) {
                (Some(delivery), _, _) => Replay::Delivery(delivery),
                (None, true, _) => Replay::DeadLetters,
                (None, false, Some((first, last))) => Replay::Range { project_id: again.of.target.project, first, last },
                (None, false, None) => {
                    bail!("say what is to be sent again: --delivery, --dead-letters, or --from-sequence and --to-sequence")
                }
            };
            let replayed = again.of.target.connect(Folder::MustExist)?.replay(again.of.stream, replay)?;
            show(
                &replayed,
                again.of.target.json,
                |replayed| vec![["replay_id", "deliveries"].map(|member| output::cell(&replayed[member])).to_vec()],
                &["REPLAY", "DELIVERIES"],
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(page: &Value) -> Vec<Vec<String>> {
    let members = ["id", "attempted_at", "state", "first_sequence", "last_sequence", "events", "attempts", "status", "error"];
    let row = |delivery: &Value| members.map(|member| output::cell(&delivery[member])).to_vec();
    page["data"].as_array().map(|deliveries| deliveries.iter().map(row).collect()).unwrap_or_default()
}

fn show(answer: &[u8], json: bool, rows: impl Fn(&Value) -> Vec<Vec<String>>, heads: &[&str]) -> anyhow::Result<()> {
    if json {
        return Ok(output::line(answer)?);
    }
    Ok(output::table(heads, rows(&serde_json::from_slice(answer)?))?)
}
