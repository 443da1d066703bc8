//! The part of the disk that is kept free, so that an investigation works when the disk is full.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a look at the free space holds.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How much may be written before the next look, bytes.
const LOOK_EVERY_BYTES: u64 = 64 * 1024 * 1024;

/// Watches the free space of the file system that holds the data folder.
pub(super) struct Disk {
    folder: PathBuf,
    reserve_bytes: u64,
    looked: Option<(Instant, u64)>,
    written_bytes: u64,
}

impl Disk {
    pub(super) const fn new(folder: PathBuf, reserve_bytes: u64) -> Self {
        Self { folder, reserve_bytes, looked: None, written_bytes: 0 }
    }

    /// Whether `bytes` more, and what they cost in the WAL, would take from the reserve.
    pub(super) fn is_short(&mut self, bytes: u64) -> bool {
        let stale = |(at, _): (Instant, u64)| at.elapsed() >= LOOK_EVERY;
        if self.looked.is_none_or(stale) || self.written_bytes >= LOOK_EVERY_BYTES {
            // Where the file system does not say, only its own errors count.
            let free = rustix::fs::statvfs(&self.folder).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
            self.looked = Some((Instant::now(), free));
            self.written_bytes = 0;
        }
        let free = self.looked.map_or(u64::MAX, |(_, free)| free);
        // Each byte is written to the WAL and, at the next checkpoint, to the database.
        free.saturating_sub(self.written_bytes.saturating_add(bytes).saturating_mul(2)) < self.reserve_bytes
    }

    pub(super) const fn wrote(&mut self, bytes: u64) {
        self.written_bytes = self.written_bytes.saturating_add(bytes);
    }
}
