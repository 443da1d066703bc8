//! Extracts (`docs/export.md`): events of a project as records, by sequence, in one pass, up to the newest checkpoint that was signed.
//!
//! Recorded as a bundle is: what is asked before anything is read, each content before it leaves, and how it ended before the last records
//! leave. A range without a filter is held against the checkpoint as it is read; one that does not lead there is broken off.

mod writing;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use indelible_core::bundle::FileName;
use indelible_core::extract::Head;
use indelible_core::proof::RangeCheck;
use indelible_core::tree::leaf_hash;

use super::ask::{Asked, ExportRequest};
use super::begin::{self, Begun};
use super::contents::are_enough;
use super::foundation::{self, Foundation};
use super::journal::Journal;
use super::rows::Rows;
use super::write::{ExportError, NOT_READ};
use super::{EXTRACT, not_as_signed, unreadable};
use crate::access::Caller;
use crate::ledger::Ledger;
use crate::query::ReadError;
use crate::query::open::{Opened, open};
use crate::query::places::Place;
use crate::query::scan::Found;
use crate::resource::Project;
pub use writing::{Take, Writing};

/// A record with its sequence.
pub type Record = (u64, Vec<u8>);

/// An extract that is ready to be written. One that is dropped unwritten is recorded as broken off.
pub struct Extract {
    journal: Journal,
    foundation: Foundation,
    head: Head,
    asked: Asked,
    number: i64,
    _place: Option<Place>,
}

impl Ledger {
    /// Makes an extract ready: records the intent, seals where the caller has `audit:admin`. Needs `audit:read`; with contents
    /// `content:decrypt` and a purpose. `form` says in the record what it is for; `since` has no meaning here.
    pub async fn extract(
        &self,
        caller: &Caller,
        project: &Project,
        request: ExportRequest,
        form: &'static str,
    ) -> Result<Extract, ReadError> {
        let place = self.place_of_export(caller, project);
        let (begun, place) = self.begin_export(caller, project, &request, (EXTRACT, form), place).await?;
        begun.extract(Some(place)).await
    }
}

impl Begun {
    /// Seals where the caller may, and takes the newest checkpoint. See [`Begun::bundle`] for `place`.
    pub(super) async fn extract(self, place: Option<Place>) -> Result<Extract, ReadError> {
        self.seal().await;
        begin::apart(move || {
            let Self { mut journal, asked, number } = self;
            let (ledger, reading) = (journal.ledger.clone(), Arc::clone(&journal.reading));
            let project = &reading.project;
            let read = foundation::await_witnesses(&ledger, number).and_then(|()| foundation::read(&ledger, number, project, &asked));
            let foundation = read.inspect_err(|error| journal.fail(error))?;
            let head = head(project, &foundation, &asked);
            journal.describe_extract(&head);
            Ok(Extract { journal, foundation, head, asked, number, _place: place })
        })
        .await?
    }
}

/// What is known before the first record.
fn head(project: &Project, foundation: &Foundation, asked: &Asked) -> Head {
    let file = |wanted| foundation.files.iter().find(|(file, _)| *file == wanted).map(|(_, bytes)| String::from_utf8_lossy(bytes));
    Head {
        organization_id: project.organization_id,
        project_id: project.id,
        origin: foundation.origin.clone(),
        filter: asked.claim.clone(),
        first_sequence: foundation.first,
        last_sequence: foundation.last,
        tree_size: foundation.tree.size,
        content_included: asked.content,
        checkpoint: foundation.note.to_string(),
        verifier_keys: file(FileName::VerifierKeys).unwrap_or_default().lines().map(str::to_owned).collect(),
        range_proof: foundation.range_proof.as_ref().map(ToString::to_string),
    }
}

impl Extract {
    /// What is known of it before its first record.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// Events of the project after the checkpoint, which are not in it.
    pub const fn events_after(&self) -> u64 {
        self.foundation.events_after
    }

    /// Records that nothing comes of it.
    pub(super) fn give_up(mut self, reason: &str) {
        self.journal.break_off(reason.to_owned());
    }

