//! A walk that goes on from what was verified before: whether the ledger grew out of that, where each project goes on, and from which
//! row on the file is read.
//!
//! A project whose boundary is not as it was signed is read from its first row, and so is everything where the instance tree is
//! another: then the walk says what is wrong.

use std::collections::HashMap;

use indelible_core::anchor::Anchor;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::entry::Outline;
use indelible_core::tree::{Edge, consistency, leaf_hash};
use indelible_core::verified::Extent;
use indelible_core::verify::{Finding, Start, Verdict, Verifier};
use uuid::Uuid;

use super::super::VerifyError;
use super::super::instance::Walk;
use super::super::signed::{anchor_from, anchor_over};
use super::super::since::{self, Base, Plan, Settled, Started};
use super::{Chains, Ground, Scene, unreadable};
use crate::store::sql::{Connection, OptionalExtension, SqlError, params};
use crate::store::{Tiles, Tree};

impl Scene {
    /// Reads the instance tree, and makes the plan if it grew out of the one that was verified.
    pub(super) fn go_on(&mut self, ground: &Ground<'_>, snapshot: &Connection) -> Result<(), VerifyError> {
        let failed = |error: SqlError| unreadable(&error);
        let wanted = match &self.base {
            None => return Ok(()),
            Some(Base::Instance { checkpoint, .. }) => {
                let Some(mut tree) = self.instance.take() else { return Ok(()) };
                tree.verified = Some(checkpoint.clone());
                let mut walk = Walk::new(snapshot, tree).map_err(failed)?;
                while !ground.is_stopped() && walk.page().map_err(failed)? {}
                let grew = walk.grew();
                self.faults.extend(walk.finish().map_err(failed)?);
                if !grew {
                    return Ok(());
                }
                let anchored = since::anchored(snapshot, checkpoint.size).map_err(failed)?;
                anchored.into_iter().map(|(project, (number, _))| (project, number)).collect()
            }
            Some(Base::Project { project_id, checkpoint }) => self.anchor_of(snapshot, *project_id, checkpoint)?,
        };
        self.plan = self.plan_from(ground, snapshot, &wanted).map_err(failed)?;
        Ok(())
    }

    /// The anchor that a checkpoint of one project is of.
    fn anchor_of(&self, snapshot: &Connection, project_id: Uuid, checkpoint: &Checkpoint) -> Result<HashMap<i64, u64>, VerifyError> {
        let project = self.stored.iter().find_map(|(number, stored)| (stored.project_id == Some(project_id)).then_some(*number));
        let project = project.ok_or(VerifyError::NoProject(project_id))?;
        let last = checkpoint.size.checked_sub(1);
        let over = last.map(|last| anchor_over(snapshot, project, last)).transpose().map_err(|error| unreadable(&error))?.flatten();
        let of_size = over.filter(|anchor| anchor.tree_size == checkpoint.size);
        let log = self.signed.log(Some(project_id));
        let same = |anchor: &_| log.as_ref().and_then(|log| log.anchored(anchor).ok()).is_some_and(|signed| signed == *checkpoint);
        let why = format!("the ledger has no anchor of this tree of {} rows: verify without --since", checkpoint.size);
        let anchor = of_size.filter(same).ok_or(VerifyError::Since(why))?;
        Ok(HashMap::from([(project, anchor.number)]))
    }

    fn plan_from(&self, ground: &Ground<'_>, snapshot: &Connection, wanted: &HashMap<i64, u64>) -> Result<Plan, SqlError> {
        let mut plan = Plan::default();
        for (project, number) in wanted {
            if let Some(started) = self.started(snapshot, *project, *number)? {
                plan.starts.insert(*project, started);
            }
        }
        let asked =
            |number: &i64| ground.only.is_none_or(|only| self.stored.get(number).is_some_and(|known| known.project_id == Some(only)));
        if ground.only.is_some() {
            plan.starts.retain(|number, _| asked(number));
            plan.first_row = plan.starts.values().map(|started| started.last_row.saturating_add(1)).min().unwrap_or(i64::MIN);
            return Ok(plan);
        }
        // Sealing covers what was committed when it began, so nothing that is to be read lies before the last row that was covered;
        // unless a tree was refused then. Heads and row numbers say so: where they do not agree, all rows are looked at.
        let covered = plan.starts.values().map(|started| started.last_row).max().unwrap_or(0);
        let heads = self.stored.iter().filter_map(|(number, stored)| Some((number, stored.head.as_ref()?.size)));
        let left = heads.map(|(number, size)| size.saturating_sub(plan.starts.get(number).map_or(0, |started| started.size)));
        let left = left.fold(0, u64::saturating_add);
        // A row number may be any that somebody wrote there.
        if let Some(next) = covered.checked_add(1)
            && covered > 0
            && Some(left) == self.rows_total.checked_sub(covered.unsigned_abs())
        {
            plan.first_row = next;
        }
        Ok(plan)
    }

