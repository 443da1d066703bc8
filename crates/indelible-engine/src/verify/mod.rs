//! Verification of a whole ledger: rows in stored order, all projects at once, without the server and without the lock.

mod batch;
mod cosigned;
mod data_keys;
pub(crate) mod event;
mod examine;
mod gaps;
mod heads;
mod index;
mod index_parts;
mod instance;
#[cfg(test)]
mod matrix;
mod repeats;
mod resources;
mod signed;
mod since;
#[cfg(test)]
mod tests;
pub(crate) mod told;
pub(crate) mod walk;
mod wrap;

pub use cosigned::Cosigned;
pub use since::Since;
pub(crate) use wrap::Held;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indelible_core::chain::Hash;
use indelible_core::key::ProjectKeys;
use indelible_core::policy::Policy;
use indelible_core::verify::{Report, Verdict};
use uuid::Uuid;

use crate::access::Caller;
use crate::anchor::CheckpointStore;
use crate::keystore::{DataKeys, KeyStore};
use crate::ledger::Ledger;
use crate::query::reading::{Lane, Reading};
use crate::query::{EventVerification, Opening, ReadError};
use crate::resource::Project;
use crate::store::{Database, Source};

use crate::store::sql::{Connection, OptionalExtension as _};

/// A whole project may take this long.
const PROJECT_TIME_MAX: Duration = Duration::from_hours(24);

/// How far a verification has come; for a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Rows done.
    pub rows: u64,
    /// Rows in all.
    pub rows_total: u64,
}

/// Why a verification could not be done at all (exit 2).
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The ledger or its keys cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// No such project.
    #[error("there is no project {0}")]
    NoProject(Uuid),
    /// There is nothing to go on from, or it cannot be believed.
    #[error("{0}")]
    Since(String),
    /// Nobody wants the result any more.
    #[error("the verification was stopped")]
    Stopped,
}

/// What is to be verified offline.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The data folder.
    pub data: &'a Path,
    /// The database that holds the ledger; the data folder if absent.
    pub database: Option<&'a Arc<Database>>,
    /// The key store; `keys` in the data folder if absent.
    pub keys: Option<&'a Path>,
    /// The checkpoint store, which is not made where it is not there.
    pub checkpoints: &'a CheckpointStore,
    /// File with the master key, where it is not in the data folder.
    pub master_key_file: Option<&'a Path>,
    /// This project alone is reported.
    pub project_id: Option<Uuid>,
    /// What was verified before, and is not read again.
    pub since: Option<&'a Since>,
    /// Whose cosignatures on the instance tree are enough.
    pub policy: Option<&'a Policy>,
}

impl<'a> Request<'a> {
    /// All of a data folder.
    pub const fn new(data: &'a Path, checkpoints: &'a CheckpointStore) -> Self {
        Self { data, database: None, keys: None, checkpoints, master_key_file: None, project_id: None, since: None, policy: None }
    }
}

/// What was found in a data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderReport {
    /// One report a project; those of projects that are not there last.
    pub projects: Vec<Report>,
    /// Leaves of the tree up to which it was verified before; see [`Request::since`].
    pub since: Option<u64>,
    /// Why no note was left that a later verification could go on from, though everything was read and nothing is wrong.
    pub note_failed: Option<String>,
    /// What witnesses said of the instance tree.
    pub cosigned: Cosigned,
}

/// Verifies a data folder offline: chains, trees, heads, contents, wraps, duplicate ids, the index against the entries, and all of
/// it against what was signed: anchors, the instance tree, and the checkpoint store. Where all of it was read and nothing is wrong, a
/// note of that is left beside the checkpoint store.
pub fn verify_folder(request: &Request<'_>, progress: &mut dyn FnMut(Progress)) -> Result<FolderReport, VerifyError> {
    on_folder(request, &AtomicBool::new(false), |ground, keystore| {
        let walk::Walked { reports, settled, since, cosigned, .. } = walk::walk(ground, progress)?;
        let left = settled.map_or(Ok(()), |settled| settled.leave(keystore, request.checkpoints));
        Ok(FolderReport { projects: reports, since, note_failed: left.err().map(|error| error.to_string()), cosigned })
    })
}

