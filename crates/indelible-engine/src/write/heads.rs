//! The heads of the chains that are being written, in memory: as many as are busy, the rest in the store.
//!
//! A head that the store gives is believed only under its MAC. After any failure all are dropped and read again.

use std::collections::{HashMap, HashSet};

use indelible_core::chain::{GENESIS, Hash};
use indelible_core::tree::Edge;
use uuid::Uuid;

use crate::keystore::KeyStore;
use crate::store::StoreError;
use crate::store::postgres::{self, Session};
use crate::store::sql::{Connection, OptionalExtension, Row, SqlResult};

/// Heads kept between groups.
const HEADS_MAX: usize = 1_024;

/// The end of one chain.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) project_id: Uuid,
    pub(super) size: u64,
    pub(super) row_hash: Hash,
    /// Ring id of the newest row; it never goes down along a chain.
    pub(super) hmac_key_id: u64,
    pub(super) edge: Edge,
    /// Row of the newest event; 0 for none.
    pub(super) last_row: i64,
    /// Set while this group has rows for it.
    pub(super) touched: bool,
    /// Levels, from 0 up, whose partial tile changed in this group.
    pub(super) levels_changed: usize,
    used: u64,
}

impl Head {
    /// Of a chain without events.
    fn empty(project_id: Uuid) -> Self {
        Self {
            project_id,
            size: 0,
            row_hash: GENESIS,
            hmac_key_id: 0,
            edge: Edge::new(),
            last_row: 0,
            touched: false,
            levels_changed: 0,
            used: 0,
        }
    }
}

/// The heads in memory.
#[derive(Default)]
pub(super) struct Heads {
    heads: HashMap<i64, Head>,
    group: u64,
}

/// A head as it is stored.
pub(super) struct StoredHead {
    pub(super) size: u64,
    pub(super) row_hash: Hash,
    pub(super) tree_root: Hash,
    pub(super) hmac_key_id: u64,
    pub(super) mac: Hash,
    pub(super) last_row: i64,
}

/// The columns of `heads` that [`StoredHead::of`] reads, in their order.
pub(super) const STORED: &str = "heads.size, heads.row_hash, heads.tree_root, heads.hmac_key_id, heads.mac, heads.last_row";

impl StoredHead {
    /// Reads the head of a project; `None` where it has no events.
    fn read(connection: &Connection, project: i64) -> Result<Option<Self>, StoreError> {
        let mut statement = connection.prepare(&format!("SELECT {STORED} FROM heads WHERE project = ?1"))?;
        Ok(statement.query_row([project], |row| Self::of(row, 0)).optional()?)
    }

    /// Reads it from the columns from `first` on.
    pub(super) fn of(row: &Row<'_>, first: usize) -> SqlResult<Self> {
        Ok(Self {
            size: row.get::<_, i64>(first)?.unsigned_abs(),
            row_hash: row.get(first + 1)?,
            tree_root: row.get(first + 2)?,
            hmac_key_id: row.get::<_, i64>(first + 3)?.unsigned_abs(),
            mac: row.get(first + 4)?,
            last_row: row.get(first + 5)?,
        })
    }

    /// Whether its MAC holds.
    pub(super) fn is_authentic(&self, keystore: &KeyStore, project_id: Uuid) -> bool {
        let keys = keystore.project_keys(project_id, self.hmac_key_id);
        keys.is_some_and(|keys| keys.head_mac(self.size, &self.row_hash, &self.tree_root) == self.mac)
    }
}

impl Heads {
    /// A group begins.
    pub(super) fn begin(&mut self) {
        self.group += 1;
    }

