//! What callers do: have events made ready, and hand them in.

use indelible_core::entry::Stamp;
use indelible_core::event::Submission;
use indelible_core::fault::{Fault, FaultKind};
use uuid::Uuid;

use super::desk::Recorder;
use super::{AppendError, Prepared, Receipt};
use crate::access::{Caller, Scope};
use crate::ledger::Ledger;
use crate::resource::Project;
use crate::write::{Privilege, Work};

impl Ledger {
    /// A new UUIDv7, for an event whose caller gave no id.
    pub fn new_id(&self) -> Uuid {
        self.inner.desk.new_id().expect("the system gives random bytes, or nothing here can be kept secret")
    }

    /// Redacts, seals and drafts one event; runs beside the caller, on any thread. `path` is how it came: `http`, `import`, `append`.
    ///
    /// Refused as [`FaultKind::EngineOnly`]: a caller without `events:append`, a project outside the caller's reach,
    /// and a system project, which takes the engine's own events alone.
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
        let Some(number) = self.inner.registry.number_of(project.id) else { return refuse("there is no such project") };
        let assurance = if path == "import" { "self_reported" } else { caller.kind.assurance() };
        let recorder = Recorder { assurance, api_key_id: caller.api_key_id, path };
        self.inner.desk.prepare(project, number, recorder, submission, false)
    }

    /// Refuses an event whose entry will be too large wherever it stands. One within twenty bytes of the limit may pass here and be
    /// refused by [`Self::append`]: the digits of its place are known only there.
    pub fn check_size(&self, event: &Prepared) -> Result<(), Fault> {
        let stamp = Stamp { sequence: 0, recorded_at: self.inner.desk.clock.now(), hmac_key_id: 1 };
        event.draft.stamp(&stamp).map(drop)
    }

    /// Appends a batch, all of it or nothing. Returns once it is durable. The caller needs `events:append`.
    pub async fn append(&self, batch: Vec<Prepared>) -> Result<Vec<Receipt>, AppendError> {
        self.inner.writer.submit(Work::new(batch, Privilege::Caller)).await
    }

    /// [`Self::append`] for threads outside the runtime; waits a while for room in the queue.
    pub fn append_blocking(&self, batch: Vec<Prepared>) -> Result<Vec<Receipt>, AppendError> {
        self.inner.writer.submit_blocking(Work::new(batch, Privilege::Caller))
    }
}
