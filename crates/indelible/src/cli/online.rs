//! Operations through a server, over HTTP or HTTPS.

mod download;
mod jobs;
mod resources;
mod stream;
mod streams;
mod url;

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use indelible_core::event::Submission;
use indelible_core::fault::Fault;
use indelible_engine::Rotation;
use indelible_engine::append::Rejections;
use indelible_engine::query::{Feed, Opening, Page, Search};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};
use uuid::Uuid;

pub(super) use self::jobs::{JobFile, NotNow};
pub(super) use self::stream::{Came, NotFollowed};
use self::url::escaped;
use super::connection::Verification;
use super::target::read_key;
use crate::import::load::{Foretold, NotAppended, Sink};

/// Tries where the server asks to come back later.
const TRIES_MAX: u32 = 10;
/// Largest answer that is read, bytes: a page of 1,000 events with their contents.
const ANSWER_BYTES_MAX: u64 = 20 * 1024 * 1024 * 1024;
/// Where events are handed in.
const EVENTS: &str = "/v1/audit/events";
/// Where systems keep the certificates they trust.
pub(crate) const CA_FILES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem"];

/// For what has no content to open.
const NOT_OPENED: Opening = Opening { content: false, purpose: None };

/// A server, and the key for it.
pub struct Online {
    agent: Agent,
    base: String,
    authorization: String,
    project: Option<Uuid>,
}

/// An answer other than success.
struct Problem {
    status: u16,
    detail: String,
    /// Places and reasons, as many as the server lists.
    errors: Vec<(String, String)>,
    errors_total: u64,
    retry_after: Option<Duration>,
}

impl Problem {
    /// The first place.
    fn pointer(&self) -> Option<&str> {
        self.errors.first().map(|(pointer, _)| pointer.as_str())
    }

    /// The events of a batch of this many that the server refuses, each once, with the first reason; and how many more.
    fn refused(&self, batch: usize) -> Option<Foretold> {
        let mut foretold = Foretold::default();
        for (pointer, message) in &self.errors {
            let (index, place) = pointer.strip_prefix('/').map(|rest| rest.split_once('/').unwrap_or((rest, "")))?;
            let index = index.parse().ok().filter(|index| *index < batch)?;
            if foretold.refused.last().is_none_or(|(last, _)| *last != index) {
                let place = if place.is_empty() { String::new() } else { format!(" (at /{place})") };
                foretold.refused.push((index, format!("the server would refuse it with {}: {message}{place}", self.status)));
            }
        }
        foretold.refused_more = self.errors_total.saturating_sub(self.errors.len() as u64);
        (!foretold.refused.is_empty()).then_some(foretold)
    }

    fn sentence(&self) -> String {
        let place = self.pointer().filter(|pointer| !pointer.is_empty()).map(|pointer| format!(" (at {pointer})"));
        format!("the server refused with {}: {}{}", self.status, self.detail, place.unwrap_or_default())
    }
}

/// A body that is sent.
#[derive(Clone, Copy)]
struct Sent<'a> {
    sort: &'static str,
    bytes: &'a [u8],
    /// Whether it is of another log: then it is never more than reported, whatever the key.
    import: bool,
}

enum Failure {
    Problem(Problem),
    Other(anyhow::Error),
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Problem(problem) => anyhow!(problem.sentence()),
            Failure::Other(error) => error,
        }
    }
}

