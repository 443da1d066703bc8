//! The command `serve`: options, start-up, what is printed, and an orderly end.
//!
//! Speaks plain HTTP. In mode `local` it therefore listens on loopback addresses alone unless `--listen-publicly` says
//! that somebody in front terminates TLS; in mode `server` that is taken for granted.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use indelible_engine::patrol::PatrolOptions;
use indelible_engine::stream::Patience;
use indelible_engine::{FirstStart, KeyArn, Ledger, Mode, Options};
use tracing_subscriber::EnvFilter;

use crate::checkpoints::Checkpoints;
use crate::cosigning::WitnessPolicy;
use crate::database::LedgerDatabase;
use crate::demo::Questions;
use crate::http::{HttpOptions, Server};
use crate::streams::StreamOptions;

/// Options of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The data folder; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "./indelible-data")]
    pub data: PathBuf,
    /// In which database.
    #[command(flatten)]
    pub database: LedgerDatabase,
    /// Address for callers.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4680")]
    pub listen: SocketAddr,
    /// Address for metrics.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4681")]
    pub metrics_listen: SocketAddr,
    /// No listener for metrics.
    #[arg(long)]
    pub no_metrics: bool,
    /// `local`: beside its owner, a generated master key will do. `server`: refuses to start on one.
    #[arg(long, value_enum, default_value = "local")]
    pub mode: ServeMode,
    /// Allow an address that others can reach, in mode local. The server speaks plain HTTP: put TLS in front of it.
    #[arg(long)]
    pub listen_publicly: bool,
    /// File with the master key, 64 lower-case hex digits; readable by its owner alone.
    #[arg(long, value_name = "FILE", env = "INDELIBLE_MASTER_KEY_FILE")]
    pub master_key_file: Option<PathBuf>,
    /// Where what was signed is remembered.
    #[command(flatten)]
    pub checkpoints: Checkpoints,
    /// Who cosigns it.
    #[command(flatten)]
    pub witnesses: WitnessPolicy,
    /// What streams may reach.
    #[command(flatten)]
    pub streams: StreamOptions,
    /// Seconds between two anchors: what was committed meanwhile is signed.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub anchor_interval_seconds: u32,
    /// Seconds from the end of one verification of everything in the background to the beginning of the next.
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(u32).range(1..=2_592_000))]
    pub verify_interval_seconds: u32,
    /// Share of one core that it takes, percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub verify_share_percent: u8,
    /// Name of the instance; fixed at first start.
    #[arg(long, value_name = "NAME")]
    pub instance_name: Option<String>,
    /// The Ed25519 key in AWS KMS that signs anchors and checkpoints from the first start on; later ones by `keys rotate`.
    #[arg(long, value_name = "ARN", env = "INDELIBLE_SIGNING_KMS")]
    pub signing_kms: Option<KeyArn>,
    /// The key in AWS KMS that wraps the keys of new organizations.
    #[arg(long, value_name = "ARN", env = "INDELIBLE_ORGANIZATION_KMS")]
    pub organization_kms: Option<KeyArn>,
    /// Requests a second that one key may send; 0 is without limit.
    #[arg(long, value_name = "REQUESTS", default_value_t = HttpOptions::default().key_rate)]
    pub rate_limit: u32,
    /// Connections at a time.
    #[arg(long, value_name = "CONNECTIONS", default_value_t = HttpOptions::default().connections_max)]
    pub connections: usize,
    /// Disk space kept free for the records of reads: bytes, or with a suffix `64MiB`, `1GiB`.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub disk_reserve: Option<u64>,
    /// Load a few hundred real sample events into an empty ledger.
    #[arg(long)]
    pub demo: bool,
    /// What to log: error, warn, info, debug, or directives as tracing-subscriber takes them.
    #[arg(long, value_name = "LEVEL", env = "INDELIBLE_LOG", default_value = "info")]
    pub log: String,
}

/// See [`Mode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ServeMode {
    /// Beside its owner: a generated master key will do
    Local,
    /// As a service: the master key comes from outside
    Server,
}

