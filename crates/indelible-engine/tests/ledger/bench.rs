//! The workbench of these tests: a ledger in a temporary folder, and the few calls that every test makes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indelible_core::event::{Source, Submission};
use indelible_core::fault::Fault;
use indelible_core::verify::Report;
use indelible_engine::access::Caller;
use indelible_engine::anchor::CheckpointStore;
use indelible_engine::append::{AppendError, Prepared, Receipt};
use indelible_engine::resource::{Listing, PAGE_MAX, Project};
use indelible_engine::{Database, FirstStart, Ledger, Options};
use uuid::Uuid;

use crate::shell::Shell;

/// Where ledgers are kept in this run of the tests: `postgres`, or in their folders.
const STORE: &str = "INDELIBLE_TEST_STORE";
/// File that names the database of a ledger, beside its data folder.
const DATABASE: &str = "database";

/// Of what is broken at each of many places in turn, to how many the next one is: in a database, where each place takes ten times as long, a
/// fifth of them is enough beside all of them in a file.
pub(crate) fn stride() -> usize {
    if std::env::var_os(STORE).is_some() { 5 } else { 1 }
}

/// The address of the database of a ledger, where it has one.
pub(crate) fn address(folder: &Path) -> Option<String> {
    std::fs::read_to_string(folder.join(DATABASE)).ok()
}

/// A database, by its address.
pub(crate) fn database(address: &str) -> Arc<Database> {
    Arc::new(Database::parse(address, None, None).expect("an address"))
}

/// What a new ledger in a folder is opened with: its data folder is `data` in it, and its database, if it is to have one, is made.
pub(crate) fn begin(folder: &Path) -> Options {
    match std::env::var(STORE).as_deref() {
        Ok("postgres") => std::fs::write(folder.join(DATABASE), crate::databases::installed()).expect("written"),
        Err(std::env::VarError::NotPresent) => {}
        other => panic!("{STORE} is postgres or not set: {other:?}"),
    }
    options(folder)
}

/// What the ledger in a folder is opened with.
pub(crate) fn options(folder: &Path) -> Options {
    let mut options = Options::new(folder.join("data"));
    options.database = address(folder).as_deref().map(database);
    options.disk_reserve_bytes = 0;
    // Tests seal when they mean to.
    options.anchor_interval = Duration::from_hours(1);
    options
}

/// What the ledger in a folder is called where it is told of: its file, or its database.
pub(crate) fn source(folder: &Path) -> String {
    address(folder).map_or_else(|| file(folder).display().to_string(), |address| database(&address).to_string())
}

/// Takes away what the ledger in a folder is stored in, though it is open.
pub(crate) fn put_away(folder: &Path) {
    if let Some(address) = address(folder) {
        return crate::databases::shut(&address, true);
    }
    std::fs::rename(file(folder), folder.join("away.db")).expect("moved");
    std::fs::create_dir(file(folder)).expect("a folder in its place");
}

/// Brings back what was put away.
pub(crate) fn bring_back(folder: &Path) {
    if let Some(address) = address(folder) {
        return crate::databases::shut(&address, false);
    }
    // In one step: whoever looks for the ledger meanwhile would make a new one.
    let (here, away) = (rustix::fs::CWD, folder.join("away.db"));
    rustix::fs::renameat_with(here, &away, here, file(folder), rustix::fs::RenameFlags::EXCHANGE).expect("back");
    std::fs::remove_dir(away).expect("removed");
}

/// Where the ledger in a folder lies, unless it is in a database.
fn file(folder: &Path) -> PathBuf {
    folder.join("data/ledger.db")
}

/// Verifies the ledger in a folder, whether it is open or not, beside a checkpoint store.
pub(crate) fn verify(folder: &Path, store: &CheckpointStore) -> Vec<Report> {
    let (data, database) = (folder.join("data"), address(folder).as_deref().map(database));
    let mut request = indelible_engine::verify::Request::new(&data, store);
    request.database = database.as_ref();
    indelible_engine::verify::verify_folder(&request, &mut |_| {}).expect("it can be verified").projects
}

/// Copies a ledger that nobody has open, and puts the copy in the place of what is there: its data folder, and its database. The checkpoint
/// store stays where it is.
pub(crate) fn copy(from: &Path, to: &Path) {
    if to.join("data").exists() {
        std::fs::remove_dir_all(to.join("data")).expect("removed");
    }
    copy_folder(&from.join("data"), &to.join("data"));
    if let Some(address) = address(from) {
        std::fs::write(to.join(DATABASE), crate::databases::copy(&address)).expect("written");
    }
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("readable") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Where a ledger lies, removed at the end: a folder, and its database if it has one.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(address) = address(self.path()).filter(|_| !std::thread::panicking()) {
            crate::databases::give_back(&address);
        }
    }
}

