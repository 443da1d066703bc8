//! The ledger as its users see it: opened, appended to, asked, closed.

mod opening;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::access::TurnedAway;
use crate::anchor::{Anchoring, CheckpointStore, SealingFailure};
use crate::append::{AppendError, Desk};
use crate::clock::{Clock, SystemClock};
use crate::cosigning::{Cosigning, CosigningStatus, Witnesses};
use crate::decide::Books;
use crate::faults::Faults;
use crate::inbox::Drain;
use crate::index::Index;
use crate::keystore::{DataKeys, KeyStore};
use crate::kms::KeyArn;
use crate::patrol::{Patrol, PatrolOptions, PatrolStatus};
use crate::resource::Instance;
use crate::resource::registry::Registry;
use crate::sharing::{Control, ControlGuard, Sharing};
use crate::spending::Spending;
use crate::store::postgres::Maintenance;
use crate::store::{Database, Folder, Readers, StoreError};
use crate::stream::{self, StreamsStatus};
use crate::write::{Privilege, Work, Writer};

/// Disk space kept free for records of reads, bytes.
const DISK_RESERVE_BYTES: u64 = 64 * 1024 * 1024;
/// Content waiting for the writer, bytes.
const QUEUE_BYTES_MAX: usize = 48 * 1024 * 1024;

/// How it is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Beside its owner: a generated master key will do.
    #[default]
    Local,
    /// As a service: refuses to start on a generated master key.
    Server,
}

/// How often what was committed is anchored, unless [`Options::anchor_interval`] says otherwise.
const ANCHOR_INTERVAL: Duration = Duration::from_mins(1);

/// [`Options::look_every`] unless somebody says otherwise.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a ledger is opened with.
#[derive(Clone)]
pub struct Options {
    /// The data folder.
    pub data: PathBuf,
    /// The database that holds the ledger, which other servers may share; the data folder if absent.
    pub database: Option<Arc<Database>>,
    /// The same database as the owner of its tables reaches it, who brings them forward and makes partitions; `database` if absent.
    pub database_maintenance: Option<Arc<Database>>,
    /// The key store, which all servers that share a database reach; `keys` in the data folder if absent.
    pub keys: Option<PathBuf>,
    /// How often a server looks into a database that others share when nobody asks anything of it and no hint of another server comes.
    pub look_every: Duration,
    /// How it is deployed.
    pub mode: Mode,
    /// Master key from outside; otherwise one is generated in `keys/`.
    pub master_key_file: Option<PathBuf>,
    /// Instance name at first start; by default `indelible-` and 8 random hex digits.
    pub instance_name: Option<String>,
    /// The checkpoint store. It must lie outside of the data folder, and not be put back with it.
    pub checkpoints: CheckpointStore,
    /// The key in AWS KMS that signs first. Later ones come by rotation.
    pub signing_kms: Option<KeyArn>,
    /// The key in AWS KMS that wraps the keys of new organizations. Those that are there stay as they are.
    pub organization_kms: Option<KeyArn>,
    /// How often what was committed is anchored.
    pub anchor_interval: Duration,
    /// The witnesses that are asked to cosign the instance tree, and how they are reached; none by default.
    pub witnesses: Option<Witnesses>,
    /// When everything is verified in the background; never by default, for who opens a ledger for a moment.
    pub patrol: Option<PatrolOptions>,
    /// Disk space kept free for `audit.read`, bytes.
    pub disk_reserve_bytes: u64,
    /// Content waiting for the writer, bytes; more is [`crate::append::AppendError::Busy`].
    pub queue_bytes_max: usize,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Faults, in tests.
    pub faults: Option<Arc<dyn Faults>>,
}

impl Options {
    /// The defaults for a data folder, with the system's clock. The checkpoint store is `<data folder>.checkpoints`, beside it.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        let data = data.into();
        let mut checkpoints = data.clone().into_os_string();
        checkpoints.push(".checkpoints");
        Self {
            data,
            database: None,
            database_maintenance: None,
            keys: None,
            look_every: LOOK_EVERY,
            checkpoints: checkpoints.into(),
            anchor_interval: ANCHOR_INTERVAL,
            witnesses: None,
            patrol: None,
            mode: Mode::default(),
            master_key_file: None,
            instance_name: None,
            signing_kms: None,
            organization_kms: None,
            disk_reserve_bytes: DISK_RESERVE_BYTES,
            queue_bytes_max: QUEUE_BYTES_MAX,
            clock: Arc::new(SystemClock),
            faults: None,
        }
    }
}