impl ServeArgs {
    /// Options of the engine.
    fn options(&self) -> anyhow::Result<Options> {
        let mut options = Options::new(&self.data);
        options.mode = match self.mode {
            ServeMode::Local => Mode::Local,
            ServeMode::Server => Mode::Server,
        };
        options.master_key_file.clone_from(&self.master_key_file);
        options.instance_name.clone_from(&self.instance_name);
        options.checkpoints = self.checkpoints.store(&self.data)?;
        self.database.choose(&mut options)?;
        options.signing_kms.clone_from(&self.signing_kms);
        options.organization_kms.clone_from(&self.organization_kms);
        options.witnesses = self.witnesses.witnesses()?;
        options.anchor_interval = Duration::from_secs(u64::from(self.anchor_interval_seconds));
        let defaults = PatrolOptions::default();
        let interval = Duration::from_secs(u64::from(self.verify_interval_seconds));
        let first_after = defaults.first_after.min(interval);
        options.patrol = Some(PatrolOptions { first_after, interval, share_percent: self.verify_share_percent });
        if let Some(bytes) = self.disk_reserve {
            options.disk_reserve_bytes = bytes;
        }
        Ok(options)
    }

    /// Refuses what would show keys and events to the network.
    fn check(&self) -> anyhow::Result<()> {
        if self.mode == ServeMode::Local && !self.listen_publicly && !self.listen.ip().is_loopback() {
            bail!(
                "{} can be reached from elsewhere, and the server speaks plain HTTP: put TLS in front of it and say --listen-publicly, or \
                 listen on 127.0.0.1",
                self.listen
            );
        }
        if self.connections == 0 || self.connections > 1_000_000 {
            bail!("--connections must be from 1 to 1000000");
        }
        Ok(())
    }
}

/// Reads a number of bytes: plain, or with the suffix MiB or GiB in any case.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let (digits, unit) = match (lower.strip_suffix("mib"), lower.strip_suffix("gib")) {
        (Some(digits), _) => (digits, 1 << 20),
        (_, Some(digits)) => (digits, 1 << 30),
        _ => (lower.as_str(), 1),
    };
    let number = digits.trim_end().parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    number.ok_or_else(|| "a number of bytes, or one with the suffix MiB or GiB".to_owned())
}

