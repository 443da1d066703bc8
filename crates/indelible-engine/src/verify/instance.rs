//! The instance tree: a leaf for each anchor of each project, its tiles and edge, each checkpoint that was signed of it, and the last
//! one that the checkpoint store holds.
//!
//! Read leaf by leaf, in pages. After a leaf that is not what it should be, roots and tiles are not compared any more: they are
//! sure to differ, and the fault is named.

use indelible_core::anchor::Anchor;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::tree::{Edge, TILE_HEIGHT, leaf_hash};
use indelible_core::verify::{Finding, Log, Verdict};

use crate::store::sql::{Connection, OptionalExtension, SqlError, params};

/// Findings made; more are of no use to anybody.
const FINDINGS_MAX: usize = 1_000;

/// A longer hole is not filled with stand-ins.
const GAP_FILLED_MAX: u64 = 1 << 20;

/// What is wrong: with the tree, or with what it says of one project (`ledgers.project`).
pub(super) type InstanceFinding = (Option<i64>, Finding);

/// Leaves read in one statement.
const PAGE_LEAVES: i64 = 1_024;

/// Who signs the tree, and what is to be compared with its leaves.
pub(super) struct InstanceTree {
    pub(super) log: Log,
    /// What the checkpoint store holds.
    pub(super) last: Option<Checkpoint>,
    /// What was verified before.
    pub(super) verified: Option<Checkpoint>,
    pub(super) bounds: Bounds,
}

/// What a snapshot sees beside leaves, tiles and anchors, which are only ever added: with it, the leaves it has may be read later.
pub(super) struct Bounds {
    /// The last position there is.
    last: Option<i64>,
    /// The stored right edge, by level.
    edge: Vec<Vec<u8>>,
    /// Level, number of tiles, last position.
    tiles: Vec<(i64, i64, i64)>,
    /// The largest size that was signed.
    signed: Option<i64>,
}

impl Bounds {
    pub(super) fn load(snapshot: &Connection) -> Result<Self, SqlError> {
        let last = snapshot.query_row("SELECT max(position) FROM instance_leaves", [], |row| row.get(0))?;
        let signed = snapshot.query_row("SELECT max(size) FROM instance_checkpoints", [], |row| row.get(0))?;
        let mut edge: Vec<Vec<u8>> = Vec::new();
        let mut statement = snapshot.prepare("SELECT level, hashes FROM instance_edge ORDER BY level")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            // A level that no tree has shows as an edge that differs.
            let level = usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX).min(8);
            edge.resize(edge.len().max(level + 1), Vec::new());
            row.get_ref(1)?.as_bytes().unwrap_or_default().clone_into(&mut edge[level]);
        }
        let mut statement = snapshot.prepare("SELECT level, count(*), max(position) FROM instance_tiles GROUP BY level")?;
        let tiles = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
        Ok(Self { last, edge, tiles, signed })
    }
}

/// A walk along the leaves.
pub(super) struct Walk<'a> {
    ledger: &'a Connection,
    log: Log,
    bounds: Bounds,
    edge: Edge,
    /// Where the next page begins; `None` after the last.
    next: Option<i64>,
    /// A leaf so far is not what it should be.
    doubtful: bool,
    /// What the checkpoint store holds, until the walk has come to its size.
    last: Option<Checkpoint>,
    /// What was verified before, until the walk has come to its size.
    verified: Option<Checkpoint>,
    /// The next signed checkpoint: its `size` column and the note.
    signed: Option<(i64, Vec<u8>)>,
    /// The first position that is not there, and how many are not.
    gone: Option<(u64, u64)>,
    findings: Vec<InstanceFinding>,
}

/// Walks the whole tree in the snapshot that `ledger` sees; `go_on` is asked after each page, and where it says no, what is returned
/// means nothing.
pub(super) fn check(ledger: &Connection, tree: InstanceTree, go_on: &dyn Fn() -> bool) -> Result<Vec<InstanceFinding>, SqlError> {
    let mut walk = Walk::new(ledger, tree)?;
    while go_on() && walk.page()? {}
    walk.finish()
}

impl<'a> Walk<'a> {
    pub(super) fn new(ledger: &'a Connection, tree: InstanceTree) -> Result<Self, SqlError> {
        let InstanceTree { log, last, verified, bounds } = tree;
        let next = bounds.last.map(|_| i64::MIN);
        let (edge, findings) = (Edge::new(), Vec::new());
        let mut walk = Self { ledger, log, bounds, edge, next, doubtful: false, last, verified, signed: None, gone: None, findings };
        walk.signed = walk.signed_after(-1)?;
        Ok(walk)
    }

    /// Reads the next leaves; says whether there are more.
    pub(super) fn page(&mut self) -> Result<bool, SqlError> {
        let (Some(first), Some(last)) = (self.next.take(), self.bounds.last) else { return Ok(false) };
        let mut leaves = self.ledger.prepare(
            "SELECT position, project, number, leaf, anchor, tree_size FROM instance_leaves LEFT JOIN anchors USING (project, number)
             WHERE position BETWEEN ?1 AND ?2 ORDER BY position LIMIT ?3",
        )?;
        let mut leaves = leaves.query([first, last, PAGE_LEAVES])?;
        while let Some(row) = leaves.next()? {
            let (position, project, number): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let leaf = row.get_ref(3)?.as_bytes().unwrap_or_default();
            let anchor = row.get_ref(4)?.as_bytes();
            let at = row.get::<_, Option<i64>>(5)?.and_then(|size| u64::try_from(size).ok()?.checked_sub(1));
            self.leaf(position, (project, number), leaf, anchor, at)?;
            if self.findings.len() >= FINDINGS_MAX {
                return Ok(false);
            }
            self.next = position.checked_add(1);
        }
        Ok(self.next.is_some())
    }
}

