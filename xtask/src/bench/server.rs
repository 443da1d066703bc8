//! The program itself, as a newcomer would start it, in a process of its own: its memory can then be read apart.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};

use super::client::Client;

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
}

/// The program, built as this one is: optimised, but for the test that the bench still runs.
pub(crate) fn program() -> PathBuf {
    crate::root().join("target").join(if cfg!(debug_assertions) { "debug" } else { "release" }).join("indelible")
}

impl Server {
    /// Starts it on a data folder and waits until it listens.
    pub(crate) fn start(data: &Path) -> anyhow::Result<Self> {
        Self::start_with(data, &[])
    }

    /// The same, told more.
    pub(crate) fn start_with(data: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(program())
            .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--log", "warn", "--rate-limit", "0", "--data"])
            .arg(data)
            .arg("--checkpoints")
            .arg(data.with_extension("checkpoints"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", program().display()))?;
        let out = BufReader::new(child.stdout.take().context("no output")?);
        let mut lines = out.lines();
        let address = loop {
            let line = lines.next().context("the server ended before it listened")??;
            if let Some(address) = line.strip_prefix("Listening on http://") {
                break address.trim().parse()?;
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        let key = std::fs::read_to_string(data.join("admin.key"))?.trim().to_owned();
        Ok(Self { child, address, key })
    }

    pub(crate) fn connect(&self) -> anyhow::Result<Client> {
        Client::connect(self.address, &self.key)
    }

    pub(crate) fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Stops it as an operator would, and waits.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        ensure!(Command::new("kill").arg(self.child.id().to_string()).status()?.success(), "kill failed");
        ensure!(self.child.wait()?.success(), "the server ended with an error");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A running process, as the kernel sees it.
#[derive(Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// The greatest resident size so far, bytes.
    pub(crate) fn resident_max(self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no such figure")?;
        Ok(line.split_whitespace().next().context("no number")?.parse::<f64>()? * 1_024.0)
    }

    /// Processor time spent so far, seconds, user and system: unlike a rate, it does not depend on who else runs.
    pub(crate) fn processor_seconds(self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The second field is the name in parentheses; utime and stime are the 14th and 15th, in hundredths.
        let rest = stat.rsplit_once(')').context("not a stat line")?.1;
        let ticks: u64 = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(ticks as f64 / 100.0)
    }
}