/// Runs a server until SIGTERM or SIGINT.
pub fn run(args: &ServeArgs) -> anyhow::Result<()> {
    args.check()?;
    let filter = EnvFilter::try_new(&args.log).context("--log")?;
    // A second call in one process (a test) keeps the first subscriber.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    let options = args.options()?;
    let clock = options.clock.clone();
    // First, so that an option that does not hold starts nothing.
    let transport = args.streams.transport(&args.data, clock.clone())?;
    let opened = Ledger::open(options).with_context(|| format!("opening {}", args.data.display()))?;
    let ledger = opened.ledger;
    // Never into a ledger that somebody uses already.
    if args.demo && opened.first_start.is_some() {
        let events = crate::demo::load(&ledger).context("loading the sample events")?;
        tracing::info!(target: "indelible::serve", events, "loaded the sample events");
    }
    let questions = if args.demo { crate::demo::questions(&ledger).context("looking for what to ask")? } else { None };
    let streaming = ledger.deliver_streams(transport, Patience::default()).context("starting the delivery of streams")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    let http = HttpOptions { key_rate: args.rate_limit, connections_max: args.connections, ..HttpOptions::default() };
    let metrics = (!args.no_metrics).then_some(args.metrics_listen);
    let served = runtime.block_on(async {
        let server = Server::bind(ledger.clone(), clock, http, args.listen, metrics).await;
        let server = server.with_context(|| format!("listening on {}", args.listen))?;
        let stop = stop();
        announce(&server, &ledger, &args.data, opened.first_start.as_ref(), questions.as_ref())?;
        server.run(stop).await;
        anyhow::Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    streaming.close();
    ledger.close();
    served
}

/// Ends at SIGTERM or SIGINT, from the call on: one that comes before anybody waits for it is not lost, and kills nothing.
pub(crate) fn stop() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        match signals {
            (Ok(mut terminate), Ok(mut interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            _ => std::future::pending().await,
        }
        tracing::info!(target: "indelible::serve", "stopping: finishing what is under way");
    }
}

/// Says where it listens, and at first start where the keys are.
fn announce(
    server: &Server,
    ledger: &Ledger,
    data: &Path,
    first: Option<&FirstStart>,
    questions: Option<&Questions>,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let address = server.address()?;
    if let Some(first) = first {
        writeln!(out, "First start: made organization {} and project {}.", first.organization_id, first.project_id)?;
        writeln!(out, "  {}  administrator of the project", first.admin_key_file.display())?;
        writeln!(out, "  {}  administrator of the instance", first.instance_key_file.display())?;
        writeln!(out, "  Each can be read by you alone. Keep them: the keys are not stored anywhere else.")?;
    }
    if let Some(key) = ledger.instance_key().context("reading the key of the instance tree")? {
        writeln!(out, "Log key for witnesses {key}")?;
    }
    writeln!(out, "Listening on http://{address}")?;
    if let Some(metrics) = server.metrics_address() {
        writeln!(out, "Metrics on http://{metrics}/metrics")?;
    }
    if questions.is_some() || first.is_some() {
        writeln!(out, "{}", invitation(address, data, questions))?;
    }
    out.flush()?;
    Ok(())
}

/// Three commands, ready to paste into a shell: the two questions of an auditor where there are events that answer them, else an
/// event and the question for it; then verification.
fn invitation(address: SocketAddr, data: &Path, questions: Option<&Questions>) -> String {
    let key = format!("\"Authorization: Bearer $(cat {})\"", quoted(&data.join("admin.key").display().to_string()));
    let url = format!("http://{address}/v1/audit");
    let ask = |filter: &str| format!("curl -sS -G {url}/events -H {key} --data-urlencode {}", quoted(&format!("filter={filter}")));
    let verify = format!("# verify the whole project\ncurl -sS {url}/verify -H {key}\n");
    let first = match questions {
        Some(Questions { subject, agent }) => format!(
            "# what was the data of {subject} used for?\n{}\n\n# what did the agent {agent} access?\n{}",
            ask(&format!("subjects eq {}", literal(subject))),
            ask(&format!("actor.id eq {} and action eq \"tool.call\"", literal(agent)))
        ),
        None => format!(
            "# append an event\n\
             curl -sS {url}/events -H {key} -H 'Content-Type: application/json' \\\n  \
             -d '{{\"actor\":{{\"type\":\"human\",\"id\":\"alice\"}},\"action\":\"document.share\",\"outcome\":\"allow\",\"resource\":{{\"type\":\"document\",\"id\":\"d-1\"}}}}'\n\n\
             # find it again\n{}",
            ask("actor.id eq \"alice\"")
        ),
    };
    format!("\nTry, in another shell:\n\n{first}\n\n{verify}")
}

/// A string of a filter.
fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A word that a shell takes as one, by itself or inside double quotes and `$(…)`.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if text.bytes().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn args(line: &str) -> ServeArgs {
        Line::parse_from(["serve"].into_iter().chain(line.split_whitespace())).serve
    }

    #[test]
    fn others_reach_a_local_server_only_where_that_was_said() {
        let cases = [
            ("", true),
            ("--listen [::1]:4680", true),
            ("--listen 127.8.8.8:1", true),
            ("--listen 0.0.0.0:4680", false),
            ("--listen 192.0.2.1:4680", false),
            ("--listen 0.0.0.0:4680 --listen-publicly", true),
            ("--listen 0.0.0.0:4680 --mode server", true),
            ("--connections 0", false),
        ];
        for (line, allowed) in cases {
            assert_eq!(args(line).check().is_ok(), allowed, "{line}");
        }
    }

    #[test]
    fn a_size_is_bytes_or_has_a_binary_suffix() {
        let cases = [
            ("0", Some(0)),
            ("12582912", Some(12_582_912)),
            ("64MiB", Some(64 << 20)),
            ("1 gib", Some(1 << 30)),
            ("1GB", None),
            ("MiB", None),
            ("-1", None),
            ("1.5GiB", None),
            ("99999999999999GiB", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(size(text).ok(), bytes, "{text}");
        }
    }

    #[test]
    fn a_folder_with_odd_characters_can_still_be_pasted() {
        for (text, expected) in [("./a/admin.key", "./a/admin.key"), ("my data", "'my data'"), ("it's", r"'it'\''s'")] {
            assert_eq!(quoted(text), expected);
        }
    }
}
