//! The walk of the patrol: one thread, a short read transaction for each batch, and rests between them, so that a server beside goes
//! on and its write-ahead log can be emptied.
//!
//! What is compared with the rows at the end (heads, what was signed, resources) is read first, in one snapshot; then the rows that this
//! snapshot had, and no others. Rows, tiles, anchors and leaves are only ever added, so later looks at them see what it saw, or
//! what somebody did to them since.

use super::super::batch::{self, Batch, Span};
use super::super::cosigned::{Cosignatures, Cosigned};
use super::super::examine::Examiner;
use super::super::index::{Claim, Misplaced, Sums, Walked as Compared, claim};
use super::super::index_parts::PARTS;
use super::super::instance::{InstanceFinding, InstanceTree, Walk};
use super::super::{Progress, VerifyError};
use super::{Chains, EVERY_ROW, Ground, Walked, misplaced, scene, unreadable};

use crate::store::sql::{Connection, SqlError};

/// Told how far it has come, with no transaction open; says whether to go on.
pub(crate) type Rest<'a> = dyn FnMut(Progress) -> bool + 'a;

/// Verifies everything that a snapshot taken now holds.
pub(crate) fn walk(ground: &Ground<'_>, rest: &mut Rest<'_>) -> Result<Walked, VerifyError> {
    let open = || (ground.open)().map_err(VerifyError::Unreadable);
    let failed = |error: SqlError| unreadable(&error);
    let claimed = claim(ground.data);
    let (reading, aside) = (open()?, open()?);
    let mut scene = scene(ground, &reading, &aside)?;
    let claimed = claimed.filter(|claim| claim.fits(&reading));
    let (rows_total, instance_size) = (scene.rows_total, scene.instance_size);
    let slices = Slices { reading: &reading, last_row: i64::try_from(rows_total).unwrap_or(i64::MAX) };
    let terms = claimed.as_ref().map(Claim::terms);
    let beyond = slices.read(Span { first: slices.last_row.saturating_add(1), ..EVERY_ROW }).map_err(failed)?;
    reading.end().map_err(failed)?;
    let (mut found, mut beside) = (Vec::new(), None);
    if let Some(claim) = claimed {
        beside = kept(Beside::new(claim), &mut found);
    }
    let (instance, removed) = (scene.instance.take(), std::mem::take(&mut scene.removed));
    let mut of_instance = std::mem::take(&mut scene.faults);
    let mut chains = Chains::new(ground, &aside, scene).map_err(failed)?;
    let mut examiner = chains.examiner(&chains.wanted().into(), terms);
    let mut going = |rows: u64| rest(Progress { rows, rows_total: rows_total.max(rows) }) && !ground.is_stopped();
    let mut first = EVERY_ROW.first;
    while let Some(batch) = slices.batch(first, &mut examiner).map_err(failed)? {
        chains.batch(&batch).map_err(failed)?;
        beside = beside.and_then(|beside| kept(beside.batch(&batch), &mut found));
        first = batch.rows.last().map_or(i64::MAX, |row| row.row.saturating_add(1));
        if !going(chains.rows()) {
            return Err(VerifyError::Stopped);
        }
    }
    if let Some(mut beyond) = beyond {
        examiner.batch(&mut beyond);
        chains.batch(&beyond).map_err(failed)?;
    }
    let rows = chains.rows();
    let mut going = || going(rows);
    if let Some(tree) = instance {
        of_instance.extend(slices.instance(tree, &mut going)?);
    }
    let (of_witnesses, cosigned) = slices.cosigned(ground, instance_size, &mut going)?;
    of_instance.extend(of_witnesses);
    if let Some(beside) = beside {
        let settled = kept(beside.settle(&aside, &mut going).map(Some), &mut found);
        found.extend(settled.into_iter().flatten());
    }
    chains.end((of_instance, cosigned), found, removed, &mut going)
}

/// A connection whose transactions are short.
struct Slices<'a> {
    reading: &'a Connection,
    last_row: i64,
}

impl Slices<'_> {
    fn within<T>(&self, what: impl FnOnce() -> Result<T, SqlError>) -> Result<T, SqlError> {
        self.reading.begin_reading()?;
        let done = what();
        self.reading.end()?;
        done
    }

    /// The first batch of a span; `None` where nothing lies in it.
    fn read(&self, span: Span) -> Result<Option<Batch>, SqlError> {
        let mut found = None;
        batch::read(self.reading, span, &mut |batch| {
            found = Some(batch);
            None
        })?;
        Ok(found.filter(|batch: &Batch| !batch.rows.is_empty() || !batch.orphans.is_empty()))
    }

    /// The next rows from `first` on, examined when the transaction is over.
    fn batch(&self, first: i64, examiner: &mut Examiner) -> Result<Option<Batch>, SqlError> {
        let mut batch = self.within(|| self.read(Span { first, last: self.last_row }))?;
        if let Some(batch) = &mut batch {
            examiner.batch(batch);
        }
        Ok(batch)
    }

    fn cosigned(
        &self,
        ground: &Ground<'_>,
        last: Option<i64>,
        going: &mut dyn FnMut() -> bool,
    ) -> Result<(Vec<InstanceFinding>, Cosigned), VerifyError> {
        let failed = |error: SqlError| unreadable(&error);
        let mut cosignatures = Cosignatures::new(self.reading, ground.policy, last);
        while self.within(|| cosignatures.page()).map_err(failed)? {
            if !going() {
                return Err(VerifyError::Stopped);
            }
        }
        self.within(|| cosignatures.finish()).map_err(failed)
    }

    fn instance(&self, tree: InstanceTree, going: &mut dyn FnMut() -> bool) -> Result<Vec<InstanceFinding>, VerifyError> {
        let failed = |error: SqlError| unreadable(&error);
        let mut walk = self.within(|| Walk::new(self.reading, tree)).map_err(failed)?;
        while self.within(|| walk.page()).map_err(failed)? {
            if !going() {
                return Err(VerifyError::Stopped);
            }
        }
        self.within(|| walk.finish()).map_err(failed)
    }
}

/// The index beside the rows.
struct Beside {
    claim: Claim,
    compared: Compared,
}

/// What is left of a step beside the index: `None` once it was built anew, or cannot be read, which is a finding, unless somebody else
/// only holds it.
fn kept<T>(step: Result<Option<T>, SqlError>, found: &mut Vec<Misplaced>) -> Option<T> {
    step.unwrap_or_else(|error| {
        if !error.is_busy() {
            found.extend(misplaced(Err(error)));
        }
        None
    })
}

impl Beside {
    fn new(mut claim: Claim) -> Result<Option<Self>, SqlError> {
        claim.let_go()?;
        Ok(Some(Self { compared: claim.begin(), claim }))
    }

    fn batch(mut self, batch: &Batch) -> Result<Option<Self>, SqlError> {
        let compared = &mut self.compared;
        Ok(self.claim.still(|claim| claim.batch(batch, compared))?.map(|()| self))
    }

    fn settle(self, ledger: &Connection, going: &mut dyn FnMut() -> bool) -> Result<Vec<Misplaced>, SqlError> {
        let Self { claim, compared } = self;
        let mut held = Sums::new(claim.through);
        for part in 0..PARTS {
            if claim.still(|claim| claim.held_part(part, &mut held))?.is_none() || !going() {
                return Ok(Vec::new());
            }
        }
        Ok(claim.still(|claim| claim.compare(compared, &held, ledger))?.unwrap_or_default())
    }
}
