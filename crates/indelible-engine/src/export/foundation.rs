//! What stands before the entries of a bundle: keys, the checkpoint, anchors, and the proofs that are the bundle's as a whole. Read
//! in one short transaction, since the tiles at the right edge of a tree change as it grows.

use std::time::Duration;

use indelible_core::anchor::Anchor;
use indelible_core::bundle::{AnchorLine, FileName, Kind};
use indelible_core::chain::Hash;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::{Name, Note};
use indelible_core::proof::{ConsistencyProof, InclusionProof, RangeProof};
use indelible_core::tree::inclusion;

use super::ask::Asked;
use super::{not_as_signed, unreadable};
use crate::anchor::{SigningKeys, instance_origin, origin};
use crate::cosigning::{Cosigning, served};
use crate::ledger::Ledger;
use crate::query::ReadError;
use crate::query::anchors::{Published, latest};
use crate::query::reading::HeadMark;
use crate::resource::Project;
use crate::store::sql::{Connection, OptionalExtension, SqlResult};
use crate::store::{StoreError, Tiles, Tree};

/// Anchors in a bundle: the newest, as far back as the range begins, and no more than this, some 8 MB.
const ANCHORS_MAX: u64 = 10_000;
/// How long a bundle waits for cosignatures of what was signed a moment ago.
const WITNESSES_WAIT: Duration = Duration::from_secs(5);

/// What stands before the entries.
pub(super) struct Foundation {
    pub(super) kind: Kind,
    pub(super) origin: Name,
    /// The checkpoint, and its note.
    pub(super) tree: Checkpoint,
    pub(super) note: Note,
    /// Rows as far as it goes.
    pub(super) head: HeadMark,
    pub(super) first: u64,
    pub(super) last: u64,
    /// Of a range.
    pub(super) range_proof: Option<RangeProof>,
    /// Events after the checkpoint.
    pub(super) events_after: u64,
    /// In the order of the tar.
    pub(super) files: Vec<(FileName, Vec<u8>)>,
}

/// Waits a moment for the witnesses where they have not cosigned the newest anchor yet: who exports may just have had it sealed. A bundle
/// is made without them in the end.
pub(super) fn await_witnesses(ledger: &Ledger, number: i64) -> Result<(), ReadError> {
    let Some(cosigning) = &ledger.inner.cosigning else { return Ok(()) };
    let read = || -> Result<Option<i64>, StoreError> {
        let newest = "SELECT position FROM instance_leaves WHERE project = ?1 ORDER BY number DESC LIMIT 1";
        Ok(ledger.inner.readers.get()?.query_row(newest, [number], |row| row.get(0)).optional()?)
    };
    if let Some(position) = read().map_err(|error| unreadable(&error))? {
        cosigning.wait_for(position.unsigned_abs() + 1, WITNESSES_WAIT);
    }
    Ok(())
}

