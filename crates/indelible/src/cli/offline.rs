//! Operations on a data folder, by the operator who holds it.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, bail};
use indelible_core::event::{Source, Submission};
use indelible_core::fault::Fault;
use indelible_core::hex;
use indelible_engine::access::Caller;
use indelible_engine::access::Owner;
use indelible_engine::append::{AppendError, Foreseen, Prepared, Receipt, Rejections, other_event};
use indelible_engine::database::bind::Purpose;
use indelible_engine::decide::Questions;
use indelible_engine::export::ExportRequest;
use indelible_engine::query::{Opening, Page, ReadError, Search};
use indelible_engine::resource::{Kind, Level, Listing, Project, Verb};
use indelible_engine::stream::{DeliveriesAsked, Replay};
use indelible_engine::{Ledger, Options, Rotation};
use serde_json::{Value, json};
use uuid::Uuid;

use super::export::{Part, Written};
use super::output;
use crate::http::{
    Ids, render_adopted, render_anchor_status, render_anchors, render_chain_keys, render_decisions, render_deliveries, render_proof,
    render_rehearsed, render_replayed, render_resource, render_rewrapped, render_rotated, render_spending, render_status,
    render_stream_status,
};
use crate::import::load::{Foretold, NotAppended, Sink};

/// An open ledger, and who works on it.
pub struct Offline {
    ledger: Ledger,
    caller: Caller,
    project: Arc<Project>,
    runtime: tokio::runtime::Runtime,
    /// Whether the ledger was opened for this, and is closed after it.
    owned: bool,
}

impl Offline {
    /// Works on `asked`, or the project made at first start; closes the ledger in the end.
    pub(super) fn owning(ledger: Ledger, asked: Option<Uuid>) -> anyhow::Result<Self> {
        let mut offline = Self::beside(ledger, asked)?;
        offline.owned = true;
        Ok(offline)
    }

    /// The same beside others who use the ledger.
    pub fn beside(ledger: Ledger, asked: Option<Uuid>) -> anyhow::Result<Self> {
        let caller = ledger.operator();
        let project = ledger.project_of(&caller, Some(asked.unwrap_or_else(|| ledger.default_project_id())))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
        Ok(Self { ledger, caller, project, runtime, owned: false })
    }

    /// The ledger.
    pub(super) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(super) fn append(&self, submissions: &[Vec<u8>]) -> anyhow::Result<Vec<u8>> {
        let ids = Ids::new(Options::new("").clock);
        let at = |n: usize, fault: Fault| fault.within(&n.to_string());
        let (mut batch, mut rejections, mut first) = (Vec::with_capacity(submissions.len()), Rejections::default(), None);
        for (n, text) in submissions.iter().enumerate() {
            let prepared = Submission::parse(text, Source::Caller, ids.draw())
                .and_then(|submission| self.ledger.prepare(&self.caller, &self.project, "append", submission));
            match prepared {
                Ok(event) => batch.push(event),
                Err(fault) => {
                    first.get_or_insert_with(|| format!("event {n}: {fault}"));
                    rejections.push(&at(n, fault));
                }
            }
        }
        if let Some(first) = first {
            self.record(&rejections)?;
            let more = rejections.total() - 1;
            let more = if more > 0 { format!("; {more} more are refused") } else { String::new() };
            bail!("{first}{more}; nothing was appended");
        }
        let receipts = self.ledger.append_blocking(batch).or_else(|error| {
            if let Some((n, fault)) = error.refused() {
                self.record(&at(n, fault).into())?;
            }
            Err(anyhow::Error::new(error).context("nothing was appended"))
        })?;
        let receipts: Vec<_> = receipts.iter().map(receipt).collect();
        Ok(json!({"receipts": receipts}).to_string().into_bytes())
    }

    /// Binds a role of the database to the project, or ends that; whether anything changed, and the project.
    pub(super) fn bind_role(&self, purpose: Purpose, role: &str, is_bound: bool) -> anyhow::Result<(bool, Uuid)> {
        let project = self.project.id;
        let changed = if is_bound {
            self.runtime.block_on(self.ledger.bind_role(&self.caller, purpose, role, project))?
        } else {
            self.runtime.block_on(self.ledger.unbind_role(&self.caller, purpose, role, project))?
        };
        Ok((changed, project))
    }

