//! Reading what was signed: anchors, the newest one, how far behind it is, and the keys that verify it.
//!
//! Like any read of the log each is recorded before it is answered. Counts are the project's own: nothing here tells how
//! much others write.

use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::{Note, VerifierKey};
use indelible_core::time::Timestamp;

use super::reading::Reading;
use super::{Opening, ReadError};
use crate::access::Caller;
use crate::anchor::{Refusal, SealError, SealingFailure, SigningKeys, origin};
use crate::ledger::Ledger;
use crate::resource::Project;
use crate::store::sql::{Connection, OptionalExtension, Row, SqlResult};

/// Anchors in one page at most.
pub const ANCHORS_MAX: usize = 1_000;

/// `resource.type` of the record.
const KIND: &str = "audit_anchor";

/// An anchor as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Counted from 0 in its project.
    pub number: u64,
    /// The canonical bytes, which are signed.
    pub anchor: String,
    /// The signed note over them.
    pub note: String,
    /// The signed checkpoint of the project's tree.
    pub checkpoint: String,
}

/// A page of anchors, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnchorPage {
    /// The anchors.
    pub anchors: Vec<Published>,
    /// `since` of the next page, where there is one.
    pub next_since: Option<u64>,
}

/// How far anchoring has come in a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorStatus {
    /// Events of the project.
    pub events: u64,
    /// Of them, those that no anchor covers.
    pub unanchored: u64,
    /// The newest anchor.
    pub latest: Option<Published>,
    /// Why nothing is signed, if so.
    pub refused: Option<Refusal>,
    /// Why the last attempt to seal failed, where it did; it is tried again.
    pub failing: Option<SealingFailure>,
}

/// A key under the name of a project's tree, or of the instance tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedKey {
    /// The key.
    pub verifier_key: VerifierKey,
    /// Since when it signs.
    pub since: Timestamp,
    /// When it stops, once another has taken its place.
    pub until: Option<Timestamp>,
}

fn published(row: &Row<'_>) -> SqlResult<Published> {
    Ok(Published { number: row.get::<_, i64>(0)?.unsigned_abs(), anchor: row.get(1)?, note: row.get(2)?, checkpoint: row.get(3)? })
}

/// The newest anchor of a project.
pub(crate) fn latest(ledger: &Connection, project: i64) -> SqlResult<Option<Published>> {
    ledger
        .prepare("SELECT number, anchor, note, checkpoint FROM anchors WHERE project = ?1 ORDER BY number DESC LIMIT 1")?
        .query_row([project], published)
        .optional()
}

fn page(ledger: &Connection, project: i64, since: u64, limit: usize) -> SqlResult<AnchorPage> {
    let mut statement = ledger
        .prepare("SELECT number, anchor, note, checkpoint FROM anchors WHERE project = ?1 AND number >= ?2 ORDER BY number LIMIT ?3")?;
    let rows = statement.query_map((project, i64::try_from(since).unwrap_or(i64::MAX), limit as i64 + 1), published)?;
    let mut anchors = rows.collect::<SqlResult<Vec<_>>>()?;
    let next_since = (anchors.len() > limit).then(|| anchors[limit].number);
    anchors.truncate(limit);
    Ok(AnchorPage { anchors, next_since })
}

pub(super) fn unreadable(error: &dyn std::fmt::Display) -> ReadError {
    tracing::error!(%error, "anchors could not be read");
    ReadError::Unavailable("the store cannot be read now".to_owned())
}

/// How far anchoring has come, of a project whose number is known. Not recorded here.
pub(crate) fn status(ledger: &Ledger, project: &Project, number: i64) -> Result<AnchorStatus, ReadError> {
    let inner = &ledger.inner;
    let reader = inner.readers.get().map_err(|error| unreadable(&error))?;
    let read = || -> SqlResult<(Option<Published>, Option<i64>)> {
        let size = reader.prepare("SELECT size FROM heads WHERE project = ?1")?.query_row([number], |row| row.get(0)).optional()?;
        Ok((latest(&reader, number)?, size))
    };
    let (latest, size) = read().map_err(|error| unreadable(&error))?;
    let covered = latest.as_ref().and_then(|latest| Note::parse(latest.checkpoint.as_bytes()).ok());
    let covered = covered.and_then(|note| Checkpoint::parse(note.text()).ok()).map_or(0, |checkpoint| checkpoint.size);
    let events = size.unwrap_or(0).unsigned_abs();
    let report = inner.anchoring.report();
    let origin = origin(&inner.instance.name, project.id).map_err(|error| unreadable(&error))?;
    Ok(AnchorStatus {
        events,
        unanchored: events.saturating_sub(covered),
        latest,
        refused: report.refused.get(&origin).cloned(),
        failing: report.failing.map(|(kind, _)| kind),
    })
}

impl Ledger {
    /// Anchors of a project from number `since` on, at most `limit` (1 to [`ANCHORS_MAX`]).
    pub async fn anchors(&self, caller: &Caller, project: &Project, since: u64, limit: usize) -> Result<AnchorPage, ReadError> {
        let reading = Reading::new(caller, project, KIND, "*", &Opening::default());
        self.read(reading, move |lane, account| {
            if !(1..=ANCHORS_MAX).contains(&limit) {
                return Err(ReadError::Options(format!("a limit is from 1 to {ANCHORS_MAX}")));
            }
            let page = page(&*lane.reader()?, lane.number, since, limit).map_err(|error| unreadable(&error))?;
            account.returned = page.anchors.len() as u64;
            Ok(page)
        })
        .await
    }

    /// The newest anchor of a project, and how far behind it is.
    pub async fn anchor_status(&self, caller: &Caller, project: &Project) -> Result<AnchorStatus, ReadError> {
        let reading = Reading::new(caller, project, KIND, "latest", &Opening::default());
        self.read(reading, |lane, account| {
            let status = status(lane.ledger, &lane.reading.project, lane.number)?;
            account.returned = u64::from(status.latest.is_some());
            Ok(status)
        })
        .await
    }

    /// The keys that sign, and signed, the tree of a project, then those of the instance tree; oldest first.
    pub async fn verifier_keys(&self, caller: &Caller, project: &Project) -> Result<Vec<PublishedKey>, ReadError> {
        let reading = Reading::new(caller, project, "verifier_key", "*", &Opening::default());
        self.read(reading, |lane, account| {
            let instance = lane.ledger.instance_name();
            let read = || -> Result<Vec<PublishedKey>, SealError> {
                let keys = SigningKeys::load(&*lane.reader().map_err(|error| crate::store::StoreError::Corrupt(error.to_string()))?)?;
                let names = [origin(instance, lane.reading.project.id)?, crate::anchor::instance_origin(instance)?];
                Ok(names.iter().flat_map(|name| keys.published(name)).collect())
            };
            let keys = read().map_err(|error| unreadable(&error))?;
            account.returned = keys.len() as u64;
            Ok(keys)
        })
        .await
    }
}
