//! A job as a small file of JSON, and the folder of all of them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indelible_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{BUNDLE, Held};
use crate::ledger::Ledger;
use crate::query::places::Places;
use crate::store::{private_folder, write_private};

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its turn has not come.
    Queued,
    /// It is being made.
    Running,
    /// Its file can be fetched.
    Done,
    /// It came to no end; `reason` says why.
    Failed,
}

impl State {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Whether it will change no more.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// An export job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    #[serde(with = "text")]
    pub id: Uuid,
    /// Whose events.
    #[serde(with = "text")]
    pub project_id: Uuid,
    /// The key that asked for it.
    #[serde(with = "maybe_text")]
    pub made_by: Option<Uuid>,
    /// Of the events that tell of it.
    #[serde(with = "text")]
    pub operation_id: Uuid,
    /// Of the event that tells how it ended.
    #[serde(with = "text")]
    pub(super) outcome_id: Uuid,
    /// `ndjson`, `csv` or `bundle`.
    pub format: String,
    /// Of its file.
    pub media_type: String,
    /// Filter and times, as recorded.
    pub filter: Option<String>,
    /// Whether contents are opened in it.
    pub content: bool,
    /// When it was asked for.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
    /// When it was over.
    #[serde(with = "maybe_micros")]
    pub finished_at: Option<Timestamp>,
    /// How it stands.
    pub state: State,
    /// Why it failed.
    pub reason: Option<String>,
    /// Rows of the range that were gone through.
    pub rows: u64,
    /// Rows of the range, once it is known.
    pub rows_all: Option<u64>,
    /// Events in the file; of a bundle, once it is done.
    pub entries: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Events of the project after the checkpoint, once it is done: they are not in it.
    pub events_after: Option<u64>,
    /// SHA-256 of the file in hexadecimal, once it is done.
    pub sha256: Option<String>,
    /// The manifest as JSON, once it is done: of a bundle the one that is in it.
    pub manifest: Option<String>,
    /// Whether its end is known to be on record.
    pub(super) told: bool,
    /// Whether it is gone for everybody but whoever sees that its end is recorded.
    pub(super) removed: bool,
}

mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use uuid::Uuid;

    pub(super) fn serialize<S: Serializer>(id: &Uuid, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Uuid, D::Error> {
        Uuid::try_parse(&String::deserialize(from)?).map_err(|_| D::Error::custom("no UUID"))
    }
}

mod maybe_text {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};
    use uuid::Uuid;

    #[expect(clippy::ref_option, reason = "serde hands it over so")]
    pub(super) fn serialize<S: Serializer>(id: &Option<Uuid>, to: S) -> Result<S::Ok, S::Error> {
        id.map(|id| id.to_string()).serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Option<Uuid>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| Uuid::try_parse(&text).map_err(|_| D::Error::custom("no UUID"))).transpose()
    }
}

mod micros {
    use indelible_core::time::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
    pub(super) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(time.as_micros())
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Timestamp, D::Error> {
        Timestamp::from_micros(i64::deserialize(from)?).ok_or_else(|| D::Error::custom("no time"))
    }
}

mod maybe_micros {
    use indelible_core::time::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "serde hands it over so")]
    pub(super) fn serialize<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        time.map(Timestamp::as_micros).serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(from)?.and_then(Timestamp::from_micros))
    }
}

impl Job {
    /// As it is shown: it is done once that is on record.
    pub(super) fn shown(&self) -> Self {
        let mut job = self.clone();
        if job.state == State::Done && !job.told {
            job.state = State::Running;
            (job.finished_at, job.events_after, job.sha256, job.manifest) = (None, None, None, None);
        }
        job
    }

    /// The name of its file for who fetches it.
    pub fn file_name(&self) -> String {
        let extension = if self.format == BUNDLE { "tar" } else { &self.format };
        format!("indelible-{}.{extension}", self.id)
    }
}

fn described(folder: &Path, id: Uuid) -> PathBuf {
    folder.join(format!("{id}.json"))
}

/// Where the file of a job is.
pub(super) fn file(folder: &Path, id: Uuid) -> PathBuf {
    folder.join(format!("{id}.data"))
}

/// Writes what is known of a job, in one step; durable when it returns, and so is the name of its file.
pub(super) fn write(folder: &Path, job: &Job) -> io::Result<()> {
    private_folder(folder)?;
    write_private(&described(folder, job.id), &serde_json::to_vec(job)?)
}

/// Removes a job's files: what is known of it first, for there is no job without its file.
pub(super) fn remove(folder: &Path, id: Uuid) {
    for path in [described(folder, id), file(folder, id)] {
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(%error, path = %path.display(), "a file of an export could not be removed");
        }
    }
}

/// What lies in the folder when a server starts: what is done stays, what is not is failed, anything else goes.
pub(super) fn take_up(ledger: &Ledger, folder: &Path, places: &Places) -> BTreeMap<Uuid, Held> {
    let mut all = BTreeMap::new();
    let Ok(names) = std::fs::read_dir(folder) else { return all };
    let paths: Vec<PathBuf> = names.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let mut unread = Vec::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "an export job cannot be read");
                unread.extend(id_of(path));
                continue;
            }
        };
        let read = serde_json::from_slice::<Job>(&text).ok().filter(|job| &described(folder, job.id) == path);
        let Some(mut job) = read else {
            tracing::error!(path = %path.display(), "this is no export job: it is removed");
            continue;
        };
        let is_whole = || std::fs::metadata(file(folder, job.id)).is_ok_and(|file| file.len() == job.bytes);
        match job.state {
            State::Queued | State::Running => fail(ledger, folder, &mut job, "the server stopped before it was done"),
            State::Done if !is_whole() => fail(ledger, folder, &mut job, "its file is gone"),
            State::Done | State::Failed => {}
        }
        let project = ledger.inner.registry.project(job.project_id).filter(|_| !job.removed);
        let place = project.and_then(|project| places.take(project.organization_id, Some(project.id)));
        all.insert(job.id, Held { job, begun: None, gone: Arc::default(), place });
    }
    for path in paths {
        if id_of(&path).is_none_or(|id| !all.contains_key(&id) && !unread.contains(&id)) {
            let _ = std::fs::remove_file(path);
        }
    }
    all
}

/// The job that a file is of, by its name.
fn id_of(path: &Path) -> Option<Uuid> {
    Uuid::try_parse(path.file_stem()?.to_str()?).ok()
}

fn fail(ledger: &Ledger, folder: &Path, job: &mut Job, reason: &str) {
    (job.state, job.reason, job.finished_at) = (State::Failed, Some(reason.to_owned()), Some(ledger.inner.clock.now()));
    (job.bytes, job.entries, job.sha256) = (0, 0, None);
    let _ = std::fs::remove_file(file(folder, job.id));
    if let Err(error) = write(folder, job) {
        tracing::error!(%error, "an export job could not be written");
    }
}
