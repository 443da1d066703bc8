//! Proofs for those who have neither the ledger nor its keys: that an event is in what was signed, that what was signed
//! later grew out of what was signed before.
//!
//! Recorded before they are answered, like any read. Refused: a proof of what nothing that was signed covers.

use indelible_core::limits::TREE_SIZE_MAX;
use indelible_core::proof::ConsistencyProof;
use indelible_core::tree::leaf_hash;
use uuid::Uuid;

use super::anchors::unreadable;
use super::published::PublishedProject;
use super::reading::{Lane, Reading};
use super::search::by_id;
use super::{Opening, ReadError};
use crate::access::Caller;
use crate::anchor::{instance_origin, origin};
use crate::ledger::Ledger;
use crate::resource::Project;

/// That one event is in the tree that the newest anchor of its project signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventProof {
    /// The exact bytes of its entry, which are the data of the leaf.
    pub entry: Vec<u8>,
    /// The number of the anchor.
    pub anchor: u64,
    /// `c2sp.org/tlog-proof@v1`, with the anchor's checkpoint.
    pub proof: String,
    /// That the anchor is in the instance tree; `None` while no checkpoint of that covers it.
    pub instance: Option<InstanceProof>,
}

/// That an anchor is in the instance tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceProof {
    /// The leaf, canonical JSON.
    pub leaf: String,
    /// `c2sp.org/tlog-proof@v1`, with a checkpoint of the instance tree and its cosignatures.
    pub proof: String,
}

/// That a project's tree grew out of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    /// The proof.
    pub proof: ConsistencyProof,
    /// The newest checkpoint, where the proof leads to it.
    pub checkpoint: Option<String>,
}

/// The refusal of what nothing signed covers, and when to come back.
pub(super) fn not_anchored(lane: &Lane<'_>, instance: bool, what: &str) -> ReadError {
    let anchoring = &lane.ledger.inner.anchoring;
    let (report, retry_after) = (anchoring.report(), anchoring.next_pass());
    let name = lane.ledger.instance_name();
    let origin = if instance { instance_origin(name) } else { origin(name, lane.reading.project.id) };
    let refused = origin.ok().and_then(|origin| report.refused.get(&origin).map(|refusal| refusal.kind.as_str()));
    let detail = match (refused, report.failing) {
        (Some(kind), _) => format!("{what}, and the tree is not signed ({kind})"),
        (None, Some(_)) => format!("{what}; sealing fails and is tried again"),
        (None, None) => format!("{what}; the next sealing is due in {} s", retry_after.as_secs() + 1),
    };
    ReadError::NotAnchored { detail, retry_after }
}

impl Ledger {
    /// The proof of one event, against the newest anchor, and of that anchor against a checkpoint of the instance tree.
    pub async fn event_proof(&self, caller: &Caller, project: &Project, id: Uuid) -> Result<EventProof, ReadError> {
        let reading = Reading::new(caller, project, "event_proof", id.hyphenated().to_string(), &Opening::default());
        self.read(reading, move |lane, account| {
            let found = by_id(lane, id)?.ok_or(ReadError::NotFound("event"))?;
            let reader = lane.reader()?;
            let moment = reader.moment().map_err(|error| unreadable(&error))?;
            let published = PublishedProject::load(&moment, lane.number)?.filter(|published| found.sequence < published.tree.size());
            let published = published.ok_or_else(|| not_anchored(lane, false, "no anchor covers the event yet"))?;
            let proof = published.tree.inclusion(found.sequence, &leaf_hash(&found.entry))?.to_string();
            let instance = published.in_instance(lane.number, lane.ledger.inner.cosigning.as_deref())?;
            let instance = instance.map(|(leaf, proof)| InstanceProof { leaf, proof: proof.to_string() });
            account.returned = 1;
            Ok(EventProof { entry: found.entry, anchor: published.anchor.number, proof, instance })
        })
        .await
    }

    /// The proof that the project's tree of `to` leaves begins with that of `from`; `to` is the newest checkpoint's unless it is said.
    pub async fn consistency(&self, caller: &Caller, project: &Project, from: u64, to: Option<u64>) -> Result<Consistency, ReadError> {
        let to_text = to.map_or_else(|| "newest".to_owned(), |to| to.to_string());
        let reading = Reading::new(caller, project, "consistency_proof", format!("{from}-{to_text}"), &Opening::default());
        self.read(reading, move |lane, _| {
            if from > TREE_SIZE_MAX || to.is_some_and(|to| from > to) {
                return Err(ReadError::Options("from must not be larger than to".to_owned()));
            }
            let reader = lane.reader()?;
            let moment = reader.moment().map_err(|error| unreadable(&error))?;
            let published = PublishedProject::load(&moment, lane.number)?;
            let tree = published.ok_or_else(|| not_anchored(lane, false, "nothing of the project was signed yet"))?.tree;
            let wanted = to.unwrap_or_else(|| from.max(tree.size()));
            if wanted > tree.size() {
                return Err(not_anchored(lane, false, &format!("the newest checkpoint covers {} events, not {wanted}", tree.size())));
            }
            let proof = tree.consistency(from, wanted)?;
            Ok(Consistency { proof, checkpoint: (wanted == tree.size()).then(|| tree.checkpoint()) })
        })
        .await
    }
}
