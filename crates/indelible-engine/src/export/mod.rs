//! Evidence bundles (`docs/bundle.md`): entries of a project with what proves them, as a tar, against the newest checkpoint that
//! was signed. Where the caller may, what is committed is sealed first; events after the checkpoint are left out.
//!
//! Two passes, because the manifest comes first and names the digest of every file: `survey` reads everything and keeps
//! digests, [`Export::write`] reads it again. Rows are never changed and trees only grow, so both read the same up to the
//! checkpoint; where they do not, the bundle is broken off before its end. No transaction is open while somebody reads slowly, nothing
//! goes to a file but where a job makes one, and memory does not grow with the entries of a range; a selection takes 24 bytes each.
//!
//! Recorded as `audit.export`: what is asked before anything is read (the intent), and how it ended, with what was sent, before the
//! last bytes leave (the outcome, with the same `operation_id`); one that is broken off, as far as it came.

mod ask;
mod begin;
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

pub use ask::ExportRequest;
use begin::Begun;
use foundation::Foundation;
use journal::Journal;
use survey::Survey;
pub use write::{ExportError, Sent};

use crate::access::Caller;
use crate::ledger::Ledger;
use crate::query::ReadError;
use crate::query::places::Place;
use crate::resource::Project;

/// What a bundle, and what events by lines, are called in what is recorded of them.
const BUNDLE: &str = "audit_bundle";
/// See [`BUNDLE`].
const EXTRACT: &str = "audit_extract";

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
    /// Given back at the end; none where it is made in the background.
    _place: Option<Place>,
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

    /// Records that nothing comes of it.
    fn give_up(mut self, reason: &str) {
        self.journal.break_off(reason.to_owned());
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
        let place = self.place_of_export(caller, project);
        let (begun, place) = self.begin_export(caller, project, &request, (BUNDLE, "bundle"), place).await?;
        let flag = Arc::<AtomicBool>::default();
        let gone = Gone(Arc::clone(&flag));
        let made = begun.bundle(Some(place), flag, |_, _| {}).await;
        drop(gone);
        made
    }
}

impl Begun {
    /// Seals where the caller may, and reads what is to be in the bundle; `progress` is told how many rows of how many were gone through. What is
    /// made in the background, one at a time, has no place among those that somebody waits for. Stops soon after `gone` is raised.
    async fn bundle(
        self,
        place: Option<Place>,
        gone: Arc<AtomicBool>,
        mut progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<Export, ReadError> {
        self.seal().await;
        begin::apart(move || self.survey(place, &gone, &mut progress)).await?
    }

    fn survey(self, place: Option<Place>, gone: &AtomicBool, progress: &mut dyn FnMut(u64, u64)) -> Result<Export, ReadError> {
        let Self { mut journal, asked, number } = self;
        let (ledger, reading) = (journal.ledger.clone(), Arc::clone(&journal.reading));
        let project = &reading.project;
        let mut read = || {
            foundation::await_witnesses(&ledger, number)?;
            let foundation = foundation::read(&ledger, number, project, &asked)?;
            let survey = survey::survey(&journal, number, &foundation, &asked, gone, progress)?;
            Ok((foundation, survey))
        };
        let (foundation, survey) = read().inspect_err(|error| journal.fail(error))?;
        let manifest = survey.manifest(project, &foundation, &asked);
        let manifest_bytes = manifest.to_bytes();
        let bytes = survey.tar_bytes(&foundation, &manifest_bytes);
        journal.describe(&manifest, &manifest_bytes);
        Ok(Export { journal, foundation, survey, manifest, manifest_bytes, bytes, number, content: asked.content, _place: place })
    }
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
