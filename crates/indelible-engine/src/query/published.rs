//! A tree as it was last published: its newest checkpoint, and the hashes under it from the stored tiles.
//!
//! Made and asked within one read transaction, so that tiles and checkpoint are of one moment. Each proof costs as many tiles as the
//! tree has tile levels, twice, whatever its size. Refused: a proof that does not lead to what was signed. Nobody is handed one.

use indelible_core::chain::Hash;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::Note;
use indelible_core::proof::{ConsistencyProof, InclusionProof};
use indelible_core::tree::{Range, consistency, inclusion};

use super::ReadError;
use super::anchors::{Published, latest, unreadable};
use crate::cosigning::Cosigning;
use crate::cosigning::served::{self, Served};
use crate::store::sql::{Connection, SqlResult};
use crate::store::{StoreError, Tiles, Tree};

/// What a hash in the store that does not fit is called.
const TILES: &str = "the stored tiles do not lead to the signed root";

/// A tree and a checkpoint of it: of a project the newest.
pub(super) struct PublishedTree<'c> {
    connection: &'c Connection,
    tree: Tree,
    /// Leaves that are stored, at least as many as are published.
    stored: u64,
    note: Note,
    checkpoint: Checkpoint,
}

/// The tree of a project, and the anchor that published it.
pub(super) struct PublishedProject<'c> {
    pub(super) tree: PublishedTree<'c>,
    pub(super) anchor: Published,
    /// The row of the last event that the anchor covers.
    pub(super) last_row: i64,
}

impl<'c> PublishedProject<'c> {
    /// `None` where nothing was anchored yet.
    pub(super) fn load(connection: &'c Connection, project: i64) -> Result<Option<Self>, ReadError> {
        let read = || -> SqlResult<Option<(Published, i64, i64)>> {
            let Some(anchor) = latest(connection, project)? else { return Ok(None) };
            let last_row = connection
                .prepare("SELECT last_row FROM anchors WHERE project = ?1 AND number = ?2")?
                .query_row((project, anchor.number as i64), |row| row.get(0))?;
            let size = connection.prepare("SELECT size FROM heads WHERE project = ?1")?.query_row([project], |row| row.get(0))?;
            Ok(Some((anchor, last_row, size)))
        };
        let Some((anchor, last_row, size)) = read().map_err(|error| unreadable(&error))? else { return Ok(None) };
        let tree = PublishedTree::new(connection, Tree::Project(project), size.unsigned_abs(), &anchor.checkpoint)?;
        Ok(Some(Self { tree, anchor, last_row }))
    }

    /// The leaf of its anchor in the instance tree, and the proof of it against a checkpoint of that tree: the newest that witnesses
    /// cosigned, if that covers it, else the newest; `None` while neither does.
    pub(super) fn in_instance(&self, project: i64, cosigning: Option<&Cosigning>) -> Result<Option<(String, InclusionProof)>, ReadError> {
        let connection = self.tree.connection;
        let read = || -> SqlResult<(i64, String)> {
            connection
                .prepare("SELECT position, leaf FROM instance_leaves WHERE project = ?1 AND number = ?2")?
                .query_row((project, self.anchor.number as i64), |row| Ok((row.get(0)?, row.get(1)?)))
        };
        let (position, leaf) = read().map_err(|error| unreadable(&error))?;
        let position = position.unsigned_abs();
        let instance = PublishedTree::served(connection, served::covering(connection, cosigning, position))?;
        let Some(instance) = instance.filter(|instance| position < instance.size()) else { return Ok(None) };
        let proof = instance.inclusion(position, &indelible_core::tree::leaf_hash(leaf.as_bytes()))?;
        Ok(Some((leaf, proof)))
    }
}

impl<'c> PublishedTree<'c> {
    /// The instance tree as it is handed out; `None` where it was never signed.
    pub(super) fn of_instance(connection: &'c Connection, cosigning: Option<&Cosigning>) -> Result<Option<Self>, ReadError> {
        Self::served(connection, served::current(connection, cosigning))
    }

    /// The instance tree as far as it was signed, whoever cosigned that: whatever checkpoint somebody has, its tiles are there.
    pub(super) fn of_instance_whole(connection: &'c Connection, cosigning: Option<&Cosigning>) -> Result<Option<Self>, ReadError> {
        Self::served(connection, served::newest(connection, cosigning))
    }