    /// Lets events wait in the inbox as they are; whether that was not so before.
    pub(super) fn accept_plaintext_inbox(&self) -> anyhow::Result<bool> {
        Ok(self.runtime.block_on(self.ledger.accept_plaintext_inbox(&self.caller))?)
    }

    /// Records what was refused, before it is said.
    fn record(&self, rejections: &Rejections) -> anyhow::Result<()> {
        Ok(self.runtime.block_on(self.ledger.reject_all(&self.caller, &self.project, rejections, false))?)
    }

    pub(crate) fn search(&self, search: &Search) -> anyhow::Result<Page> {
        Ok(self.runtime.block_on(self.ledger.search(&self.caller, &self.project, search.clone()))?)
    }

    pub(super) fn explore(&self, organization_id: Uuid, search: &Search) -> anyhow::Result<Page> {
        Ok(self.runtime.block_on(self.ledger.explore(&self.caller, organization_id, search.clone()))?)
    }

    pub(super) fn event(&self, id: Uuid, opening: &Opening) -> anyhow::Result<Vec<u8>> {
        Ok(self.runtime.block_on(self.ledger.event(&self.caller, &self.project, id, opening.clone()))?)
    }

    pub(super) fn run(&self, run_id: &str, opening: &Opening) -> anyhow::Result<Vec<u8>> {
        Ok(self.runtime.block_on(self.ledger.run(&self.caller, &self.project, run_id, opening.clone()))?)
    }

    pub(super) fn anchors(&self, since: u64, limit: u64) -> anyhow::Result<Vec<u8>> {
        let page = self.runtime.block_on(self.ledger.anchors(&self.caller, &self.project, since, limit as usize))?;
        Ok(render_anchors(&page))
    }

    pub(super) fn seal(&self) -> anyhow::Result<Vec<u8>> {
        Ok(render_anchor_status(&self.runtime.block_on(self.ledger.seal(&self.caller, &self.project))?))
    }

    pub(super) fn sealing_error(&self) -> Option<String> {
        self.ledger.sealing_error()
    }

