//! The second pass: the tar, into whatever takes bytes.
//!
//! What was read in the first pass is read again; entries that are not the same break the bundle off before its end, and a tar
//! without its end verifies nowhere. Keys of contents leave after their events are durable, the last bytes after the outcome is.

use std::io::{self, Write};
use std::sync::atomic::AtomicBool;

use aws_lc_rs::digest::{Context, SHA256};
use indelible_core::bundle::{FileName, tar};

use super::contents::{Content, are_enough};
use super::foundation::Foundation;
use super::journal::Journal;
use super::rows::{CHUNK_ROWS, Rows};
use super::survey::{Chosen, Folder, Survey};
use super::{Export, not_as_signed, unreadable};
use crate::query::ReadError;
use crate::store::sql::OptionalExtension;

/// Why an export ended whose reader went away.
pub(super) const NOT_READ: &str = "it was not read to its end";

/// What was handed on of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Entries.
    pub entries: u64,
    /// Contents with their keys.
    pub content_keys: u64,
    /// Bytes of the tar.
    pub bytes: u64,
}

/// Why a bundle was broken off.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It was not taken any more.
    #[error("the bundle cannot be written: {0}")]
    Sink(#[from] io::Error),
    /// It could not be read, or not be recorded.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<crate::append::AppendError> for ExportError {
    fn from(error: crate::append::AppendError) -> Self {
        Self::Read(error.into())
    }
}

/// The tar as it grows.
struct Tar<'a> {
    out: &'a mut dyn Write,
    journal: &'a mut Journal,
    progress: &'a mut dyn FnMut(u64),
}

impl Tar<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.journal.sent.bytes += bytes.len() as u64;
        (self.progress)(self.journal.sent.bytes);
        Ok(())
    }

    fn file(&mut self, file: FileName, bytes: &[u8]) -> io::Result<()> {
        self.put(&tar::header(file, bytes.len() as u64))?;
        self.put(bytes)?;
        self.pad(bytes.len() as u64)
    }

    fn pad(&mut self, bytes: u64) -> io::Result<()> {
        self.put(&[0; tar::BLOCK_BYTES][..tar::padding(bytes)])
    }
}

