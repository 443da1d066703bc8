//! The contents of an export, a few at a time; of a bundle the stored bytes and the key of each, never opened here; on disk only where a job makes the bundle.

use indelible_core::bundle::{ContentPart, FileName};
use indelible_core::entry::Outline;
use indelible_core::hex;
use uuid::Uuid;

use super::unreadable;
use crate::ledger::Ledger;
use crate::query::ReadError;
use crate::query::open::{GONE, sealed};

/// Whether of contents whose events are appended at once, and that are held meanwhile, no more are taken: how many there are, and their bytes.
/// The first fits in any case.
pub(super) const fn are_enough(held: usize, bytes: usize) -> bool {
    held >= 256 || bytes >= 8 * 1024 * 1024
}

/// The content of one entry, as it goes into a bundle.
pub(super) struct Content {
    pub(super) sequence: u64,
    /// The event's id.
    pub(super) id: Uuid,
    /// `None` where it was destroyed: then there is no file.
    stored: Option<Vec<u8>>,
    /// 64 hex digits, or why there are none.
    key: Result<String, &'static str>,
}

impl Content {
    /// Of a row, if its entry has one.
    pub(super) fn read(ledger: &Ledger, row: i64, entry: &[u8]) -> Result<Option<Self>, ReadError> {
        let Some(outline) = Outline::read(entry).filter(|outline| outline.sealed.is_some()) else { return Ok(None) };
        let reader = ledger.inner.readers.get().map_err(|error| unreadable(&error))?;
        let read = sealed(&reader, &ledger.inner.data_keys, row, outline.organization_id).map_err(|error| unreadable(&error))?;
        let key = read.key.map(|key| hex::encode(key.bytes()));
        Ok(Some(Self { sequence: outline.sequence, id: outline.id, stored: read.stored, key }))
    }

    /// Why its key does not leave; `None` where it does, and whoever has the bundle can read the content.
    pub(super) fn withheld(&self) -> Option<&'static str> {
        if self.stored.is_none() { Some(GONE) } else { self.key.as_ref().err().copied() }
    }

    /// Its files, in the order of the tar.
    pub(super) fn files(&self) -> impl Iterator<Item = (FileName, &[u8])> {
        let stored = self.stored.as_deref();
        let sealed = stored.map(|stored| (FileName::Content(self.sequence, ContentPart::Sealed), stored));
        let key = self.key.as_ref().ok().filter(|_| stored.is_some());
        let key = key.map(|key| (FileName::Content(self.sequence, ContentPart::Key), key.as_bytes()));
        sealed.into_iter().chain(key)
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.stored.as_ref().map_or(0, Vec::len)
    }
}
