//! The command `witness`: cosigns checkpoints of the logs that it knows (c2sp.org/tlog-witness), as a process of its own, which wants to
//! run where those who run the logs have no say.
//!
//! Speaks plain HTTP, on loopback addresses alone unless `--listen-publicly` says that somebody in front terminates TLS.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use indelible_core::note::VerifierKey;
use indelible_engine::clock::SystemClock;
use indelible_engine::witness::{Options, Witness};
use tracing_subscriber::EnvFilter;

use crate::http::WitnessServer;
use crate::serve::stop;

/// A file of keys, bytes.
const KEYS_BYTES_MAX: u64 = 1024 * 1024;

/// Options of `witness`.
#[derive(Debug, Clone, Args)]
pub struct WitnessArgs {
    /// The witness's folder: its key, and what it cosigned last; made if it is not there. It must never be put back to an older copy
    #[arg(long, value_name = "DIR", default_value = "./indelible-witness")]
    pub store: PathBuf,
    /// Address for logs
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4690")]
    pub listen: SocketAddr,
    /// Allow an address that others can reach. The witness speaks plain HTTP: put TLS in front of it
    #[arg(long)]
    pub listen_publicly: bool,
    /// Name of its key, by custom a URL without a scheme (witness.example/w1); fixed at first start
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Verifier key of a log that it knows; may be given more than once
    #[arg(long = "log-key", value_name = "VERIFIER_KEY")]
    pub log_keys: Vec<VerifierKey>,
    /// File with verifier keys of logs, one a line; lines that begin with # are comments
    #[arg(long, value_name = "FILE")]
    pub log_keys_file: Option<PathBuf>,
    /// What to log: error, warn, info, debug, or directives as tracing-subscriber takes them
    #[arg(long, value_name = "LEVEL", env = "INDELIBLE_LOG", default_value = "info")]
    pub log: String,
}

impl WitnessArgs {
    fn check(&self) -> anyhow::Result<()> {
        if !self.listen_publicly && !self.listen.ip().is_loopback() {
            bail!(
                "{} can be reached from elsewhere, and the witness speaks plain HTTP: put TLS in front of it and say --listen-publicly, or \
                 listen on 127.0.0.1",
                self.listen
            );
        }
        Ok(())
    }

    fn log_keys(&self) -> anyhow::Result<Vec<VerifierKey>> {
        let mut keys = self.log_keys.clone();
        if let Some(file) = &self.log_keys_file {
            keys.extend(keys_of(file)?);
        }
        if keys.is_empty() {
            bail!("name the logs that the witness is to know, with --log-key or --log-keys-file");
        }
        Ok(keys)
    }
}

fn keys_of(file: &Path) -> anyhow::Result<Vec<VerifierKey>> {
    let size = std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?.len();
    if size > KEYS_BYTES_MAX {
        bail!("{} has more than {KEYS_BYTES_MAX} bytes", file.display());
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    parse_keys(&text).map_err(|(line, fault)| anyhow::anyhow!("{}, line {line}: {fault}", file.display()))
}

fn parse_keys(text: &str) -> Result<Vec<VerifierKey>, (usize, String)> {
    let lines = (1..).zip(text.lines()).map(|(number, line)| (number, line.trim()));
    let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    keys.map(|(number, line)| line.parse::<VerifierKey>().map_err(|error| (number, error.to_string()))).collect()
}

/// Runs a witness until SIGTERM or SIGINT.
pub fn run(args: &WitnessArgs) -> anyhow::Result<()> {
    args.check()?;
    let filter = EnvFilter::try_new(&args.log).context("--log")?;
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    let options = Options { store: args.store.clone(), name: args.name.clone(), log_keys: args.log_keys()?, clock: Arc::new(SystemClock) };
    let witness = Witness::open(options).with_context(|| format!("opening {}", args.store.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    let served = runtime.block_on(async {
        let (key, logs) = (witness.verifier_key().to_string(), witness.logs().map(ToString::to_string).collect::<Vec<_>>());
        let server = WitnessServer::bind(witness, args.listen).await.with_context(|| format!("listening on {}", args.listen))?;
        let stop = stop();
        let mut out = std::io::stdout().lock();
        logs.iter().try_for_each(|log| writeln!(out, "Witnessing {log}"))?;
        writeln!(out, "Verifier key {key}")?;
        writeln!(out, "Listening on http://{}", server.address()?)?;
        out.flush()?;
        drop(out);
        server.run(stop).await;
        anyhow::Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    served
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        witness: WitnessArgs,
    }

    fn args(line: &str) -> WitnessArgs {
        Line::parse_from(["witness"].into_iter().chain(line.split_whitespace())).witness
    }

    #[test]
    fn others_reach_a_witness_only_where_that_was_said() {
        for (line, allowed) in [
            ("", true),
            ("--listen [::1]:4690", true),
            ("--listen 0.0.0.0:4690", false),
            ("--listen 192.0.2.1:4690", false),
            ("--listen 0.0.0.0:4690 --listen-publicly", true),
        ] {
            assert_eq!(args(line).check().is_ok(), allowed, "{line}");
        }
    }

    #[test]
    fn keys_are_one_a_line() {
        assert_eq!(parse_keys(&format!("# logs\n\n {KEY}\r\n{KEY}")).map(|keys| keys.len()), Ok(2));
        assert_eq!(parse_keys(&format!("{KEY}\n{KEY}x\n")).map_err(|(line, _)| line), Err(2));
        assert!(args("").log_keys().is_err());
        assert_eq!(args(&format!("--log-key {KEY}")).log_keys().expect("a key").len(), 1);
    }
}
