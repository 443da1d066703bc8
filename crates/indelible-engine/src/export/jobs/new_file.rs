//! The file of a job as it is written: it stops where it is to, and where the disk has no room for more of it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::digest::{Context, SHA256};
use indelible_core::chain::Hash;
use indelible_core::extract::{Format, Lines, Manifest, Written};
use uuid::Uuid;

use super::super::extract::{Extract, Writing};
use super::super::{Export, ExportError};
use super::{Job, Shared, document};
use crate::query::ReadError;

/// How often it is looked whether the disk has room, bytes.
const LOOK_BYTES: u64 = 16 * 1024 * 1024;
/// Written at once, bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// A file that was made.
pub(super) struct Made {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    /// Events that the checkpoint does not cover.
    pub(super) events_after: u64,
    pub(super) sha256: Hash,
    /// As JSON.
    pub(super) manifest: Vec<u8>,
}

/// The file of a job that is to be made.
#[derive(Clone)]
pub(super) struct NewFile {
    pub(super) shared: Arc<Shared>,
    pub(super) id: Uuid,
    /// Raised where it is to stop.
    pub(super) gone: Arc<AtomicBool>,
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

    /// Writes events by lines.
    pub(super) fn lines(&self, extract: Extract, format: Format) -> Result<Made, String> {
        let mut out = BufWriter::with_capacity(PIECE_BYTES, self.create()?);
        let (head, events_after) = (extract.head().clone(), extract.events_after());
        let mut watch = Watch { file: self, looked: 0 };
        self.tell(|job| job.rows_all = Some(head.last_sequence - head.first_sequence + 1));
        let mut progress = |_: &mut BufWriter<File>, written: Written| {
            self.tell(|job| {
                (job.entries, job.bytes) = (written.entries, written.bytes);
                job.rows = written.last_included.map_or(0, |last| last + 1 - head.first_sequence);
            });
            watch.look(written.bytes)
        };
        let mut writing = Writing::new(Lines::new(format.clone()), &mut out, &mut progress);
        let ended = extract.write(&mut writing, &self.gone);
        let lines = writing.into_lines();
        ended.map_err(|error| self.because(error))?;
        self.sync(out.get_ref())?;
        let mut file = String::new();
        self.tell(|job| file = job.file_name());
        let (written, sha256) = (lines.written(), lines.sha256());
        let manifest = Manifest { head, format, file, written, sha256 }.to_bytes();
        Ok(Made { entries: written.entries, bytes: written.bytes, events_after, sha256, manifest })
    }

    /// Writes a bundle.
    pub(super) fn bundle(&self, bundle: Export) -> Result<Made, String> {
        let watch = Watch { file: self, looked: 0 };
        let digested = Digested { out: self.create()?, digest: Context::new(&SHA256), bytes: 0, watch };
        let mut out = BufWriter::with_capacity(PIECE_BYTES, digested);
        let (manifest, events_after) = (bundle.manifest().to_bytes(), bundle.events_after());
        let sent = bundle.write(&mut out, &mut |_| {}).map_err(|error| self.because(error))?;
        // `write` has handed on everything that was held back.
        let Ok(Digested { out, digest, bytes, .. }) = out.into_inner() else { return Err("the file cannot be written".to_owned()) };
        self.sync(&out)?;
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest.finish().as_ref());
        Ok(Made { entries: sent.entries, bytes, events_after, sha256, manifest })
    }

    fn create(&self) -> Result<File, String> {
        let path = document::file(&self.shared.folder, self.id);
        let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        made.map_err(|error| format!("the file cannot be made: {error}"))
    }

    fn sync(&self, out: &File) -> Result<(), String> {
        out.sync_data().map_err(|error| self.because(ExportError::Sink(error)))
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
            return Err(io::Error::other("it is to stop"));
        }
        if bytes - self.looked >= LOOK_BYTES {
            self.looked = bytes;
            if !self.file.shared.has_room() {
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