/// Reads it for a bundle of the newest checkpoint.
pub(super) fn read(ledger: &Ledger, number: i64, project: &Project, asked: &Asked) -> Result<Foundation, ReadError> {
    let reader = ledger.inner.readers.get().map_err(|error| unreadable(&error))?;
    let transaction = reader.moment().map_err(|error| unreadable(&error))?;
    let nothing = || ReadError::Unavailable("nothing of this project is signed yet; try again in a minute".to_owned());
    let newest = latest(&transaction, number).map_err(|error| unreadable(&error))?.ok_or_else(nothing)?;
    let note = Note::parse(newest.checkpoint.as_bytes()).map_err(|error| unreadable(&error))?;
    let tree = Checkpoint::parse(note.text()).map_err(|error| unreadable(&error))?;
    let origin = origin(ledger.instance_name(), project.id).map_err(|error| unreadable(&error))?;
    let (first, last) = (asked.first, asked.last.unwrap_or(u64::MAX).min(tree.size.saturating_sub(1)));
    if first > last {
        let reason = format!("nothing signed covers sequence {first} yet: {} events are signed", tree.size);
        return Err(ReadError::Options(reason));
    }
    if let Some(since) = &asked.since {
        if since.origin != origin {
            return Err(ReadError::Options("since is a checkpoint of another log".to_owned()));
        }
        if since.size > tree.size {
            return Err(ReadError::Options(format!("since names {} events, and {} are signed here", since.size, tree.size)));
        }
    }
    let parts = Parts { connection: &transaction, number, newest: &newest, cosigning: ledger.inner.cosigning.as_deref() };
    let (stored, last_row) = parts.sizes().map_err(|error| unreadable(&error))?;
    let kind = if asked.filter.is_some() { Kind::Selection } else { Kind::Range };
    let mut files = vec![(FileName::VerifierKeys, parts.keys(ledger.instance_name(), &origin)?)];
    files.push((FileName::Checkpoint, newest.checkpoint.clone().into_bytes()));
    files.push((FileName::Anchors, parts.anchors(first)?));
    let mut tiles = Tiles::new(&transaction, Tree::Project(number), stored);
    let since = asked.since.as_ref().filter(|since| since.size < tree.size);
    let consistency = since.map(|since| ConsistencyProof::make(since.size, tree.size, |height, index| tiles.hash_at(height, index)));
    let ranged = kind == Kind::Range;
    let range_proof = ranged.then(|| RangeProof::make(first, last, tree.size, |height, index| tiles.hash_at(height, index)));
    let (consistency, range_proof) = tiles.finish((consistency, range_proof)).map_err(|error| unreadable(&error))?;
    if let Some(proof) = consistency {
        files.push((FileName::Consistency, proof.ok_or_else(|| not_as_signed(0))?.to_string().into_bytes()));
    }
    let range_proof = range_proof.map(|proof| proof.ok_or_else(|| not_as_signed(first))).transpose()?;
    files.extend(range_proof.as_ref().map(|proof| (FileName::RangeProof, proof.to_string().into_bytes())));
    files.extend(parts.instance()?);
    let head = HeadMark { size: tree.size, last_row };
    let events_after = stored.saturating_sub(tree.size);
    drop(transaction);
    Ok(Foundation { kind, origin, tree, note, head, first, last, range_proof, events_after, files })
}

/// What it is read from.
struct Parts<'a> {
    connection: &'a Connection,
    number: i64,
    newest: &'a Published,
    cosigning: Option<&'a Cosigning>,
}

