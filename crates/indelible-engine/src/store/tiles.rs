//! Hashes of full subtrees from the stored tiles: what inclusion and consistency proofs are made of.
//!
//! A tile is read once. Each answer costs at most one tile and 255 hashes, so a proof costs as many tiles as the tree
//! has tile levels, twice.

use std::collections::HashMap;

use indelible_core::chain::Hash;
use indelible_core::tree::subtree_from_tiles;

use super::sql::{Connection, OptionalExtension as _, Param, SqlError};

/// Whose tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    /// `ledgers.project`
    Project(i64),
    /// The instance tree.
    Instance,
}

/// The tiles of one tree of `size` leaves, as one connection sees them.
pub(crate) struct Tiles<'c> {
    connection: &'c Connection,
    tree: Tree,
    size: u64,
    read: HashMap<(u8, u64), Option<Vec<u8>>>,
    failed: Option<SqlError>,
}

impl<'c> Tiles<'c> {
    /// `size` is that of the tree as it is stored now: it decides which tile of a level is not full yet.
    pub(crate) fn new(connection: &'c Connection, tree: Tree, size: u64) -> Self {
        Self { connection, tree, size, read: HashMap::new(), failed: None }
    }

    /// The hash of the full subtree of `2^height` leaves at `index` among its like; `None` where the tiles do not have it.
    pub(crate) fn hash_at(&mut self, height: u32, index: u64) -> Option<Hash> {
        subtree_from_tiles(height, index, |level, position| self.tile(level, position))
    }

    /// The hashes of a tile, full or not.
    pub(crate) fn tile(&mut self, level: u8, position: u64) -> Option<Vec<u8>> {
        if let Some(known) = self.read.get(&(level, position)) {
            return known.clone();
        }
        let tile = self.load(level, position).unwrap_or_else(|error| {
            self.failed = Some(error);
            None
        });
        self.read.insert((level, position), tile.clone());
        tile
    }

    /// What was found, unless the store could not be read on the way.
    pub(crate) fn finish<T>(self, found: T) -> Result<T, SqlError> {
        self.failed.map_or(Ok(found), Err)
    }

    fn load(&self, level: u8, position: u64) -> Result<Option<Vec<u8>>, SqlError> {
        let full = self.size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
        let (partial, position) = (position == full, position as i64);
        let level = i64::from(level);
        let read = |sql: &str, parameters: &[i64]| {
            let parameters: Vec<Param<'_>> = parameters.iter().copied().map(Param::Integer).collect();
            self.connection.prepare(sql)?.query_row(parameters.as_slice(), |row| row.get(0)).optional()
        };
        match (self.tree, partial) {
            (Tree::Project(project), true) => read("SELECT hashes FROM partial_tiles WHERE project = ?1 AND level = ?2", &[project, level]),
            (Tree::Project(project), false) => {
                read("SELECT hashes FROM tiles WHERE project = ?1 AND level = ?2 AND position = ?3", &[project, level, position])
            }
            (Tree::Instance, true) => read("SELECT hashes FROM instance_edge WHERE level = ?1", &[level]),
            (Tree::Instance, false) => read("SELECT hashes FROM instance_tiles WHERE level = ?1 AND position = ?2", &[level, position]),
        }
    }
}
