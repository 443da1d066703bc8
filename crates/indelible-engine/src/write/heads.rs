//! The heads of the chains that are being written, in memory: as many as are busy, the rest in the store.
//!
//! A head that the store gives is believed only under its MAC. After any failure all are dropped and read again.

use std::collections::HashMap;

use indelible_core::chain::{GENESIS, Hash};
use indelible_core::tree::Edge;
use uuid::Uuid;

use crate::keystore::KeyStore;
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension};

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

impl StoredHead {
    /// Reads the head of a project; `None` where it has no events.
    pub(super) fn read(connection: &Connection, project: i64) -> Result<Option<Self>, StoreError> {
        let mut statement =
            connection.prepare("SELECT size, row_hash, tree_root, hmac_key_id, mac, last_row FROM heads WHERE project = ?1")?;
        let head = statement.query_row([project], |row| {
            Ok(Self {
                size: row.get::<_, i64>(0)?.unsigned_abs(),
                row_hash: row.get(1)?,
                tree_root: row.get(2)?,
                hmac_key_id: row.get::<_, i64>(3)?.unsigned_abs(),
                mac: row.get(4)?,
                last_row: row.get(5)?,
            })
        });
        Ok(head.optional()?)
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
    let mut head = Head {
        project_id,
        size: 0,
        row_hash: GENESIS,
        hmac_key_id: 0,
        edge: Edge::new(),
        last_row: 0,
        touched: false,
        levels_changed: 0,
        used: 0,
    };
    let Some(stored) = StoredHead::read(connection, project)? else { return Ok(head) };
    let corrupt = || StoreError::Corrupt(format!("the head of project {project_id} does not hold: run `indelible verify`"));
    if !stored.is_authentic(keystore, project_id) {
        return Err(corrupt());
    }
    let edge = Edge::from_partial_tiles(stored.size, read_partial_tiles(connection, project)?).ok_or_else(corrupt)?;
    if edge.root() != stored.tree_root {
        return Err(corrupt());
    }
    head.size = stored.size;
    head.row_hash = stored.row_hash;
    head.hmac_key_id = stored.hmac_key_id;
    head.edge = edge;
    head.last_row = stored.last_row;
    Ok(head)
}

/// The partial tiles of a project, level by level.
pub(super) fn read_partial_tiles(connection: &Connection, project: i64) -> Result<Vec<Vec<Hash>>, StoreError> {
    let mut statement = connection.prepare("SELECT level, hashes FROM partial_tiles WHERE project = ?1 ORDER BY level")?;
    let mut rows = statement.query([project])?;
    let mut tiles: Vec<Vec<Hash>> = Vec::new();
    while let Some(row) = rows.next()? {
        let hashes = row.bytes(1)?;
        let whole = hashes.len().is_multiple_of(32) && row.get::<_, i64>(0)? == tiles.len() as i64;
        if !whole {
            return Err(StoreError::Corrupt(format!("the partial tiles of project number {project} do not hold")));
        }
        tiles.push(hashes.chunks_exact(32).map(|hash| hash.try_into().expect("a chunk of 32 bytes")).collect());
    }
    Ok(tiles)
}