    pub(super) fn proof(&self, id: Uuid) -> anyhow::Result<Vec<u8>> {
        match self.runtime.block_on(self.ledger.event_proof(&self.caller, &self.project, id)) {
            Ok(proof) => Ok(render_proof(&proof)),
            // No server seals this folder while we hold it.
            Err(ReadError::NotAnchored { .. }) => bail!("no anchor covers the event yet: seal with `indelible anchors --seal`"),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn create_resource(&self, kind: &'static Kind, owner: Option<Owner>, document: &Value) -> anyhow::Result<Vec<u8>> {
        let owner = owner.or_else(|| kind.levels.contains(&Level::Project).then_some(Owner::Project(self.project.id)));
        let document = document.to_string();
        let done = self.runtime.block_on(self.ledger.create_resource(&self.caller, kind, owner, &document, None))?;
        Ok(render_resource(&self.ledger, kind, &done.kept, &done.shown))
    }

    pub(super) fn resource(&self, kind: &'static Kind, id: Uuid) -> anyhow::Result<Vec<u8>> {
        let kept = self.runtime.block_on(self.ledger.resource(&self.caller, kind, id))?;
        Ok(render_resource(&self.ledger, kind, &kept, &[]))
    }

    pub(super) fn resources(&self, kind: &'static Kind) -> anyhow::Result<Vec<Vec<u8>>> {
        let (mut found, mut listing) = (Vec::new(), Listing::default());
        loop {
            let listed = self.runtime.block_on(self.ledger.resources(&self.caller, kind, &listing))?;
            found.extend(listed.kept.iter().map(|kept| render_resource(&self.ledger, kind, kept, &[])));
            if listed.next_after.is_none() {
                return Ok(found);
            }
            listing.after = listed.next_after;
        }
    }

    pub(super) fn update_resource(&self, kind: &'static Kind, id: Uuid, version: u64, patch: &Value) -> anyhow::Result<Vec<u8>> {
        let patch = patch.to_string();
        let done = self.runtime.block_on(self.ledger.update_resource(&self.caller, kind, id, Some(version), &patch))?;
        Ok(render_resource(&self.ledger, kind, &done.kept, &[]))
    }

    pub(super) fn act_on_resource(
        &self,
        kind: &'static Kind,
        verb: &'static Verb,
        id: Uuid,
        version: Option<u64>,
        said: &Value,
    ) -> anyhow::Result<Vec<u8>> {
        let said = said.to_string();
        let done = self.runtime.block_on(self.ledger.act_on_resource(&self.caller, kind, verb, (id, version), &said, None))?;
        Ok(render_resource(&self.ledger, kind, &done.kept, &done.shown))
    }

    pub(super) fn delete_resource(&self, kind: &'static Kind, id: Uuid, version: Option<u64>) -> anyhow::Result<()> {
        self.runtime.block_on(self.ledger.delete_resource(&self.caller, kind, id, version))?;
        Ok(())
    }

    pub(super) fn decide(&self, request: &Value) -> anyhow::Result<Vec<u8>> {
        let text = request.to_string();
        let read = indelible_core::json::parse(text.as_bytes()).and_then(|value| Questions::read(&value));
        let questions = match read {
            Ok(questions) => questions,
            Err(fault) => {
                let action = indelible_engine::decide::ACTION;
                self.runtime.block_on(self.ledger.refused(&self.caller, None, action, &format!("invalid at {}", fault.pointer)))?;
                bail!("{fault}");
            }
        };
        let decisions = self.runtime.block_on(self.ledger.decide(&self.caller, &self.project, &questions))?;
        Ok(render_decisions(&decisions, questions.single))
    }

    pub(super) fn test_redaction(&self, sample: &Value, rule: Option<&Value>) -> anyhow::Result<Vec<u8>> {
        let (sample, rule) = (sample.to_string(), rule.map(Value::to_string));
        let rehearsed = self.ledger.rehearse_redaction(&self.caller, &self.project, &sample, rule.as_deref());
        Ok(render_rehearsed(&self.runtime.block_on(rehearsed)?))
    }

    pub(super) fn budget_spending(&self, id: Uuid) -> anyhow::Result<Vec<u8>> {
        Ok(render_spending(&self.runtime.block_on(self.ledger.budget_spending(&self.caller, id))?))
    }

    pub(super) fn stream_status(&self, id: Uuid) -> anyhow::Result<Vec<u8>> {
        Ok(render_stream_status(&self.runtime.block_on(self.ledger.stream_status(&self.caller, id))?))
    }

    pub(super) fn deliveries(&self, id: Uuid, asked: &DeliveriesAsked) -> anyhow::Result<Vec<u8>> {
        Ok(render_deliveries(&self.runtime.block_on(self.ledger.deliveries(&self.caller, id, *asked))?))
    }

    #[expect(clippy::unused_self, reason = "it is one of the operations, of which each way has all")]
    pub(super) fn test_stream(&self, _id: Uuid) -> anyhow::Result<Vec<u8>> {
        bail!("a server sends: start one with `indelible serve`, and go through it with --server http://127.0.0.1:4680 --key-file FILE")
    }

    pub(super) fn replay(&self, id: Uuid, replay: Replay) -> anyhow::Result<Vec<u8>> {
        Ok(render_replayed(self.runtime.block_on(self.ledger.replay(&self.caller, id, replay))?))
    }

    pub(super) fn rotate_key(&self, rotation: &Rotation) -> anyhow::Result<Vec<u8>> {
        Ok(render_rotated(&self.runtime.block_on(self.ledger.rotate_key(&self.caller, rotation.clone()))?))
    }

    pub(super) fn rewrap(&self, organization_id: Option<Uuid>) -> anyhow::Result<Vec<u8>> {
        Ok(render_rewrapped(self.runtime.block_on(self.ledger.rewrap(&self.caller, organization_id))?))
    }

    pub(super) fn export_chain_keys(&self) -> anyhow::Result<Vec<u8>> {
        let keys = self.runtime.block_on(self.ledger.export_chain_keys(&self.caller, &self.project))?;
        Ok(render_chain_keys(self.project.id, &keys))
    }

    pub(super) fn status(&self, project: Option<Uuid>) -> anyhow::Result<Vec<u8>> {
        let project = project.map(|_| self.project.as_ref());
        Ok(render_status(&self.runtime.block_on(self.ledger.ledger_status(&self.caller, project))?))
    }

    pub(super) fn adopt_checkpoints(&self) -> anyhow::Result<Vec<u8>> {
        Ok(render_adopted(&self.runtime.block_on(self.ledger.adopt_checkpoints(&self.caller))?))
    }

    pub(super) fn export(&self, request: &ExportRequest, out: &mut dyn Write) -> anyhow::Result<Written> {
        let export = self.runtime.block_on(self.ledger.export(&self.caller, &self.project, request.clone()))?;
        let (manifest, events_after) = (export.manifest().clone(), export.events_after());
        let bar = output::bar(export.bytes(), true);
        let sent = export.write(out, &mut |bytes| bar.set_position(bytes))?;
        bar.finish_and_clear();
        Ok(Written { entries: sent.entries, left_out: manifest.entries_left_out(), events_after, bytes: sent.bytes })
    }

    pub(super) fn extract(&self, request: &ExportRequest, part: &mut Part) -> anyhow::Result<()> {
        let extract = self.runtime.block_on(self.ledger.extract(&self.caller, &self.project, request.clone(), "file"))?;
        part.begin(extract.head().clone(), extract.events_after())?;
        part.write(|take| Ok(extract.write(take, &AtomicBool::new(false)).map(drop)?))
    }

    pub(super) fn confirm_clock(&self) -> anyhow::Result<String> {
        Ok(self.runtime.block_on(self.ledger.confirm_clock(&self.caller))?.to_string())
    }
}

impl Drop for Offline {
    /// Closing marks the index clean, so that the next start does not rebuild it.
    fn drop(&mut self) {
        if self.owned {
            self.ledger.clone().close();
        }
    }
}

fn receipt(receipt: &Receipt) -> serde_json::Value {
    let mut value = json!({
        "id": receipt.id.to_string(),
        "sequence": receipt.sequence,
        "recorded_at": receipt.recorded_at.to_string(),
        "row_hash": hex::encode(&receipt.row_hash),
        "leaf_hash": hex::encode(&receipt.leaf_hash),
    });
    if receipt.duplicate {
        value["duplicate"] = json!(true);
    }
    value
}

impl Sink for Offline {
    type Ready = Prepared;

    fn prepare(&self, submission: Submission<'_>) -> Result<(Prepared, usize), Fault> {
        let event = self.ledger.prepare(&self.caller, &self.project, "import", submission)?;
        self.ledger.check_size(&event)?;
        let bytes = event.bytes();
        Ok((event, bytes))
    }

    fn rejected(&self, rejections: &Rejections) -> anyhow::Result<()> {
        self.record(rejections)
    }

    fn foresee(&self, batch: Vec<Prepared>, ahead: u64) -> anyhow::Result<Foretold> {
        let mut foretold = Foretold::default();
        for (index, (event, foreseen)) in batch.iter().zip(self.ledger.foresee_blocking(&batch, ahead)?).enumerate() {
            let (fault, message) = match foreseen {
                Foreseen::New => {
                    foretold.new += 1;
                    continue;
                }
                Foreseen::Duplicate => continue,
                Foreseen::Conflict => (other_event(), id_taken(event.id())),
                Foreseen::Fault(fault) => (fault.clone(), fault.to_string()),
            };
            foretold.refused.push((index, message));
            foretold.unrecorded.push(&fault);
        }
        Ok(foretold)
    }

    fn append(&self, batch: Vec<Prepared>) -> Result<Vec<bool>, NotAppended> {
        match self.ledger.append_blocking(batch) {
            Ok(receipts) => Ok(receipts.iter().map(|receipt| receipt.duplicate).collect()),
            Err(error) => Err(match error.refused() {
                Some((index, fault)) => {
                    let message = if let AppendError::Conflict { id, .. } = error { id_taken(id) } else { fault.to_string() };
                    NotAppended::Refused { index, message, unrecorded: Some(fault) }
                }
                None => NotAppended::Failed(anyhow::Error::new(error).context("import the files again, nothing is added twice")),
            }),
        }
    }
}

fn id_taken(id: Uuid) -> String {
    format!("another event has the id {id} that this record gets")
}