impl Options {
    /// How the owner of the tables connects, where there is a database.
    fn maintenance(&self) -> Option<Maintenance> {
        self.database_maintenance.clone().or_else(|| self.database.clone()).map(Maintenance::new)
    }

    /// The folder of the key store.
    fn keys(&self) -> PathBuf {
        self.keys.clone().unwrap_or_else(|| self.data.join("keys"))
    }
}

/// What the first start made. The keys are shown here once, and written to `admin.key` and `instance.key` (0600).
#[derive(Debug, Clone)]
pub struct FirstStart {
    /// The default organization.
    pub organization_id: Uuid,
    /// The default project.
    pub project_id: Uuid,
    /// Administrator key of the default project.
    pub admin_key_file: PathBuf,
    /// Key of the instance.
    pub instance_key_file: PathBuf,
}

/// An open ledger, and what was new.
pub struct Opened {
    /// The ledger.
    pub ledger: Ledger,
    /// Set on the first start of a data folder.
    pub first_start: Option<FirstStart>,
}

/// Why a ledger could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the lock.
    #[error("another process holds {0}: stop it, or use --server")]
    Locked(PathBuf),
    /// A key file that others can read, is missing, or is not a key.
    #[error("{0}")]
    Key(String),
    /// The keys of a ledger are there, and the ledger is not.
    #[error(
        "{0}/ledger.db is missing, but {0}/keys holds the keys of a ledger: restore ledger.db from a backup; or, to begin a new ledger on \
         purpose, move {0}/keys away first, and keep it, for no backup of the old ledger can be read without it"
    )]
    Missing(PathBuf),
    /// The same where the ledger should be in a database.
    #[error(
        "there is no ledger in {0}, but {1} holds the keys of one: name the database of that ledger, or restore it; or, to begin a new \
         ledger on purpose, name another folder with --keys, and keep the old one"
    )]
    MissingInDatabase(String, PathBuf),
    /// The witness policy is of another log.
    #[error("{0}")]
    Policy(String),
    /// The store cannot be read or written.
    #[error("{0}")]
    Store(String),
}

/// Figures for `/metrics` and `/readyz`.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Whether appends are taken, and if not, why: a sentence that anybody may read.
    pub refusing: Option<&'static str>,
    /// Rows committed.
    pub rows: u64,
    /// Rows indexed.
    pub rows_indexed: u64,
    /// Bytes waiting for the writer.
    pub queue_bytes: u64,
    /// Events waiting for the writer.
    pub queue_events: u64,
    /// Transactions committed since start.
    pub commits_total: u64,
    /// Transactions that failed since start.
    pub commit_failures_total: u64,
    /// Microseconds spent in COMMIT since start.
    pub commit_micros_total: u64,
    /// Events that were retries since start.
    pub duplicates_total: u64,
    /// Times that a stored event broke an event schema which only reports, since start.
    pub schema_violations_total: u64,
    /// How far the clock is ahead of the database's, seconds (below zero: behind), and whether that is too far; where the ledger is in PostgreSQL.
    pub clock_ahead: Option<(f64, bool)>,
    /// How sealing goes.
    pub sealing: Sealing,
    /// What witnesses say of the instance tree, where there is a policy.
    pub cosigning: Option<CosigningStatus>,
    /// What verification in the background finds, where there is one.
    pub patrol: Option<PatrolStatus>,
    /// How the streams go that this server delivers.
    pub streams: StreamsStatus,
}

/// How sealing goes, over all trees. Names nobody's.
#[derive(Debug, Clone, Default)]
pub struct Sealing {
    /// Since a sealing last came to its end, or since the start where none has.
    pub since: Duration,
    /// Why the last one did not, where it did not: it is tried again.
    pub failing: Option<SealingFailure>,
    /// Trees that are not signed, until somebody deals with it.
    pub refused: u64,
    /// Rows that no anchor covers.
    pub rows_waiting: u64,
    /// Sealings that came to their end since the start.
    pub sealings_total: u64,
    /// Signing keys that should sign beside the newest and do not.
    pub keys_failing: u64,
}

/// The running ledger. Cheap to clone; the last clone to go closes it.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) inner: Arc<Inner>,
}

