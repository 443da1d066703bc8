//! How the ledger stands, project by project, as far as the caller may see: what is anchored, sealed, indexed, and what verification in
//! the background last found.
//!
//! Like any read of the log it is recorded before it is answered. Who does not see the whole instance is told neither figures of all
//! projects together nor how long a round took, which would tell them.

use std::sync::Arc;

use indelible_core::anchor::Anchor;
use indelible_core::time::Timestamp;
use indelible_core::verify::{Finding, Report, Verdict};
use uuid::Uuid;

use super::anchors::{latest, unreadable};
use super::reading::{Lane, Reading};
use super::{Opening, ReadError};
use crate::access::{Caller, Owner};
use crate::anchor::{Refusal, origin};
use crate::cosigning::CosigningStatus;
use crate::index::{Direction, Postings, View};
use crate::ledger::Ledger;
use crate::patrol::Round;
use crate::resource::Project;
use crate::store::sql::{Connection, OptionalExtension, SqlError, SqlResult};

/// Projects that are listed at most; those with anything wrong come first then.
pub const PROJECTS_MAX: usize = 1_000;

/// How the ledger stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerStatus {
    /// Each project that the caller may see, in the order in which they were made.
    pub projects: Vec<ProjectStatus>,
    /// How many there are, listed or not.
    pub projects_total: u64,
    /// Whether the last attempt to seal failed; it is tried again.
    pub sealing_failing: bool,
    /// Whether there is verification in the background, and how its rounds go.
    pub verification: Option<RoundStatus>,
    /// What only a key of the instance is told.
    pub instance: Option<InstanceStatus>,
}

/// How one project stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectStatus {
    /// The project.
    pub project_id: Uuid,
    /// Its name.
    pub name: String,
    /// Its events.
    pub events: u64,
    /// Of them, those that no anchor covers.
    pub unanchored: u64,
    /// When the last anchor was made.
    pub anchored_at: Option<Timestamp>,
    /// Why its tree is not signed, if so.
    pub refused: Option<Refusal>,
    /// Events that the index has not; `None` while it is not open.
    pub unindexed: Option<u64>,
    /// What the last round of verification found; `None` before one came to its end.
    pub verification: Option<ProjectVerification>,
}

/// What a round found of one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectVerification {
    /// The gravest kind found.
    pub verdict: Verdict,
    /// The last sequence there was when the round began.
    pub through_sequence: Option<u64>,
    /// The first hundred.
    pub findings: Vec<Finding>,
    /// How many there are.
    pub findings_total: u64,
}

/// When the ledger was last verified in the background.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoundStatus {
    /// When the last round that came to its end began: it holds for everything that was committed then.
    pub begun_at: Option<Timestamp>,
    /// Whether the last one did not come to its end, or could not be recorded; it is tried again.
    pub failing: bool,
}

/// What belongs to all projects together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceStatus {
    /// Events of all projects.
    pub events: u64,
    /// Of them, those that no anchor covers.
    pub unanchored: u64,
    /// Of them, those that the index has not.
    pub unindexed: u64,
    /// Trees that are not signed.
    pub trees_refused: u64,
    /// When the last round that came to its end did.
    pub verified_at: Option<Timestamp>,
    /// Events that it read.
    pub events_verified: u64,
    /// Findings of all projects; before the first round, those that the ledger tells of.
    pub findings: u64,
    /// The round under way: when it began, events read, events in all.
    pub running: Option<(Timestamp, u64, u64)>,
    /// What witnesses say of the instance tree, where there is a policy.
    pub cosigning: Option<CosigningStatus>,
}

impl Ledger {
    /// How one project stands, or all that the caller may see.
    pub async fn ledger_status(&self, caller: &Caller, project: Option<&Project>) -> Result<LedgerStatus, ReadError> {
        let home = match project {
            Some(project) => project.clone(),
            None => self.home_of(caller.owner)?.as_ref().clone(),
        };
        let only = project.map(|project| project.id);
        let reading = Reading::new(caller, &home, "audit_status", only.map_or("*".to_owned(), |id| id.to_string()), &Opening::default());
        self.read(reading, move |lane, account| {
            let status = status(lane, only)?;
            account.returned = status.projects.len() as u64;
            Ok(status)
        })
        .await
    }
}

