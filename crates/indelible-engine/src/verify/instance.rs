//! The instance tree: a leaf for each anchor of each project, its tiles and edge, each checkpoint that was signed of it, and the last
//! one that the checkpoint store holds.
//!
//! Read leaf by leaf. After a leaf that is not what it should be, roots and tiles are not compared any more: they are
//! sure to differ, and the fault is named.

use indelible_core::anchor::Anchor;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::tree::{Edge, leaf_hash};
use indelible_core::verify::{Finding, Log, Verdict};
use rusqlite::{Connection, OptionalExtension, params};

/// Findings made; more are of no use to anybody.
const FINDINGS_MAX: usize = 1_000;

/// A longer hole is not filled with stand-ins.
const GAP_FILLED_MAX: u64 = 1 << 20;

/// What is wrong: with the tree, or with what it says of one project (`ledgers.project`).
pub(super) type InstanceFinding = (Option<i64>, Finding);

/// A walk along the leaves.
struct Walk<'a> {
    ledger: &'a Connection,
    log: &'a Log,
    edge: Edge,
    /// A leaf so far is not what it should be.
    doubtful: bool,
    /// What the checkpoint store holds, until the walk has come to its size.
    last: Option<&'a Checkpoint>,
    /// The next signed checkpoint: its `size` column and the note.
    signed: Option<(i64, Vec<u8>)>,
    /// The first position that is not there, and how many are not.
    gone: Option<(u64, u64)>,
    findings: Vec<InstanceFinding>,
}

/// Walks the tree in the snapshot that `ledger` sees.
pub(super) fn check(ledger: &Connection, log: &Log, last: Option<&Checkpoint>) -> Result<Vec<InstanceFinding>, rusqlite::Error> {
    let mut walk = Walk { ledger, log, edge: Edge::new(), doubtful: false, last, signed: None, gone: None, findings: Vec::new() };
    walk.signed = walk.signed_after(-1)?;
    let mut leaves = ledger.prepare(
        "SELECT position, project, number, leaf, anchor, tree_size FROM instance_leaves LEFT JOIN anchors USING (project, number)
         ORDER BY position",
    )?;
    let mut leaves = leaves.query([])?;
    while let Some(row) = leaves.next()? {
        let (position, project, number): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let leaf = row.get_ref(3)?.as_bytes().unwrap_or_default();
        let anchor = row.get_ref(4)?.as_bytes().ok();
        let at = row.get::<_, Option<i64>>(5)?.and_then(|size| u64::try_from(size).ok()?.checked_sub(1));
        walk.leaf(position, (project, number), leaf, anchor, at)?;
        if walk.findings.len() >= FINDINGS_MAX {
            break;
        }
    }
    walk.finish()
}