/// What every clone shares.
pub(crate) struct Inner {
    pub(crate) instance: Instance,
    /// The KMS key that wraps the keys of new organizations.
    pub(crate) organization_kms: Option<KeyArn>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) keystore: Arc<KeyStore>,
    pub(crate) data_keys: Arc<DataKeys>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) turned_away: Arc<TurnedAway>,
    pub(crate) index: Arc<Index>,
    pub(crate) spending: Arc<Spending>,
    pub(crate) books: Books,
    pub(crate) readers: Arc<Readers>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) anchoring: Anchoring,
    pub(crate) checkpoints: CheckpointStore,
    pub(crate) cosigning: Option<Arc<Cosigning>>,
    pub(crate) patrol: Option<Patrol>,
    /// Of the streams that this server delivers.
    pub(crate) streams: stream::Board,
    /// Takes in what host transactions appended, where the ledger is in PostgreSQL.
    drain: Option<Drain>,
    /// Held while a resource is read, changed and written.
    pub(crate) control: Control,
    pub(crate) sharing: Sharing,
    /// What appends leave free; whatever else writes leaves more.
    pub(crate) disk_reserve_bytes: u64,
    /// Holds the lock; released last.
    folder: Folder,
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl Ledger {
    /// Stops taking work, answers what is queued, anchors it, empties the WAL, marks the index clean, releases the lock. The same happens when the last
    /// clone goes.
    pub fn close(self) {
        self.inner.stop();
    }

    /// The lock under which resources are read, changed and written. What other servers changed before is known then.
    pub(crate) async fn control(&self) -> Result<ControlGuard<'_>, AppendError> {
        let guard = self.inner.control.lock().await?;
        self.inner.sharing.look().await?;
        Ok(guard)
    }

    /// Name of the instance, the origin of its notes.
    pub fn instance_name(&self) -> &str {
        &self.inner.instance.name
    }

    /// The project that was made at first start.
    pub fn default_project_id(&self) -> Uuid {
        self.inner.instance.project_id
    }

    /// The system project of the instance.
    pub fn system_project_id(&self) -> Uuid {
        self.inner.instance.system_project_id
    }

    /// Figures.
    pub fn status(&self) -> Status {
        let mut status = Status::default();
        self.inner.writer.report(&mut status);
        status.clock_ahead = self.inner.sharing.clock_ahead();
        status.schema_violations_total = self.inner.desk.schemas.total();
        status.rows_indexed = self.inner.index.through().unsigned_abs();
        let report = self.inner.anchoring.report();
        status.sealing = Sealing {
            since: self.inner.clock.monotonic().saturating_sub(report.sealed),
            failing: report.failing.map(|(kind, _)| kind),
            refused: report.refused.len() as u64,
            rows_waiting: status.rows.saturating_sub(report.rows_anchored),
            sealings_total: report.passes,
            keys_failing: report.failing_keys,
        };
        status.cosigning = self.inner.cosigning.as_ref().map(|cosigning| cosigning.status());
        status.streams = self.inner.streams.status(self.inner.clock.now());
        status.patrol = self.inner.patrol.as_ref().map(|patrol| patrol.status(self.inner.clock.monotonic()));
        status
    }
}

impl Inner {
    /// The data folder.
    pub(crate) const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Safe to call twice.
    fn stop(&self) {
        // What it would still tell goes through the writer.
        if let Some(patrol) = &self.patrol {
            patrol.close();
        }
        if let Some(drain) = &self.drain {
            drain.close();
        }
        let counted = self.turned_away.all().into_iter().map(|counted| counted.event()).chain(self.desk.schemas.all(&self.registry));
        let prepared: Vec<_> = counted.filter_map(|event| self.desk.prepare_own(event).ok()).collect();
        if !prepared.is_empty() && self.writer.submit_unanswered(Work::new(prepared, Privilege::Caller)).is_err() {
            tracing::warn!("what was counted in the last minute was not recorded");
        }
        let polls: Vec<_> = self.index.polls.rest().into_iter().filter_map(|event| self.desk.prepare_own(event).ok()).collect();
        if !polls.is_empty() && self.writer.submit_unanswered(Work::new(polls, Privilege::Engine)).is_err() {
            tracing::warn!("the polls of the last minute were not recorded");
        }
        self.anchoring.close();
        if let Some(cosigning) = &self.cosigning {
            cosigning.close();
        }
        self.sharing.close();
        self.readers.close();
        self.writer.close();
        self.index.close();
        self.spending.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
        tracing::debug!(folder = %self.folder.root().display(), "closed");
    }
}
