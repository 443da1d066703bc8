//! A log as third-party auditors read it (c2sp.org/tlog-tiles): its newest checkpoint, and tiles and entry bundles as far as that
//! covers them.
//!
//! The tree of a project is read with the project's keys. The instance tree tells how often each project is anchored, so its
//! checkpoint, tiles and leaves are for keys of the instance alone. Each read is recorded before it is answered.
//! Refused: a bundle whose entries are not those of the tiles.

use std::sync::Arc;

use indelible_core::chain::Hash;
use indelible_core::tree::{TileKind, TilePath, entry_bundle, leaf_hash};
use uuid::Uuid;

use super::anchors::unreadable;
use super::feed::each_ascending;
use super::proofs::not_anchored;
use super::published::{PublishedProject, PublishedTree};
use super::reading::{HeadMark, Lane, Reading};
use super::{Opening, ReadError};
use crate::access::Caller;
use crate::ledger::Ledger;
use crate::resource::Project;
use crate::store::sql::{Connection, SqlResult};

/// How the instance tree is called where a project's id would stand.
const INSTANCE: &str = "instance";

/// One log and somebody who may read it.
pub struct Log {
    caller: Caller,
    /// Where reads are recorded, and unless `instance`, whose tree it is.
    project: Arc<Project>,
    instance: bool,
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTile {
    /// Where.
    pub path: TilePath,
    /// 32 bytes a hash, or an entry bundle.
    pub bytes: Vec<u8>,
}

impl Log {
    /// A read of a part of it.
    fn reading(&self, kind: &'static str, part: &str) -> Reading {
        let id = if self.instance { format!("{INSTANCE}/{part}") } else { part.to_owned() };
        Reading::new(&self.caller, &self.project, kind, id, &Opening::default())
    }
}

impl Ledger {
    /// The log of this name: a project's id, or `instance`. One that the caller may not read is recorded, and answered as one that is
    /// not there.
    pub async fn log_for(&self, caller: &Caller, name: &str, action: &'static str) -> Result<Log, ReadError> {
        let instance = name == INSTANCE;
        let project = match Uuid::try_parse(name) {
            _ if instance => self.instance_for(caller, action).await?,
            Ok(id) => self.project_for(caller, Some(id), action).await?,
            Err(_) => return Err(self.unseen(caller, action, ReadError::NotFound("project")).await),
        };
        Ok(Log { caller: caller.clone(), project, instance })
    }

    /// Its newest checkpoint; of the instance tree with the cosignatures, and the newest that the quorum cosigned while it may be expected to.
    pub async fn log_checkpoint(&self, log: &Log) -> Result<String, ReadError> {
        let instance = log.instance;
        self.read(log.reading("log_checkpoint", "checkpoint"), move |lane, account| {
            let reader = lane.reader()?;
            let moment = reader.moment().map_err(|error| unreadable(&error))?;
            let tree = if instance {
                PublishedTree::of_instance(&moment, lane.ledger.inner.cosigning.as_deref())?
            } else {
                PublishedProject::load(&moment, lane.number)?.map(|published| published.tree)
            };
            account.returned = u64::from(tree.is_some());
            tree.map(|tree| tree.checkpoint()).ok_or_else(|| not_anchored(lane, instance, "nothing of the log was signed yet"))
        })
        .await
    }

    /// The tile or entry bundle at `tile/…`, as far as the newest checkpoint covers it.
    pub async fn log_tile(&self, log: &Log, path: &str) -> Result<LogTile, ReadError> {
        let path = TilePath::parse(&format!("/{path}"));
        let part = path.map_or_else(|| "tile".to_owned(), |path| path.to_string().split_off(1));
        let instance = log.instance;
        self.read(log.reading("log_tile", &part), move |lane, account| {
            let path = path.ok_or(ReadError::NotFound("tile"))?;
            let bytes = tile(lane, instance, path)?;
            account.returned = u64::from(path.width());
            Ok(LogTile { path, bytes })
        })
        .await
    }
}

/// The tree as far as it was signed, and the last row of the ledger that it covers.
fn signed<'m>(lane: &Lane<'_>, moment: &'m Connection, instance: bool) -> Result<Option<(PublishedTree<'m>, i64)>, ReadError> {
    if instance {
        return Ok(PublishedTree::of_instance_whole(moment, lane.ledger.inner.cosigning.as_deref())?.map(|tree| (tree, 0)));
    }
    Ok(PublishedProject::load(moment, lane.number)?.map(|published| (published.tree, published.last_row)))
}

fn tile(lane: &Lane<'_>, instance: bool, path: TilePath) -> Result<Vec<u8>, ReadError> {
    let (index, width) = (path.index(), usize::from(path.width()));
    let reader = lane.reader()?;
    let moment = reader.moment().map_err(|error| unreadable(&error))?;
    let covered =
        |tree: &PublishedTree<'_>| TilePath::in_tree(path.kind(), index, tree.size()).is_some_and(|there| there.width() >= path.width());
    let found = signed(lane, &moment, instance)?.filter(|(tree, _)| covered(tree));
    let (tree, last_row) = found.ok_or(ReadError::NotFound("tile"))?;
    let hashes = match path.kind() {
        TileKind::Hashes(level) => return tree.tile(level, index, width),
        TileKind::Entries => tree.tile(0, index, width)?,
    };
    let first = index * indelible_core::limits::TILE_HASHES as u64;
    let entries = if instance {
        leaves(&moment, first, width)?
    } else {
        // Not held while the index is waited for.
        drop(moment);
        entries(lane, last_row, first, width)?
    };
    bundle(&entries, hashes.as_chunks::<32>().0)
}

/// The bundle of entries whose leaf hashes are these.
fn bundle(entries: &[Vec<u8>], hashes: &[Hash]) -> Result<Vec<u8>, ReadError> {
    let agree = entries.len() == hashes.len() && entries.iter().zip(hashes).all(|(entry, hash)| leaf_hash(entry) == *hash);
    let mut out = Vec::with_capacity(entries.iter().map(|entry| entry.len() + 2).sum());
    if agree && entries.iter().all(|entry| entry_bundle::push(entry, &mut out)) {
        return Ok(out);
    }
    Err(ReadError::Unprovable("the stored entries are not those of the tile"))
}

/// Leaves of the instance tree from `first` on.
fn leaves(moment: &Connection, first: u64, width: usize) -> Result<Vec<Vec<u8>>, ReadError> {
    let read = || -> SqlResult<Vec<Vec<u8>>> {
        let mut select = moment.prepare("SELECT leaf FROM instance_leaves WHERE position >= ?1 ORDER BY position LIMIT ?2")?;
        let rows = select.query_map((first as i64, width as i64), |row| row.get::<_, String>(0).map(String::into_bytes))?;
        rows.collect()
    };
    read().map_err(|error| unreadable(&error))
}

/// Entries of the project from the sequence `first` on: found by the index, and each by its own bytes.
fn entries(lane: &Lane<'_>, last_row: i64, first: u64, width: usize) -> Result<Vec<Vec<u8>>, ReadError> {
    let head = HeadMark { size: 0, last_row };
    lane.scan(head, None, |scan| {
        let mut entries = Vec::with_capacity(width);
        each_ascending(scan, first, &mut |found| {
            entries.push(found.entry);
            Ok(entries.len() < width)
        })?;
        Ok(entries)
    })
}
