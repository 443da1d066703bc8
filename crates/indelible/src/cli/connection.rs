//! One method an operation, whether it is done here or by a server. Both give the JSON of the HTTP API, so that a command
//! prints the same.

use indelible_core::verify::Finding;
use indelible_engine::Rotation;
use indelible_engine::access::Owner;
use indelible_engine::export::ExportRequest;
use indelible_engine::query::{Opening, Page, Search};
use indelible_engine::resource::{Kind, Verb};
use indelible_engine::stream::{DeliveriesAsked, Replay};
use serde_json::Value;
use uuid::Uuid;

use super::export::{Part, Written};
use super::offline::Offline;
use super::online::Online;

/// Where commands are carried out.
pub enum Connection {
    /// Here, on a data folder whose lock we hold.
    Offline(Box<Offline>),
    /// By a server.
    Online(Online),
}

/// The verification of one project, as both ways report it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The project.
    pub project_id: Uuid,
    /// Rows read.
    pub events: u64,
    /// Rows that were verified before, and not read again.
    pub not_read: u64,
    /// Of those read, those that no anchor covers.
    pub unanchored: u64,
    /// The word for the gravest finding.
    pub verdict: String,
    /// (kind, sequence, detail)
    pub findings: Vec<(String, Option<u64>, String)>,
    /// How many there are, listed or not: a report lists the first hundred.
    pub findings_total: u64,
}

impl Verification {
    /// Of a report of the engine.
    pub fn of(report: indelible_core::verify::Report) -> Self {
        let finding = |finding: Finding| (finding.kind.as_str().to_owned(), finding.sequence, finding.detail);
        Self {
            project_id: report.project_id,
            events: report.events,
            not_read: report.not_read,
            unanchored: report.unanchored,
            verdict: report.verdict.as_str().to_owned(),
            findings_total: report.findings_total,
            findings: report.findings.into_iter().map(finding).collect(),
        }
    }
}

impl Connection {
    /// Why the last sealing failed, where that can be told here: a server tells its log alone.
    pub fn sealing_error(&self) -> Option<String> {
        match self {
            Self::Offline(offline) => offline.sealing_error(),
            Self::Online(_) => None,
        }
    }
}

macro_rules! operations {
    ($($(#[doc = $doc:literal])+ $name:ident($($argument:ident: $sort:ty),*) -> $result:ty;)+) => {
        impl Connection {
            $($(#[doc = $doc])+
            pub fn $name(&self, $($argument: $sort),*) -> anyhow::Result<$result> {
                match self {
                    Self::Offline(offline) => offline.$name($($argument),*),
                    Self::Online(online) => online.$name($($argument),*),
                }
            })+
        }
    };
}

operations! {
    /// Appends submissions, all or none; receipts as `{"receipts":[…]}`.
    append(submissions: &[Vec<u8>]) -> Vec<u8>;
    /// A page of events.
    search(search: &Search) -> Page;
    /// A page of the events of an organization.
    explore(organization_id: Uuid, search: &Search) -> Page;
    /// One event.
    event(id: Uuid, opening: &Opening) -> Vec<u8>;
    /// One run.
    run(run_id: &str, opening: &Opening) -> Vec<u8>;
    /// Anchors from a number on, as `{"anchors":[…],"next_since":…}`.
    anchors(since: u64, limit: u64) -> Vec<u8>;
    /// Seals now; how far anchoring has come, as JSON.
    seal() -> Vec<u8>;
    /// The proof of one event with what it is a proof of, as JSON.
    proof(id: Uuid) -> Vec<u8>;
    /// Writes an evidence bundle.
    export(request: &ExportRequest, out: &mut dyn std::io::Write) -> Written;
    /// Writes events as lines.
    extract(request: &ExportRequest, part: &mut Part) -> ();
    /// Makes a resource.
    create_resource(kind: &'static Kind, owner: Option<Owner>, document: &Value) -> Vec<u8>;
    /// One resource.
    resource(kind: &'static Kind, id: Uuid) -> Vec<u8>;
    /// All resources of a kind, one each.
    resources(kind: &'static Kind) -> Vec<Vec<u8>>;
    /// Changes a resource by a merge patch.
    update_resource(kind: &'static Kind, id: Uuid, version: u64, patch: &Value) -> Vec<u8>;
    /// Does to a resource what a verb of its kind says.
    act_on_resource(kind: &'static Kind, verb: &'static Verb, id: Uuid, version: Option<u64>, said: &Value) -> Vec<u8>;
    /// Ends a resource.
    delete_resource(kind: &'static Kind, id: Uuid, version: Option<u64>) -> ();
    /// Decides the questions of a request; the answer of `/access/v1/evaluations`.
    decide(request: &Value) -> Vec<u8>;
    /// What would be stored of a sample of an event, with one more rule where one is given.
    test_redaction(sample: &Value, rule: Option<&Value>) -> Vec<u8>;
    /// What was spent of a budget.
    budget_spending(id: Uuid) -> Vec<u8>;
    /// How a stream goes.
    stream_status(id: Uuid) -> Vec<u8>;
    /// A page of deliveries of a stream.
    deliveries(id: Uuid, asked: &DeliveriesAsked) -> Vec<u8>;
    /// Tries a stream; what came of it.
    test_stream(id: Uuid) -> Vec<u8>;
    /// Has something sent again.
    replay(id: Uuid, replay: Replay) -> Vec<u8>;
    /// Takes the clock for right; the time that was confirmed.
    confirm_clock() -> String;
    /// Rotates a key; what serves now.
    rotate_key(rotation: &Rotation) -> Vec<u8>;
    /// Renews wraps; how many.
    rewrap(organization_id: Option<Uuid>) -> Vec<u8>;
    /// The chain keys of the project.
    export_chain_keys() -> Vec<u8>;
    /// How the ledger stands: one project, or all that the key may see.
    status(project: Option<Uuid>) -> Vec<u8>;
    /// Adopts what does not grow out of what was signed; the origins.
    adopt_checkpoints() -> Vec<u8>;
}
