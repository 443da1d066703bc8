//! One round: everything that is in the ledger when it begins, read once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use indelible_core::time::Timestamp;
use indelible_core::verify::Report;
use uuid::Uuid;

use crate::anchor::CheckpointStore;
use crate::append::Desk;
use crate::clock::Clock;
use crate::index::Index;
use crate::sharing::{Lease, Term};
use crate::store::sql::Connection;
use crate::store::{Readers, Source, StoreError};
use crate::verify::told::Told;
use crate::verify::walk::slices::{Rest, walk};
use crate::verify::walk::{Ground, Keys};
use crate::verify::{StoredKeys, VerifyError};
use crate::write::Writer;

/// What the patrol works with.
pub(crate) struct Parts {
    /// The data folder.
    pub(crate) data: PathBuf,
    pub(crate) source: Source,
    /// Folder of the checkpoint store.
    pub(crate) checkpoints: CheckpointStore,
    /// Where what cannot be told elsewhere is told.
    pub(crate) system_project_id: Uuid,
    pub(crate) desk: Arc<Desk>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) index: Arc<Index>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where several servers share a ledger, one of them patrols.
    pub(crate) lease: Option<Lease>,
    /// Under which lease what is found is told.
    pub(crate) term: Option<Term>,
}

/// A round that came to its end.
#[derive(Debug)]
pub(crate) struct Round {
    /// It holds for everything that was committed then.
    pub(crate) begun_at: Timestamp,
    pub(crate) ended_at: Timestamp,
    /// Rows read.
    pub(crate) rows: u64,
    pub(crate) reports: BTreeMap<Uuid, Report>,
}

impl Round {
    /// Findings of all projects, listed or not.
    pub(crate) fn findings(&self) -> u64 {
        self.reports.values().map(|report| report.findings_total).sum()
    }
}

impl Parts {
    /// Takes the lease, or keeps it; whether this server patrols.
    pub(super) fn hold(&mut self) -> Result<bool, StoreError> {
        let Some(lease) = &mut self.lease else { return Ok(true) };
        self.term = lease.hold(false)?.map(|(term, _)| term);
        Ok(self.term.is_some())
    }

    /// Lets others look at the lease, or have it where the server `closes`.
    pub(super) fn let_go(&mut self, closes: bool) {
        if let Some(lease) = &mut self.lease {
            lease.let_go(closes);
        }
    }

    /// Does one, and tells what the ledger knew of findings when it began.
    pub(super) fn round(&self, stop: &AtomicBool, rest: &mut Rest<'_>) -> Result<(Round, Told), VerifyError> {
        let begun_at = self.clock.now();
        let source = &self.source;
        let open = || source.open_verifier().map_err(|error| error.to_string());
        let stored = Arc::new(StoredKeys::in_memory(&self.desk.keystore, &self.desk.data_keys));
        let keys = |_: &Connection| -> Result<Arc<dyn Keys>, String> { Ok(stored.clone()) };
        let ground = Ground {
            data: &self.data,
            checkpoints: &self.checkpoints,
            open: &open,
            keys: &keys,
            only: None,
            since: None,
            policy: None,
            workers: 1,
            stop,
        };
        let walked = walk(&ground, rest)?;
        if let Some(Err(error)) = walked.settled.map(|settled| settled.leave(&self.desk.keystore, &self.checkpoints)) {
            tracing::warn!(%error, "no note could be left beside the checkpoint store: `indelible verify --since last` goes on from an older one");
        }
        let reports = walked.reports.into_iter().map(|report| (report.project_id, report)).collect();
        Ok((Round { begun_at, ended_at: self.clock.now(), rows: walked.rows, reports }, walked.told))
    }
}