    /// The head of a project, read from the store where it is not in memory.
    pub(super) fn get(
        &mut self,
        connection: &Connection,
        keystore: &KeyStore,
        project: i64,
        project_id: Uuid,
    ) -> Result<&mut Head, StoreError> {
        use std::collections::hash_map::Entry;
        let head = match self.heads.entry(project) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(read(connection, keystore, project, project_id)?),
        };
        head.used = self.group;
        Ok(head)
    }

    /// Reads at once those of a group that are not in memory, where each question goes over a network. What does not hold is left to be told
    /// by whoever needs it.
    pub(super) fn read_ahead(&mut self, session: &Session, keystore: &KeyStore, group: &HashMap<i64, Uuid>) -> Result<(), StoreError> {
        let wanted: Vec<i64> = group.keys().copied().filter(|project| !self.heads.contains_key(project)).collect();
        if wanted.len() < 2 {
            return Ok(());
        }
        let mut tiles: HashMap<i64, Option<Vec<Vec<Hash>>>> = HashMap::with_capacity(wanted.len());
        let select = "SELECT project, level, hashes FROM partial_tiles WHERE project = ANY ($1::bigint[]) ORDER BY project, level";
        for row in postgres::of_projects(session, select, &wanted)? {
            let row = Row::Postgres(&row);
            let of_project = tiles.entry(row.get(0)?).or_insert_with(|| Some(Vec::new()));
            if let Some(all) = of_project
                && push(all, row.get(1)?, row.bytes(2)?).is_none()
            {
                *of_project = None;
            }
        }
        let select = format!("SELECT project, {STORED} FROM heads WHERE project = ANY ($1::bigint[])");
        let mut empty: HashSet<i64> = wanted.iter().copied().collect();
        for row in postgres::of_projects(session, &select, &wanted)? {
            let row = Row::Postgres(&row);
            let project: i64 = row.get(0)?;
            empty.remove(&project);
            let tiles = tiles.remove(&project).unwrap_or_else(|| Some(Vec::new()));
            let head = StoredHead::of(&row, 1).ok().zip(tiles).zip(group.get(&project));
            let head = head.and_then(|((stored, tiles), project_id)| believed(keystore, *project_id, &stored, tiles).ok());
            self.heads.extend(head.map(|head| (project, head)));
        }
        let new = empty.iter().filter_map(|project| Some((*project, Head::empty(*group.get(project)?))));
        self.heads.extend(new);
        Ok(())
    }

    /// A head that is in memory already.
    pub(super) fn loaded(&mut self, project: i64) -> Option<&mut Head> {
        self.heads.get_mut(&project)
    }

    /// The heads that this group changed.
    pub(super) fn touched(&self) -> impl Iterator<Item = (i64, &Head)> {
        self.heads.iter().filter(|(_, head)| head.touched).map(|(project, head)| (*project, head))
    }

    /// The group is committed.
    pub(super) fn settle(&mut self) {
        for head in self.heads.values_mut() {
            head.touched = false;
            head.levels_changed = 0;
        }
        if self.heads.len() > HEADS_MAX {
            let mut used: Vec<u64> = self.heads.values().map(|head| head.used).collect();
            used.sort_unstable();
            let oldest_kept = used[used.len() - HEADS_MAX / 2];
            self.heads.retain(|_, head| head.used >= oldest_kept);
        }
    }

    /// Something failed: what is in memory may not be what is stored.
    pub(super) fn forget(&mut self) {
        self.heads.clear();
    }
}

fn read(connection: &Connection, keystore: &KeyStore, project: i64, project_id: Uuid) -> Result<Head, StoreError> {
    match StoredHead::read(connection, project)? {
        Some(stored) => believed(keystore, project_id, &stored, read_partial_tiles(connection, project)?),
        None => Ok(Head::empty(project_id)),
    }
}

/// A head and its partial tiles, as far as they hold.
fn believed(keystore: &KeyStore, project_id: Uuid, stored: &StoredHead, tiles: Vec<Vec<Hash>>) -> Result<Head, StoreError> {
    let corrupt = || StoreError::Corrupt(format!("the head of project {project_id} does not hold: run `indelible verify`"));
    if !stored.is_authentic(keystore, project_id) {
        return Err(corrupt());
    }
    let edge = Edge::from_partial_tiles(stored.size, tiles).ok_or_else(corrupt)?;
    if edge.root() != stored.tree_root {
        return Err(corrupt());
    }
    let StoredHead { size, row_hash, hmac_key_id, last_row, .. } = *stored;
    Ok(Head { size, row_hash, hmac_key_id, edge, last_row, ..Head::empty(project_id) })
}

/// The partial tiles of a project, level by level.
fn read_partial_tiles(connection: &Connection, project: i64) -> Result<Vec<Vec<Hash>>, StoreError> {
    let mut statement = connection.prepare("SELECT level, hashes FROM partial_tiles WHERE project = ?1 ORDER BY level")?;
    let mut rows = statement.query([project])?;
    let mut tiles: Vec<Vec<Hash>> = Vec::new();
    while let Some(row) = rows.next()? {
        push(&mut tiles, row.get(0)?, row.bytes(1)?)
            .ok_or_else(|| StoreError::Corrupt(format!("the partial tiles of project number {project} do not hold")))?;
    }
    Ok(tiles)
}

/// Takes the next level in; `None` where it is another, or holds no hashes.
fn push(tiles: &mut Vec<Vec<Hash>>, level: i64, hashes: &[u8]) -> Option<()> {
    let whole = hashes.len().is_multiple_of(32) && level == tiles.len() as i64;
    whole.then(|| tiles.push(hashes.chunks_exact(32).map(|hash| hash.try_into().expect("a chunk of 32 bytes")).collect()))
}
