//! Fetching the file of a job, whole or a part of it. Each time is an export of its own: recorded before the first byte, and with what was sent
//! before the last ones.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write};
use std::ops::Range;
use std::sync::Arc;

use uuid::Uuid;

use super::super::journal::Journal;
use super::document;
use super::{Job, JobError, Jobs};
use crate::access::{Caller, Scope};
use crate::export::ExportError;
use crate::export::write::NOT_READ;
use crate::query::ReadError;
use crate::query::places::Place;

/// Read at once, bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// A file that is ready to be sent. One that is dropped unsent is recorded as broken off.
pub struct Fetch {
    journal: Journal,
    file: File,
    job: Job,
    range: Range<u64>,
    _place: Place,
}

/// What is asked of the file once its size is known: which bytes; `None` where there are no such bytes.
pub type Wanted<'w> = &'w (dyn Fn(&Job) -> Option<Range<u64>> + Sync);

impl Jobs {
    /// Opens the file of a job that is done; `Ok(Err(_))` gives the job back where it has no such bytes. Needs `audit:read`; with contents the
    /// key that asked for it, and `content:decrypt`.
    pub async fn fetch(&self, caller: &Caller, id: Uuid, wanted: Wanted<'_>) -> Result<Result<Fetch, Job>, JobError> {
        let ledger = &self.0.ledger;
        let job = self.find(caller, id, "audit.export").await?;
        let reading = self.reading(caller, &job)?;
        let own = !job.content || (job.made_by.is_some() && job.made_by == caller.known_by());
        let refused = if job.content && !caller.has(Scope::ContentDecrypt) {
            Some(ReadError::Forbidden(Scope::ContentDecrypt.as_str().to_owned()))
        } else if !own {
            Some(ReadError::Forbidden("what the key has that asked for the contents".to_owned()))
        } else if ledger.is_deleted(job.project_id) {
            Some(ReadError::Deleted)
        } else {
            None
        };
        if let Some(error) = refused {
            ledger.record(vec![reading.refusal(&error)]).await?;
            return Err(error.into());
        }
        let opened = if job.sha256.is_some() { File::open(document::file(&self.0.folder, id)).ok() } else { None };
        let Some(file) = opened else {
            let reason = format!("the export is {}: it has no file", job.state.as_str());
            ledger.record(vec![reading.event("error", 0, Some(reason.clone()))]).await?;
            return Err(JobError::Conflict(reason));
        };
        let Some(range) = wanted(&job) else {
            let reason = "the file has no such bytes".to_owned();
            ledger.record(vec![reading.event("error", 0, Some(reason))]).await?;
            return Ok(Err(job));
        };
        let place = match self.place(caller, &job) {
            Ok(place) => place,
            Err(error) => {
                ledger.record(vec![reading.refusal(&error)]).await?;
                return Err(error.into());
            }
        };
        let details = vec![
            ("content", job.content.to_string()),
            ("first_byte", range.start.to_string()),
            ("last_byte", range.end.saturating_sub(1).to_string()),
        ];
        let journal = Journal::begin(ledger, Arc::new(reading), "job_file", details).await?;
        Ok(Ok(Fetch { journal, file, job, range, _place: place }))
    }

    fn place(&self, caller: &Caller, job: &Job) -> Result<Place, ReadError> {
        let inner = &self.0.ledger.inner;
        let project = inner.registry.project(job.project_id).ok_or(ReadError::NotFound("export job"))?;
        let place = inner.index.downloads.take(project.organization_id, caller.known_by());
        place.ok_or_else(|| ReadError::Unavailable("too many downloads are under way; try again later".to_owned()))
    }
}

impl Fetch {
    /// The job.
    pub const fn job(&self) -> &Job {
        &self.job
    }

    /// The bytes that are sent.
    pub const fn range(&self) -> &Range<u64> {
        &self.range
    }

    /// Sends them. Blocks; takes as long as `out` does.
    pub fn send(mut self, out: &mut dyn Write) -> Result<(), ExportError> {
        let sent = self.send_all(out);
        self.journal.end(&sent, Some(NOT_READ));
        sent
    }

    fn send_all(&mut self, out: &mut dyn Write) -> Result<(), ExportError> {
        self.file.seek(SeekFrom::Start(self.range.start))?;
        let (mut left, mut piece) = (self.range.end - self.range.start, vec![0; PIECE_BYTES]);
        loop {
            let some = PIECE_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.file.read_exact(&mut piece[..some])?;
            left -= some as u64;
            self.journal.sent.bytes += some as u64;
            if left == 0 {
                // The outcome first: what was sent whole is on record.
                let whole = self.range == (0..self.job.bytes);
                self.journal.sent.entries = if whole { self.job.entries } else { 0 };
                self.journal.succeed()?;
                out.write_all(&piece[..some])?;
                return Ok(out.flush()?);
            }
            out.write_all(&piece[..some])?;
        }
    }
}
