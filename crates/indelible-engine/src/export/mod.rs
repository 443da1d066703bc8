//! Evidence bundles (`docs/bundle.md`): entries of a project with what proves them, as a tar, against the newest checkpoint that
//! was signed. Where the caller may, what is committed is sealed first; events after the checkpoint are left out.
//!
//! Two passes, because the manifest comes first and names the digest of every file: `survey` reads everything and keeps
//! digests, [`Export::write`] reads it again. Rows are never changed and trees only grow, so both read the same up to the
//! checkpoint; where they do not, the bundle is broken off before its end. No transaction is open while somebody reads slowly, nothing
//! goes to a file, and memory does not grow with the entries of a range; a selection takes 24 bytes each.
//!
//! Recorded as `audit.export`: what is asked before anything is read (the intent), and how it ended, with what was sent, before the
//! last bytes leave (the outcome, with the same `operation_id`); one that is broken off, as far as it came.

mod ask;
mod contents;
pub mod extract;
mod foundation;
pub mod jobs;
mod journal;
mod rows;
mod survey;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indelible_core::bundle::Manifest;

use ask::Asked;
pub use ask::ExportRequest;
use foundation::Foundation;
use journal::Journal;
use survey::Survey;
pub use write::{ExportError, Sent};

use crate::access::{Caller, Scope};
use crate::ledger::Ledger;
use crate::query::ReadError;
use crate::query::places::Place;
use crate::query::reading::Reading;
use crate::resource::Project;

/// A bundle that is ready to be written. One that is dropped unwritten is recorded as broken off.
pub struct Export {
    journal: Journal,
    foundation: Foundation,
    survey: Survey,
    manifest: Manifest,
    manifest_bytes: Vec<u8>,
    bytes: u64,
    number: i64,
    content: bool,
    /// Given back at the end.
    _place: Place,
}

impl Export {
    /// What it will hold.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Bytes of the tar.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Events of the project after the checkpoint: nothing signed covers them yet, and they are not in the range.
    pub const fn events_after(&self) -> u64 {
        self.foundation.events_after
    }
}

/// Raised when whoever asked went away: what is read for nobody stops.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Ledger {
    /// Makes a bundle ready: records the intent, seals where the caller has `audit:admin`, reads what is to be in it. Needs `audit:read`; with
    /// contents `content:decrypt` and a purpose.
    pub async fn export(&self, caller: &Caller, project: &Project, request: ExportRequest) -> Result<Export, ReadError> {
        let mut reading = Reading::new(caller, project, "audit_bundle", "", &request.opening);
        reading.action = "audit.export";
        reading.filter = request.claim(&self.inner.desk.rules.for_question(project));
        let asked = reading.authorise(self).and_then(|()| Asked::read(&request, reading.filter.clone()));
        let number = self.inner.registry.number_of(project.id).ok_or(ReadError::NotFound("project"));
        let place = self.place_of_export(caller, project);
        let ready = asked.and_then(|asked| Ok((asked, number?, place?)));
        let (asked, number, place) = match ready {
            Ok(ready) => ready,
            Err(error) => {
                // As with every read, a stranger's project learns nothing.
                if error != ReadError::NotFound("project") {
                    self.record(vec![reading.refusal(&error)]).await?;
                }
                return Err(error);
            }
        };
        let journal = Journal::begin(self, Arc::new(reading), request.details()).await?;
        if caller.has(Scope::AuditAdmin)
            && let Err(error) = self.seal(caller, project).await
        {
            tracing::warn!(%error, "nothing was sealed before an export; the newest checkpoint is taken");
        }
        let flag = Arc::<AtomicBool>::default();
        let gone = Gone(Arc::clone(&flag));
        let (ledger, project) = (self.clone(), project.clone());
        let task = tokio::task::spawn_blocking(move || make_ready(&ledger, &project, journal, &asked, number, place, &flag));
        let made = task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "an export panicked");
            Err(ReadError::Unavailable("the export failed".to_owned()))
        });
        drop(gone);
        made
    }

    /// A place among the exports that somebody waits for.
    fn place_of_export(&self, caller: &Caller, project: &Project) -> Result<Place, ReadError> {
        let place = self.inner.index.exports.take(project.organization_id, caller.known_by());
        place.ok_or_else(|| ReadError::Unavailable("too many exports are under way; try again later".to_owned()))
    }
}

fn make_ready(
    ledger: &Ledger,
    project: &Project,
    mut journal: Journal,
    asked: &Asked,
    number: i64,
    place: Place,
    gone: &AtomicBool,
) -> Result<Export, ReadError> {
    let read = || {
        foundation::await_witnesses(ledger, number)?;
        let foundation = foundation::read(ledger, number, project, asked)?;
        let survey = survey::survey(&journal, number, &foundation, asked, gone)?;
        Ok((foundation, survey))
    };
    let (foundation, survey) = match read() {
        Ok(read) => read,
        Err(error) => {
            journal.fail(&error);
            return Err(error);
        }
    };
    let manifest = survey.manifest(project, &foundation, asked);
    let manifest_bytes = manifest.to_bytes();
    let bytes = survey.tar_bytes(&foundation, &manifest_bytes);
    journal.describe(&manifest);
    Ok(Export { journal, foundation, survey, manifest, manifest_bytes, bytes, number, content: asked.content, _place: place })
}

/// What could not be read, for who asked; the log of the server has the rest.
fn unreadable(error: &dyn std::fmt::Display) -> ReadError {
    tracing::error!(%error, "an export could not be read");
    ReadError::Unavailable("the store cannot be read now".to_owned())
}

/// The ledger is not what was signed, or not what it was a moment ago.
fn not_as_signed(sequence: u64) -> ReadError {
    ReadError::Unavailable(format!("the entries from sequence {sequence} on are not those that were signed: run `indelible verify`"))
}