impl Online {
    /// A client of the server at `base`, with the key of a file.
    pub(super) fn new(base: &str, key_file: &Path, ca_file: Option<&Path>, project: Option<Uuid>) -> anyhow::Result<Self> {
        let base = base.trim_end_matches('/');
        let (scheme, rest) = base.split_once("://").unwrap_or_default();
        if !matches!(scheme, "http" | "https") || rest.is_empty() {
            bail!("--server is an address such as http://127.0.0.1:4680");
        }
        let mut config =
            Agent::config_builder().http_status_as_error(false).max_redirects(0).timeout_connect(Some(Duration::from_secs(10)));
        if scheme == "https" {
            config = config.tls_config(tls(ca_file)?);
        }
        if ["127.0.0.1", "localhost", "[::1]"].iter().any(|host| rest.starts_with(host)) {
            config = config.proxy(None);
        }
        let authorization = format!("Bearer {}", read_key(key_file)?);
        Ok(Self { agent: config.build().into(), base: base.to_owned(), authorization, project })
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> String {
        let mut url = format!("{}{path}", self.base);
        let mut mark = '?';
        for (name, value) in query {
            url.push(mark);
            url.push_str(name);
            url.push('=');
            url.push_str(&escaped(value));
            mark = '&';
        }
        url
    }

    /// The URL of something within the project that is asked for, if one is.
    fn project_url(&self, path: &str) -> String {
        let project = self.project_text();
        self.url(path, &Self::within(project.as_deref(), &NOT_OPENED))
    }

    /// Asks, and asks again where the server says when.
    fn ask(&self, method: &str, url: &str, body: Option<Sent<'_>>) -> Result<Vec<u8>, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.ask_once(method, url, body) {
                Err(Failure::Problem(problem)) if problem.status == 429 && tries < TRIES_MAX => {
                    thread::sleep(problem.retry_after.unwrap_or(Duration::from_secs(1)).min(Duration::from_secs(30)));
                }
                other => return other,
            }
        }
    }

    fn ask_once(&self, method: &str, url: &str, body: Option<Sent<'_>>) -> Result<Vec<u8>, Failure> {
        let answer = match (method, body) {
            ("GET", _) => self.agent.get(url).header("authorization", &self.authorization).header("accept", "application/json").call(),
            ("DELETE", _) => self.agent.delete(url).header("authorization", &self.authorization).call(),
            (_, Some(Sent { sort, bytes, import })) => {
                let mut request = self.agent.post(url).header("authorization", &self.authorization).header("content-type", sort);
                if import {
                    request = request.header("x-indelible-path", "import");
                }
                request.send(bytes)
            }
            (_, None) => self.agent.post(url).header("authorization", &self.authorization).send_empty(),
        };
        self.settle(answer)
    }

    /// What an answer says.
    fn settle(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Vec<u8>, Failure> {
        let failed =
            |error: ureq::Error| Failure::Other(anyhow!("cannot reach {}: {error}; is `indelible serve` running there?", self.base));
        let mut answer = answer.map_err(failed)?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get("retry-after").and_then(|wait| wait.to_str().ok()?.parse().ok()).map(Duration::from_secs);
        let bytes = read(answer.body_mut()).map_err(failed)?;
        if (200..300).contains(&status) {
            return Ok(bytes);
        }
        let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let detail = text(&problem["detail"]).or(text(&problem["title"])).unwrap_or_else(|| "no reason was given".to_owned());
        let listed = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let errors: Vec<_> = listed.iter().filter_map(|error| Some((text(&error["pointer"])?, text(&error["message"])?))).collect();
        let errors_total = problem["errors_total"].as_u64().unwrap_or(errors.len() as u64);
        Err(Failure::Problem(Problem { status, detail, errors, errors_total, retry_after }))
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Vec<u8>> {
        Ok(self.ask("GET", &self.url(path, query), None)?)
    }

    fn post(&self, path: &str, body: &Value) -> anyhow::Result<Vec<u8>> {
        let body = body.to_string();
        let sent = Sent { sort: "application/json", bytes: body.as_bytes(), import: false };
        Ok(self.ask("POST", &self.url(path, &[]), Some(sent))?)
    }

    fn within<'q>(project: Option<&'q str>, opening: &'q Opening) -> Vec<(&'q str, &'q str)> {
        let mut query = Vec::new();
        query.extend(project.map(|project| ("project_id", project)));
        if opening.content {
            query.push(("include", "content"));
        }
        query.extend(opening.purpose.as_deref().map(|purpose| ("purpose", purpose)));
        query
    }

    fn project_text(&self) -> Option<String> {
        self.project.map(|project| project.to_string())
    }

    fn submit(&self, path: &str, lines: &[u8], import: bool) -> Result<Vec<u8>, Failure> {
        self.ask("POST", &self.project_url(path), Some(Sent { sort: "application/x-ndjson", bytes: lines, import }))
    }

    pub(super) fn append(&self, submissions: &[Vec<u8>]) -> anyhow::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for submission in submissions {
            // Lines: the white space of an event may hold line ends, which JSON takes as any other.
            lines.extend(submission.iter().map(|b| if *b == b'\n' || *b == b'\r' { b' ' } else { *b }));
            lines.push(b'\n');
        }
        Ok(self.submit(EVENTS, &lines, false)?)
    }

    pub(super) fn accept_invitation(&self) -> anyhow::Result<Vec<u8>> {
        Ok(self.ask("POST", &self.url("/v1/invitations/accept", &[]), None)?)
    }

    pub(super) fn search(&self, search: &Search) -> anyhow::Result<Page> {
        self.page(EVENTS, self.project_text().as_deref(), search)
    }

    pub(super) fn explore(&self, organization_id: Uuid, search: &Search) -> anyhow::Result<Page> {
        self.page(&format!("/v1/organizations/{organization_id}/audit/events"), None, search)
    }

    fn page(&self, path: &str, project: Option<&str>, search: &Search) -> anyhow::Result<Page> {
        let limit = search.limit.map(|limit| limit.to_string());
        let after = match search.feed {
            Some(Feed::After(sequence)) => Some(sequence.to_string()),
            _ => None,
        };
        let mut query = Self::within(project, &search.opening);
        query.extend(search.filter.as_deref().map(|filter| ("filter", filter)));
        query.extend(search.cursor.as_deref().map(|cursor| ("cursor", cursor)));
        query.extend(limit.as_deref().map(|limit| ("limit", limit)));
        query.extend(search.feed.map(|_| ("order", "asc")));
        query.extend(after.as_deref().map(|after| ("after_sequence", after)));
        let bytes = self.get(path, &query)?;
        let page: Answer = serde_json::from_slice(&bytes).context("the server's answer is not a page of events")?;
        Ok(Page {
            records: page.data.iter().map(|record| record.get().as_bytes().to_vec()).collect(),
            next_cursor: page.next_cursor,
            next_after_sequence: page.next_after_sequence,
            indexed_through: page.indexed_through,
            ..Page::default()
        })
    }

    pub(super) fn event(&self, id: Uuid, opening: &Opening) -> anyhow::Result<Vec<u8>> {
        let project = self.project_text();
        self.get(&format!("/v1/audit/events/{id}"), &Self::within(project.as_deref(), opening))
    }

    pub(super) fn run(&self, run_id: &str, opening: &Opening) -> anyhow::Result<Vec<u8>> {
        let project = self.project_text();
        self.get(&format!("/v1/audit/runs/{}", escaped(run_id)), &Self::within(project.as_deref(), opening))
    }

    pub(super) fn anchors(&self, since: u64, limit: u64) -> anyhow::Result<Vec<u8>> {
        let (project, since, limit) = (self.project_text(), since.to_string(), limit.to_string());
        let mut query = vec![("since", since.as_str()), ("limit", limit.as_str())];
        query.extend(project.as_deref().map(|project| ("project_id", project)));
        self.get("/v1/audit/anchors", &query)
    }

    pub(super) fn seal(&self) -> anyhow::Result<Vec<u8>> {
        Ok(self.ask("POST", &self.project_url("/v1/audit/anchors"), None)?)
    }

    pub(super) fn proof(&self, id: Uuid) -> anyhow::Result<Vec<u8>> {
        let project = self.project_text();
        self.get(&format!("/v1/audit/events/{id}/proof"), &Self::within(project.as_deref(), &NOT_OPENED))
    }

    /// Verifies the project asked for, or all that the key may see.
    pub(super) fn verify(&self) -> anyhow::Result<Vec<Verification>> {
        let projects = if let Some(project) = self.project {
            vec![project]
        } else {
            let kind = indelible_engine::resource::kind("project").context("projects are no kind of resource here")?;
            self.resources(kind)?.iter().map(|project| id_of(project)).collect::<anyhow::Result<_>>()?
        };
        projects.into_iter().map(|project| self.verify_one(project)).collect()
    }

    fn verify_one(&self, project: Uuid) -> anyhow::Result<Verification> {
        let bytes = self.get("/v1/audit/verify", &[("project_id", &project.to_string())])?;
        let report: Value = serde_json::from_slice(&bytes).context("the server's answer is not a report")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let findings = report["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Verification {
            project_id: project,
            events: report["events"].as_u64().context("the server's report has no number of events")?,
            not_read: 0,
            unanchored: report["unanchored"].as_u64().unwrap_or(0),
            verdict: report["verdict"].as_str().context("the server's report has no verdict")?.to_owned(),
            findings_total: report["findings_total"].as_u64().unwrap_or(findings.len() as u64),
            findings: findings.iter().map(|found| (text(&found["kind"]), found["sequence"].as_u64(), text(&found["detail"]))).collect(),
        })
    }

    pub(super) fn rotate_key(&self, rotation: &Rotation) -> anyhow::Result<Vec<u8>> {
        let body = match rotation {
            Rotation::Hmac => json!({"kind": "hmac"}),
            Rotation::Signing { kms_key, retire_old } => {
                let mut body = json!({"kind": "signing", "retire_old": retire_old});
                if let Some(kms_key) = kms_key {
                    body["kms_key"] = json!(kms_key.as_str());
                }
                body
            }
            Rotation::Data(None) => json!({"kind": "data"}),
            Rotation::Data(Some(id)) => json!({"kind": "data", "organization_id": id.to_string()}),
        };
        self.post("/v1/audit/keys/rotate", &body)
    }

    pub(super) fn rewrap(&self, organization_id: Option<Uuid>) -> anyhow::Result<Vec<u8>> {
        let body = organization_id.map_or_else(|| json!({}), |id| json!({"organization_id": id.to_string()}));
        self.post("/v1/audit/keys/rewrap", &body)
    }

    pub(super) fn export_chain_keys(&self) -> anyhow::Result<Vec<u8>> {
        Ok(self.ask("POST", &self.project_url("/v1/audit/keys/chain"), None)?)
    }

    pub(super) fn status(&self, project: Option<Uuid>) -> anyhow::Result<Vec<u8>> {
        let project = project.map(|project| project.to_string());
        self.get("/v1/audit/status", &Self::within(project.as_deref(), &NOT_OPENED))
    }

    pub(super) fn adopt_checkpoints(&self) -> anyhow::Result<Vec<u8>> {
        Ok(self.ask("POST", &self.url("/v1/audit/checkpoints/adopt", &[]), None)?)
    }

    pub(super) fn confirm_clock(&self) -> anyhow::Result<String> {
        let bytes = self.ask("POST", &self.url("/v1/audit/clock", &[]), None)?;
        let answer: Value = serde_json::from_slice(&bytes)?;
        Ok(answer["confirmed_at"].as_str().unwrap_or_default().to_owned())
    }
}

