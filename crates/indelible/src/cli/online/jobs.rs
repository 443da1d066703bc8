//! Exports that a server makes in the background, and their files.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use indelible_engine::export::ExportRequest;
use serde_json::Value;
use uuid::Uuid;

use super::download::body;
use super::{Failure, Online, Sent};

/// After so long without a byte a connection is taken for dead.
const SILENCE_MAX: Duration = Duration::from_mins(1);

/// What comes of the file of a job.
pub(in crate::cli) struct JobFile {
    /// Whether it begins where it was asked to; otherwise with the first byte.
    pub(in crate::cli) is_part: bool,
    pub(in crate::cli) bytes: Box<dyn Read>,
}

/// Why nothing comes now.
pub(in crate::cli) enum NotNow {
    /// It would be refused again.
    Refused(anyhow::Error),
    /// There is no such job, for this key, on this server.
    Nowhere,
    /// It may work later, after so long at the earliest.
    Later(anyhow::Error, Option<Duration>),
}

impl From<Failure> for NotNow {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Problem(problem) if problem.status == 404 => Self::Nowhere,
            Failure::Problem(problem) if matches!(problem.status, 408 | 429 | 500..) => {
                Self::Later(anyhow!(problem.sentence()), problem.retry_after)
            }
            Failure::Problem(problem) => Self::Refused(anyhow!(problem.sentence())),
            Failure::Other(error) => Self::Later(error, None),
        }
    }
}

impl Online {
    /// Asks for a bundle that is made in the background.
    pub(in crate::cli) fn begin_bundle(&self, request: &ExportRequest) -> anyhow::Result<Value> {
        let mut body = body(request);
        body["format"] = "bundle".into();
        let body = body.to_string();
        let sent = Sent { sort: "application/json", bytes: body.as_bytes(), import: false };
        let answer = self.ask("POST", &self.project_url("/v1/audit/export_jobs"), Some(sent))?;
        serde_json::from_slice(&answer).context("the server's answer is not an export job")
    }

    /// How far a job is.
    pub(in crate::cli) fn job(&self, id: Uuid) -> Result<Value, NotNow> {
        let answer = self.settle(self.patient(&self.url(&place(id), &[])).header("accept", "application/json").call())?;
        serde_json::from_slice(&answer).map_err(|error| NotNow::Later(anyhow!("what the server answered is no job: {error}"), None))
    }

    /// The file of a job from a byte on, which has this SHA-256.
    pub(in crate::cli) fn job_file(&self, id: Uuid, from: u64, sha256: &str) -> Result<JobFile, NotNow> {
        let tag = format!("\"{sha256}\"");
        let asked = self.patient(&self.url(&format!("{}/file", place(id)), &[]));
        let answer = asked.header("range", format!("bytes={from}-")).header("if-range", &tag).call();
        let answer = match answer {
            Ok(answer) if answer.status().is_success() => answer,
            other => {
                self.settle(other)?;
                return Err(NotNow::Later(anyhow!("what the server answered is no file"), None));
            }
        };
        let said = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_part = answer.status().as_u16() == 206;
        let is_it = said("etag") == tag && (!is_part || said("content-range").starts_with(&format!("bytes {from}-")));
        if !is_it {
            return Err(NotNow::Later(anyhow!("what was answered is not the file that was asked for"), None));
        }
        let bytes = answer.into_body().into_with_config().limit(u64::MAX).reader();
        Ok(JobFile { is_part, bytes: Box::new(bytes) })
    }

    /// Removes a job and its file.
    pub(in crate::cli) fn remove_job(&self, id: Uuid) -> anyhow::Result<()> {
        let request = self.agent.delete(self.url(&place(id), &[])).config().timeout_per_read(Some(SILENCE_MAX)).build();
        self.settle(request.header("authorization", &self.authorization).call())?;
        Ok(())
    }

    /// A request that waits for no dead connection.
    fn patient(&self, url: &str) -> ureq::RequestBuilder<ureq::typestate::WithoutBody> {
        let request = self.agent.get(url).config().timeout_per_read(Some(SILENCE_MAX)).build();
        request.header("authorization", &self.authorization)
    }
}

fn place(id: Uuid) -> String {
    format!("/v1/audit/export_jobs/{id}")
}
