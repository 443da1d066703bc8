//! Making what was asked for, one after the other; and clearing away what is past its time, or whose project is gone.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use uuid::Uuid;

use super::super::ExportError;
use super::super::begin::{Begun, Panicked, apart};
use super::document::{self, Job, State};
use super::new_file::NewFile;
use super::{FREE_SPARE_BYTES, Form, KEPT_MICROS, STOPS, SWEEP_EVERY, Shared};
use crate::query::ReadError;

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
        let Some((id, begun, gone)) = next else {
            drop(busy);
            // Whoever asks rings; a job that nobody rang for is found at the next turn of the clock.
            let _ = tokio::time::timeout(SWEEP_EVERY, shared.bell.notified()).await;
            continue;
        };
        let told = begun.0.journal.told();
        let made = make(&shared, id, begun, gone).await;
        over(&shared, id, made, told.load(Ordering::Relaxed)).await;
        drop(busy);
    }
}

/// Clears away, and records what is not on record yet, until the server ends.
pub(super) async fn sweep(shared: Weak<Shared>) {
    loop {
        let Some(shared) = shared.upgrade() else { return };
        if shared.stopping.load(Ordering::Relaxed) {
            return;
        }
        let now = shared.ledger.inner.clock.now();
        let all: Vec<_> = shared.all().values().map(|held| held.job.clone()).collect();
        for job in all {
            if shared.ledger.is_deleted(job.project_id) {
                shared.remove(job.id, "the project was deleted").await;
            } else if job.finished_at.is_some_and(|end| end.saturating_add_micros(KEPT_MICROS) <= now) {
                shared.remove(job.id, "its time is up").await;
            }
        }
        tell_late(&shared).await;
        drop(shared);
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

/// Records how jobs ended of which that may not be on record.
async fn tell_late(shared: &Arc<Shared>) {
    let untold: Vec<_> =
        shared.all().values().filter(|held| held.job.state.is_over() && !held.job.told).map(|held| held.job.clone()).collect();
    for job in untold {
        let of = Arc::clone(shared);
        // One that panicked is told of, and tried again.
        let _ = apart(move || of.tell_late(job)).await;
    }
}

/// What is left when the server ends is failed, and how every job ended is recorded.
pub(super) async fn give_up(shared: &Arc<Shared>) {
    let left: Vec<_> = shared.all().values().filter(|held| !held.job.state.is_over()).map(|held| held.job.id).collect();
    for id in left {
        let begun = shared.all().get_mut(&id).and_then(|held| held.begun.take());
        let Some((begun, _)) = begun else { continue };
        let told = begun.give_up(STOPS.to_owned()).await;
        over(shared, id, Err("the server stopped before it was done".to_owned()), told).await;
    }
    tell_late(shared).await;
}

async fn over(shared: &Arc<Shared>, id: Uuid, made: Result<Job, String>, told: bool) {
    let of = Arc::clone(shared);
    // One that panicked is told of; the next start takes it up.
    let _ = apart(move || of.over(id, made, told)).await;
}

impl Shared {
    /// Whether the disk has room for so much more of an export.
    pub(super) fn has_room_for(&self, bytes: u64) -> bool {
        let kept = self.ledger.inner.disk_reserve_bytes.saturating_add(FREE_SPARE_BYTES);
        free_bytes(&self.folder) >= kept.saturating_add(bytes)
    }

    /// The job whose turn it is.
    fn next(&self) -> Option<(Uuid, (Begun, Form), Arc<AtomicBool>)> {
        let mut all = self.all();
        let held = all.values_mut().filter(|held| held.begun.is_some()).min_by_key(|held| (held.job.created_at, held.job.id))?;
        held.job.state = State::Running;
        Some((held.job.id, held.begun.take()?, Arc::clone(&held.gone)))
    }

    /// Takes note of how it ended, and whether that is on record; otherwise the next sweep sees to that. Blocks.
    fn over(&self, id: Uuid, made: Result<Job, String>, told: bool) {
        let job = {
            let mut all = self.all();
            all.get_mut(&id).map(|held| {
                match made {
                    Ok(job) => held.job = job,
                    Err(reason) => {
                        held.job.finished_at = Some(self.ledger.inner.clock.now());
                        (held.job.state, held.job.reason) = (State::Failed, Some(reason));
                        (held.job.entries, held.job.bytes) = (0, 0);
                    }
                }
                held.job.told = told;
                held.job.clone()
            })
        };
        // It may have been removed meanwhile.
        let Some(job) = job else { return document::remove(&self.folder, id) };
        if job.state == State::Failed {
            let _ = std::fs::remove_file(document::file(&self.folder, id));
        }
        self.write(&job);
    }

    /// Writes what is known of a job, unless it was removed meanwhile.
    fn write(&self, job: &Job) {
        if let Err(error) = document::write(&self.folder, job) {
            tracing::error!(%error, "an export job could not be written");
        }
        if !self.all().contains_key(&job.id) {
            document::remove(&self.folder, job.id);
        }
    }

    /// Records how a job ended, where that may not be on record. Blocks.
    fn tell_late(&self, mut job: Job) {
        if !self.ledger.told_late(&job) {
            return;
        }
        job.told = true;
        if let Some(held) = self.all().get_mut(&job.id) {
            held.job.told = true;
        }
        self.write(&job);
    }

    /// Stops a job and removes it.
    pub(super) async fn remove(self: &Arc<Self>, id: Uuid, why: &str) {
        let Some(mut held) = self.all().remove(&id) else { return };
        held.gone.store(true, Ordering::Relaxed);
        if let Some((begun, _)) = held.begun.take() {
            begun.give_up(why.to_owned()).await;
        }
        let shared = Arc::clone(self);
        // A large file takes its time to go. One that panicked is told of.
        let _ = apart(move || document::remove(&shared.folder, id)).await;
    }
}

async fn make(shared: &Arc<Shared>, id: Uuid, (begun, form): (Begun, Form), gone: Arc<AtomicBool>) -> Result<Job, String> {
    let begun = still_allowed(shared, begun).await?;
    let file = NewFile { shared: Arc::clone(shared), id, gone };
    let failed = |_: Panicked| "the export failed".to_owned();
    let unready = |error: ReadError| file.because(ExportError::Read(error));
    match form {
        Form::Lines(format) => {
            let extract = begun.extract(None).await.map_err(unready)?;
            apart(move || file.lines(extract, format)).await.map_err(failed)?
        }
        Form::Bundle => {
            let progress = file.clone();
            let told = move |rows, all| progress.tell(|job| (job.rows, job.rows_all) = (rows, Some(all)));
            let bundle = begun.bundle(None, Arc::clone(&file.gone), told).await.map_err(unready)?;
            apart(move || file.bundle(bundle)).await.map_err(failed)?
        }
    }
}

/// What the key allows may have changed while the job waited.
async fn still_allowed(shared: &Shared, begun: Begun) -> Result<Begun, String> {
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
            begun.give_up(reason.clone()).await;
            Err(reason)
        }
    }
}
