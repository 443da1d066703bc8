//! What callers do: have events made ready, and hand them in.

use indelible_core::entry::Stamp;
use indelible_core::event::Submission;
use indelible_core::fault::{Fault, FaultKind};
use uuid::Uuid;

use super::desk::Recorder;
use super::{AppendError, Prepared, Receipt};
use crate::access::{Caller, Owner, Scope};
use crate::ledger::Ledger;
use crate::resource::Project;
use crate::resource::schemabook::Breaches;
use crate::write::{Privilege, Work};

/// An event of a batch, by its place, that breaks schemas which only report.
pub(crate) type Broken = (usize, Uuid, Box<Breaches>);

/// Takes what is to be counted once it is stored. One that is refused stays with its event.
pub(crate) fn reported(batch: &mut [Prepared]) -> Vec<Broken> {
    let take = |(at, event): (usize, &mut Prepared)| Some((at, event.project_id, event.breaches.take()?));
    batch.iter_mut().enumerate().filter(|(_, event)| event.refused().is_none()).filter_map(take).collect()
}

impl Ledger {
    /// A new UUIDv7, for an event whose caller gave no id.
    pub fn new_id(&self) -> Uuid {
        self.inner.desk.new_id().expect("the system gives random bytes, or nothing here can be kept secret")
    }

    /// Redacts, seals and drafts one event; runs beside the caller, on any thread. `path` is how it came: `http`, `import`, `append`.
    ///
    /// Refused as [`FaultKind::EngineOnly`]: a caller without `events:append`, a project outside the caller's reach,
    /// and a system project, which takes the engine's own events alone. As [`FaultKind::Gone`]: a project that was deleted.
    pub fn prepare(&self, caller: &Caller, project: &Project, path: &'static str, submission: Submission<'_>) -> Result<Prepared, Fault> {
        let refuse = |message: &str| Err(Fault::new(FaultKind::EngineOnly, "", message));
        if !caller.has(Scope::EventsAppend) {
            return refuse("the key lacks events:append");
        }
        if !self.sees(caller, project) {
            return refuse("the key does not belong to this project");
        }
        if project.system {
            return refuse("a system project takes the engine's own events alone");
        }
        if self.inner.registry.is_deleted(Owner::Project(project.id)) {
            return Err(Fault::new(FaultKind::Gone, "", "the project was deleted and takes nothing more"));
        }
        let Some(number) = self.inner.registry.number_of(project.id) else { return refuse("there is no such project") };
        let assurance = if path == "import" { "self_reported" } else { caller.kind.assurance() };
        let recorder = Recorder { assurance, api_key_id: caller.known_by(), path };
        self.inner.desk.prepare(project, number, recorder, submission, false)
    }

    /// Refuses an event whose entry will be too large wherever it stands. One within twenty bytes of the limit may pass here and be
    /// refused by [`Self::append`]: the digits of its place are known only there.
    pub fn check_size(&self, event: &Prepared) -> Result<(), Fault> {
        let stamp = Stamp { sequence: 0, recorded_at: self.inner.desk.clock.now(), hmac_key_id: 1 };
        event.draft.stamp(&stamp).map(drop)
    }

    /// Appends a batch, all of it or nothing. Returns once it is durable. The caller needs `events:append`.
    pub async fn append(&self, mut batch: Vec<Prepared>) -> Result<Vec<Receipt>, AppendError> {
        let broken = reported(&mut batch);
        let receipts = self.inner.writer.submit(Work::new(batch, Privilege::Caller)).await?;
        self.count(broken, &receipts);
        Ok(receipts)
    }

    /// [`Self::append`] for threads outside the runtime; waits a while for room in the queue.
    pub fn append_blocking(&self, mut batch: Vec<Prepared>) -> Result<Vec<Receipt>, AppendError> {
        let broken = reported(&mut batch);
        let receipts = self.inner.writer.submit_blocking(Work::new(batch, Privilege::Caller))?;
        self.count(broken, &receipts);
        Ok(receipts)
    }

    fn count(&self, broken: Vec<Broken>, receipts: &[Receipt]) {
        if !broken.is_empty() {
            self.inner.desk.schemas.count(broken, receipts, self.inner.clock.monotonic());
        }
    }
}