    fn served(connection: &'c Connection, served: Result<Option<Served>, StoreError>) -> Result<Option<Self>, ReadError> {
        let Some(served) = served.map_err(|error| unreadable(&error))? else { return Ok(None) };
        let last = connection.prepare("SELECT max(position) FROM instance_leaves");
        let last = last.and_then(|mut last| last.query_row([], |row| row.get::<_, Option<i64>>(0))).map_err(|error| unreadable(&error))?;
        Self::of_note(connection, Tree::Instance, last.map_or(0, |last| last.unsigned_abs() + 1), served.note).map(Some)
    }

    fn new(connection: &'c Connection, tree: Tree, stored: u64, checkpoint: &str) -> Result<Self, ReadError> {
        let note = Note::parse(checkpoint.as_bytes()).map_err(|error| unreadable(&error))?;
        Self::of_note(connection, tree, stored, note)
    }

    fn of_note(connection: &'c Connection, tree: Tree, stored: u64, note: Note) -> Result<Self, ReadError> {
        let checkpoint = Checkpoint::parse(note.text()).map_err(|error| unreadable(&error))?;
        if checkpoint.size > stored {
            return Err(ReadError::Unprovable("more was signed than is stored"));
        }
        Ok(Self { connection, tree, stored, note, checkpoint })
    }

    /// Leaves that the checkpoint covers.
    pub(super) const fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The checkpoint as it was published, with the cosignatures that there are.
    pub(super) fn checkpoint(&self) -> String {
        self.note.to_string()
    }

    fn tiles(&self) -> Tiles<'c> {
        Tiles::new(self.connection, self.tree, self.stored)
    }

    /// That the leaf at `index`, which is covered, has this hash.
    pub(super) fn inclusion(&self, index: u64, leaf: &Hash) -> Result<InclusionProof, ReadError> {
        let mut tiles = self.tiles();
        let path = inclusion::path(index, self.size(), |height, index| tiles.hash_at(height, index));
        let path = tiles.finish(path).map_err(|error| unreadable(&error))?;
        let leads = |path: &Vec<Hash>| inclusion::root(leaf, index, self.size(), path) == Some(self.checkpoint.root);
        let path = path.filter(leads).ok_or(ReadError::Unprovable("the stored entry and tiles do not lead to the signed root"))?;
        Ok(InclusionProof { extra: None, index, path, checkpoint: self.note.clone() })
    }

    /// That the tree of `old` leaves is the beginning of that of `new`, which is not larger than what is published.
    pub(super) fn consistency(&self, old: u64, new: u64) -> Result<ConsistencyProof, ReadError> {
        // That the newest checkpoint grew out of both is looked at as well, so that no proof is of hashes that nobody signed.
        for size in [old, new] {
            let (root, grown) = (self.root(size)?, self.hashes(size, self.size())?);
            if !consistency::holds(size, self.size(), &root, &self.checkpoint.root, &grown.hashes) {
                return Err(ReadError::Unprovable(TILES));
            }
        }
        self.hashes(old, new)
    }

    fn hashes(&self, old: u64, new: u64) -> Result<ConsistencyProof, ReadError> {
        let mut tiles = self.tiles();
        let proof = ConsistencyProof::make(old, new, |height, index| tiles.hash_at(height, index));
        tiles.finish(proof).map_err(|error| unreadable(&error))?.ok_or(ReadError::Unprovable(TILES))
    }

    /// The root of the first `size` leaves, by the tiles.
    fn root(&self, size: u64) -> Result<Hash, ReadError> {
        let mut tiles = self.tiles();
        let nodes: Option<Vec<Hash>> = Range::subtrees_of(0, size).map(|(height, index)| tiles.hash_at(height, index)).collect();
        let nodes = tiles.finish(nodes).map_err(|error| unreadable(&error))?;
        nodes.and_then(|nodes| Range::from_nodes(0, size, nodes)).and_then(|range| range.root()).ok_or(ReadError::Unprovable(TILES))
    }

    /// The first `width` hashes of a tile.
    pub(super) fn tile(&self, level: u8, index: u64, width: usize) -> Result<Vec<u8>, ReadError> {
        let mut tiles = self.tiles();
        let tile = tiles.tile(level, index);
        let mut tile = tiles.finish(tile).map_err(|error| unreadable(&error))?.filter(|tile| tile.len() >= width * 32);
        if let Some(tile) = &mut tile {
            tile.truncate(width * 32);
        }
        tile.ok_or(ReadError::Unprovable("a tile that was signed is not stored"))
    }
}