    /// Where a project goes on after an anchor: the anchor is signed, the stored tiles lead to its root, and the last row that it covers
    /// is as it was written.
    fn started(&self, snapshot: &Connection, project: i64, number: u64) -> Result<Option<Started>, SqlError> {
        let Some((project_id, head)) = self.stored.get(&project).and_then(|stored| Some((stored.project_id?, stored.head.as_ref()?)))
        else {
            return Ok(None);
        };
        let Some((stored, last_row)) = anchor_from(snapshot, project, number, i64::try_from(number).unwrap_or(i64::MAX))? else {
            return Ok(None);
        };
        let signed = self.signed.log(Some(project_id)).is_some_and(|log| log.anchored(&stored).is_ok());
        let Some(anchor) = Anchor::parse(&stored.anchor).ok().filter(|_| signed) else { return Ok(None) };
        let size = anchor.tree_size();
        let mut tiles = Tiles::new(snapshot, Tree::Project(project), head.size);
        let levels = size.checked_ilog2().map_or(0, |bits| bits / 8 + 1);
        let partial: Option<Vec<Vec<_>>> = (0..levels).map(|level| partial_tile(&mut tiles, size, level)).collect();
        let edge = tiles.finish(partial)?.and_then(|partial| Edge::from_partial_tiles(size, partial));
        let mut tiles = Tiles::new(snapshot, Tree::Project(project), head.size);
        let leaf = tiles.hash_at(0, anchor.last_sequence);
        let leaf = tiles.finish(leaf)?;
        let row = snapshot
            .prepare("SELECT entry, prev_hash, row_hash FROM events WHERE row = ?1 AND project = ?2 AND sequence = ?3")?
            .query_row(params![last_row, project, anchor.last_sequence as i64], |row| {
                let bytes = |at: usize| row.get_ref(at).map(|value| value.as_bytes().unwrap_or_default().to_vec());
                Ok((bytes(0)?, bytes(1)?, bytes(2)?))
            })
            .optional()?;
        let (Some(edge), Some((entry, prev_hash, row_hash))) = (edge, row) else { return Ok(None) };
        let Some(outline) = Outline::read(&entry).filter(|outline| outline.sequence == anchor.last_sequence) else { return Ok(None) };
        let as_written = match (self.keys.project_keys(project_id, outline.hmac_key_id), prev_hash.try_into()) {
            (Some(keys), Ok(prev_hash)) => keys.row_hash(&entry, &prev_hash).as_slice() == row_hash,
            (keys, _) => keys.is_none(),
        };
        if !as_written || row_hash != anchor.last_row_hash || leaf != Some(leaf_hash(&entry)) {
            return Ok(None);
        }
        let recorded_at = outline.recorded_at.as_micros();
        let start = Start::new(stored.number, anchor, edge, outline.hmac_key_id);
        Ok(start.map(|start| Started { start: Some(start), size, last_row, recorded_at }))
    }
}

/// The hashes of the tile of a level that is not full at `size`, as a tree that has grown since still has them.
fn partial_tile(tiles: &mut Tiles<'_>, size: u64, level: u32) -> Option<Vec<[u8; 32]>> {
    let width = (size >> (8 * level) & 255) as usize;
    if width == 0 {
        return Some(Vec::new());
    }
    let tile = tiles.tile(u8::try_from(level).ok()?, size.checked_shr(8 * (level + 1)).unwrap_or(0))?;
    Some(tile.as_chunks::<32>().0.get(..width)?.to_vec())
}

impl Chains<'_> {
    /// Has a verifier go on where its project was verified before. `last` is what the checkpoint store holds of it: a smaller tree is not
    /// met on the way, so that this one grew out of it is proved by the tiles.
    pub(super) fn resume(&mut self, number: i64, verifier: &mut Verifier, last: Option<&Checkpoint>) -> Result<(), SqlError> {
        let Some(started) = self.plan.starts.get_mut(&number) else { return Ok(()) };
        let Some(start) = started.start.take() else { return Ok(()) };
        let head = self.stored.get(&number).and_then(|stored| stored.head.as_ref()).map_or(0, |head| head.size);
        self.counts.insert(number, started.size);
        if head == started.size {
            self.ends.insert(number, (started.recorded_at, started.last_row));
        }
        if let Some(last) = last.filter(|last| last.size <= started.size) {
            let mut tiles = Tiles::new(self.ledger, Tree::Project(number), head);
            let proof = consistency::proof(last.size, started.size, |height, index| tiles.hash_at(height, index));
            let proof = tiles.finish(proof)?;
            let holds = proof.is_some_and(|proof| consistency::holds(last.size, started.size, &last.root, &start.anchor.tree_root, &proof));
            if !holds {
                let detail = format!("the checkpoint store holds a tree of {} rows out of which the verified one did not grow", last.size);
                verifier.finding(Finding { kind: Verdict::Forked, sequence: last.size.checked_sub(1), detail });
            }
        }
        verifier.go_on_from(start);
        Ok(())
    }

    /// What a note may be left of, if nothing turns out to be wrong: everything that the newest checkpoint covers. Where it went on from a
    /// note, the next may go on from here; not so from a checkpoint that somebody named, since nothing is known of resources then.
    pub(super) fn settled(&self) -> Result<Option<Settled>, SqlError> {
        let (Some(instance), Some(size), None) = (self.signed.instance(), self.instance_size, self.ground.only) else {
            return Ok(None);
        };
        let extent = match (&self.base, self.ground.since) {
            (None, None) => Extent::Complete,
            // One that covers no more is there already.
            (Some(base @ Base::Instance { resources: Some(_), .. }), Some(_)) if size.unsigned_abs() > base.size() => Extent::Partial,
            _ => return Ok(None),
        };
        let Some(checkpoint) = since::checkpoint(self.ledger, size)? else { return Ok(None) };
        let covered = since::anchored(self.ledger, size.unsigned_abs())?;
        let sizes = covered.into_iter().filter_map(|(number, (_, size))| Some((self.stored.get(&number)?.project_id?, size))).collect();
        Ok(Some(Settled { extent, instance: instance.to_string(), resources: self.resources.digest_within(&sizes), checkpoint }))
    }
}
