//! Servers on one PostgreSQL database, as these tests have them.

use std::sync::Arc;
use std::time::Duration;

use indelible_core::event::{Source, Submission};
use indelible_core::verify::Verdict;
use indelible_engine::access::{Caller, Envelope, Refused};
use indelible_engine::append::{AppendError, Receipt};
use indelible_engine::verify::{Request, verify_folder};
use indelible_engine::{Database, Ledger, Options};

use crate::bench::wait;
use crate::databases;

/// Ledgers open on one database, as servers have them: each a data folder of its own.
pub(crate) struct House {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: String,
    pub(crate) database: Arc<Database>,
    pub(crate) servers: Vec<Ledger>,
}

impl House {
    /// Opens `n` of them. `change` is told which.
    pub(crate) fn of(n: usize, change: impl Fn(usize, &mut Options)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = databases::installed();
        let database = Arc::new(Database::parse(&address, None, None).expect("an address"));
        let mut house = Self { folder, address, database, servers: Vec::new() };
        for at in 0..n {
            let server = house.open(at, &change);
            house.servers.push(server);
        }
        house
    }

    pub(crate) fn open(&self, at: usize, change: &impl Fn(usize, &mut Options)) -> Ledger {
        let mut options = Options::new(self.folder.path().join(format!("data-{at}")));
        options.database = Some(Arc::clone(&self.database));
        options.keys = Some(self.folder.path().join("keys"));
        options.checkpoints = self.folder.path().join("checkpoints").into();
        options.disk_reserve_bytes = 0;
        options.anchor_interval = Duration::from_hours(1);
        change(at, &mut options);
        Ledger::open(options).expect("it opens").ledger
    }

    /// The administrator of the default project, as a server knows him.
    pub(crate) fn admin(&self, server: usize) -> Caller {
        self.known(server, "admin.key")
    }

    /// The key of the instance.
    pub(crate) fn instance(&self, server: usize) -> Caller {
        self.known(server, "instance.key")
    }

    fn known(&self, server: usize, file: &str) -> Caller {
        let text = std::fs::read_to_string(self.folder.path().join("data-0").join(file)).expect("a key");
        let known = || self.servers[server].authenticate(Some(text.trim()), Envelope::default());
        for _ in 0..3_000 {
            match known() {
                // A server that has lost sight of its database knows nobody until it has looked again.
                Err(Refused::Blind) => std::thread::sleep(Duration::from_millis(20)),
                answer => return answer.expect("known everywhere"),
            }
        }
        panic!("it has lost sight of its database");
    }

    pub(crate) fn append(&self, server: usize, events: &[String]) -> Result<Vec<Receipt>, AppendError> {
        let (ledger, admin) = (&self.servers[server], self.admin(server));
        let project = ledger.project_of(&admin, None).expect("the default project");
        let prepare = |event: &String| {
            let submission = Submission::parse(event.as_bytes(), Source::Caller, ledger.new_id()).expect("an event");
            ledger.prepare(&admin, &project, "http", submission).expect("prepared")
        };
        ledger.append_blocking(events.iter().map(prepare).collect())
    }

    /// The same until it is taken: what changed meanwhile is no reason to give up.
    pub(crate) fn append_again(&self, server: usize, events: &[String]) -> Vec<Receipt> {
        for _ in 0..200 {
            match self.append(server, events) {
                Ok(receipts) => return receipts,
                Err(AppendError::Unavailable { .. } | AppendError::Busy { .. }) => std::thread::sleep(Duration::from_millis(10)),
                Err(error) => panic!("{error}"),
            }
        }
        panic!("it was not taken");
    }

    pub(crate) fn seal(&self, server: usize) {
        let (ledger, admin) = (&self.servers[server], self.admin(server));
        let project = ledger.project_of(&admin, None).expect("the default project");
        let status = wait(ledger.seal(&admin, &project)).expect("recorded");
        assert_eq!(status.failing, None, "{:?}", ledger.sealing_error());
    }

    /// Nothing is wrong with it; how many events the default project has.
    pub(crate) fn verify(&self) -> u64 {
        let (data, keys) = (self.folder.path().join("data-0"), self.folder.path().join("keys"));
        let store = self.folder.path().join("checkpoints").into();
        let request = Request { database: Some(&self.database), keys: Some(&keys), ..Request::new(&data, &store) };
        let reports = verify_folder(&request, &mut |_| {}).expect("it can be verified").projects;
        for report in &reports {
            assert!(report.findings.is_empty() && matches!(report.verdict, Verdict::Intact | Verdict::Unanchored), "{report:?}");
        }
        let own = self.servers[0].default_project_id();
        reports.iter().find(|report| report.project_id == own).expect("a report").events
    }

    /// One value, by whoever has every right.
    pub(crate) fn ask(&self, sql: &str) -> String {
        let rows = databases::Session::with(&self.address).rows(sql);
        rows.first().and_then(|row| row.first()).cloned().unwrap_or_default()
    }
}