impl Parts<'_> {
    /// Leaves of the stored tree, and the row that the newest anchor goes to.
    fn sizes(&self) -> SqlResult<(u64, i64)> {
        let size = "SELECT size FROM heads WHERE project = ?1";
        let size: i64 = self.connection.prepare(size)?.query_row([self.number], |row| row.get(0))?;
        let last_row = "SELECT last_row FROM anchors WHERE project = ?1 AND number = ?2";
        let newest = (self.number, self.newest.number as i64);
        Ok((size.unsigned_abs(), self.connection.prepare(last_row)?.query_row(newest, |row| row.get(0))?))
    }

    /// Every key that signs, or signed, the project's tree and the instance's, and those of the witnesses that count.
    fn keys(&self, instance: &str, origin: &Name) -> Result<Vec<u8>, ReadError> {
        let keys = SigningKeys::load(self.connection).map_err(|error| unreadable(&error))?;
        let instance = instance_origin(instance).map_err(|error| unreadable(&error))?;
        let own = [origin, &instance].into_iter().flat_map(|name| keys.verifier_keys(name));
        let witnesses = self.cosigning.into_iter().flat_map(|cosigning| cosigning.policy().witnesses());
        let all = own.chain(witnesses.map(|witness| witness.key.clone()));
        Ok(all.flat_map(|key| format!("{key}\n").into_bytes()).collect())
    }

    /// The anchors from the one that covers `first` on.
    fn anchors(&self, first: u64) -> Result<Vec<u8>, ReadError> {
        let from = self.anchor_of(first).map_err(|error| unreadable(&error))?;
        let from = from.max((self.newest.number + 1).saturating_sub(ANCHORS_MAX));
        let sql = "SELECT anchor, note FROM anchors WHERE project = ?1 AND number BETWEEN ?2 AND ?3 ORDER BY number";
        let mut statement = self.connection.prepare(sql).map_err(|error| unreadable(&error))?;
        let parameters = (self.number, from as i64, self.newest.number as i64);
        let rows = statement.query_map(parameters, |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
        let mut out = Vec::new();
        for row in rows.map_err(|error| unreadable(&error))? {
            let (anchor, note) = row.map_err(|error| unreadable(&error))?;
            let anchor = Anchor::parse(anchor.as_bytes()).map_err(|error| unreadable(&error))?;
            let note = Note::parse(note.as_bytes()).map_err(|error| unreadable(&error))?;
            out.extend_from_slice(&AnchorLine { anchor, note }.to_bytes());
            out.push(b'\n');
        }
        Ok(out)
    }

    /// The number of the anchor whose interval holds a sequence: sizes ascend, so it is found by halving.
    fn anchor_of(&self, sequence: u64) -> SqlResult<u64> {
        let sql = "SELECT tree_size FROM anchors WHERE project = ?1 AND number = ?2";
        let mut size = self.connection.prepare(sql)?;
        let (mut low, mut high) = (0, self.newest.number);
        while low < high {
            let middle = low + (high - low) / 2;
            let ends: i64 = size.query_row((self.number, middle as i64), |row| row.get(0))?;
            if ends.unsigned_abs() > sequence { high = middle } else { low = middle + 1 }
        }
        Ok(low)
    }

    /// That the newest anchor is in the instance tree; nothing where no signed checkpoint of that covers it yet.
    fn instance(&self) -> Result<Vec<(FileName, Vec<u8>)>, ReadError> {
        let read = || -> Result<Option<InstanceStep>, StoreError> {
            let sql = "SELECT position, leaf FROM instance_leaves WHERE project = ?1 AND number = ?2";
            let newest = (self.number, self.newest.number as i64);
            let leaf = self.connection.query_row(sql, newest, |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).optional()?;
            let Some((position, leaf)) = leaf else { return Ok(None) };
            let position = position.unsigned_abs();
            let Some(served) = served::covering(self.connection, self.cosigning, position)? else { return Ok(None) };
            let stored: Option<i64> = self.connection.query_row("SELECT max(position) FROM instance_leaves", [], |row| row.get(0))?;
            let mut tiles = Tiles::new(self.connection, Tree::Instance, stored.map_or(0, |last| last.unsigned_abs() + 1));
            let path = inclusion::path(position, served.size, |height, index| tiles.hash_at(height, index));
            let proof = |path| InclusionProof { extra: None, index: position, path, checkpoint: served.note };
            Ok(tiles.finish(path)?.map(|path| InstanceStep { leaf, proof: proof(path) }))
        };
        let Some(InstanceStep { leaf, proof }) = read().map_err(|error| unreadable(&error))? else { return Ok(Vec::new()) };
        Ok(vec![
            (FileName::InstanceCheckpoint, proof.checkpoint.to_string().into_bytes()),
            (FileName::InstanceLeaf, leaf.into_bytes()),
            (FileName::InstanceProof, proof.to_string().into_bytes()),
        ])
    }
}

struct InstanceStep {
    leaf: String,
    proof: InclusionProof,
}

/// An entry's proof, and the leaf hash that the stored tree has in its place.
pub(super) struct Proved {
    pub(super) sequence: u64,
    pub(super) leaf: Hash,
    pub(super) text: String,
}

impl Foundation {
    /// The proofs of a few entries, from one short transaction. Each costs the tiles on its way to the root.
    pub(super) fn proofs(&self, ledger: &Ledger, number: i64, sequences: impl Iterator<Item = u64>) -> Result<Vec<Proved>, ReadError> {
        let reader = ledger.inner.readers.get().map_err(|error| unreadable(&error))?;
        let transaction = reader.moment().map_err(|error| unreadable(&error))?;
        let parameters = [number];
        let size = transaction.query_row("SELECT size FROM heads WHERE project = ?1", parameters, |row| row.get::<_, i64>(0));
        let size = size.map_err(|error| unreadable(&error))?.unsigned_abs();
        let mut tiles = Tiles::new(&transaction, Tree::Project(number), size);
        let mut proved = Vec::new();
        for index in sequences {
            let path = inclusion::path(index, self.tree.size, |height, index| tiles.hash_at(height, index));
            let (Some(path), Some(leaf)) = (path, tiles.hash_at(0, index)) else { return Err(not_as_signed(index)) };
            let text = InclusionProof { extra: None, index, path, checkpoint: self.note.clone() }.to_string();
            proved.push(Proved { sequence: index, leaf, text });
        }
        tiles.finish(proved).map_err(|error| unreadable(&error))
    }
}
