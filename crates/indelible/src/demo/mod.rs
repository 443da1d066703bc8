//! The sample events of `indelible serve --demo`: real records, kept in the repository with their sources and licences
//! (`crates/indelible/demo/SOURCES.md`), imported the way every import goes.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::bail;
use indelible_engine::Ledger;

use crate::cli::Offline;
use crate::import::Format;
use crate::import::input::Input;
use crate::import::load::{Options, load as load_file};

/// What was loaded, and what to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoLoaded {
    /// Events added.
    pub events: u64,
    /// An actor with many events: `actor.id` of an intruder in the CloudTrail records.
    pub actor: &'static str,
    /// Somebody on whose behalf agents acted: `principal.id` of a run.
    pub principal: &'static str,
    /// A run: `run.id` of the customer-service run for that principal.
    pub run_id: &'static str,
}

const ACTOR: &str = "arn:aws:iam::123837392027:user/bert-jan";
const PRINCIPAL: &str = "mia_li_3668";
const RUN_ID: &str = "task-0-trial-0-3477d3d9";

const FILES: &[(&str, Format, Option<&str>, &[u8])] = &[
    ("cloudtrail.json.gz", Format::Cloudtrail, None, include_bytes!("../../demo/cloudtrail.json.gz")),
    ("kubernetes.jsonl.gz", Format::Kubernetes, None, include_bytes!("../../demo/kubernetes.jsonl.gz")),
    ("chat-runs.jsonl.gz", Format::Trajectories, Some("airline-agent"), include_bytes!("../../demo/chat-runs.jsonl.gz")),
    ("session.jsonl.gz", Format::Trajectories, Some("coding-agent"), include_bytes!("../../demo/session.jsonl.gz")),
    ("trace-tinyagent.json.gz", Format::Trajectories, None, include_bytes!("../../demo/trace-tinyagent.json.gz")),
    ("trace-openai.json.gz", Format::Trajectories, None, include_bytes!("../../demo/trace-openai.json.gz")),
];

/// Imports the samples into the default project. Loading them again adds nothing.
pub fn load(ledger: &Ledger) -> anyhow::Result<DemoLoaded> {
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
    Ok(DemoLoaded { events, actor: ACTOR, principal: PRINCIPAL, run_id: RUN_ID })
}
