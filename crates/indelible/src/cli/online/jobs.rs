//! Exports that a server makes in the background, and their files.

use std::io::Read;

use anyhow::{Context as _, anyhow};
use indelible_engine::export::ExportRequest;
use serde_json::Value;
use uuid::Uuid;

use super::download::body;
use super::{Failure, Online, Sent};

/// What comes of the file of a job.
pub(in crate::cli) struct File {
    /// Whether it begins where it was asked to; otherwise with the first byte.
    pub(in crate::cli) is_part: bool,
    pub(in crate::cli) bytes: Box<dyn Read>,
}

/// Why nothing comes of it now.
pub(in crate::cli) enum NotFetched {
    /// It would be refused again.
    Refused(anyhow::Error),
    /// It may work later.
    Later(anyhow::Error),
}

impl Online {
    /// Asks for a bundle that is made in the background.
    pub(in crate::cli) fn begin_bundle(&self, request: &ExportRequest) -> anyhow::Result<Value> {
        let project = self.project_text();
        let query: Vec<_> = project.as_deref().map(|project| ("project_id", project)).into_iter().collect();
        let mut body = body(request);
        body["format"] = "bundle".into();
        let body = body.to_string();
        let sent = Sent { sort: "application/json", bytes: body.as_bytes(), import: false };
        read(&self.ask("POST", &self.url("/v1/audit/export_jobs", &query), Some(sent))?)
    }

    /// How far a job is; `None` where there is none.
    pub(in crate::cli) fn job(&self, id: Uuid) -> anyhow::Result<Option<Value>> {
        match self.ask("GET", &self.url(&place(id), &[]), None) {
            Ok(bytes) => read(&bytes).map(Some),
            Err(Failure::Problem(problem)) if problem.status == 404 => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The file of a job from a byte on, if it is the one with this SHA-256.
    pub(in crate::cli) fn job_file(&self, id: Uuid, from: u64, sha256: &str) -> Result<File, NotFetched> {
        let url = self.url(&format!("{}/file", place(id)), &[]);
        let asked = self.agent.get(url).header("authorization", &self.authorization);
        let asked = asked.header("range", format!("bytes={from}-")).header("if-range", format!("\"{sha256}\""));
        match asked.call() {
            Ok(answer) if answer.status().is_success() => {
                let is_part = answer.status().as_u16() == 206;
                let bytes = answer.into_body().into_with_config().limit(u64::MAX).reader();
                Ok(File { is_part, bytes: Box::new(bytes) })
            }
            other => Err(match self.settle(other) {
                Err(Failure::Problem(problem)) if matches!(problem.status, 429 | 500..) => NotFetched::Later(anyhow!(problem.sentence())),
                Err(Failure::Problem(problem)) => NotFetched::Refused(anyhow!(problem.sentence())),
                Err(Failure::Other(error)) => NotFetched::Later(error),
                Ok(_) => NotFetched::Refused(anyhow!("the server answered what is no file")),
            }),
        }
    }

    /// Removes a job and its file.
    pub(in crate::cli) fn remove_job(&self, id: Uuid) -> anyhow::Result<()> {
        self.ask("DELETE", &self.url(&place(id), &[]), None)?;
        Ok(())
    }
}

fn place(id: Uuid) -> String {
    format!("/v1/audit/export_jobs/{id}")
}

fn read(bytes: &[u8]) -> anyhow::Result<Value> {
    serde_json::from_slice(bytes).context("the server's answer is not an export job")
}