/// An open ledger and its folder, removed at the end; the ledger first, which closes it.
pub(crate) struct Bench {
    pub(crate) ledger: Ledger,
    pub(crate) folder: Folder,
    pub(crate) first: Option<FirstStart>,
    /// Its checkpoint store.
    pub(crate) store: CheckpointStore,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = Folder::new();
        let mut options = begin(folder.path());
        change(&mut options);
        let store = options.checkpoints.clone();
        let opened = Ledger::open(options).expect("it opens");
        Self { folder, ledger: opened.ledger, first: opened.first_start, store }
    }

    /// Closes it and opens it again.
    pub(crate) fn reopen(self) -> Self {
        self.reopen_with(|_| {})
    }

    /// Closes it and opens it again otherwise.
    pub(crate) fn reopen_with(self, change: impl FnOnce(&mut Options)) -> Self {
        let Self { folder, ledger, store, .. } = self;
        ledger.close();
        Self::opened(folder, store, change)
    }

    /// Opens what lies in a folder.
    pub(crate) fn over(folder: Folder, store: CheckpointStore) -> Self {
        Self::opened(folder, store, |_| {})
    }

    fn opened(folder: Folder, store: CheckpointStore, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = options(folder.path());
        options.checkpoints = store.clone();
        change(&mut options);
        let opened = Ledger::open(options).expect("it opens again");
        Self { folder, ledger: opened.ledger, first: opened.first_start, store }
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// The administrator of the default project.
    pub(crate) fn admin(&self) -> Caller {
        recognise(&self.ledger, &self.data().join("admin.key"))
    }

    /// The key of the instance.
    pub(crate) fn instance(&self) -> Caller {
        recognise(&self.ledger, &self.data().join("instance.key"))
    }

    pub(crate) fn project(&self) -> Arc<Project> {
        self.ledger.project_of(&self.admin(), None).expect("the default project")
    }

    /// The system project of the instance.
    pub(crate) fn system(&self) -> Arc<Project> {
        self.ledger.project_of(&self.instance(), Some(self.ledger.system_project_id())).expect("the system project")
    }

    /// Every project, which is a read.
    pub(crate) fn projects(&self) -> Vec<Arc<Project>> {
        let (caller, kind) = (self.instance(), indelible_engine::resource::kind("project").expect("a kind"));
        let listed = wait(self.ledger.resources(&caller, kind, &Listing { limit: Some(PAGE_MAX), ..Listing::default() })).expect("a list");
        listed.kept.iter().map(|kept| self.ledger.project_of(&caller, Some(kept.id)).expect("a project")).collect()
    }

    pub(crate) fn prepare(&self, event: &str) -> Result<Prepared, Fault> {
        let submission = Submission::parse(event.as_bytes(), Source::Caller, self.ledger.new_id())?;
        self.ledger.prepare(&self.admin(), &self.project(), "http", submission)
    }

    /// Appends events as one batch; again, where the index of a ledger that was only just opened has not come far enough to tell retries. Once
    /// a COMMIT failed, that is what a test is about.
    pub(crate) fn append(&self, events: &[String]) -> Result<Vec<Receipt>, AppendError> {
        let end = Instant::now() + Duration::from_mins(1);
        loop {
            let batch = events.iter().map(|event| self.prepare(event).expect("a good event")).collect();
            match self.ledger.append_blocking(batch) {
                Err(AppendError::Unavailable { reason, .. })
                    if reason == "retries cannot be told now"
                        && self.ledger.status().commit_failures_total == 0
                        && Instant::now() < end => {}
                done => return done,
            }
        }
    }

    /// What verification finds, beside its checkpoint store.
    pub(crate) fn reports(&self) -> Vec<Report> {
        verify(self.folder.path(), &self.store)
    }

    /// What somebody with SQL sees and does.
    pub(crate) fn shell(&self) -> Shell {
        Shell::over(self.folder.path())
    }

    /// Every row of every chain verifies; the reports.
    pub(crate) fn verify(&self) -> Vec<Report> {
        let reports = self.reports();
        for report in &reports {
            assert!(report.findings.is_empty(), "{report:?}");
        }
        reports
    }

    /// Rows of the default project.
    pub(crate) fn events(&self) -> u64 {
        self.verify().iter().find(|report| report.project_id == self.ledger.default_project_id()).expect("a report").events
    }
}

fn recognise(ledger: &Ledger, file: &Path) -> Caller {
    let text = std::fs::read_to_string(file).expect("a key file");
    ledger.authenticate(Some(text.trim()), indelible_engine::access::Envelope::default()).expect("a key")
}

/// Waits for a future on the spot.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// An event whose id is made of its number.
pub(crate) fn event(n: u64, text: &str) -> String {
    let id = id(n);
    format!(
        r#"{{"id":"{id}","action":"test.step","outcome":"allow","actor":{{"type":"human","id":"alice"}},"content":{{"arguments":{{"text":"{text}"}}}}}}"#
    )
}

pub(crate) fn id(n: u64) -> Uuid {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 | u128::from(n))
}