#[derive(serde::Deserialize)]
struct Answer {
    data: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
    next_after_sequence: Option<u64>,
    indexed_through: Option<u64>,
}

fn id_of(document: &[u8]) -> anyhow::Result<Uuid> {
    let document: Value = serde_json::from_slice(document)?;
    document["id"].as_str().and_then(|id| id.parse().ok()).context("the server's answer lacks an id")
}

fn read(body: &mut Body) -> Result<Vec<u8>, ureq::Error> {
    body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()
}

/// TLS by the provider that rustls was built with, trusting the file given, else the system's own list.
pub(crate) fn tls(ca_file: Option<&Path>) -> anyhow::Result<TlsConfig> {
    let file = ca_file.or_else(|| CA_FILES.iter().map(Path::new).find(|file| file.is_file()));
    let file = file.context("no list of trusted certificates on this system: name one with --ca-file")?;
    let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let roots: Vec<_> =
        parse_pem(&pem).filter_map(|item| if let Ok(PemItem::Certificate(root)) = item { Some(root) } else { None }).collect();
    if roots.is_empty() {
        bail!("{} holds no certificate", file.display());
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::clone(rustls::ClientConfig::builder().crypto_provider()))
        .build())
}

impl Sink for Online {
    type Ready = Vec<u8>;