impl Walk<'_> {
    fn find(&mut self, project: Option<i64>, kind: Verdict, sequence: Option<u64>, detail: impl Into<String>) {
        self.findings.push((project, Finding { kind, sequence, detail: detail.into() }));
    }

    fn signed_after(&self, size: i64) -> Result<Option<(i64, Vec<u8>)>, SqlError> {
        self.ledger
            .prepare("SELECT size, checkpoint FROM instance_checkpoints WHERE size > ?1 ORDER BY size LIMIT 1")?
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
    ) -> Result<(), SqlError> {
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
                let detail = format!("anchor {number} is gone, of which the instance tree has a leaf at position {position}");
                self.find(Some(project), Verdict::Missing, None, detail);
            }
            Some(Ok(anchor)) if anchor.instance_leaf().to_bytes() == leaf => {}
            Some(Ok(_)) => {
                let detail = format!("anchor {number}: its leaf in the instance tree, at position {position}, is that of another anchor");
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
                .prepare("SELECT hashes FROM instance_tiles WHERE level = ?1 AND position = ?2")?
                .query_row(params![tile.level, tile.index as i64], |row| row.get(0))
                .optional()?;
            if !self.doubtful && stored.as_ref() != Some(&tile.hashes) {
                let how = if stored.is_none() { "is gone" } else { "is not that of its leaves" };
                let (name, first) = (format!("tile {}/{}", tile.level, tile.index), tile.first_leaf());
                self.find(None, Verdict::Altered, None, format!("the instance tree: {name}, from position {first} on, {how}"));
            }
        }
        self.compare_roots()
    }

    /// What was signed at the size that the walk has come to.
    fn compare_roots(&mut self) -> Result<(), SqlError> {
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
        if let Some(verified) = self.verified.take_if(|verified| verified.size == size && root.is_some())
            && root != Some(verified.root)
        {
            self.find(None, Verdict::Forked, None, format!("the instance tree of {size} anchors is not the one that was verified"));
            self.verified = Some(verified);
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

    /// Whether it grew out of the one that was verified before; once all leaves were read.
    pub(super) const fn grew(&self) -> bool {
        self.verified.is_none()
    }

    /// What is beyond the leaves, and all findings.
    pub(super) fn finish(mut self) -> Result<Vec<InstanceFinding>, SqlError> {
        let size = self.edge.size();
        if let Some((first, gone)) = self.gone {
            let detail = format!("the instance tree: {gone} leaves are gone, the first of them at position {first}");
            self.find(None, Verdict::Missing, None, detail);
        }
        self.compare_edge();
        self.compare_counts(size);
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
        let own = self.bounds.signed.and_then(|signed| u64::try_from(signed).ok()).filter(|signed| *signed > size);
        if let Some(signed) = own {
            let detail = format!("the instance tree was signed with {signed} anchors, there are {size}: the newest are gone");
            self.find(None, Verdict::Truncated, None, detail);
        }
        if let Some(last) = self.last.take_if(|last| last.size > size && own.is_none()) {
            let consistent = self.findings.is_empty();
            let kind = if consistent { Verdict::RolledBack } else { Verdict::Truncated };
            let how = if consistent { "it is an older copy" } else { "the newest are gone" };
            self.find(None, kind, None, format!("the instance tree was signed with {} anchors, there are {size}: {how}", last.size));
        }
        if let Some(verified) = self.verified.take_if(|verified| verified.size > size) {
            let detail = format!("{} anchors were verified, of which there are {size}: it is an older copy", verified.size);
            self.find(None, Verdict::RolledBack, None, detail);
        }
        Ok(self.findings)
    }

    /// The stored right edge.
    fn compare_edge(&mut self) {
        if self.doubtful {
            return;
        }
        let stored = &self.bounds.edge;
        let computed: Vec<Vec<u8>> = self.edge.partial_tiles().iter().map(|hashes| hashes.concat()).collect();
        let levels = computed.len().max(stored.len());
        let differs = |level: usize| computed.get(level).map_or(&[][..], Vec::as_slice) != stored.get(level).map_or(&[][..], Vec::as_slice);
        if let Some(level) = (0..levels).find(|level| differs(*level)) {
            let height = (level as u32 + 1) * TILE_HEIGHT;
            let first = self.edge.size().checked_shr(height).map_or(0, |tiles| tiles << height);
            let detail = format!("the instance tree: its edge is not that of its leaves at level {level}, from position {first} on");
            self.find(None, Verdict::Altered, None, detail);
        }
    }

    /// Tiles that no leaves fill.
    fn compare_counts(&mut self, size: u64) {
        for (level, count, last) in std::mem::take(&mut self.bounds.tiles) {
            let shift = u32::try_from(level).unwrap_or(u32::MAX).saturating_add(1).saturating_mul(8);
            let full = size.checked_shr(shift).unwrap_or(0);
            if count.unsigned_abs() > full || last.unsigned_abs() >= full {
                let detail = format!("the instance tree: there are {count} tiles of level {level} up to position {last}, {full} are full");
                self.find(None, Verdict::Altered, None, detail);
            }
        }
    }
}