    /// Hands all records to `take`; how many. Blocks; takes as long as `take` does, and stops soon after `gone` is raised.
    pub fn write(mut self, take: &mut dyn Take, gone: &AtomicBool) -> Result<u64, ExportError> {
        let written = self.write_all(take, gone);
        self.journal.end(&written, (!take.stays()).then_some(NOT_READ));
        written.map(|()| self.journal.sent.entries)
    }

    fn write_all(&mut self, take: &mut dyn Take, gone: &AtomicBool) -> Result<(), ExportError> {
        let mut check = self.foundation.range_proof.as_ref().map(indelible_core::proof::RangeProof::check);
        let (ledger, reading, filter) = (self.journal.ledger.clone(), Arc::clone(&self.journal.reading), self.asked.filter.take());
        let range = (self.foundation.first, self.foundation.last);
        let mut rows = Rows::new((&ledger, &reading, self.number), self.foundation.head, filter.as_ref(), range);
        while let Some(chunk) = rows.chunk(gone)? {
            if let Some(check) = &mut check {
                hold_against(check, &chunk)?;
            }
            if self.asked.content {
                self.opened(&chunk, take)?;
            } else {
                self.plain(&chunk, take)?;
            }
            take.passed(rows.next());
        }
        if check.is_some_and(|check| check.root() != Some(self.foundation.tree.root)) {
            return Err(not_as_signed(self.foundation.first).into());
        }
        self.journal.add(take.told());
        if take.stays() {
            take.end()?;
            self.journal.conclude();
            Ok(())
        } else {
            self.journal.succeed()?;
            Ok(take.end()?)
        }
    }

    fn plain(&mut self, chunk: &[Found], take: &mut dyn Take) -> Result<(), ExportError> {
        let records: Vec<Record> = chunk.iter().map(|row| (row.sequence, crate::query::open::record(row, &Opened::None))).collect();
        self.hand_over(&records, take)
    }

    /// Opens contents, a few at a time; each is recorded before it leaves.
    fn opened(&mut self, chunk: &[Found], take: &mut dyn Take) -> Result<(), ExportError> {
        let (mut records, mut bytes, mut events) = (Vec::new(), 0, Vec::new());
        for row in chunk {
            let opened = {
                let reader = self.journal.ledger.inner.readers.get().map_err(|error| unreadable(&error))?;
                open(&reader, &self.journal.ledger.inner.desk.data_keys, row).map_err(|error| unreadable(&error))?
            };
            match &opened {
                Opened::None => {}
                Opened::Content(_) => events.push(self.journal.reading.decrypt(row.id(), None)),
                Opened::Failed(reason) => events.push(self.journal.reading.decrypt(row.id(), Some(reason))),
            }
            let record = crate::query::open::record(row, &opened);
            bytes += record.len();
            records.push((row.sequence, record));
            if are_enough(events.len(), bytes) {
                self.told_of(std::mem::take(&mut events))?;
                self.hand_over(&std::mem::take(&mut records), take)?;
                bytes = 0;
            }
        }
        self.told_of(events)?;
        self.hand_over(&records, take)
    }

    fn told_of(&mut self, events: Vec<crate::append::EngineEvent>) -> Result<(), ExportError> {
        if events.is_empty() {
            return Ok(());
        }
        self.journal.sent.content_keys += events.iter().filter(|event| event.outcome == "allow").count() as u64;
        Ok(self.journal.record(events)?)
    }

    fn hand_over(&mut self, records: &[Record], take: &mut dyn Take) -> Result<(), ExportError> {
        self.journal.sent.bytes += take.take(records)?;
        self.journal.sent.entries += records.len() as u64;
        Ok(())
    }
}

fn hold_against(check: &mut RangeCheck, chunk: &[Found]) -> Result<(), ReadError> {
    for row in chunk {
        if check.next() != row.sequence || !check.push(leaf_hash(&row.entry)) {
            return Err(not_as_signed(check.next()));
        }
    }
    Ok(())
}
