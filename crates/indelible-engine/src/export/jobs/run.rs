//! Making what was asked for, one after the other; and clearing away what is past its time, or whose project is gone.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use indelible_core::extract::{Format, Lines, Manifest, Written};
use uuid::Uuid;

use super::super::ExportError;
use super::super::extract::{Begun, Extract, Writing};
use super::document::{self, State};
use super::{FREE_SPARE_BYTES, KEPT_MICROS, SWEEP_EVERY, Shared};
use crate::query::ReadError;

/// How often it is looked whether the disk has room, bytes.
const LOOK_BYTES: u64 = 16 * 1024 * 1024;

/// What is free on the disk of a folder, which need not be there yet.
fn free_bytes(folder: &Path) -> u64 {
    let stat = rustix::fs::statvfs(folder).or_else(|_| rustix::fs::statvfs(folder.parent().unwrap_or(folder)));
    stat.map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Makes jobs until the server ends.
pub(super) async fn run(shared: Weak<Shared>) {
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let busy = shared.busy.lock().await;
        if shared.stopping.load(Ordering::Relaxed) {
            return;
        }
        let next = shared.next();
        let Some((id, begun, format, gone)) = next else {
            drop(busy);
            // Whoever asks rings; a job that nobody rang for is found at the next turn of the clock.
            let _ = tokio::time::timeout(SWEEP_EVERY, shared.bell.notified()).await;
            continue;
        };
        let made = make(&shared, id, begun, format, gone).await;
        shared.over(id, made);
        drop(busy);
    }
}

/// Clears away, until the server ends.
pub(super) async fn sweep(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.stopping.load(Ordering::Relaxed) {
            return;
        }
        let now = shared.ledger.inner.clock.now();
        let all: Vec<_> = shared.all().values().map(|held| held.job.clone()).collect();
        for job in all {
            if shared.ledger.is_deleted(job.project_id) {
                shared.remove(job.id, "the project was deleted");
            } else if job.finished_at.is_some_and(|end| end.saturating_add_micros(KEPT_MICROS) <= now) {
                shared.remove(job.id, "its time is up");
            }
        }
    }
}

/// What is left when the server ends is failed.
pub(super) fn give_up(shared: &Shared) {
    let left: Vec<_> = shared.all().values().filter(|held| !held.job.state.is_over()).map(|held| held.job.id).collect();
    for id in left {
        let begun = shared.all().get_mut(&id).and_then(|held| held.begun.take());
        if let Some(mut begun) = begun {
            begun.journal.left("the server stops");
        }
        shared.over(id, Err("the server stopped before it was done".to_owned()));
    }
}

impl Shared {
    /// Whether the disk has room for more of an export.
    pub(super) fn has_room(&self) -> bool {
        free_bytes(&self.folder) >= self.ledger.inner.disk_reserve_bytes.saturating_add(FREE_SPARE_BYTES)
    }

    /// The job whose turn it is.
    fn next(&self) -> Option<(Uuid, Begun, Format, Arc<AtomicBool>)> {
        let mut all = self.all();
        let held = all.values_mut().filter(|held| held.begun.is_some()).min_by_key(|held| (held.job.created_at, held.job.id))?;
        held.job.state = State::Running;
        Some((held.job.id, held.begun.take()?, held.format.clone(), Arc::clone(&held.gone)))
    }

    /// Takes note of how it ended.
    fn over(&self, id: Uuid, made: Result<Manifest, String>) {
        let now = self.ledger.inner.clock.now();
        let mut all = self.all();
        let Some(held) = all.get_mut(&id) else {
            // It was removed meanwhile.
            document::remove(&self.folder, id);
            return;
        };
        held.job.finished_at = Some(now);
        match made {
            Ok(manifest) => {
                held.job.state = State::Done;
                (held.job.entries, held.job.bytes) = (manifest.written.entries, manifest.written.bytes);
                held.job.rows = held.job.rows_all.unwrap_or(held.job.rows);
                held.job.manifest = Some(String::from_utf8_lossy(&manifest.to_bytes()).into_owned());
            }
            Err(reason) => {
                (held.job.state, held.job.reason) = (State::Failed, Some(reason));
                (held.job.entries, held.job.bytes) = (0, 0);
                let _ = std::fs::remove_file(document::file(&self.folder, id));
            }
        }
        if let Err(error) = document::write(&self.folder, &held.job) {
            tracing::error!(%error, "an export job could not be written");
        }
    }

