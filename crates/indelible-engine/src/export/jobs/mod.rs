//! Exports in the background: extracts and bundles written to a file of the data folder, to be fetched for a day, whole or in parts.
//!
//! One at a time is made. A job is a small file of JSON beside the file that it makes, both their owner's alone; it belongs to the server that
//! made it, and goes with its project. What was not done when the server ended is failed. The request is recorded when it is taken (the intent),
//! its end once the file and what is known of it are durable, each content before it is in the file, and each download as an export of its own. A job with contents is
//! fetched by the key that asked for it, and by no other.

mod document;
mod fetch;
mod new_file;
mod run;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indelible_core::extract::Format;
use tokio::sync::Notify;
use uuid::Uuid;

pub use document::{Job, State};
pub use fetch::{Fetch, Wanted};

use super::begin::{Begun, apart};
use super::{BUNDLE as TARGET_BUNDLE, EXTRACT as TARGET_EXTRACT, ExportRequest};
use crate::access::{Caller, Owner, Scope};
use crate::append::{AppendError, EngineEvent, OwnId};
use crate::ledger::Ledger;
use crate::query::ReadError;
use crate::query::places::{Limits, Place, Places};
use crate::query::reading::Reading;
use crate::resource::Project;

/// The folder in the data folder.
const FOLDER: &str = "exports";
/// Why what is left when the server ends comes to nothing.
const STOPS: &str = "the server stops";
/// Jobs of a server, and of a project, whether they are done or not.
const JOBS: Limits = Limits { all: 200, of_one: 20 };
/// How long what is done is kept, microseconds.
const KEPT_MICROS: i64 = 24 * 3_600 * 1_000_000;
/// What has to stay free on the disk beside what appends leave free, bytes: a disk full of exports is to stop no append.
const FREE_SPARE_BYTES: u64 = 512 * 1024 * 1024;
/// How often what is past its time is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Why a job is not taken, shown, fetched or removed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// As for any read. Recorded.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There are as many as there may be, or it is not done. Recorded.
    #[error("{0}")]
    Conflict(String),
}

impl From<AppendError> for JobError {
    fn from(error: AppendError) -> Self {
        Self::Read(error.into())
    }
}

/// What is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// An evidence bundle.
    Bundle,
    /// Events by lines.
    Lines(Format),
}

/// See [`Form::as_str`].
const BUNDLE: &str = "bundle";

impl Form {
    /// The word used in JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Bundle => BUNDLE,
            Self::Lines(format) => format.as_str(),
        }
    }

    /// The media type of its file.
    pub const fn media_type(&self) -> &'static str {
        match self {
            Self::Bundle => "application/x-tar",
            Self::Lines(format) => format.media_type(),
        }
    }

    /// What it is called in what is recorded of it.
    const fn target(&self) -> &'static str {
        match self {
            Self::Bundle => TARGET_BUNDLE,
            Self::Lines(_) => TARGET_EXTRACT,
        }
    }
}

/// A job as it is held.
struct Held {
    job: Job,
    /// Until its turn comes.
    begun: Option<(Begun, Form)>,
    /// Raised where it is to stop.
    gone: Arc<AtomicBool>,
    /// `None` where it is removed; of a job that was taken up, also where its project is gone: it goes too.
    place: Option<Place>,
}

impl Held {
    /// As it is shown, unless it is removed.
    fn shown(&self) -> Option<Job> {
        (!self.job.removed).then(|| self.job.shown())
    }
}

struct Shared {
    ledger: Ledger,
    folder: PathBuf,
    all: Mutex<BTreeMap<Uuid, Held>>,
    places: Places,
    bell: Notify,
    stopping: AtomicBool,
    /// Held while a job is made.
    busy: tokio::sync::Mutex<()>,
    /// Held while what is known of a job is written or removed: each time it is what is known then.
    writing: Mutex<()>,
}

/// The export jobs of a server.
#[derive(Clone)]
pub struct Jobs(Arc<Shared>);

