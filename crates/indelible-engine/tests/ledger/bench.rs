//! The workbench of these tests: a ledger in a temporary folder, and the few calls that every test makes.

use std::path::Path;

use indelible_core::event::{Source, Submission};
use indelible_core::fault::Fault;
use indelible_engine::access::Caller;
use indelible_engine::append::{AppendError, Prepared, Receipt};
use indelible_engine::resource::Project;
use indelible_engine::{FirstStart, Ledger, Options};
use uuid::Uuid;

/// An open ledger and its folder, removed at the end.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) ledger: Ledger,
    pub(crate) first: Option<FirstStart>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = Options::new(folder.path().join("data"));
        options.disk_reserve_bytes = 0;
        // Tests seal when they mean to.
        options.anchor_interval = std::time::Duration::from_hours(1);
        change(&mut options);
        let opened = Ledger::open(options).expect("it opens");
        Self { folder, ledger: opened.ledger, first: opened.first_start }
    }

    /// Closes it and opens it again.
    pub(crate) fn reopen(self) -> Self {
        let Self { folder, ledger, .. } = self;
        ledger.close();
        Self::over(folder)
    }

    /// Opens what lies in a folder.
    pub(crate) fn over(folder: tempfile::TempDir) -> Self {
        let opened = Ledger::open(Options::new(folder.path().join("data"))).expect("it opens again");
        Self { folder, ledger: opened.ledger, first: opened.first_start }
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Where its checkpoint store lies unless a test names another folder.
    pub(crate) fn checkpoints(&self) -> std::path::PathBuf {
        self.folder.path().join("data.checkpoints")
    }

    /// The administrator of the default project.
    pub(crate) fn admin(&self) -> Caller {
        recognise(&self.ledger, &self.data().join("admin.key"))
    }

    /// The key of the instance.
    pub(crate) fn instance(&self) -> Caller {
        recognise(&self.ledger, &self.data().join("instance.key"))
    }

    pub(crate) fn project(&self) -> std::sync::Arc<Project> {
        self.ledger.project_of(&self.admin(), None).expect("the default project")
    }

    pub(crate) fn prepare(&self, event: &str) -> Result<Prepared, Fault> {
        let submission = Submission::parse(event.as_bytes(), Source::Caller, self.ledger.new_id())?;
        self.ledger.prepare(&self.admin(), &self.project(), "http", submission)
    }

    /// Appends events as one batch.
    pub(crate) fn append(&self, events: &[String]) -> Result<Vec<Receipt>, AppendError> {
        let batch = events.iter().map(|event| self.prepare(event).expect("a good event")).collect();
        self.ledger.append_blocking(batch)
    }

    /// Every row of every chain verifies; the reports.
    pub(crate) fn verify(&self) -> Vec<indelible_core::verify::Report> {
        let (data, checkpoints) = (self.data(), self.checkpoints());
        let request = indelible_engine::verify::Request::new(&data, &checkpoints);
        let reports = indelible_engine::verify::verify_folder(&request, &mut |_| {}).expect("it can be verified").projects;
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