    fn prepare(&self, submission: Submission<'_>) -> Result<(Vec<u8>, usize), Fault> {
        let mut line = submission.canonical().to_vec();
        line.push(b'\n');
        let bytes = line.len();
        Ok((line, bytes))
    }

    /// What is told apart here never reached the server: nothing was tried there. What the server refused it has recorded.
    fn rejected(&self, _: &Rejections) -> anyhow::Result<()> {
        Ok(())
    }

    /// What others append does not count beside this, so `ahead` tells the server nothing.
    fn foresee(&self, batch: Vec<Vec<u8>>, _: u64) -> anyhow::Result<Foretold> {
        match self.submit("/v1/audit/events/check", &batch.concat(), true) {
            Ok(bytes) => {
                let answer: Value = serde_json::from_slice(&bytes).context("the server's answer is not a list of events")?;
                let events = answer["events"].as_array().context("the server's answer lists no events")?;
                let new = events.iter().filter(|event| event["duplicate"].as_bool() != Some(true)).count() as u64;
                Ok(Foretold { new, ..Foretold::default() })
            }
            Err(Failure::Problem(problem)) if matches!(problem.status, 403 | 409 | 413 | 422) => {
                problem.refused(batch.len()).ok_or_else(|| anyhow!(problem.sentence()))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    fn append(&self, batch: Vec<Vec<u8>>) -> Result<Vec<bool>, NotAppended> {
        let again = "import the files again, nothing is added twice";
        let failed = |error: anyhow::Error| NotAppended::Failed(error.context(again));
        match self.submit(EVENTS, &batch.concat(), true) {
            Ok(bytes) => {
                let answer: Value = serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?;
                let receipts = answer["receipts"].as_array().map(Vec::as_slice).unwrap_or_default();
                if receipts.len() != batch.len() {
                    return Err(failed(anyhow!("the server answered {} receipts for {} events", receipts.len(), batch.len())));
                }
                Ok(receipts.iter().map(|receipt| receipt["duplicate"].as_bool() == Some(true)).collect())
            }
            Err(Failure::Problem(problem)) if matches!(problem.status, 403 | 409 | 413 | 422) => {
                let index = problem.pointer().and_then(|pointer| pointer.split('/').nth(1)?.parse().ok());
                match index {
                    Some(index) if index < batch.len() => {
                        Err(NotAppended::Refused { index, message: problem.sentence(), unrecorded: None })
                    }
                    _ => Err(NotAppended::Failed(anyhow!(problem.sentence()))),
                }
            }
            Err(failure) => Err(failed(failure.into())),
        }
    }
}
