//! A ledger whose instance tree is cosigned over HTTP, in a folder that can be copied.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use indelible::cosigning::WitnessPolicy;
use indelible_core::event::{Source, Submission};
use indelible_engine::access::{Caller, Envelope};
use indelible_engine::cosigning::{CosigningStatus, FailureKind};
use indelible_engine::query::checkpoints::InstanceCheckpoints;
use indelible_engine::{Ledger, Options};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    policy: WitnessPolicy,
}

/// The key that signs the instance tree of the ledger in a folder, which is made.
pub(crate) fn log_key(data: &Path) -> String {
    let House { ledger, .. } = House::open(data, None);
    let key = ledger.instance_key().expect("readable").expect("a key").to_string();
    ledger.close();
    key
}

pub(crate) struct House {
    data: PathBuf,
    pub(crate) ledger: Ledger,
}

impl House {
    /// Opens the ledger in a folder, with a policy, or with no witnesses.
    pub(crate) fn open(data: &Path, policy: Option<&str>) -> Self {
        Self::try_open(data, policy).expect("it opens")
    }

    pub(crate) fn try_open(data: &Path, policy: Option<&str>) -> anyhow::Result<Self> {
        let mut options = Options::new(data);
        options.disk_reserve_bytes = 0;
        options.anchor_interval = Duration::from_hours(1);
        if let Some(policy) = policy {
            let mut file = data.as_os_str().to_owned();
            file.push(".policy");
            std::fs::write(&file, policy)?;
            let line = Line::try_parse_from(["serve".as_ref(), "--witness-policy".as_ref(), file.as_os_str()])?;
            let mut witnesses = line.policy.witnesses()?.expect("a policy");
            witnesses.retry_min = Duration::from_millis(50);
            witnesses.retry_max = Duration::from_millis(200);
            options.witnesses = Some(witnesses);
        }
        Ok(Self { data: data.to_owned(), ledger: Ledger::open(options)?.ledger })
    }

    fn admin(&self) -> Caller {
        let key = std::fs::read_to_string(self.data.join("admin.key")).expect("a key file");
        self.ledger.authenticate(Some(key.trim()), Envelope::default()).expect("a key")
    }

    /// Appends an event, and seals.
    pub(crate) fn grow(&self, what: &str) {
        let admin = self.admin();
        let project = self.ledger.project_of(&admin, None).expect("the default project");
        let event = format!(r#"{{"action":"test.step","outcome":"allow","actor":{{"type":"human","id":"{what}"}}}}"#);
        let submission = Submission::parse(event.as_bytes(), Source::Caller, self.ledger.new_id()).expect("an event");
        let prepared = self.ledger.prepare(&admin, &project, "http", submission).expect("a good event");
        self.ledger.append_blocking(vec![prepared]).expect("appended");
        wait(self.ledger.seal(&admin, &project)).expect("sealed");
    }

    pub(crate) fn status(&self) -> CosigningStatus {
        self.ledger.status().cosigning.expect("there is a policy")
    }

    /// Waits until it is so.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&CosigningStatus) -> bool) -> CosigningStatus {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let status = self.status();
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < end, "{what}: {status:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn checkpoints(&self) -> InstanceCheckpoints {
        let admin = self.admin();
        let project = self.ledger.project_of(&admin, None).expect("the default project");
        wait(self.ledger.instance_checkpoints(&admin, &project)).expect("readable")
    }
}

/// Why each witness does not cosign.
pub(crate) fn kinds(status: &CosigningStatus) -> Vec<Option<FailureKind>> {
    status.witnesses.iter().map(|witness| witness.failing.as_ref().map(|failure| failure.kind)).collect()
}

fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("readable") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}