impl Shared {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Uuid, Held>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs {
    /// Takes up what lies in the folder, and begins to make what is asked for. Within a runtime.
    pub fn start(ledger: &Ledger) -> Self {
        let folder = ledger.inner.folder().root().join(FOLDER);
        let places = Places::new(JOBS);
        let all = document::take_up(ledger, &folder, &places);
        let shared = Arc::new(Shared {
            ledger: ledger.clone(),
            folder,
            all: Mutex::new(all),
            places,
            bell: Notify::new(),
            stopping: AtomicBool::new(false),
            busy: tokio::sync::Mutex::new(()),
            writing: Mutex::new(()),
        });
        tokio::spawn(run::run(Arc::downgrade(&shared)));
        tokio::spawn(run::sweep(Arc::downgrade(&shared)));
        Self(shared)
    }

    /// Stops what is being made; returns once its end is recorded.
    pub async fn close(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
        self.0.all().values().for_each(|held| held.gone.store(true, Ordering::Relaxed));
        self.0.bell.notify_waiters();
        drop(self.0.busy.lock().await);
        run::give_up(&self.0).await;
    }

    /// Takes a job. Needs `audit:read`; with contents `content:decrypt` and a purpose.
    pub async fn create(&self, caller: &Caller, project: &Project, request: ExportRequest, form: Form) -> Result<Job, JobError> {
        let ledger = &self.0.ledger;
        let room = self.room(project);
        let full = room.as_ref().err().cloned();
        let begun = ledger.begin_export(caller, project, &request, (form.target(), "job"), room).await;
        let (begun, place) = begun.map_err(|error| match full {
            Some(ReadError::Options(full)) if error == ReadError::Options(full.clone()) => JobError::Conflict(full),
            _ => JobError::Read(error),
        })?;
        let job = Job {
            id: ledger.new_id(),
            project_id: project.id,
            made_by: caller.known_by(),
            operation_id: begun.journal.operation(),
            outcome_id: begun.journal.outcome_id(),
            format: form.as_str().to_owned(),
            media_type: form.media_type().to_owned(),
            filter: begun.journal.reading.filter.clone(),
            content: request.opening.content,
            created_at: ledger.inner.clock.now(),
            finished_at: None,
            state: State::Queued,
            reason: None,
            rows: 0,
            rows_all: None,
            entries: 0,
            bytes: 0,
            events_after: None,
            sha256: None,
            manifest: None,
            told: false,
            removed: false,
        };
        let (shared, document) = (Arc::clone(&self.0), job.clone());
        let written = apart(move || shared.write(&document)).await.map_err(ReadError::from)?;
        written.map_err(|error| ReadError::Unavailable(format!("the job cannot be written: {error}")))?;
        let held = Held { job: job.clone(), begun: Some((begun, form)), gone: Arc::default(), place: Some(place) };
        let is_late = {
            // Under the lock: whoever stops raises it before he looks what there is.
            let mut all = self.0.all();
            all.insert(job.id, held);
            self.0.stopping.load(Ordering::Relaxed)
        };
        if is_late {
            self.0.remove(job.id, STOPS).await;
            return Err(ReadError::Unavailable(STOPS.to_owned()).into());
        }
        self.0.bell.notify_one();
        Ok(job)
    }

    /// The place of one more, where it may be taken.
    fn room(&self, project: &Project) -> Result<Place, ReadError> {
        if self.0.ledger.is_deleted(project.id) {
            return Err(ReadError::Deleted);
        }
        if !self.0.has_room_for(0) {
            return Err(ReadError::Unavailable("the disk of the server has no room for an export".to_owned()));
        }
        let (of_one, together, all) = (JOBS.of_one, JOBS.of_organization(), JOBS.all);
        let full = || {
            format!("there are {of_one} export jobs of a project at most, {together} of an organization and {all} of a server: remove one")
        };
        self.0.places.take(project.organization_id, Some(project.id)).ok_or_else(|| ReadError::Options(full()))
    }

    /// The jobs of a project, the newest first. Needs `audit:read`.
    pub async fn list(&self, caller: &Caller, project: &Project) -> Result<Vec<Job>, JobError> {
        self.authorise(caller, project.id).await?;
        let mut jobs: Vec<Job> = self.0.all().values().filter(|held| held.job.project_id == project.id).filter_map(Held::shown).collect();
        jobs.sort_unstable_by_key(|job| std::cmp::Reverse((job.created_at, job.id)));
        Ok(jobs)
    }

