//! The file of a job as it is written: it stops where it is to, and where the disk has no room for more of it.
//!
//! Once all of it is on the disk, so is the job as it will be; then its end is recorded, and then it is done. What was killed in between is told
//! of at the next start.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::digest::{Context, SHA256};
use indelible_core::chain::Hash;
use indelible_core::extract::{Format, Head, Lines, Manifest, Written};
use indelible_core::hex;
use uuid::Uuid;

use super::super::extract::{Extract, Record, Take, Writing};
use super::super::write::Keep;
use super::super::{Export, ExportError, Sent};
use super::{Job, Shared, State, document};
use crate::query::ReadError;

/// How often it is looked whether the disk has room, bytes.
const LOOK_BYTES: u64 = 16 * 1024 * 1024;
/// Written at once, bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// The file of a job that is to be made.
#[derive(Clone)]
pub(super) struct NewFile {
    pub(super) shared: Arc<Shared>,
    pub(super) id: Uuid,
    /// Raised where it is to stop.
    pub(super) gone: Arc<AtomicBool>,
}

/// What was made.
struct Made {
    entries: u64,
    bytes: u64,
    /// Events that the checkpoint does not cover.
    events_after: u64,
    sha256: Hash,
    /// As JSON.
    manifest: Vec<u8>,
}

impl NewFile {
    /// Takes note of how far it is.
    pub(super) fn tell(&self, note: impl FnOnce(&mut Job)) {
        if let Some(held) = self.shared.all().get_mut(&self.id) {
            note(&mut held.job);
        }
    }

    /// Why it was not made, as the job says it.
    pub(super) fn because(&self, error: ExportError) -> String {
        match error {
            _ if self.shared.stopping.load(Ordering::Relaxed) => "the server stopped before it was done".to_owned(),
            ExportError::Sink(error) => format!("the file cannot be written: {error}"),
            ExportError::Read(ReadError::Append(_)) => "it could not be recorded".to_owned(),
            ExportError::Read(error) => error.to_string(),
        }
    }

    /// Writes events by lines; the job as it is then.
    pub(super) fn lines(&self, extract: Extract, format: Format) -> Result<Job, String> {
        let (head, events_after) = (extract.head().clone(), extract.events_after());
        self.tell(|job| job.rows_all = Some(head.last_sequence - head.first_sequence + 1));
        let created = match self.create(0) {
            Ok(created) => created,
            Err(reason) => {
                extract.give_up(&reason);
                return Err(reason);
            }
        };
        let mut out = BufWriter::with_capacity(PIECE_BYTES, created);
        let mut watch = Watch { file: self, looked: 0 };
        let mut progress = |_: &mut BufWriter<File>, written: Written| {
            self.tell(|job| (job.entries, job.bytes) = (written.entries, written.bytes));
            watch.look(written.bytes)
        };
        let writing = Writing::new(Lines::new(format.clone()), &mut out, &mut progress);
        let mut kept = KeptLines { file: self, writing, head, format, events_after, job: None };
        extract.write(&mut kept, &self.gone).map_err(|error| self.because(error))?;
        kept.job.ok_or_else(|| "the file was not made".to_owned())
    }

    /// Writes a bundle; the job as it is then.
    pub(super) fn bundle(&self, bundle: Export) -> Result<Job, String> {
        let created = match self.create(bundle.bytes()) {
            Ok(created) => created,
            Err(reason) => {
                bundle.give_up(&reason);
                return Err(reason);
            }
        };
        let (manifest, events_after) = (bundle.manifest().to_bytes(), bundle.events_after());
        let watch = Watch { file: self, looked: 0 };
        let digested = Digested { out: created, digest: Context::new(&SHA256), bytes: 0, watch };
        let out = BufWriter::with_capacity(PIECE_BYTES, digested);
        let mut kept = KeptBundle { file: self, out, manifest, events_after, job: None };
        bundle.write_to_keep(&mut kept).map_err(|error| self.because(error))?;
        kept.job.ok_or_else(|| "the file was not made".to_owned())
    }

    /// A new file, where there is room for so much.
    fn create(&self, bytes: u64) -> Result<File, String> {
        if !self.shared.has_room_for(bytes) {
            return Err("the disk has no room for the export".to_owned());
        }
        let path = document::file(&self.shared.folder, self.id);
        let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        made.map_err(|error| format!("the file cannot be made: {error}"))
    }

