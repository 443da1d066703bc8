//! The sample events of `indelible serve --demo`: real records, kept in the repository with their sources and licences
//! (`crates/indelible/demo/SOURCES.md`), imported the way every import goes.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::bail;
use indelible_engine::Ledger;
use indelible_engine::query::Search;
use serde_json::Value;

use crate::cli::Offline;
use crate::import::Format;
use crate::import::input::Input;
use crate::import::load::{Options, load as load_file};

/// Two questions that the events of a ledger answer, in values that stand in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Questions {
    /// Somebody whose data agents worked on: one of `subjects`.
    pub subject: String,
    /// The agent that did: `actor.id`.
    pub agent: String,
}

const FILES: &[(&str, Format, Option<&str>, &[u8])] = &[
    ("cloudtrail.json.gz", Format::Cloudtrail, None, include_bytes!("../../demo/cloudtrail.json.gz")),
    ("kubernetes.jsonl.gz", Format::Kubernetes, None, include_bytes!("../../demo/kubernetes.jsonl.gz")),
    ("chat-runs.jsonl.gz", Format::Trajectories, Some("airline-agent"), include_bytes!("../../demo/chat-runs.jsonl.gz")),
    ("session.jsonl.gz", Format::Trajectories, Some("coding-agent"), include_bytes!("../../demo/session.jsonl.gz")),
    ("trace-tinyagent.json.gz", Format::Trajectories, None, include_bytes!("../../demo/trace-tinyagent.json.gz")),
    ("trace-openai.json.gz", Format::Trajectories, None, include_bytes!("../../demo/trace-openai.json.gz")),
];

/// Imports the samples into the default project, and says how many events that added. Loading them again adds nothing.
pub fn load(ledger: &Ledger) -> anyhow::Result<u64> {
    let offline = Offline::beside(ledger.clone(), None)?;
    let mut events = 0;
    for (name, format, agent, bytes) in FILES {
        let options = Options { format: *format, skip_bad: false, agent: agent.map(str::to_owned) };
        let loaded = load_file(&offline, &Input::embedded(name, bytes), &options, &Arc::new(AtomicU64::new(0)))?;
        if let Some(bad) = loaded.bad.first() {
            bail!("{name}: {}", bad.message);
        }
        events += loaded.imported;
    }
    Ok(events)
}

/// What to ask: the newest step of an agent that worked on somebody's data names both. `None` where there is none. It is a read, and
/// recorded like any.
pub fn questions(ledger: &Ledger) -> anyhow::Result<Option<Questions>> {
    let filter = Some("actor.type eq \"agent\" and subjects pr".to_owned());
    let page = Offline::beside(ledger.clone(), None)?.search(&Search { filter, limit: Some(1), ..Search::default() })?;
    let Some(record) = page.records.first() else { return Ok(None) };
    let event: Value = serde_json::from_slice(record)?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(text(&event["subjects"][0]).zip(text(&event["actor"]["id"])).map(|(subject, agent)| Questions { subject, agent }))
}