/// Walks on the ground of a data folder that nobody needs to have opened.
fn on_folder<T>(
    request: &Request<'_>,
    stop: &AtomicBool,
    walk: impl FnOnce(&walk::Ground<'_>, &KeyStore) -> Result<T, VerifyError>,
) -> Result<T, VerifyError> {
    let Request { data, database, keys, checkpoints, master_key_file, project_id, since, policy } = *request;
    let of_one = since.and_then(Since::project);
    if let (Some(asked), Some(of_one)) = (project_id, of_one)
        && asked != of_one
    {
        return Err(VerifyError::Since(format!("the checkpoint that --since names is of project {of_one}")));
    }
    let unreadable = |error: &dyn std::fmt::Display| VerifyError::Unreadable(error.to_string());
    let source = database.map_or_else(|| Source::File(data.join("ledger.db")), |database| Source::Database(Arc::clone(database)));
    let (keystore, faults) =
        KeyStore::open_what_opens(keys.unwrap_or(&data.join("keys")), master_key_file).map_err(|error| unreadable(&error))?;
    let keystore = Arc::new(keystore);
    let open = || source.open_verifier().map_err(|error| error.to_string());
    // A server that runs beside may write a data key at any time: they are read as the walk sees them.
    let keys = |snapshot: &Connection| -> Result<Arc<dyn walk::Keys>, String> {
        let data_keys = DataKeys::load_readable(Arc::clone(&keystore), snapshot).map_err(|error| error.to_string())?;
        let absent = keystore.absent_keys(snapshot).map_err(|error| error.to_string())?;
        let unusable = faults.iter().chain(&absent).map(ToString::to_string).collect();
        let (keystore, data_keys, stored_before) = (Arc::clone(&keystore), Arc::new(data_keys), Vec::new());
        Ok(Arc::new(StoredKeys { keystore, data_keys, stored_before, unusable }))
    };
    let only = project_id.or(of_one);
    let workers = walk::workers();
    walk(&walk::Ground { data, checkpoints, open: &open, keys: &keys, only, since, policy, workers, stop }, &keystore)
}

/// The keys of a data folder.
pub(crate) struct StoredKeys {
    pub(crate) keystore: Arc<KeyStore>,
    pub(crate) data_keys: Arc<DataKeys>,
    /// Data keys that a server knows to have been stored before the snapshot that is walked, and whose they are.
    pub(crate) stored_before: Vec<(i64, Uuid)>,
    /// Why keys are not there, a sentence each.
    pub(crate) unusable: Vec<String>,
}

impl StoredKeys {
    /// Those that a server holds in memory, where they are before they are stored: never behind a snapshot that is taken from now on.
    pub(crate) fn in_memory(keystore: &Arc<KeyStore>, data_keys: &Arc<DataKeys>) -> Self {
        let (keystore, data_keys) = (Arc::clone(keystore), Arc::clone(data_keys));
        Self { stored_before: data_keys.stored(), keystore, data_keys, unusable: Vec::new() }
    }
}

/// Stops a walk when it is dropped: with the request of somebody who went away.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl walk::Keys for StoredKeys {
    fn project_keys(&self, project_id: Uuid, ring_id: u64) -> Option<ProjectKeys> {
        self.keystore.project_keys(project_id, ring_id).map(|keys| ProjectKeys::clone(&keys))
    }

    fn data_key(&self, id: i64) -> Option<(Uuid, Held)> {
        self.data_keys.get(id).map(|key| {
            let held = match &key.secret {
                Some(secret) => Held::Key(secret.clone()),
                None if self.keystore.is_closed(key.organization_id) => Held::Closed,
                None => Held::Gone,
            };
            (key.organization_id, held)
        })
    }

    fn unusable(&self) -> &[String] {
        &self.unusable
    }

    fn opens_data_key(&self, organization_id: Uuid, wrapped: &[u8]) -> Option<bool> {
        self.keystore.opens_data_key(organization_id, wrapped)
    }

    fn stored_data_keys(&self) -> &[(i64, Uuid)] {
        &self.stored_before
    }

    fn signing_keys(&self) -> Vec<(u64, [u8; 32])> {
        self.keystore.public_signing_keys()
    }

    fn verified_mac(&self, ring_id: Option<u64>, text: &str) -> Option<(u64, Hash)> {
        self.keystore.verified_mac(ring_id, text)
    }
}