    /// All of it is written: puts it on the disk, and the job as it will be once its end is recorded.
    fn settle(&self, out: &File, made: &Made) -> io::Result<Job> {
        out.sync_data()?;
        let job = self.shared.all().get(&self.id).map(|held| held.job.clone());
        let mut job = job.ok_or_else(|| io::Error::other(STOPPED))?;
        job.state = State::Done;
        job.finished_at = Some(self.shared.ledger.inner.clock.now());
        (job.entries, job.bytes, job.events_after) = (made.entries, made.bytes, Some(made.events_after));
        job.rows = job.rows_all.unwrap_or(job.rows);
        job.sha256 = Some(hex::encode(&made.sha256));
        job.manifest = Some(String::from_utf8_lossy(&made.manifest).into_owned());
        self.shared.write(&job)?;
        Ok(job)
    }
}

/// Why what is stopped fails.
const STOPPED: &str = "it was stopped";

/// Lines that stay where they are written.
struct KeptLines<'a> {
    file: &'a NewFile,
    writing: Writing<'a, BufWriter<File>>,
    head: Head,
    format: Format,
    events_after: u64,
    /// Once all of it is there.
    job: Option<Job>,
}

impl Take for KeptLines<'_> {
    fn take(&mut self, records: &[Record]) -> io::Result<u64> {
        self.writing.take(records)
    }

    fn passed(&mut self, next: u64) {
        self.file.tell(|job| job.rows = next - self.head.first_sequence);
    }

    fn told(&self) -> Vec<(&'static str, String)> {
        self.writing.told()
    }

    fn stays(&self) -> bool {
        true
    }

    fn end(&mut self) -> io::Result<()> {
        self.writing.end()?;
        let (written, sha256) = (self.writing.lines().written(), self.writing.lines().sha256());
        let (head, format, mut file) = (self.head.clone(), self.format.clone(), String::new());
        self.file.tell(|job| file = job.file_name());
        let manifest = Manifest { head, format, file, written, sha256 }.to_bytes();
        let made = Made { entries: written.entries, bytes: written.bytes, events_after: self.events_after, sha256, manifest };
        self.job = Some(self.file.settle(self.writing.out().get_ref(), &made)?);
        Ok(())
    }
}

/// A bundle that stays where it is written.
struct KeptBundle<'a> {
    file: &'a NewFile,
    out: BufWriter<Digested<'a>>,
    manifest: Vec<u8>,
    events_after: u64,
    /// Once all of it is there.
    job: Option<Job>,
}

impl Write for KeptBundle<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Keep for KeptBundle<'_> {
    fn keep(&mut self, sent: &Sent) -> io::Result<Vec<(&'static str, String)>> {
        self.out.flush()?;
        let Digested { out, digest, bytes, .. } = self.out.get_ref();
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest.clone().finish().as_ref());
        let manifest = self.manifest.clone();
        let made = Made { entries: sent.entries, bytes: *bytes, events_after: self.events_after, sha256, manifest };
        self.job = Some(self.file.settle(out, &made)?);
        Ok(vec![("sha256", hex::encode(&sha256))])
    }
}

/// Looks, now and then, whether more is to be written.
struct Watch<'f> {
    file: &'f NewFile,
    /// At how many bytes it was looked whether the disk has room.
    looked: u64,
}

impl Watch<'_> {
    fn look(&mut self, bytes: u64) -> io::Result<()> {
        if self.file.gone.load(Ordering::Relaxed) {
            return Err(io::Error::other(STOPPED));
        }
        if bytes - self.looked >= LOOK_BYTES {
            self.looked = bytes;
            if !self.file.shared.has_room_for(0) {
                return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk has no room for the export"));
            }
        }
        Ok(())
    }
}

/// A file, and the digest of what is in it.
struct Digested<'f> {
    out: File,
    digest: Context,
    bytes: u64,
    watch: Watch<'f>,
}

impl Write for Digested<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.watch.look(self.bytes)?;
        let taken = self.out.write(bytes)?;
        self.digest.update(&bytes[..taken]);
        self.bytes += taken as u64;
        self.watch.file.tell(|job| job.bytes = self.bytes);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
