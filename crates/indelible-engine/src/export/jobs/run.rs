//! Making what was asked for, one after the other; and clearing away what is past its time, or whose project is gone.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use indelible_core::hex;
use uuid::Uuid;

use super::super::ExportError;
use super::super::begin::Begun;
use super::document::{self, State};
use super::new_file::{Made, NewFile};
use super::{FREE_SPARE_BYTES, Form, KEPT_MICROS, SWEEP_EVERY, Shared};
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
        let made = make(&shared, id, begun, gone).await;
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
        if let Some((mut begun, _)) = begun {
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
    fn next(&self) -> Option<(Uuid, (Begun, Form), Arc<AtomicBool>)> {
        let mut all = self.all();
        let held = all.values_mut().filter(|held| held.begun.is_some()).min_by_key(|held| (held.job.created_at, held.job.id))?;
        held.job.state = State::Running;
        Some((held.job.id, held.begun.take()?, Arc::clone(&held.gone)))
    }

    /// Takes note of how it ended.
    fn over(&self, id: Uuid, made: Result<Made, String>) {
        let now = self.ledger.inner.clock.now();
        let mut all = self.all();
        let Some(held) = all.get_mut(&id) else {
            // It was removed meanwhile.
            document::remove(&self.folder, id);
            return;
        };
        held.job.finished_at = Some(now);
        match made {
            Ok(made) => {
                held.job.state = State::Done;
                (held.job.entries, held.job.bytes) = (made.entries, made.bytes);
                held.job.rows = held.job.rows_all.unwrap_or(held.job.rows);
                held.job.events_after = Some(made.events_after);
                held.job.sha256 = Some(hex::encode(&made.sha256));
                held.job.manifest = Some(String::from_utf8_lossy(&made.manifest).into_owned());
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
        if let Some((mut begun, _)) = held.begun.take() {
            begun.journal.left(why);
        }
        document::remove(&self.folder, id);
    }
}

async fn make(shared: &Arc<Shared>, id: Uuid, (begun, form): (Begun, Form), gone: Arc<AtomicBool>) -> Result<Made, String> {
    let begun = still_allowed(shared, begun).await?;
    let file = NewFile { shared: Arc::clone(shared), id, gone };
    let unready = |error: ReadError| file.because(ExportError::Read(error));
    match form {
        Form::Lines(format) => {
            let extract = begun.extract(None).await.map_err(unready)?;
            apart(move || file.lines(extract, format)).await
        }
        Form::Bundle => {
            let progress = file.clone();
            let told = move |rows, all| progress.tell(|job| (job.rows, job.rows_all) = (rows, Some(all)));
            let bundle = begun.bundle(None, Arc::clone(&file.gone), told).await.map_err(unready)?;
            apart(move || file.bundle(bundle)).await
        }
    }
}

async fn apart(write: impl FnOnce() -> Result<Made, String> + Send + 'static) -> Result<Made, String> {
    tokio::task::spawn_blocking(write).await.unwrap_or_else(|error| {
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