impl Ledger {
    fn stored_keys(&self) -> StoredKeys {
        StoredKeys::in_memory(&self.inner.keystore, &self.inner.data_keys)
    }

    /// Verifies one event: its row hash, its neighbours, its content, its leaf against the tiles, and under the first anchor that
    /// covers it.
    pub async fn verify_event(&self, caller: &Caller, project: &Project, id: Uuid) -> Result<EventVerification, ReadError> {
        let reading = Reading::new(caller, project, "event_verification", id.hyphenated().to_string(), &Opening::default());
        let keys = self.stored_keys();
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "an event could not be verified");
            ReadError::Unavailable("the store cannot be read now".to_owned())
        };
        self.read(reading, move |lane, account| {
            let row = row_by_id(lane, id)?.ok_or(ReadError::NotFound("event"))?;
            let names = (lane.number, lane.reading.project.id);
            let reader = lane.reader()?;
            let before = lane.row_before(row)?;
            let origin = crate::anchor::origin(lane.ledger.instance_name(), names.1).map_err(|error| failed(&error))?;
            // One snapshot, so that the writer does not move the head between two looks.
            let checked = reader.moment().and_then(|snapshot| event::check(&snapshot, &keys, names, &origin, row, before));
            let event::Checked { sequence, anchor, findings } = checked.map_err(|error| failed(&error))?;
            let worst = findings.iter().map(|finding| finding.kind).max();
            let verdict = worst.unwrap_or(if anchor.is_some() { Verdict::Intact } else { Verdict::Unanchored });
            account.returned = 1;
            account.remark = Some(verdict.as_str().to_owned());
            Ok(EventVerification { id, sequence, valid: findings.is_empty(), verdict, anchored: anchor.is_some(), anchor, findings })
        })
        .await
    }

    /// Verifies a whole project, as it was when the call came.
    pub async fn verify_project(&self, caller: &Caller, project: &Project) -> Result<Report, ReadError> {
        let reading = Reading::new(caller, project, "verification", project.id.hyphenated().to_string(), &Opening::default());
        let keys = Arc::new(self.stored_keys());
        let wanted = Wanted(Arc::default());
        let stop = Arc::clone(&wanted.0);
        self.read_for(PROJECT_TIME_MAX, reading, move |lane, account| {
            let folder = lane.ledger.inner.folder();
            let open = || lane.ledger.inner.readers.source().open_verifier().map_err(|error| error.to_string());
            // In memory before they are stored, so never behind the snapshot.
            let keys = |_: &Connection| -> Result<Arc<dyn walk::Keys>, String> { Ok(keys.clone()) };
            let (data, checkpoints) = (folder.root(), &lane.ledger.inner.checkpoints);
            let ground = walk::Ground {
                data,
                checkpoints,
                open: &open,
                keys: &keys,
                only: Some(lane.reading.project.id),
                since: None,
                policy: None,
                // A server is at work beside.
                workers: 1,
                stop: &stop,
            };
            let mut walked = walk::walk(&ground, &mut |_| {}).map_err(|error| {
                tracing::error!(%error, "a project could not be verified");
                ReadError::Unavailable("the store cannot be verified now".to_owned())
            })?;
            let report = walked.reports.pop().ok_or(ReadError::NotFound("project"))?;
            account.remark = Some(format!("{}, {} events", report.verdict.as_str(), report.events));
            Ok(report)
        })
        .await
    }
}

/// The row whose column bears this id; its entry may be anything.
fn row_by_id(lane: &Lane<'_>, id: Uuid) -> Result<Option<i64>, ReadError> {
    let reader = lane.reader()?;
    for row in lane.ledger.inner.index.find(lane.number, id)? {
        let there = reader
            .prepare("SELECT 1 FROM events WHERE row = ?1 AND project = ?2 AND id = ?3")
            .and_then(|mut statement| statement.query_row((row, lane.number, id.as_bytes()), |_| Ok(())).optional())
            .map_err(|error| lane.failed(error.into()))?;
        if there.is_some() {
            return Ok(Some(row));
        }
    }
    Ok(None)
}