    /// Stops a job and removes it.
    pub(super) fn remove(&self, id: Uuid, why: &str) {
        let Some(mut held) = self.all().remove(&id) else { return };
        held.gone.store(true, Ordering::Relaxed);
        if let Some(mut begun) = held.begun.take() {
            begun.journal.left(why);
        }
        document::remove(&self.folder, id);
    }
}

async fn make(shared: &Arc<Shared>, id: Uuid, begun: Begun, format: Format, gone: Arc<AtomicBool>) -> Result<Manifest, String> {
    let begun = still_allowed(shared, begun).await?;
    let extract = begun.ready(None).await.map_err(|error| error.to_string())?;
    let head = extract.head();
    let (first, all) = (head.first_sequence, head.last_sequence - head.first_sequence + 1);
    if let Some(held) = shared.all().get_mut(&id) {
        held.job.rows_all = Some(all);
    }
    let shared = Arc::clone(shared);
    let name = shared.all().get(&id).map(|held| held.job.file_name()).unwrap_or_default();
    let task = tokio::task::spawn_blocking(move || write(&shared, id, extract, format, (first, name), &gone));
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "an export panicked");
        Err("the export failed".to_owned())
    })
}

/// What the key allows may have changed while the job waited.
async fn still_allowed(shared: &Shared, mut begun: Begun) -> Result<Begun, String> {
    let (ledger, reading) = (&shared.ledger, Arc::clone(&begun.journal.reading));
    let looked = ledger.inner.sharing.look().await.map_err(|error| error.to_string());
    let allowed = looked.and_then(|()| {
        let caller = ledger.again(&reading.caller).map_err(|_| "the key does not allow it any more".to_owned())?;
        let reading = crate::query::reading::Reading { caller, ..crate::query::reading::Reading::clone(&reading) };
        reading.authorise(ledger).map_err(|_| "the key does not allow it any more".to_owned())
    });
    match allowed {
        Ok(()) => Ok(begun),
        Err(reason) => {
            begun.journal.left(&reason);
            Err(reason)
        }
    }
}

fn write(
    shared: &Shared,
    id: Uuid,
    extract: Extract,
    format: Format,
    (first, name): (u64, String),
    gone: &AtomicBool,
) -> Result<Manifest, String> {
    let path = document::file(&shared.folder, id);
    let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    let mut out = BufWriter::with_capacity(256 * 1024, made.map_err(|error| format!("the file cannot be made: {error}"))?);
    let (head, mut looked) = (extract.head().clone(), 0);
    let mut progress = |_: &mut BufWriter<File>, written: Written| -> io::Result<()> {
        if gone.load(Ordering::Relaxed) {
            return Err(io::Error::other("it is to stop"));
        }
        if written.bytes - looked >= LOOK_BYTES {
            looked = written.bytes;
            if !shared.has_room() {
                return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk has no room for the export"));
            }
        }
        if let Some(held) = shared.all().get_mut(&id) {
            (held.job.entries, held.job.bytes) = (written.entries, written.bytes);
            held.job.rows = written.last_included.map_or(0, |last| last + 1 - first);
        }
        Ok(())
    };
    let mut writing = Writing::new(Lines::new(format.clone()), &mut out, &mut progress);
    let ended = extract.write(&mut writing, gone);
    let lines = writing.into_lines();
    ended.map_err(|error| match error {
        _ if shared.stopping.load(Ordering::Relaxed) => "the server stopped before it was done".to_owned(),
        ExportError::Sink(error) => format!("the file cannot be written: {error}"),
        ExportError::Read(ReadError::Append(_)) => "it could not be recorded".to_owned(),
        ExportError::Read(error) => error.to_string(),
    })?;
    let synced = out.flush().and_then(|()| out.get_ref().sync_data());
    synced.map_err(|error| format!("the file cannot be written: {error}"))?;
    Ok(Manifest { head, format, file: name, written: lines.written(), sha256: lines.sha256() })
}
