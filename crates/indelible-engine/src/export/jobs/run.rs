//! Making what was asked for, one after the other; and clearing away what is past its time, or whose project is gone.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use uuid::Uuid;

use super::super::ExportError;
use super::super::begin::{Begun, Panicked, apart};
use super::document::{self, Job, State};
use super::new_file::NewFile;
use super::{FREE_SPARE_BYTES, Form, Held, KEPT_MICROS, STOPS, SWEEP_EVERY, Shared};
use crate::append::AppendError;
use crate::query::ReadError;

/// How many times the sweep passes by after something could not be recorded: where the index is behind, the writer waits for it each time.
const RESTS: u32 = 5;

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
    let (mut why, mut rests) = (None, 0);
    loop {
        let Some(shared) = shared.upgrade() else { return };
        if shared.stopping.load(Ordering::Relaxed) {
            return;
        }
        let now = shared.ledger.inner.clock.now();
        let all: Vec<_> = shared.all().values().filter(|held| !held.job.removed).map(|held| held.job.clone()).collect();
        for job in all {
            if shared.ledger.is_deleted(job.project_id) {
                shared.remove(job.id, "the project was deleted").await;
            } else if job.finished_at.is_some_and(|end| end.saturating_add_micros(KEPT_MICROS) <= now) {
                shared.remove(job.id, "its time is up").await;
            }
        }
        if rests == 0 {
            let failed = tell_late(&shared).await.err();
            if let Some(error) = failed.as_ref().filter(|error| why.as_ref() != Some(*error)) {
                tracing::error!(%error, "how exports ended could not be recorded; it is tried again");
            }
            rests = if failed.is_some() { RESTS } else { 0 };
            why = failed;
        } else {
            rests -= 1;
        }
        drop(shared);
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

/// Records how jobs ended of which that may not be on record, until one cannot be.
async fn tell_late(shared: &Arc<Shared>) -> Result<(), AppendError> {
    let is_untold = |held: &Held| held.job.state.is_over() && !held.job.told;
    let untold: Vec<_> = shared.all().values().filter(|held| is_untold(held)).map(|held| held.job.id).collect();
    for id in untold {
        let of = Arc::clone(shared);
        // One that panicked is told of, and tried again.
        apart(move || of.settle(id)).await.unwrap_or(Ok(()))?;
    }
    Ok(())
}

/// What is left when the server ends is failed, and how every job ended is recorded. Where the store takes nothing any more, the next start
/// does that.
pub(super) async fn give_up(shared: &Arc<Shared>) {
    let left: Vec<_> = shared.all().values().filter(|held| !held.job.state.is_over()).map(|held| held.job.id).collect();
    let mut takes = true;
    for id in left {
        let begun = shared.all().get_mut(&id).and_then(|held| held.begun.take());
        let Some((mut begun, _)) = begun else { continue };
        takes = if takes {
            begun.give_up(STOPS.to_owned()).await
        } else {
            begun.journal.left(STOPS);
            false
        };
        over(shared, id, Err("the server stopped before it was done".to_owned()), takes).await;
    }
    if takes && let Err(error) = tell_late(shared).await {
        tracing::error!(%error, "how exports ended could not be recorded; the next start tries it again");
    }
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
        if let Some(held) = self.all().get_mut(&id) {
            let removed = held.job.removed;
            match made {
                Ok(job) => held.job = job,
                Err(reason) => {
                    held.job.finished_at = Some(self.ledger.inner.clock.now());
                    (held.job.state, held.job.reason) = (State::Failed, Some(reason));
                    (held.job.entries, held.job.bytes) = (0, 0);
                }
            }
            (held.job.told, held.job.removed) = (told, removed);
        }
        self.put_down(id);
    }

    /// Records how a job ended, where that may not be on record. Blocks.
    fn settle(&self, id: Uuid) -> Result<(), AppendError> {
        let job = self.all().get(&id).map(|held| held.job.clone());
        if let Some(job) = job.filter(|job| !job.told) {
            self.ledger.tell_late(&job)?;
            if let Some(held) = self.all().get_mut(&id) {
                held.job.told = true;
            }
        }
        self.put_down(id);
        Ok(())
    }

    /// Writes what is known of a job that is over. One that was removed has no file any more, and is gone once its end is on record. Blocks.
    fn put_down(&self, id: Uuid) {
        let _writing = self.writing();
        let Some(job) = self.all().get(&id).map(|held| held.job.clone()) else { return };
        if job.removed && job.told {
            document::remove(&self.folder, id);
            self.all().remove(&id);
            return;
        }
        if job.removed || job.state == State::Failed {
            let _ = std::fs::remove_file(document::file(&self.folder, id));
        }
        if let Err(error) = document::write(&self.folder, &job) {
            tracing::error!(%error, "an export job could not be written");
        }
    }

    /// Writes what is known of a job. Blocks.
    pub(super) fn write(&self, job: &Job) -> io::Result<()> {
        let _writing = self.writing();
        document::write(&self.folder, job)
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops a job and removes it: nobody sees it any more.
    pub(super) async fn remove(self: &Arc<Self>, id: Uuid, why: &str) {
        let (begun, is_over) = {
            let mut all = self.all();
            let Some(held) = all.get_mut(&id) else { return };
            (held.job.removed, held.place) = (true, None);
            held.gone.store(true, Ordering::Relaxed);
            (held.begun.take(), held.job.state.is_over())
        };
        if let Some((begun, _)) = begun {
            let told = begun.give_up(why.to_owned()).await;
            over(self, id, Err(why.to_owned()), told).await;
        } else if is_over {
            let shared = Arc::clone(self);
            // A large file takes its time to go. One that panicked is told of.
            if let Ok(Err(error)) = apart(move || shared.settle(id)).await {
                tracing::error!(%error, "how an export ended could not be recorded; it is tried again");
            }
        }
        // One that is being made goes when that has come to its end.
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