fn status(lane: &Lane<'_>, only: Option<Uuid>) -> Result<LedgerStatus, ReadError> {
    let (ledger, inner) = (lane.ledger, &lane.ledger.inner);
    let (sealing, patrol) = (inner.anchoring.report(), inner.patrol.as_ref().map(crate::patrol::Patrol::report));
    let round = patrol.as_ref().and_then(|report| report.last.clone());
    let view = inner.index.view();
    let reader = lane.reader()?;
    // Heads and anchors of one moment.
    let snapshot = reader.moment().map_err(|error| unreadable(&error))?;
    let asked = |project: &Project| only.map_or_else(|| ledger.sees(&lane.reading.caller, project), |only| only == project.id);
    let mut projects = Vec::new();
    for known in inner.registry.projects().into_iter().filter(|known| asked(&known.project)) {
        let origin = origin(&inner.instance.name, known.project.id).map_err(|error| unreadable(&error))?;
        let refused = sealing.refused.get(&origin).cloned();
        let stored = (&*snapshot, view.as_ref());
        projects.push(project_status(stored, &known.project, known.number, refused, round.as_deref())?);
    }
    let projects_total = projects.len() as u64;
    if projects.len() > PROJECTS_MAX {
        projects.sort_by_key(ProjectStatus::is_sound);
        projects.truncate(PROJECTS_MAX);
    }
    let is_instance = lane.reading.caller.owner() == Owner::Instance && only.is_none();
    Ok(LedgerStatus {
        projects,
        projects_total,
        sealing_failing: sealing.failing.is_some(),
        verification: patrol
            .as_ref()
            .map(|report| RoundStatus { begun_at: round.as_ref().map(|round| round.begun_at), failing: report.failing.is_some() }),
        instance: is_instance.then(|| instance_status(ledger)),
    })
}

impl ProjectStatus {
    /// Whether nothing is wrong that is known.
    fn is_sound(&self) -> bool {
        self.refused.is_none() && self.verification.as_ref().is_none_or(|found| found.findings_total == 0)
    }
}

fn project_status(
    (ledger, view): (&Connection, Option<&Arc<View>>),
    project: &Project,
    number: i64,
    refused: Option<Refusal>,
    round: Option<&Round>,
) -> Result<ProjectStatus, ReadError> {
    let head = ledger
        .prepare("SELECT size, last_row FROM heads WHERE project = ?1")
        .and_then(|mut select| select.query_row([number], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).optional());
    let (size, last_row) = head.map_err(|error| unreadable(&error))?.unwrap_or_default();
    let events = size.unsigned_abs();
    let newest = latest(ledger, number).map_err(|error| unreadable(&error))?;
    let anchor = newest.and_then(|published| Anchor::parse(published.anchor.as_bytes()).ok());
    let indexed = view.map(|view| indexed(ledger, view, number, last_row)).transpose();
    Ok(ProjectStatus {
        project_id: project.id,
        name: project.name.clone(),
        events,
        unanchored: events.saturating_sub(anchor.as_ref().map_or(0, Anchor::tree_size)),
        anchored_at: anchor.map(|anchor| anchor.anchor_at),
        refused,
        // An index that cannot be read now is built anew by whoever asks it for events.
        unindexed: indexed.ok().flatten().map(|indexed| events.saturating_sub(indexed)),
        verification: round.and_then(|round| round.reports.get(&project.id)).map(ProjectVerification::of),
    })
}

/// Events of a project up to `last_row` that the index has.
fn indexed(ledger: &Connection, view: &Arc<View>, project: i64, last_row: i64) -> SqlResult<u64> {
    let (index, mut last) = (view.reader()?, None);
    Postings::token(view.key().every_row(project)).read(&index, (1, last_row), Direction::Descending, |row| {
        last = Some(row);
        Ok::<_, SqlError>(false)
    })?;
    let Some(last) = last else { return Ok(0) };
    let sequence: Option<i64> = ledger
        .prepare_by_row("SELECT sequence FROM events WHERE row = ?1 AND project = ?2")?
        .query_row([last, project], |row| row.get(0))
        .optional()?;
    Ok(sequence.map_or(0, |sequence| sequence.unsigned_abs() + 1))
}

impl ProjectVerification {
    fn of(report: &Report) -> Self {
        Self {
            verdict: report.verdict,
            through_sequence: report.events.checked_sub(1),
            findings: report.findings.clone(),
            findings_total: report.findings_total,
        }
    }
}

fn instance_status(ledger: &Ledger) -> InstanceStatus {
    let status = ledger.status();
    let report = ledger.inner.patrol.as_ref().map(crate::patrol::Patrol::report).unwrap_or_default();
    InstanceStatus {
        events: status.rows,
        unanchored: status.sealing.rows_waiting,
        unindexed: status.rows.saturating_sub(status.rows_indexed),
        trees_refused: status.sealing.refused,
        verified_at: report.last.as_ref().map(|round| round.ended_at),
        events_verified: report.last.as_ref().map_or(0, |round| round.rows),
        findings: status.patrol.map_or(0, |patrol| patrol.findings),
        running: report.running.map(|(begun_at, progress)| (begun_at, progress.rows, progress.rows_total)),
        cosigning: status.cosigning,
    }
}