    /// One job. Needs `audit:read`.
    pub async fn show(&self, caller: &Caller, id: Uuid) -> Result<Job, JobError> {
        self.find(caller, id, "audit.read").await
    }

    /// Stops a job and removes what there is of it. Needs `audit:read`, and of others' jobs `audit:admin`.
    pub async fn remove(&self, caller: &Caller, id: Uuid) -> Result<(), JobError> {
        let ledger = &self.0.ledger;
        let job = self.find(caller, id, "audit.export").await?;
        let reading = self.reading(caller, &job)?;
        if job.made_by != caller.known_by() && !caller.has(Scope::AuditAdmin) {
            let error = ReadError::Forbidden(Scope::AuditAdmin.as_str().to_owned());
            ledger.record(vec![reading.refusal(&error)]).await?;
            return Err(error.into());
        }
        let mut event = reading.event("allow", 0, Some("the job was removed".to_owned()));
        event.context = vec![("form", "job".to_owned()), ("job_operation_id", job.operation_id.to_string())];
        ledger.record(vec![event]).await?;
        self.0.remove(id, "it was cancelled").await;
        Ok(())
    }

    /// The job, for who may see it. A job of another project and one that is nowhere are answered alike.
    async fn find(&self, caller: &Caller, id: Uuid, action: &'static str) -> Result<Job, JobError> {
        let ledger = &self.0.ledger;
        let job = self.0.all().get(&id).and_then(Held::shown);
        let seen = job.filter(|job| ledger.inner.registry.is_within(Owner::Project(job.project_id), caller.owner()));
        let Some(job) = seen else { return Err(ledger.unseen(caller, action, ReadError::NotFound("export job")).await.into()) };
        if let Err(error) = self.reading(caller, &job).and_then(|reading| reading.authorise(ledger)) {
            let mut reading = self.reading(caller, &job)?;
            reading.action = action;
            ledger.record(vec![reading.refusal(&error)]).await?;
            return Err(error.into());
        }
        Ok(job)
    }

    async fn authorise(&self, caller: &Caller, project: Uuid) -> Result<(), JobError> {
        let ledger = &self.0.ledger;
        let project = ledger.inner.registry.project(project).ok_or(ReadError::NotFound("project"))?;
        let reading = Reading::new(caller, &project, "export_job", "", &crate::query::Opening::default());
        if let Err(error) = reading.authorise(ledger) {
            ledger.record(vec![reading.refusal(&error)]).await?;
            return Err(error.into());
        }
        Ok(())
    }

    /// What is recorded of something that is done to a job.
    fn reading(&self, caller: &Caller, job: &Job) -> Result<Reading, ReadError> {
        let project = self.0.ledger.inner.registry.project(job.project_id).ok_or(ReadError::NotFound("export job"))?;
        let mut reading = Reading::new(caller, &project, "export_job", job.id.to_string(), &crate::query::Opening::default());
        reading.action = "audit.export";
        reading.filter.clone_from(&job.filter);
        Ok(reading)
    }
}

impl Ledger {
    /// Records how a job ended, where that may not be on record: the server ended in the midst of it, or nothing could be written. Blocks.
    fn tell_late(&self, job: &Job) -> Result<(), AppendError> {
        let Some(project) = self.inner.registry.project(job.project_id) else { return Ok(()) };
        let outcome = if job.state == State::Done { "allow" } else { "error" };
        let reason = job.reason.as_deref().unwrap_or("recorded at the start after the server stopped");
        let mut event = EngineEvent::new(&Caller::engine(), &project, "audit.export", outcome).because(reason);
        event.id = OwnId::Again(job.outcome_id);
        event.operation = Some((job.operation_id, "outcome"));
        event.context = vec![("form", "job".to_owned()), ("entries", job.entries.to_string()), ("bytes_sent", job.bytes.to_string())];
        event.context.extend(job.sha256.clone().map(|sha256| ("sha256", sha256)));
        let recorded = self.prepare_all(vec![event]).and_then(|batch| {
            let work = crate::write::Work::new(batch, crate::write::Privilege::Engine);
            self.inner.writer.submit_blocking(work)
        });
        match recorded {
            // It had been recorded, and said more.
            Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
            Err(error @ AppendError::Fault { .. }) => {
                tracing::error!(%error, operation_id = %job.operation_id, "the end of an export can never be recorded: its intent stays open");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