impl Walk<'_> {
    fn find(&mut self, project: Option<i64>, kind: Verdict, sequence: Option<u64>, detail: impl Into<String>) {
        self.findings.push((project, Finding { kind, sequence, detail: detail.into() }));
    }

    fn signed_after(&self, size: i64) -> Result<Option<(i64, Vec<u8>)>, rusqlite::Error> {
        self.ledger
            .prepare_cached("SELECT size, checkpoint FROM instance_checkpoints WHERE size > ?1 ORDER BY size LIMIT 1")?
            .query_row([size], |row| Ok((row.get(0)?, row.get_ref(1)?.as_bytes().unwrap_or_default().to_vec())))
            .optional()
    }

    fn leaf(
        &mut self,
        position: i64,
        (project, number): (i64, i64),
        leaf: &[u8],
        anchor: Option<&[u8]>,
        at: Option<u64>,
    ) -> Result<(), rusqlite::Error> {
        let wanted = self.edge.size();
        if u64::try_from(position) != Ok(wanted) {
            let end = position.unsigned_abs();
            let (_, gone) = self.gone.get_or_insert((wanted, 0));
            *gone += end.abs_diff(wanted);
            self.doubtful = true;
            // From here on positions count as they are.
            while self.edge.size() < end.min(wanted.saturating_add(GAP_FILLED_MAX)) {
                self.edge.append([0; 32], &mut Vec::new());
            }
        }
        match anchor.map(Anchor::parse) {
            None => {
                self.find(Some(project), Verdict::Missing, None, format!("anchor {number} is gone, of which the instance tree has a leaf"));
            }
            Some(Ok(anchor)) if anchor.instance_leaf().to_bytes() == leaf => {}
            Some(Ok(_)) => {
                let detail = format!("anchor {number}: its leaf in the instance tree is that of another anchor");
                self.find(Some(project), Verdict::Altered, at, detail);
                self.doubtful = true;
            }
            // What is no anchor is named by the walk along the rows; its leaf cannot be compared.
            Some(Err(_)) => {}
        }
        let mut full = Vec::new();
        self.edge.append(leaf_hash(leaf), &mut full);
        for tile in full {
            let stored: Option<Vec<u8>> = self
                .ledger
                .prepare_cached("SELECT hashes FROM instance_tiles WHERE level = ?1 AND position = ?2")?
                .query_row(params![tile.level, tile.index as i64], |row| row.get(0))
                .optional()?;
            if !self.doubtful && stored.as_ref() != Some(&tile.hashes) {
                let how = if stored.is_none() { "is gone" } else { "is not that of its leaves" };
                self.find(None, Verdict::Altered, None, format!("the instance tree: tile {}/{} {how}", tile.level, tile.index));
            }
        }
        self.compare_roots()
    }

    /// What was signed at the size that the walk has come to.
    fn compare_roots(&mut self) -> Result<(), rusqlite::Error> {
        let size = self.edge.size();
        let root = (!self.doubtful).then(|| self.edge.root());
        while let Some((column, note)) = self.signed.take_if(|(column, _)| u64::try_from(*column).is_ok_and(|column| column <= size)) {
            match self.log.open(&note) {
                Ok(signed) if i64::try_from(signed.size) != Ok(column) => {
                    self.find(None, Verdict::Altered, None, format!("the checkpoint of {column} anchors is of {} anchors", signed.size));
                }
                Ok(signed) if signed.size == size && root.is_some_and(|root| root != signed.root) => {
                    let detail = format!("the checkpoint of {column} anchors was signed over other anchors than these");
                    self.find(None, Verdict::Forked, None, detail);
                    self.doubtful = true;
                }
                Ok(_) => {}
                Err((kind, why)) => self.find(None, kind, None, format!("the checkpoint of {column} anchors: {why}")),
            }
            self.signed = self.signed_after(column)?;
        }
        if let Some(last) = self.last.take_if(|last| last.size <= size)
            && last.size == size
            && root.is_some_and(|root| root != last.root)
            && !self.doubtful
        {
            let detail = format!("the checkpoint store holds another root of the instance tree of {size} anchors");
            self.find(None, Verdict::Forked, None, detail);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<InstanceFinding>, rusqlite::Error> {
        let size = self.edge.size();
        if let Some((first, gone)) = self.gone {
            let detail = format!("the instance tree: {gone} leaves are gone, the first of them at position {first}");
            self.find(None, Verdict::Missing, None, detail);
        }
        self.compare_edge()?;
        self.compare_counts(size)?;
        let mut unleaved = self.ledger.prepare(
            "SELECT anchors.project, anchors.number, anchors.tree_size FROM anchors LEFT JOIN instance_leaves USING (project, number)
             WHERE position IS NULL LIMIT 1000",
        )?;
        let mut rows = unleaved.query([])?;
        while let Some(row) = rows.next()? {
            let (project, number, tree_size): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let at = u64::try_from(tree_size).ok().and_then(|size| size.checked_sub(1));
            self.find(Some(project), Verdict::Altered, at, format!("anchor {number} has no leaf in the instance tree"));
        }
        let signed: Option<i64> = self.ledger.query_row("SELECT max(size) FROM instance_checkpoints", [], |row| row.get(0))?;
        let own = signed.and_then(|signed| u64::try_from(signed).ok()).filter(|signed| *signed > size);
        if let Some(signed) = own {
            let detail = format!("the instance tree was signed with {signed} anchors, there are {size}: the newest are gone");
            self.find(None, Verdict::Truncated, None, detail);
        }
        if let Some(last) = self.last.filter(|last| last.size > size && own.is_none()) {
            let consistent = self.findings.is_empty();
            let kind = if consistent { Verdict::RolledBack } else { Verdict::Truncated };
            let how = if consistent { "it is an older copy" } else { "the newest are gone" };
            self.find(None, kind, None, format!("the instance tree was signed with {} anchors, there are {size}: {how}", last.size));
        }
        Ok(self.findings)
    }

    /// The stored right edge.
    fn compare_edge(&mut self) -> Result<(), rusqlite::Error> {
        if self.doubtful {
            return Ok(());
        }
        let mut stored: Vec<Vec<u8>> = Vec::new();
        let mut statement = self.ledger.prepare("SELECT level, hashes FROM instance_edge ORDER BY level")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            // A level that no tree has shows as an edge that differs.
            let level = usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX).min(8);
            stored.resize(stored.len().max(level + 1), Vec::new());
            row.get_ref(1)?.as_bytes().unwrap_or_default().clone_into(&mut stored[level]);
        }
        let computed: Vec<Vec<u8>> = self.edge.partial_tiles().iter().map(|hashes| hashes.concat()).collect();
        let levels = computed.len().max(stored.len());
        let differs = |level: usize| computed.get(level).map_or(&[][..], Vec::as_slice) != stored.get(level).map_or(&[][..], Vec::as_slice);
        if let Some(level) = (0..levels).find(|level| differs(*level)) {
            self.find(None, Verdict::Altered, None, format!("the instance tree: its edge is not that of its leaves at level {level}"));
        }
        Ok(())
    }

    /// Tiles that no leaves fill.
    fn compare_counts(&mut self, size: u64) -> Result<(), rusqlite::Error> {
        let mut statement = self.ledger.prepare("SELECT level, count(*), max(position) FROM instance_tiles GROUP BY level")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (level, count, last): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let shift = u32::try_from(level).unwrap_or(u32::MAX).saturating_add(1).saturating_mul(8);
            let full = size.checked_shr(shift).unwrap_or(0);
            if count.unsigned_abs() > full || last.unsigned_abs() >= full {
                let detail = format!("the instance tree: there are {count} tiles of level {level} up to position {last}, {full} are full");
                self.find(None, Verdict::Altered, None, detail);
            }
        }
        Ok(())
    }
}
