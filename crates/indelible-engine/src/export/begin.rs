//! How every export begins: who asks may, what is asked makes sense, there is room for it; and the intent is on record before anything is read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ask::{Asked, ExportRequest};
use super::journal::Journal;
use crate::access::{Caller, Scope};
use crate::ledger::Ledger;
use crate::query::ReadError;
use crate::query::places::Place;
use crate::query::reading::Reading;
use crate::resource::Project;

/// An export that was asked for and recorded, and for which nothing was read yet.
pub(super) struct Begun {
    pub(super) journal: Journal,
    pub(super) asked: Asked,
    pub(super) number: i64,
}

impl Ledger {
    /// Records that it is asked for, if `room` says that it is taken; a refusal is recorded too. `target` is the type of what is made, `form`
    /// what it is for.
    pub(super) async fn begin_export<T>(
        &self,
        caller: &Caller,
        project: &Project,
        request: &ExportRequest,
        (target, form): (&'static str, &'static str),
        room: Result<T, ReadError>,
    ) -> Result<(Begun, T), ReadError> {
        let mut reading = Reading::new(caller, project, target, "", &request.opening);
        reading.action = "audit.export";
        reading.filter = request.claim(&self.inner.desk.rules.for_question(project));
        let asked = reading.authorise(self).and_then(|()| Asked::read(request, reading.filter.clone()));
        let number = self.inner.registry.number_of(project.id).ok_or(ReadError::NotFound("project"));
        let (asked, number, room) = match asked.and_then(|asked| Ok((asked, number?, room?))) {
            Ok(ready) => ready,
            Err(error) => {
                // As with every read, a stranger's project learns nothing.
                if error != ReadError::NotFound("project") {
                    self.record(vec![reading.refusal(&error)]).await?;
                }
                return Err(error);
            }
        };
        let journal = Journal::begin(self, Arc::new(reading), form, request.details()).await?;
        Ok((Begun { journal, asked, number }, room))
    }

    /// A place among the exports that somebody waits for.
    pub(super) fn place_of_export(&self, caller: &Caller, project: &Project) -> Result<Place, ReadError> {
        let place = self.inner.index.exports.take(project.organization_id, caller.known_by());
        place.ok_or_else(|| ReadError::Unavailable("too many exports are under way; try again later".to_owned()))
    }
}

impl Begun {
    /// Records that nothing comes of it; durable when it returns, unless the log of the server has why not. Whether it is.
    pub(super) async fn give_up(mut self, reason: String) -> bool {
        let told = self.journal.told();
        // One that panicked is told of.
        let _ = apart(move || self.journal.break_off(reason)).await;
        told.load(Ordering::Relaxed)
    }

    /// Has what is committed sealed, where the caller may; without that, the newest checkpoint is what there is.
    pub(super) async fn seal(&self) {
        let (ledger, reading) = (&self.journal.ledger, &self.journal.reading);
        if reading.caller.has(Scope::AuditAdmin)
            && let Err(error) = ledger.seal(&reading.caller, &reading.project).await
        {
            tracing::warn!(%error, "nothing was sealed before an export; the newest checkpoint is taken");
        }
    }
}

/// Does what blocks beside what runs.
pub(super) async fn apart<T: Send + 'static>(make: impl FnOnce() -> T + Send + 'static) -> Result<T, Panicked> {
    tokio::task::spawn_blocking(make).await.map_err(|error| {
        tracing::error!(%error, "an export panicked");
        Panicked
    })
}

/// An export that ended so; the log of the server has the rest.
pub(super) struct Panicked;

impl From<Panicked> for ReadError {
    fn from(_: Panicked) -> Self {
        Self::Unavailable("the export failed".to_owned())
    }
}
