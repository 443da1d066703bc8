//! Witnesses as the server reaches them: the policy file, and requests over HTTP or HTTPS.
//!
//! A request takes 15 seconds at most, follows no redirect, and reads no more of an answer than the engine looks at.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use indelible_core::limits::POLICY_BYTES_MAX;
use indelible_core::policy::Policy;
use indelible_engine::cosigning::{ANSWER_BYTES_MAX, Response, Transport, Witnesses};
use ureq::Agent;

use crate::cli::tls;

/// Time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a whole request, its answer included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The options that name witnesses.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct WitnessPolicy {
    /// File with the witnesses that are asked to cosign the instance tree, and how many of them it takes, in the form of
    /// c2sp.org/tlog-policy
    #[arg(long = "witness-policy", value_name = "FILE")]
    file: Option<PathBuf>,
    /// File with the certificates to trust for witnesses, instead of the system's
    #[arg(long = "witness-ca-file", value_name = "FILE", requires = "file")]
    ca_file: Option<PathBuf>,
}

impl WitnessPolicy {
    /// Reads the file, if there is one.
    pub fn witnesses(&self) -> anyhow::Result<Option<Witnesses>> {
        let Some(file) = &self.file else { return Ok(None) };
        let policy = read_policy(file)?;
        let transport = Http::new(&policy, self.ca_file.as_deref()).with_context(|| format!("the witness policy {}", file.display()))?;
        Ok(Some(Witnesses::new(policy, Arc::new(transport))))
    }
}

/// Reads a policy.
pub(crate) fn read_policy(file: &Path) -> anyhow::Result<Policy> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(file)?.take(POLICY_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().with_context(|| format!("cannot read {}", file.display()))?;
    Policy::parse(&bytes).with_context(|| format!("the witness policy {}", file.display()))
}

/// Requests over HTTP.
struct Http {
    agent: Agent,
    /// For this machine's own addresses: past any proxy.
    loopback: Agent,
}

impl Http {
    fn new(policy: &Policy, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let config = || {
            Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .timeout_connect(Some(CONNECT_TIMEOUT))
                .timeout_global(Some(REQUEST_TIMEOUT))
        };
        let mut is_secure = false;
        for witness in policy.witnesses() {
            let Some(url) = &witness.url else { continue };
            match url.split_once("://") {
                Some(("https", rest)) if !rest.is_empty() => is_secure = true,
                Some(("http", rest)) if !rest.is_empty() => {}
                _ => bail!("the URL of {} is not one of http or https: {url}", witness.name),
            }
        }
        let (mut plain, mut loopback) = (config(), config().proxy(None));
        if is_secure {
            let trusted = tls(ca_file)?;
            (plain, loopback) = (plain.tls_config(trusted.clone()), loopback.tls_config(trusted));
        }
        Ok(Self { agent: plain.build().into(), loopback: loopback.build().into() })
    }
}

impl Transport for Http {
    fn post(&self, url: &str, body: &[u8]) -> Result<Response, String> {
        let host = url.split_once("://").map_or("", |(_, rest)| rest);
        let is_loopback = ["127.", "localhost", "[::1]"].iter().any(|own| host.starts_with(own));
        let agent = if is_loopback { &self.loopback } else { &self.agent };
        let answer = agent.post(url).header("content-type", "text/plain; charset=utf-8").send(body);
        let mut answer = answer.map_err(|error| error.to_string())?;
        let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        let mut bytes = Vec::new();
        let reader = answer.body_mut().as_reader();
        reader.take(ANSWER_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Ok(Response { status: answer.status().as_u16(), content_type, body: bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_from_its_file_with_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let read = |text: &str| {
            let file = folder.path().join("policy");
            std::fs::write(&file, text).expect("written");
            WitnessPolicy { file: Some(file), ca_file: None }.witnesses()
        };
        assert!(WitnessPolicy::default().witnesses().expect("none").is_none());
        assert!(read("quorum none\n").expect("a policy").is_some());
        let key = "witness1+d2ef0c1c+x";
        for (text, words) in [("\nquorum a\n", "line 2"), ("", "quorum"), (&format!("witness a {key}\n"), "line 1")] {
            let error = format!("{:#}", read(text).expect_err(text));
            assert!(error.contains(words) && error.contains("policy"), "{error}");
        }
    }
}
