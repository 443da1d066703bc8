//! The ledger as its users see it: opened, appended to, asked, closed.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use indelible_core::event::Submission;
use indelible_core::fault::Fault;
use indelible_core::time::Timestamp;
use indelible_core::verify::Report;
use uuid::Uuid;

use crate::access::{Caller, Envelope, Refused};
use crate::append::{AppendError, Prepared, Receipt};
use crate::clock::Clock;
use crate::faults::Faults;
use crate::query::{EventVerification, Opening, Page, ReadError, Search};
use crate::resource::{ApiKey, MutateError, NewApiKey, Project};

/// How it is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Beside its owner: a generated master key will do.
    #[default]
    Local,
    /// As a service: refuses to start on a generated master key.
    Server,
}

/// What a ledger is opened with.
#[derive(Clone)]
pub struct Options {
    /// The data folder.
    pub data: PathBuf,
    /// How it is deployed.
    pub mode: Mode,
    /// Master key from outside; otherwise one is generated in `keys/`.
    pub master_key_file: Option<PathBuf>,
    /// Instance name at first start; by default `indelible-` and 8 random hex digits.
    pub instance_name: Option<String>,
    /// Disk space kept free for `audit.read`, bytes.
    pub disk_reserve_bytes: u64,
    /// Content waiting for the writer, bytes; more is [`AppendError::Busy`].
    pub queue_bytes_max: usize,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Faults, in tests.
    pub faults: Option<Arc<dyn Faults>>,
}

impl Options {
    /// The defaults for a data folder, with the system's clock.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        let data = data.into();
        unimplemented!("{data:?}")
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
    /// The store cannot be read or written.
    #[error("{0}")]
    Store(String),
}

/// Figures for `/metrics` and `/readyz`.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Whether appends are taken, and if not, why.
    pub refusing: Option<String>,
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
}

/// The running ledger. Cheap to clone; the last clone to go closes it.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<()>,
}

impl Ledger {
    /// Takes the lock, recovers, starts the writer and the index follower; makes organization, project and keys in an empty folder.
    pub fn open(options: Options) -> Result<Opened, OpenError> {
        unimplemented!("{:?}", options.data)
    }

    /// Stops taking work, answers what is queued, marks the index clean, releases the lock.
    pub fn close(self) {
        unimplemented!()
    }

    /// Name of the instance, the origin of its notes.
    pub fn instance_name(&self) -> &str {
        unimplemented!()
    }

    /// The project that was made at first start.
    pub fn default_project_id(&self) -> Uuid {
        unimplemented!()
    }

    /// The system project of the instance.
    pub fn system_project_id(&self) -> Uuid {
        unimplemented!()
    }

    /// Recognises a bearer credential (`ind_<key id>_<43 characters>`).
    pub fn authenticate(&self, credential: Option<&str>, envelope: Envelope) -> Result<Caller, Refused> {
        unimplemented!("{credential:?} {envelope:?}")
    }

    /// Counts someone without a valid key, to be recorded in the instance's system project: at once for the first of
    /// a source in a minute, the others of that minute as one event when it is over.
    pub async fn stranger(&self, source: Option<IpAddr>, refused: Refused, envelope: &Envelope) -> Result<(), AppendError> {
        unimplemented!("{source:?} {refused:?} {envelope:?}")
    }

    /// The operator who holds the data folder: all scopes, actor `human` with the name of the operating system's user.
    pub fn operator(&self) -> Caller {
        unimplemented!()
    }

    /// The project a request is for: `asked`, or the key's own. 404 where the key may not see it, or it is not there.
    pub fn project_of(&self, caller: &Caller, asked: Option<Uuid>) -> Result<Arc<Project>, ReadError> {
        unimplemented!("{caller:?} {asked:?}")
    }

    /// The projects that this caller may see.
    pub fn projects(&self, caller: &Caller) -> Vec<Arc<Project>> {
        unimplemented!("{caller:?}")
    }

    /// Redacts, seals and drafts one event; runs beside the caller, on any thread. `path` is how it came: `http`, `import`, `append`.
    pub fn prepare(&self, caller: &Caller, project: &Project, path: &'static str, submission: Submission<'_>) -> Result<Prepared, Fault> {
        unimplemented!("{caller:?} {project:?} {path} {submission:?}")
    }

    /// Appends a batch, all of it or nothing. Returns once it is durable. The caller needs `events:append`.
    pub async fn append(&self, batch: Vec<Prepared>) -> Result<Vec<Receipt>, AppendError> {
        unimplemented!("{batch:?}")
    }

    /// [`Self::append`] for threads outside the runtime.
    pub fn append_blocking(&self, batch: Vec<Prepared>) -> Result<Vec<Receipt>, AppendError> {
        unimplemented!("{batch:?}")
    }

    /// Records that a submission was refused (`audit.append_rejected`), before the refusal is answered. `deny` is for what the key does not allow.
    pub async fn reject(&self, caller: &Caller, project: &Project, fault: &Fault, deny: bool) -> Result<(), AppendError> {
        unimplemented!("{caller:?} {project:?} {fault:?} {deny}")
    }

    /// Makes a key; returns it and its secret form, which is shown this once.
    pub async fn create_api_key(&self, caller: &Caller, new: NewApiKey) -> Result<(ApiKey, String), MutateError> {
        unimplemented!("{caller:?} {new:?}")
    }

    /// The keys that belong to what the caller's key belongs to. Recorded as a read.
    pub async fn api_keys(&self, caller: &Caller) -> Result<Vec<ApiKey>, ReadError> {
        unimplemented!("{caller:?}")
    }

    /// Revokes a key.
    pub async fn revoke_api_key(&self, caller: &Caller, id: Uuid) -> Result<ApiKey, MutateError> {
        unimplemented!("{caller:?} {id}")
    }

    /// Makes a project in an organization (the default one if not named), for an instance's or the organization's key with `control:write`.
    pub async fn create_project(&self, caller: &Caller, organization_id: Option<Uuid>, name: &str) -> Result<Project, MutateError> {
        unimplemented!("{caller:?} {organization_id:?} {name}")
    }

    /// Takes the clock as it is now for right, after a jump stopped appends. Recorded.
    pub async fn confirm_clock(&self, caller: &Caller) -> Result<Timestamp, MutateError> {
        unimplemented!("{caller:?}")
    }

    /// Figures.
    pub fn status(&self) -> Status {
        let _ = &self.inner;
        unimplemented!()
    }
}