/// What takes a tar, and keeps it: nothing of it leaves before all of it is there, and that is recorded.
pub(super) trait Keep: Write {
    /// All of it is there: makes it durable; what is to be said of it in the record of the export.
    fn keep(&mut self, sent: &Sent) -> io::Result<Vec<(&'static str, String)>>;
}

impl Export {
    /// Writes the tar. `progress` is told how many bytes were handed on. Blocks; takes as long as `out` does.
    pub fn write(mut self, out: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> Result<Sent, ExportError> {
        let written = self.write_all(out, progress).and_then(|()| {
            // The outcome first: a bundle that is whole is on record.
            self.journal.sent.bytes += tar::END.len() as u64;
            self.journal.succeed()?;
            out.write_all(&tar::END)?;
            Ok(out.flush()?)
        });
        self.journal.end(&written, Some(NOT_READ));
        progress(self.journal.sent.bytes);
        written.map(|()| self.journal.sent)
    }

    /// The same into a file that is fetched later.
    pub(super) fn write_to_keep(mut self, out: &mut impl Keep) -> Result<(), ExportError> {
        let written = self.write_all(out, &mut |_| {}).and_then(|()| {
            out.write_all(&tar::END)?;
            self.journal.sent.bytes += tar::END.len() as u64;
            let told = out.keep(&self.journal.sent)?;
            self.journal.add(told);
            self.journal.conclude();
            Ok(())
        });
        self.journal.end(&written, None);
        written
    }

    fn write_all(&mut self, out: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> Result<(), ExportError> {
        let Self { journal, foundation, survey, manifest_bytes, bytes, number, content, .. } = self;
        let mut tar = Tar { out, journal, progress };
        tar.file(FileName::Manifest, manifest_bytes)?;
        for (file, bytes) in &foundation.files {
            tar.file(*file, bytes)?;
        }
        write_entries(&mut tar, foundation, survey, *number, *content)?;
        if let Some(folder) = &survey.proofs {
            write_proofs(&mut tar, foundation, &survey.chosen, *number, folder)?;
        }
        if let Some(folder) = &survey.contents {
            write_contents(&mut tar, &survey.chosen, *number, folder)?;
        }
        if tar.journal.sent.bytes + tar::END.len() as u64 != *bytes {
            return Err(not_as_signed(foundation.first).into());
        }
        Ok(())
    }
}

fn write_entries(tar: &mut Tar<'_>, foundation: &Foundation, survey: &Survey, number: i64, content: bool) -> Result<(), ExportError> {
    tar.put(&tar::header(FileName::Entries, survey.entries_bytes))?;
    let mut lines = Lines { digest: Context::new(&SHA256), left: survey.entries_bytes };
    if foundation.range_proof.is_some() && !content {
        let (ledger, reading) = (tar.journal.ledger.clone(), tar.journal.reading.clone());
        let mut rows = Rows::new((&ledger, &reading, number), foundation.head, None, (foundation.first, foundation.last));
        let here = AtomicBool::new(false);
        while let Some(chunk) = rows.chunk(&here)? {
            chunk.iter().try_for_each(|row| lines.put(tar, row.sequence, &row.entry))?;
        }
    } else {
        for chosen in survey.chosen.chunks(CHUNK_ROWS) {
            let entries = entries(tar, chosen, number)?;
            chosen.iter().zip(entries).try_for_each(|(chosen, entry)| lines.put(tar, chosen.sequence, &entry))?;
        }
    }
    if lines.left > 0 || lines.digest.finish().as_ref() != survey.entries_sha256 {
        return Err(not_as_signed(foundation.first).into());
    }
    Ok(tar.pad(survey.entries_bytes)?)
}

/// The file of entries as it goes: never longer than its header says.
struct Lines {
    digest: Context,
    left: u64,
}

impl Lines {
    fn put(&mut self, tar: &mut Tar<'_>, sequence: u64, entry: &[u8]) -> Result<(), ExportError> {
        let left = self.left.checked_sub(entry.len() as u64 + 1).ok_or_else(|| not_as_signed(sequence))?;
        self.left = left;
        self.digest.update(entry);
        self.digest.update(b"\n");
        tar.put(entry)?;
        tar.put(b"\n")?;
        tar.journal.sent.entries += 1;
        Ok(())
    }
}

/// A few remembered entries, read again.
fn entries(tar: &Tar<'_>, chosen: &[Chosen], number: i64) -> Result<Vec<Vec<u8>>, ReadError> {
    let reader = tar.journal.ledger.inner.readers.get().map_err(|error| unreadable(&error))?;
    let sql = "SELECT entry FROM events WHERE row = ?1 AND project = ?2";
    let mut select = reader.prepare(sql).map_err(|error| unreadable(&error))?;
    let mut read = |chosen: &Chosen| {
        let entry = select.query_row((chosen.row, number), |row| Ok(row.get_ref(0)?.as_bytes().unwrap_or_default().to_vec()));
        entry.optional().map_err(|error| unreadable(&error))?.ok_or_else(|| not_as_signed(chosen.sequence))
    };
    chosen.iter().map(&mut read).collect()
}

fn write_proofs(tar: &mut Tar<'_>, foundation: &Foundation, chosen: &[Chosen], number: i64, surveyed: &Folder) -> Result<(), ExportError> {
    let mut folder = Folder::new();
    for chosen in chosen.chunks(CHUNK_ROWS) {
        let proofs = foundation.proofs(&tar.journal.ledger, number, chosen.iter().map(|chosen| chosen.sequence))?;
        for proof in proofs {
            folder.add(FileName::Proof(proof.sequence), proof.text.as_bytes());
            tar.file(FileName::Proof(proof.sequence), proof.text.as_bytes())?;
        }
    }
    if folder.is(surveyed) { Ok(()) } else { Err(not_as_signed(foundation.first).into()) }
}

fn write_contents(tar: &mut Tar<'_>, chosen: &[Chosen], number: i64, surveyed: &Folder) -> Result<(), ExportError> {
    let (mut held, mut bytes, mut folder) = (Vec::new(), 0, Folder::new());
    for chosen in chosen.iter().filter(|chosen| chosen.sealed) {
        let entry = entries(tar, std::slice::from_ref(chosen), number)?.pop().unwrap_or_default();
        let Some(content) = Content::read(&tar.journal.ledger, chosen.row, &entry)? else { continue };
        content.files().for_each(|(file, bytes)| folder.add(file, bytes));
        bytes += content.bytes();
        held.push(content);
        if are_enough(held.len(), bytes) {
            hand_over(tar, &std::mem::take(&mut held))?;
            bytes = 0;
        }
    }
    hand_over(tar, &held)?;
    if folder.is(surveyed) {
        Ok(())
    } else {
        Err(ReadError::Unavailable("contents changed while the bundle was made: ask for it again".to_owned()).into())
    }
}

/// Records each content, and only then lets them go.
fn hand_over(tar: &mut Tar<'_>, contents: &[Content]) -> Result<(), ExportError> {
    if contents.is_empty() {
        return Ok(());
    }
    let reading = &tar.journal.reading;
    let events = contents.iter().map(|content| reading.decrypt(content.id, content.withheld())).collect();
    tar.journal.record(events)?;
    for content in contents {
        content.files().try_for_each(|(file, bytes)| tar.file(file, bytes))?;
        tar.journal.sent.content_keys += u64::from(content.withheld().is_none());
    }
    Ok(())
}
